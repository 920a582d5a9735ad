//! A plan with everything that a run of it needs, wherever it is kept: in a session's list, or by whoever made it.

use arenagrad_graph::Elements;

use crate::error::Error;
use crate::plan::Plan;
use crate::session::feed::Feed;
use crate::session::grouped::Exchanged;
use crate::session::store::{Executable, Memory};
use crate::tensor::Tensor;

/// A plan with everything that a run needs.
pub(crate) struct Prepared {
    pub(super) plan: Plan,
    pub(super) feed: Feed,
    pub(super) executable: Executable,
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

    /// Runs the plan, whose inputs are written, and reads its outputs if they are wanted.
    pub(super) fn execute(&mut self, memory: &mut Memory, fetch: bool) -> Result<Vec<Tensor>, Error> {
        let mut fetched = self.executable.run(memory, fetch)?.into_iter();
        if !fetch {
            return Ok(Vec::new());
        }
        let mut results = Vec::with_capacity(self.outputs.len());
        for (output, buffer) in self.plan.outputs.iter().zip(&self.outputs) {
            let data = match (buffer, &*memory) {
                (None, _) => Elements::empty(output.dtype),
                (Some(buffer), Memory::Cpu(memory)) => memory.read(*buffer, output.shape.elements()),
                #[cfg(feature = "gpu")]
                (Some(_), Memory::Gpu(_)) => fetched.next().unwrap_or_else(|| Elements::empty(output.dtype)),
            };
            // A parameter or input that is a result as it stands may be held narrower.
            results.push(Tensor::from_data(output.shape.clone(), data)?.into_native());
        }
        debug_assert!(fetched.next().is_none());
        Ok(results)
    }
}
