//! How many bytes buffers take on the device that a plan is made for.
//!
//! It knows how large elements are there, and which of a loop's buffers are its own; not where anything is.

use arenagrad_graph::StorageType;

use crate::plan::BufferSpec;
use crate::plan::looped::{CarryPlace, LoopPlan};
use crate::plan::step::Task;

/// How many bytes elements take on the device that a plan is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ElementBytes {
    /// As many as their type has.
    #[default]
    Packed,
    /// Whole words of 32 bits: a bool is one, and narrower elements share them.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "a GPU's buffers alone are so"))]
    Words,
}

impl ElementBytes {
    /// The bytes of that many elements.
    pub(crate) fn of(self, storage: StorageType, elements: usize) -> u64 {
        let bytes = |size: u64| (elements as u64).saturating_mul(size);
        match self {
            ElementBytes::Packed => bytes(storage.bytes() as u64),
            ElementBytes::Words if storage == StorageType::Bool => bytes(4),
            ElementBytes::Words => bytes(storage.bytes() as u64).checked_next_multiple_of(4).unwrap_or(u64::MAX),
        }
    }

    /// The bytes of buffers.
    pub(crate) fn of_buffers<'b>(self, buffers: impl Iterator<Item = &'b BufferSpec>) -> u64 {
        buffers.map(|spec| self.of(spec.storage, spec.elements)).fold(0, u64::saturating_add)
    }

    /// The bytes of the buffers that a loop has to itself: of its body's plan those that are none of the step around it, and those of loops
    /// within.
    pub(crate) fn of_loop(self, looped: &LoopPlan) -> u64 {
        let mut sum = 0u64;
        let mut loops = vec![looped];
        while let Some(looped) = loops.pop() {
            let is_given = |number: u32| {
                let last = |carry: &CarryPlace| carry.buffer == number && carry.result.is_some();
                looped.captured.iter().any(|place| place.buffer == number) || looped.carries.iter().any(last)
            };
            let own = (0..).zip(&looped.plan.buffers).filter(|(number, _)| !is_given(*number)).map(|(_, spec)| spec);
            sum = sum.saturating_add(self.of_buffers(own));
            loops.extend(looped.plan.steps.iter().filter_map(|step| match &step.task {
                Task::Kernel(_) => None,
                Task::Loop(inner) => Some(&**inner),
            }));
        }
        sum
    }

    /// The bytes of the buffers that the loops among steps have to themselves.
    pub(crate) fn of_loops<'s>(self, steps: impl Iterator<Item = &'s Task>) -> u64 {
        let own = steps.map(|task| match task {
            Task::Kernel(_) => 0,
            Task::Loop(looped) => self.of_loop(looped),
        });
        own.fold(0, u64::saturating_add)
    }
}
