//! Waiting that is short where what is waited for comes soon.
//!
//! To wake a sleeping thread takes some 5 µs, and on a virtual machine ten times as long: as long as a whole kernel of a small network. A
//! thread that expects work therefore looks out for it before it sleeps, as the threads of OpenMP do, and offers its
//! processor to others meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a thread looks out before it sleeps: longer than what lies between two kernels that are divided, or between two
/// steps of a training that is under way.
const PATIENCE: Duration = Duration::from_micros(200);

/// How often a thread looks until it offers its processor to others.
const LOOKS: usize = 8;

/// Wakes threads that sleep because nothing came for a while.
#[derive(Debug, Default)]
pub struct Bell {
    /// How many threads sleep, or are about to.
    asleep: AtomicUsize,
    /// How often it rang for a thread that slept.
    rings: Mutex<usize>,
    rung: Condvar,
}

impl Bell {
    /// A bell for which nobody waits.
    pub const fn new() -> Self {
        Bell { asleep: AtomicUsize::new(0), rings: Mutex::new(0), rung: Condvar::new() }
    }

    /// Wakes one of the threads that sleep. What they wait for must be there before.
    pub fn ring(&self) {
        // Either that thread sees what came when it looks for the last time, or this one sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            *self.rings() += 1;
            self.rung.notify_one();
        }
    }

    /// Returns once `has_come` says so: it is asked again and again for a while, and then whenever the bell rings.
    pub fn wait_until(&self, mut has_come: impl FnMut() -> bool) {
        loop {
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE {
                if look(&mut has_come) {
                    return;
                }
            }
            let heard = *self.rings();
            self.asleep.fetch_add(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let came = has_come();
            if !came {
                let rung = self.rung.wait_while(self.rings(), |rings| *rings == heard);
                drop(rung.unwrap_or_else(PoisonError::into_inner));
            }
            self.asleep.fetch_sub(1, Ordering::Relaxed);
            if came {
                return;
            }
        }
    }

    fn rings(&self) -> MutexGuard<'_, usize> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks `has_come` some times, and then lets another thread have the processor if one wants it.
pub(super) fn look(mut has_come: impl FnMut() -> bool) -> bool {
    for _ in 0..LOOKS {
        if has_come() {
            return true;
        }
        std::hint::spin_loop();
    }
    std::thread::yield_now();
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    /// Whoever waits is woken, after a moment and after long, whether it was asleep or about to sleep when the bell rang.
    #[test]
    fn no_ring_is_missed() {
        let (asked, answered) = (Bell::new(), Bell::new());
        let (question, answer) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let pauses = [0, 1, 150, 195, 200, 205, 250, 2000].map(Duration::from_micros);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=8 * pauses.len() {
                    asked.wait_until(|| question.load(Ordering::Acquire) == number);
                    answer.store(number, Ordering::Release);
                    answered.ring();
                }
            });
            for number in 1..=8 * pauses.len() {
                thread::sleep(pauses[number % pauses.len()]);
                question.store(number, Ordering::Release);
                asked.ring();
                answered.wait_until(|| answer.load(Ordering::Acquire) == number);
            }
        });
        assert_eq!(asked.asleep.into_inner() + answered.asleep.into_inner(), 0);
    }

    #[test]
    fn a_ring_wakes_as_many_as_there_are_rings() {
        let (bell, left) = (Bell::new(), AtomicUsize::new(0));
        let takes = || left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| bell.wait_until(takes));
            }
            for _ in 0..3 {
                thread::sleep(5 * PATIENCE);
                left.fetch_add(1, Ordering::AcqRel);
                bell.ring();
            }
        });
        assert_eq!(left.into_inner(), 0);
    }

    #[test]
    fn what_has_come_is_not_waited_for() {
        let is_rung = AtomicBool::new(false);
        Bell::new().wait_until(|| is_rung.swap(true, Ordering::Relaxed) || is_rung.load(Ordering::Relaxed));
        assert!(is_rung.into_inner());
    }
}
