//! What a plan runs on: host memory, or the buffers of a wgpu device. Both run plans of one kind, and neither knows the other.

pub(crate) mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
#[cfg(not(target_family = "wasm"))]
mod lap;
#[cfg(not(target_family = "wasm"))]
mod trial;

use crate::plan::PlacedStep;
use crate::plan::looped::{LoopPlan, ResultPlace};
use crate::session::LoopPlaces;

#[cfg(not(target_family = "wasm"))]
pub(crate) use lap::Lap;
#[cfg(not(target_family = "wasm"))]
pub(crate) use trial::{Repeated, TrialBuffers};

/// What a loop moves between the buffers of its operands and results and those of its rounds, by their numbers in the session's memory.
#[derive(Clone, Debug)]
pub(crate) struct LoopCopies {
    pub(crate) length: usize,
    /// Whether the first round is that of the last elements.
    pub(crate) reverse: bool,
    /// Before the first round: the carries' first values.
    pub(crate) first: Vec<Moved>,
    /// Before each round: this round's part of each sequence.
    pub(crate) elements: Vec<Moved>,
    /// Before each round: carries as it finds them, to this round's part of a stack.
    pub(crate) found: Vec<Moved>,
    /// After each round: this round's part of each stack.
    pub(crate) stacked: Vec<Moved>,
}

/// So many elements of one buffer that are brought into another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) elements: usize,
    /// How both buffers hold their elements.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "the CPU's buffers know it themselves"))]
    pub(crate) storage: arenagrad_graph::StorageType,
}

impl LoopCopies {
    /// The copies of a loop whose step's buffers are at `places`, and those of its rounds at `own`.
    pub(crate) fn new(looped: &LoopPlan, step: &PlacedStep, places: &[u32], own: &LoopPlaces) -> Self {
        let storage = |buffer: u32| looped.plan.buffers[buffer as usize].storage;
        let within = |buffer: u32| own.places[buffer as usize];
        let given = |operand: usize| places[step.inputs[operand] as usize];
        let moved = |from, to, elements, buffer| Moved { from, to, elements, storage: storage(buffer) };
        let first = looped.carries.iter().map(|c| moved(given(c.operand), within(c.buffer), c.elements, c.buffer));
        let elements = looped.sequences.iter().map(|s| moved(given(s.operand), within(s.buffer), s.elements, s.buffer));
        let stack = |list: &[ResultPlace]| -> Vec<Moved> {
            let of = |s: &ResultPlace| {
                moved(within(s.buffer), places[step.outputs[s.result] as usize], s.elements, s.buffer)
            };
            list.iter().map(of).collect()
        };
        LoopCopies {
            length: looped.length,
            reverse: looped.reverse,
            first: first.collect(),
            elements: elements.collect(),
            found: stack(&looped.found),
            stacked: stack(&looped.stacked),
        }
    }

    /// Which elements of the sequences a round is of.
    pub(crate) fn place(&self, round: usize) -> usize {
        if self.reverse { self.length - 1 - round } else { round }
    }
}
