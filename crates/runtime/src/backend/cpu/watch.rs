//! What looks on while the steps of a plan run: nothing, what keeps parameters safe, or a clock.
//!
//! Each is a type of its own that the loop over steps is compiled for, so a run without a clock has no branch and no memory for one.

#[cfg(not(target_family = "wasm"))]
use std::time::Instant;

use super::CpuMemory;
#[cfg(not(target_family = "wasm"))]
use crate::backend::Lap;

/// What looks on while steps run in their order.
pub(super) trait Watch {
    /// What looks on while the steps of a loop's body run.
    type Within<'a>: Watch
    where
        Self: 'a;

    /// The step of that number is about to run.
    fn before(&mut self, step: usize, memory: &CpuMemory);

    /// The last step has run.
    fn done(&mut self);

    /// What looks on within the loop that is the step of that number, in all its rounds.
    fn within(&mut self, step: usize) -> Self::Within<'_>;
}

/// Nothing looks on.
pub(super) struct Unwatched;

impl Watch for Unwatched {
    type Within<'a> = Unwatched;

    fn before(&mut self, _: usize, _: &CpuMemory) {}

    fn done(&mut self) {}

    fn within(&mut self, _: usize) -> Unwatched {
        Unwatched
    }
}

/// A clock that is read between steps.
#[cfg(not(target_family = "wasm"))]
pub(super) struct Stopwatch<'a> {
    laps: &'a mut [Lap],
    /// When the first step of the run began.
    start: Instant,
    /// The step that is running, and since when.
    running: Option<(usize, Instant)>,
}

#[cfg(not(target_family = "wasm"))]
impl<'a> Stopwatch<'a> {
    /// A clock of a run that begins now, which adds to these laps, one a step.
    pub(super) fn new(laps: &'a mut [Lap]) -> Self {
        Stopwatch { laps, start: Instant::now(), running: None }
    }

    fn stop(&mut self, now: Instant) {
        if let Some((step, since)) = self.running.take() {
            self.laps[step].add(since - self.start, now - since);
        }
    }
}

#[cfg(not(target_family = "wasm"))]
impl Watch for Stopwatch<'_> {
    type Within<'b>
        = Stopwatch<'b>
    where
        Self: 'b;

    fn before(&mut self, step: usize, _: &CpuMemory) {
        let now = Instant::now();
        self.stop(now);
        self.running = Some((step, now));
    }

    fn done(&mut self) {
        self.stop(Instant::now());
    }

    fn within(&mut self, step: usize) -> Stopwatch<'_> {
        Stopwatch { laps: &mut self.laps[step].body, start: self.start, running: None }
    }
}
