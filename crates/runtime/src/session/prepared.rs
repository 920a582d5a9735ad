//! A plan with everything that a run of it needs, wherever it is kept: in a session's list, or by whoever made it.

#[cfg(feature = "gpu")]
use arenagrad_graph::DType;
use arenagrad_graph::{Elements, Shape};
#[cfg(all(feature = "gpu", not(target_family = "wasm")))]
use arenagrad_kernels::Choice;

use crate::error::Error;
use crate::pending::Pending;
use crate::plan::Plan;
use crate::session::feed::Feed;
use crate::session::grouped::Exchanged;
#[cfg(all(feature = "gpu", not(target_family = "wasm")))]
use crate::session::store::LoopPlaces;
use crate::session::store::{Executable, Memory, Run};
use crate::tensor::Tensor;

/// A plan with everything that a run needs.
pub(crate) struct Prepared {
    pub(super) plan: Plan,
    pub(super) feed: Feed,
    pub(super) executable: Executable,
    /// The session's buffer of each of the plan's, and those of its loops.
    #[cfg(not(target_family = "wasm"))]
    pub(super) places: Vec<u32>,
    #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
    pub(super) loops: Vec<Option<LoopPlaces>>,
    /// How its kernels are computed, in their order; behind the end as usual.
    #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
    pub(super) choices: Vec<Choice>,
    /// The session's buffer of each output; none for results without elements.
    pub(super) outputs: Vec<Option<u32>>,
    /// The buffers that it has of the session's pool.
    pub(super) buffers: Vec<u32>,
    /// What a session must know of its exchanges, if it has any.
    pub(super) exchanged: Option<Exchanged>,
}

impl Prepared {
    /// The plan.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the plan, whose inputs are written, and reads its outputs if they are wanted. With them it blocks until they are there.
    pub(super) fn execute(&mut self, memory: &mut Memory, fetch: bool) -> Result<Vec<Tensor>, Error> {
        if fetch {
            return self.start(memory)?.wait();
        }
        let room = self.advance(memory)?;
        // A page in a browser waits elsewhere, if it does.
        if cfg!(target_family = "wasm") {
            return Ok(Vec::new());
        }
        room.wait().map(|()| Vec::new())
    }

    /// Runs the plan, whose inputs are written: its outputs, which will come.
    pub(super) fn start(&mut self, memory: &mut Memory) -> Result<Pending<Vec<Tensor>>, Error> {
        let outputs = self.start_lent(memory);
        memory.take_back();
        outputs
    }

    fn start_lent(&mut self, memory: &mut Memory) -> Result<Pending<Vec<Tensor>>, Error> {
        let run = self.executable.start(memory, true)?;
        let outputs = self.plan.outputs.iter().zip(&self.outputs);
        match (run, &*memory) {
            #[cfg(feature = "gpu")]
            (Run::Arriving(arrival), _) => {
                let outputs: Vec<(Shape, DType, bool)> =
                    outputs.map(|(output, buffer)| (output.shape.clone(), output.dtype, buffer.is_some())).collect();
                Ok(Pending::coming(vec![arrival], move |fetched| {
                    let mut fetched = fetched.into_iter();
                    let tensors = outputs.into_iter().map(|(shape, dtype, is_held)| {
                        let data = if is_held { fetched.next() } else { None };
                        result(shape, data.unwrap_or_else(|| Elements::empty(dtype)))
                    });
                    tensors.collect()
                }))
            }
            (Run::Done, memory) => {
                let tensors = outputs.map(|(output, buffer)| {
                    let data = match (buffer, memory) {
                        (Some(buffer), Memory::Cpu(memory)) => memory.read(*buffer, output.shape.elements()),
                        #[cfg(feature = "gpu")]
                        (Some(_), Memory::Gpu(_)) => unreachable!("the outputs of a GPU arrive"),
                        (None, _) => Elements::empty(output.dtype),
                    };
                    result(output.shape.clone(), data)
                });
                Ok(Pending::here(tensors.collect()))
            }
        }
    }

    /// Runs the plan, whose inputs are written and whose outputs nobody reads: that there is room for another run on the device.
    pub(super) fn advance(&mut self, memory: &mut Memory) -> Result<Pending<()>, Error> {
        let run = self.executable.start(memory, false);
        memory.take_back();
        match run? {
            Run::Done => Ok(Pending::here(Ok(()))),
            #[cfg(feature = "gpu")]
            Run::Arriving(room) => Ok(Pending::coming(vec![room], |_| Ok(()))),
        }
    }
}

/// A result. A parameter or input that is one as it stands may be held narrower.
fn result(shape: Shape, data: Elements) -> Result<Tensor, Error> {
    Ok(Tensor::from_data(shape, data)?.into_native())
}
