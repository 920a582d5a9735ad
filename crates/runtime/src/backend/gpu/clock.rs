//! How long a plan's runs take, whoever waits for them: from when a run began, or the one before it ended, to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
use std::time::Instant;
/// The clock of std panics in a browser.
#[cfg(target_family = "wasm")]
use web_time::Instant;

/// Counts the runs of a plan.
#[derive(Clone, Default)]
pub(super) struct Clock {
    counted: Arc<Mutex<Counted>>,
}

#[derive(Default)]
struct Counted {
    spent: Duration,
    runs: u32,
    last: Option<Instant>,
}

impl Clock {
    /// A run begins.
    pub(super) fn begin(&self) -> Begun {
        Begun { at: Instant::now(), clock: self.clone() }
    }

    /// How long runs took in all, and how many they were.
    pub(super) fn spent(&self) -> (Duration, u32) {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        (counted.spent, counted.runs)
    }
}

/// A run that has begun.
pub(super) struct Begun {
    at: Instant,
    clock: Clock,
}

impl Begun {
    /// It has ended. Runs that overlap count their time once.
    pub(super) fn end(self) {
        let now = Instant::now();
        let mut counted = self.clock.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let from = counted.last.map_or(self.at, |last| last.max(self.at));
        counted.spent += now.saturating_duration_since(from);
        counted.runs += 1;
        counted.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_overlap_count_their_time_once() {
        let clock = Clock::default();
        let whole = Instant::now();
        let (first, second) = (clock.begin(), clock.begin());
        std::thread::sleep(Duration::from_millis(20));
        first.end();
        second.end();
        let (spent, runs) = clock.spent();
        assert_eq!(runs, 2);
        assert!(spent >= Duration::from_millis(20) && spent <= whole.elapsed(), "{spent:?}");
    }
}
