//! When work is divided among threads, and into how many tasks.
//!
//! Nothing here decides what a kernel computes: sums are cut into parts of fixed sizes whatever the number of threads, so
//! that a result has the same bits on any.

#[cfg(not(target_family = "wasm"))]
use std::cell::Cell;
use std::ops::Range;
#[cfg(not(target_family = "wasm"))]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(not(target_family = "wasm"))]
use super::bell::{Bell, look};
use crate::cost::Cost;

/// Work, in simple elementwise operations, below which a second thread costs more than it brings.
const WORTHWHILE: usize = 1 << 17;

/// Into how many tasks a kernel of that cost is divided: several for each thread, for threads that others
/// hold up, but none so small that starting it dominates.
pub(super) fn tasks(cost: Cost) -> usize {
    let work = cost.operations;
    if work < WORTHWHILE {
        return 1;
    }
    match threads() {
        1 => 1,
        threads => (work / (WORTHWHILE / 2)).clamp(2, 4 * threads),
    }
}

/// How many threads share the work: those of rayon's current pool. WebAssembly has one.
pub fn threads() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return rayon::current_num_threads();
    #[cfg(target_family = "wasm")]
    return 1;
}

/// Does both, one after the other: there are no threads here.
#[cfg(target_family = "wasm")]
pub(super) fn join(head: impl FnOnce() + Send, tail: impl FnOnce() + Send) {
    head();
    tail();
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    /// The bell that calls the other threads of this one's team.
    static TEAM: Cell<Option<&'static Bell>> = const { Cell::new(None) };
}

/// Lets the calling thread of a rayon pool call a team by `bell` when it divides work: the other threads of that pool, which [`serve_team`].
#[cfg(not(target_family = "wasm"))]
pub fn lead_team(bell: &'static Bell) {
    TEAM.set(Some(bell));
}

/// Lets the calling thread of a rayon pool do what its team divides, for ever.
#[cfg(not(target_family = "wasm"))]
pub fn serve_team(bell: &'static Bell) {
    lead_team(bell);
    loop {
        bell.wait_until(does_other_work);
    }
}

/// Does a piece of work that another thread of the pool left, if there is any.
#[cfg(not(target_family = "wasm"))]
fn does_other_work() -> bool {
    matches!(rayon::yield_now(), Some(rayon::Yield::Executed))
}

/// Does both, on two threads where one is free.
///
/// Through references to closures, so that what rayon does for it is compiled once and not for each caller.
#[cfg(not(target_family = "wasm"))]
pub(super) fn join(head: impl FnOnce() + Send, tail: impl FnOnce() + Send) {
    fn join(head: &mut (dyn FnMut() + Send), tail: &mut (dyn FnMut() + Send)) {
        match TEAM.get() {
            Some(bell) => join_awake(bell, head, tail),
            None => drop(rayon::join(head, tail)),
        }
    }
    let (mut head, mut tail) = (Some(head), Some(tail));
    join(&mut || head.take().into_iter().for_each(|head| head()), &mut || {
        tail.take().into_iter().for_each(|tail| tail())
    });
}

/// Does both with a team. Rayon's own threads sleep after some microseconds, those that wait for the end of `tail` too.
#[cfg(not(target_family = "wasm"))]
fn join_awake(bell: &Bell, head: &mut (dyn FnMut() + Send), tail: &mut (dyn FnMut() + Send)) {
    /// Says that it is done, also where a panic is what ended it.
    struct Ended<'a>(&'a AtomicBool);
    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let (has_begun, has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
    rayon::join(
        || {
            bell.ring();
            head();
            // As long as nobody has begun with it, this thread takes it itself when it returns.
            while has_begun.load(Ordering::Relaxed) && !has_ended.load(Ordering::Acquire) {
                look(|| has_ended.load(Ordering::Acquire) || does_other_work());
            }
        },
        || {
            has_begun.store(true, Ordering::Relaxed);
            let _ended = Ended(&has_ended);
            tail();
        },
    );
}

/// Where `range` is cut so that `head` of `all` equal tasks stand before the cut, at a multiple of `grain` from its start.
pub(super) fn cut(range: Range<usize>, head: usize, all: usize, grain: usize) -> usize {
    let grains = range.len().div_ceil(grain);
    (range.start + (grains * head / all) * grain).min(range.end)
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    static BELL: Bell = Bell::new();

    /// Does `work` on a thread of a pool whose others serve it.
    fn with_team<T: Send + 'static>(work: impl FnOnce() -> T + Send + Sync + Copy + 'static) -> T {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
        let (sender, receiver) = mpsc::channel();
        pool.spawn_broadcast(move |thread| {
            if thread.index() > 0 {
                serve_team(&BELL);
            }
            lead_team(&BELL);
            // Its receiver may have what it needs.
            let _ = sender.send(work());
        });
        receiver.recv_timeout(Duration::from_secs(60)).expect("work with a team ends")
    }

    fn leaves(count: usize, met: &AtomicUsize) {
        if count == 1 {
            met.fetch_add(1, Ordering::Relaxed);
            return;
        }
        join(|| leaves(count / 2, met), || leaves(count - count / 2, met));
    }

    #[test]
    fn a_team_does_everything_once_awake_or_asleep() {
        let met = with_team(|| {
            let met = AtomicUsize::new(0);
            for round in 0..200 {
                leaves(37, &met);
                if round % 10 == 0 {
                    std::thread::sleep(Duration::from_micros(50 * (round % 50)));
                }
            }
            met.into_inner()
        });
        assert_eq!(met, 200 * 37);
    }

    #[test]
    fn a_panic_of_either_side_is_the_callers() {
        let (of_head, of_tail) = with_team(|| {
            let panics = |head: bool, tail: bool| {
                let side = |does: bool| {
                    std::thread::sleep(Duration::from_millis(1));
                    assert!(!does, "as it was told");
                };
                catch_unwind(AssertUnwindSafe(|| join(|| side(head), || side(tail)))).is_err()
            };
            (panics(true, false), panics(false, true))
        });
        assert!(of_head && of_tail);
    }
}
