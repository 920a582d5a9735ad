//! Loops on the CPU: the steps of a body, run round after round over the same buffers.
//!
//! Before each round its part of every sequence is brought into the round's buffers, and after it what the round gave into the stacks. Carries
//! stay where they are.

use arenagrad_graph::Elements;

use super::watch::Watch;
use super::{CpuMemory, Failed, PlacedRoutine, run};
use crate::backend::{LoopCopies, Moved};
use crate::plan::FallibleStep;

/// A loop made ready.
pub(super) struct PlacedLoop {
    pub(super) copies: LoopCopies,
    pub(super) steps: Vec<PlacedRoutine>,
    /// The steps that may fail, with their numbers.
    pub(super) fallible: Vec<(usize, FallibleStep)>,
}

impl PlacedLoop {
    /// Runs all rounds, up to one that fails, while `watch` looks on.
    pub(super) fn run(
        &mut self,
        written: &mut Vec<Elements>,
        memory: &mut CpuMemory,
        watch: &mut impl Watch,
    ) -> Result<(), Box<Failed>> {
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
