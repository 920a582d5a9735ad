//! The kernels of a plan as a GPU runs them: those of loops' bodies among them, and those over tensors that are too large to be bound whole, or
//! that would keep too much in between, as kernels over parts.

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
    /// The bytes of each that are the kernel's. Its buffer may be larger, for other tensors stand in it before and after.
    bytes: [Vec<u64>; 2],
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
        self.steps.iter().map(|step| step.resident(&step.kernel)).collect()
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
                    let stored = step.storage(&plan.buffers);
                    let bytes = [0, 1].map(|side| {
                        let elements = stored[side].iter().zip(&step.elements[side]);
                        elements.map(|(&storage, &elements)| gpu::own_bytes(storage, elements)).collect()
                    });
                    self.steps.push(FoundStep {
                        kernel: Cow::Borrowed(kernel),
                        bound: [place(&step.inputs), place(&step.outputs)],
                        bytes,
                        stored,
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

    /// Whether a kernel binds something that is too large.
    pub(super) fn is_cut(&self, memory: &GpuMemory) -> bool {
        self.steps.iter().any(|step| step.too_large(memory).is_some())
    }

    /// Has every kernel see no more of a large buffer than what is its own. To be called once no kernel has to be cut.
    pub(super) fn narrow(&mut self, memory: &mut GpuMemory) {
        for step in &mut self.steps {
            step.narrow(memory);
        }
    }

    /// Cuts the steps that bind something too large, and says in what order the parts run. A kernel that cannot be cut is an error that names
    /// the tensor.
    pub(super) fn cut(&mut self, memory: &mut GpuMemory, rounds: Vec<gpu::Round>) -> Result<Vec<gpu::Round>, Error> {
        if !self.is_cut(memory) {
            self.narrow(memory);
            return Ok(rounds);
        }
        let mut parts: Vec<Range<usize>> = Vec::with_capacity(self.steps.len());
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            let start = steps.len();
            step.cut(memory, &mut steps)?;
            parts.push(start..steps.len());
        }
        self.steps = steps;
        Ok(in_parts(rounds, &parts))
    }
}

impl<'a> FoundStep<'a> {
    /// The step as a device takes it, or one like it with another kernel.
    fn resident<'b>(&'b self, kernel: &'b Kernel) -> gpu::ResidentStep<'b> {
        gpu::ResidentStep {
            kernel,
            inputs: &self.bound[0],
            outputs: &self.bound[1],
            stored: Stored { inputs: &self.stored[0], outputs: &self.stored[1] },
            choice: self.choice,
            what: self.what,
        }
    }

    /// The error of what the step binds that is too large: the largest of its tensors, else what it keeps in between.
    fn too_large(&self, memory: &GpuMemory) -> Option<Error> {
        let limit = memory.binding_limit();
        let buffers = [&self.step.inputs, &self.step.outputs];
        let all = self.bytes.iter().zip(buffers).flat_map(|(bytes, buffers)| bytes.iter().zip(buffers));
        if let Some((&bytes, &buffer)) = all.max_by_key(|(bytes, _)| **bytes).filter(|(bytes, _)| **bytes > limit) {
            return Some(self.plan.told_of(buffer as usize, memory.too_large(self.what, bytes)));
        }
        let kept = gpu::kept_bytes(memory.device(), &self.resident(&self.kernel), limit);
        if kept <= limit {
            return None;
        }
        // The result is found by its own bytes.
        let error = memory.too_large(self.what, self.bytes[1].first().copied().unwrap_or(kept));
        let error =
            self.step.outputs.first().map_or(error.clone(), |&output| self.plan.told_of(output as usize, error));
        let Error::BufferTooLarge { what, bytes: _, limit, adapter, origin } = error else { return Some(error) };
        let what = format!("an intermediate result of {what}");
        Some(Error::BufferTooLarge { what, bytes: kept, limit, adapter, origin })
    }

    /// Binds of each buffer past the limit the part that is the kernel's own: what another step keeps there before or after is not its concern.
    fn narrow(&mut self, memory: &mut GpuMemory) {
        let limit = memory.binding_limit();
        for (bound, bytes) in self.bound.iter_mut().zip(&self.bytes) {
            for (tensor, &bytes) in bound.iter_mut().zip(bytes) {
                if memory.bytes(*tensor) > limit && bytes <= limit {
                    *tensor = memory.window(*tensor, 0, bytes);
                }
            }
        }
    }

    /// The step, or its parts.
    fn cut(mut self, memory: &mut GpuMemory, steps: &mut Vec<FoundStep<'a>>) -> Result<(), Error> {
        let Some(error) = self.too_large(memory) else {
            self.narrow(memory);
            steps.push(self);
            return Ok(());
        };
        let [inputs, outputs] = [0, 1].map(|side| {
            let bindable = |((&tensor, &storage), &bytes): ((&u32, &StorageType), &u64)| gpu::Bindable {
                tensor,
                bytes,
                element: ElementBytes::Words.of(storage, 64) / 64,
            };
            self.bound[side].iter().zip(&self.stored[side]).zip(&self.bytes[side]).map(bindable).collect::<Vec<_>>()
        });
        let limit = memory.binding_limit();
        let kept = |kernel: &Kernel| gpu::kept_bytes(memory.device(), &self.resident(kernel), limit);
        let limits = gpu::CutLimits { bytes: limit, buffers: memory.most_bindings(), kept: &kept };
        let Some(parts) = gpu::cut(&self.kernel, &inputs, &outputs, limits) else { return Err(error) };
        let mut whole = self.clone();
        whole.narrow(memory);
        for part in parts {
            let mut bound = whole.bound.clone();
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
