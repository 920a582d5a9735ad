//! Loops on the CPU: the steps of a body, run round after round over the same buffers.
//!
//! Before each round its part of every sequence is brought into the round's buffers, and after it what the round gave into the stacks. Carries
//! stay where they are. What no round writes, as the weights of a recurrent layer, is the same in all of them: products keep such right operands packed.

use std::collections::HashSet;

use arenagrad_graph::Elements;

use super::watch::Watch;
use super::{CpuMemory, Failed, PlacedKernel, PlacedRoutine, run};
use crate::backend::{LoopCopies, Moved};
use crate::plan::FallibleStep;

/// A loop made ready.
pub(super) struct PlacedLoop {
    copies: LoopCopies,
    pub(super) steps: Vec<PlacedRoutine>,
    /// The steps that may fail, with their numbers.
    fallible: Vec<(usize, FallibleStep)>,
    /// How many loops it stands in.
    level: usize,
}

impl PlacedLoop {
    /// A loop that stands in `level` others.
    pub(super) fn new(
        copies: LoopCopies,
        mut steps: Vec<PlacedRoutine>,
        fallible: Vec<(usize, FallibleStep)>,
        level: usize,
    ) -> Self {
        let brought = [&copies.first, &copies.elements, &copies.found, &copies.stacked].into_iter().flatten();
        let mut written: HashSet<u32> = brought.map(|moved| moved.to).collect();
        add_written(&steps, &mut written);
        // Loops within have done so before: the outermost one that does not write an operand keeps it.
        for_each_kernel(&mut steps, &mut |step| {
            if step.inputs.get(1).is_some_and(|rhs| !written.contains(rhs)) && step.kernel.keep_rhs() {
                step.kept_by = Some(level);
            }
        });
        PlacedLoop { copies, steps, fallible, level }
    }

    /// Runs all rounds, up to one that fails, while `watch` looks on.
    pub(super) fn run(
        &mut self,
        written: &mut Vec<Elements>,
        memory: &mut CpuMemory,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Failed>> {
        let level = self.level;
        for_each_kernel(&mut self.steps, &mut |step| {
            if step.kept_by == Some(level) {
                step.kernel.rhs_changed();
            }
        });
        for moved in &self.copies.first {
            copy(memory, moved, 0, 0);
        }
        for round in 0..self.copies.length {
            let place = self.copies.place(round);
            for moved in &self.copies.elements {
                copy(memory, moved, place * moved.elements, 0);
            }
            for moved in &self.copies.found {
                copy(memory, moved, 0, place * moved.elements);
            }
            run(&mut self.steps, &self.fallible, written, memory, watch)?;
            for moved in &self.copies.stacked {
                copy(memory, moved, 0, place * moved.elements);
            }
        }
        Ok(())
    }
}

/// Adds the buffers that steps write, and those within their loops.
fn add_written(steps: &[PlacedRoutine], written: &mut HashSet<u32>) {
    for step in steps {
        match step {
            PlacedRoutine::Kernel(step) => written.extend(&*step.outputs),
            PlacedRoutine::Loop(PlacedLoop { copies, steps, .. }) => {
                let brought = [&copies.first, &copies.elements, &copies.found, &copies.stacked].into_iter().flatten();
                written.extend(brought.map(|moved| moved.to));
                add_written(steps, written);
            }
        }
    }
}

fn for_each_kernel(steps: &mut [PlacedRoutine], act: &mut impl FnMut(&mut PlacedKernel)) {
    for step in steps {
        match step {
            PlacedRoutine::Kernel(step) => act(step),
            PlacedRoutine::Loop(looped) => for_each_kernel(&mut looped.steps, act),
        }
    }
}

/// Copies between two buffers, from one element on to another on.
fn copy(memory: &mut CpuMemory, moved: &Moved, from: usize, to: usize) {
    let Moved { from: source, to: target, elements, .. } = *moved;
    if source == target {
        return;
    }
    let mut buffer = memory.take(target);
    let source = &*memory.buffers[source as usize];
    macro_rules! copied {
        ($($variant:ident)*) => {
            $(if let (Elements::$variant(source), Elements::$variant(target)) = (source, &mut buffer) {
                target[to..to + elements].copy_from_slice(&source[from..from + elements]);
            } else)* {
                unreachable!("what a loop moves keeps its type");
            }
        };
    }
    copied!(F32 F64 I32 Bool F16 Bf16 U8 I8 I64);
    memory.put_back(target, buffer);
}
