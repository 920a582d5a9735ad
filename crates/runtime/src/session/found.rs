//! The kernels of a plan as a GPU runs them: those of loops' bodies among them, and those over tensors that are too large to be bound whole
//! as kernels over parts.

use std::borrow::Cow;
use std::ops::Range;

use arenagrad_graph::StorageType;
use arenagrad_kernels::{Choice, Kernel, Stored};

use crate::backend::LoopCopies;
use crate::backend::gpu::{self, GpuMemory};
use crate::error::Error;
use crate::plan::{ElementBytes, PlacedStep, Plan, Task};
use crate::session::store::LoopPlaces;

/// The kernels of a plan and of the bodies of its loops.
pub(super) struct Found<'a> {
    pub(super) steps: Vec<FoundStep<'a>>,
    /// How they are computed, in their order; behind the end as usual.
    choices: &'a [Choice],
}

/// A kernel, or a part of one, and where its tensors are.
#[derive(Clone)]
pub(super) struct FoundStep<'a> {
    pub(super) kernel: Cow<'a, Kernel>,
    pub(super) bound: [Vec<u32>; 2],
    pub(super) stored: [Vec<StorageType>; 2],
    choice: Choice,
    pub(super) what: &'a str,
    /// The plan that it is of, and its step there.
    plan: &'a Plan,
    step: &'a PlacedStep,
}

impl<'a> Found<'a> {
    pub(super) fn of(choices: &'a [Choice]) -> Self {
        Found { steps: Vec::new(), choices }
    }

    /// The kernels as a device takes them.
    pub(super) fn resident(&self) -> Vec<gpu::ResidentStep<'_>> {
        let each = self.steps.iter();
        each.map(|step| gpu::ResidentStep {
            kernel: &step.kernel,
            inputs: &step.bound[0],
            outputs: &step.bound[1],
            stored: Stored { inputs: &step.stored[0], outputs: &step.stored[1] },
            choice: step.choice,
            what: step.what,
        })
        .collect()
    }

    /// Adds the kernels of a plan, and says in what order they run.
    pub(super) fn rounds(&mut self, plan: &'a Plan, places: &[u32], loops: &[Option<LoopPlaces>]) -> Vec<gpu::Round> {
        let place = |buffers: &[u32]| buffers.iter().map(|&buffer| places[buffer as usize]).collect::<Vec<_>>();
        let mut rounds = Vec::with_capacity(plan.steps.len());
        for ((step, described), own) in plan.steps.iter().zip(&plan.described).zip(loops) {
            match (&step.task, own) {
                (Task::Kernel(kernel), _) => {
                    rounds.push(gpu::Round::Step(self.steps.len()));
                    let choice = self.choices.get(self.steps.len()).copied().unwrap_or_default();
                    self.steps.push(FoundStep {
                        kernel: Cow::Borrowed(kernel),
                        bound: [place(&step.inputs), place(&step.outputs)],
                        stored: step.storage(&plan.buffers),
                        choice,
                        what: &described.computes,
                        plan,
                        step,
                    });
                }
                (Task::Loop(looped), Some(own)) => {
                    let body = self.rounds(&looped.plan, &own.places, &own.loops);
                    rounds.push(gpu::Round::Loop(gpu::Rounds {
                        copies: LoopCopies::new(looped, step, places, own),
                        body,
                    }));
                }
                (Task::Loop(_), None) => unreachable!("every loop was given places"),
            }
        }
        rounds
    }

    /// Whether a kernel has a tensor that is too large to be bound whole.
    pub(super) fn is_cut(&self, memory: &GpuMemory) -> bool {
        let limit = memory.binding_limit();
        self.steps.iter().flat_map(|step| step.bound.iter().flatten()).any(|&index| memory.bytes(index) > limit)
    }

    /// Cuts the steps with tensors that are too large to be bound whole, and says in what order the parts run. A kernel that cannot be cut
    /// is an error that names the tensor.
    pub(super) fn cut(&mut self, memory: &mut GpuMemory, rounds: Vec<gpu::Round>) -> Result<Vec<gpu::Round>, Error> {
        if !self.is_cut(memory) {
            return Ok(rounds);
        }
        let limit = memory.binding_limit();
        let mut parts: Vec<Range<usize>> = Vec::with_capacity(self.steps.len());
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            let start = steps.len();
            step.cut(memory, limit, &mut steps)?;
            parts.push(start..steps.len());
        }
        self.steps = steps;
        Ok(in_parts(rounds, &parts))
    }
}

impl<'a> FoundStep<'a> {
    /// The step, or its parts.
    fn cut(self, memory: &mut GpuMemory, limit: u64, steps: &mut Vec<FoundStep<'a>>) -> Result<(), Error> {
        let large = |index: &u32| memory.bytes(*index) > limit;
        let buffers = [&self.step.inputs, &self.step.outputs];
        let all = self.bound.iter().zip(buffers).flat_map(|(bound, buffers)| bound.iter().zip(buffers));
        let Some((&index, &buffer)) =
            all.filter(|(index, _)| large(index)).max_by_key(|(index, _)| memory.bytes(**index))
        else {
            steps.push(self);
            return Ok(());
        };
        let [inputs, outputs] = [0, 1].map(|side| {
            let bindable = |(&index, &storage): (&u32, &StorageType)| gpu::Bindable {
                bytes: memory.bytes(index),
                element: ElementBytes::Words.of(storage, 64) / 64,
            };
            self.bound[side].iter().zip(&self.stored[side]).map(bindable).collect::<Vec<_>>()
        });
        let Some(parts) = gpu::cut(&self.kernel, &inputs, &outputs, limit) else {
            let (what, bytes, adapter) = (self.what.to_owned(), memory.bytes(index), memory.adapter().to_owned());
            let error = Error::BufferTooLarge { what, bytes, limit, adapter, origin: None };
            return Err(self.plan.told_of(buffer as usize, error));
        };
        for part in parts {
            let mut bound = self.bound.clone();
            for (side, (windows, tensors)) in
                [(&part.inputs, &inputs), (&part.outputs, &outputs)].into_iter().enumerate()
            {
                for (place, (window, tensor)) in windows.iter().zip(tensors).enumerate() {
                    let Some(window) = window else { continue };
                    let (offset, bytes) = (window.start as u64 * tensor.element, window.len() as u64 * tensor.element);
                    bound[side][place] = memory.window(self.bound[side][place], offset, bytes);
                }
            }
            steps.push(FoundStep { kernel: Cow::Owned(part.kernel), bound, ..self.clone() });
        }
        Ok(())
    }
}

/// The same rounds, in which each step is its parts.
fn in_parts(rounds: Vec<gpu::Round>, parts: &[Range<usize>]) -> Vec<gpu::Round> {
    let mut all = Vec::with_capacity(rounds.len());
    for round in rounds {
        match round {
            gpu::Round::Step(step) => all.extend(parts[step].clone().map(gpu::Round::Step)),
            gpu::Round::Loop(gpu::Rounds { copies, body }) => {
                all.push(gpu::Round::Loop(gpu::Rounds { copies, body: in_parts(body, parts) }));
            }
        }
    }
    all
}
