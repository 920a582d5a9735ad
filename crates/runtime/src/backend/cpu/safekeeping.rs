//! The parameters of a plan that may fail, kept so that a failed run changes none.
//!
//! A plan writes parameters in place when nothing reads their old values any more, which may be before a step that fails. So what such a
//! step overwrites early is copied first, into room that is made with the plan. Most plans have nothing to keep: gradients come before
//! updates.

use arenagrad_graph::Elements;

use super::CpuMemory;
use super::watch::{Unwatched, Watch};
use crate::error::Error;
use crate::plan::{BufferRole, Plan};

/// What a run copies before which of its steps.
#[derive(Default)]
pub(super) struct Safekeeping {
    /// Ascending by step.
    kept: Vec<Kept>,
    /// How many of them the present run has copied.
    copied: usize,
}

struct Kept {
    /// Before which step it is copied.
    step: usize,
    buffer: u32,
    value: Elements,
}

impl Safekeeping {
    /// The parameters that a plan overwrites no later than in its last step that may fail.
    pub(super) fn new(plan: &Plan, place: impl Fn(u32) -> u32) -> Result<Self, Error> {
        let Some((last, _)) = plan.fallible.last() else { return Ok(Safekeeping::default()) };
        let mut kept: Vec<Kept> = Vec::new();
        for (step, placed) in plan.steps.iter().enumerate().take(*last + 1) {
            for &number in &placed.outputs {
                let spec = &plan.buffers[number as usize];
                let buffer = place(number);
                if !matches!(spec.role, BufferRole::Parameter(_)) || kept.iter().any(|kept| kept.buffer == buffer) {
                    continue;
                }
                let bytes = (spec.elements as u64).saturating_mul(spec.storage.bytes() as u64);
                let what = || "a copy of a parameter".to_owned();
                let value = Elements::zeros(spec.storage, spec.elements)
                    .map_err(|_| Error::OutOfMemory { what: what(), bytes })?;
                kept.push(Kept { step, buffer, value });
            }
        }
        Ok(Safekeeping { kept, copied: 0 })
    }

    /// A run begins.
    pub(super) fn begin(&mut self) {
        self.copied = 0;
    }

    /// Puts back what was copied: the run has failed.
    pub(super) fn restore(&self, memory: &mut CpuMemory) {
        for kept in &self.kept[..self.copied] {
            let is_written = memory.buffer_mut(kept.buffer).overwrite(&kept.value);
            debug_assert!(is_written, "a copy has the type and length of its parameter");
        }
    }
}

impl Watch for Safekeeping {
    type Within<'a> = Unwatched;

    /// Copies what the step is about to overwrite.
    fn before(&mut self, step: usize, memory: &CpuMemory) {
        while let Some(kept) = self.kept.get_mut(self.copied).filter(|kept| kept.step == step) {
            let is_written = kept.value.overwrite(&memory.buffers[kept.buffer as usize]);
            debug_assert!(is_written, "a copy has the type and length of its parameter");
            self.copied += 1;
        }
    }

    fn done(&mut self) {}

    /// A loop's rounds overwrite no parameter but with the step that the loop is.
    fn within(&mut self, _: usize) -> Unwatched {
        Unwatched
    }
}
