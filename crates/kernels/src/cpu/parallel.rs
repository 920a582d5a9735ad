//! When work is divided among threads, and into how many tasks.
//!
//! Nothing here decides what a kernel computes: sums are cut into parts of fixed sizes whatever the number of threads, so
//! that a result has the same bits on any.

use std::ops::Range;

use crate::cost::Cost;

/// Work, in simple elementwise operations, below which a second thread costs more than it brings.
const WORTHWHILE: usize = 1 << 18;

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

/// Does both, on two threads where one is free.
///
/// Through references to closures, so that what rayon does for it is compiled once and not for each caller.
#[cfg(not(target_family = "wasm"))]
pub(super) fn join(head: impl FnOnce() + Send, tail: impl FnOnce() + Send) {
    fn join(head: &mut (dyn FnMut() + Send), tail: &mut (dyn FnMut() + Send)) {
        rayon::join(head, tail);
    }
    let (mut head, mut tail) = (Some(head), Some(tail));
    join(&mut || head.take().into_iter().for_each(|head| head()), &mut || {
        tail.take().into_iter().for_each(|tail| tail())
    });
}

/// Where `range` is cut so that `head` of `all` equal tasks stand before the cut, at a multiple of `grain` from its start.
pub(super) fn cut(range: Range<usize>, head: usize, all: usize, grain: usize) -> usize {
    let grains = range.len().div_ceil(grain);
    (range.start + (grains * head / all) * grain).min(range.end)
}
