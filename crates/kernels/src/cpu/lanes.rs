//! Loops over the lanes of registers: the only loops that elementwise arithmetic runs in.
//!
//! Each goes chunk by chunk; a chunk is read as a whole, through a local, before the target's chunk is written, and its
//! inner loop of constant length becomes vector instructions.

use super::registers::{Chunk, LANES, Lane, Lanes};

/// `target = f(a)`, lane by lane.
#[inline(always)]
pub(super) fn map<T: Lane, R: Lane>(target: &mut [Chunk<R>], a: Lanes<'_, T>, f: impl Fn(T) -> R) {
    let a = match a {
        Lanes::Uniform(chunk) => std::slice::from_ref(chunk),
        Lanes::Varying(chunks) => chunks,
    };
    for (target, a) in target.iter_mut().zip(a) {
        let mut out = [R::default(); LANES];
        for lane in 0..LANES {
            out[lane] = f(a[lane]);
        }
        *target = out;
    }
}

/// `target = fast(a)`, lane by lane, save that `slow` does what `accepts` refuses.
#[inline(always)]
pub(super) fn map_checked<T: Lane>(
    target: &mut [Chunk<T>],
    a: Lanes<'_, T>,
    fast: impl Fn(T) -> T,
    accepts: impl Fn(T) -> bool,
    slow: fn(T) -> T,
) {
    #[cold]
    #[inline(never)]
    fn repair<T: Lane>(target: &mut Chunk<T>, a: &Chunk<T>, accepted: &[bool; LANES], slow: fn(T) -> T) {
        for lane in 0..LANES {
            if !accepted[lane] {
                target[lane] = slow(a[lane]);
            }
        }
    }
    let a = match a {
        Lanes::Uniform(chunk) => std::slice::from_ref(chunk),
        Lanes::Varying(chunks) => chunks,
    };
    for (target, a) in target.iter_mut().zip(a) {
        let mut out = [T::default(); LANES];
        let mut accepted = [false; LANES];
        for lane in 0..LANES {
            out[lane] = fast(a[lane]);
        }
        for lane in 0..LANES {
            accepted[lane] = accepts(a[lane]);
        }
        *target = out;
        if accepted != [true; LANES] {
            repair(target, a, &accepted, slow);
        }
    }
}

/// `target = fast(a, b)`, lane by lane, save that `slow` does what `accepts` refuses.
#[inline(always)]
pub(super) fn map2_checked<T: Lane>(
    target: &mut [Chunk<T>],
    a: Lanes<'_, T>,
    b: Lanes<'_, T>,
    fast: impl Fn(T, T) -> T,
    accepts: impl Fn(T, T) -> bool,
    slow: fn(T, T) -> T,
) {
    #[cold]
    #[inline(never)]
    fn repair<T: Lane>(
        target: &mut Chunk<T>,
        a: &Chunk<T>,
        b: &Chunk<T>,
        accepted: &[bool; LANES],
        slow: fn(T, T) -> T,
    ) {
        for lane in 0..LANES {
            if !accepted[lane] {
                target[lane] = slow(a[lane], b[lane]);
            }
        }
    }
    for (i, target) in target.iter_mut().enumerate() {
        let (a, b) = (at(&a, i), at(&b, i));
        let mut accepted = [false; LANES];
        for lane in 0..LANES {
            accepted[lane] = accepts(a[lane], b[lane]);
        }
        *target = map2_chunk(a, b, &fast);
        if accepted != [true; LANES] {
            repair(target, a, b, &accepted, slow);
        }
    }
}

/// Chunk `chunk` of a register.
#[inline(always)]
fn at<'a, T: Lane>(lanes: &Lanes<'a, T>, chunk: usize) -> &'a Chunk<T> {
    match lanes {
        Lanes::Uniform(value) => value,
        Lanes::Varying(chunks) => &chunks[chunk],
    }
}

#[inline(always)]
fn map2_chunk<T: Lane, U: Lane, R: Lane>(a: &Chunk<T>, b: &Chunk<U>, f: &impl Fn(T, U) -> R) -> Chunk<R> {
    let mut out = [R::default(); LANES];
    for lane in 0..LANES {
        out[lane] = f(a[lane], b[lane]);
    }
    out
}

/// `target = f(a, b)`, lane by lane.
#[inline(always)]
pub(super) fn map2<T: Lane, U: Lane, R: Lane>(
    target: &mut [Chunk<R>],
    a: Lanes<'_, T>,
    b: Lanes<'_, U>,
    f: impl Fn(T, U) -> R,
) {
    match (a, b) {
        (Lanes::Varying(a), Lanes::Varying(b)) => {
            for ((target, a), b) in target.iter_mut().zip(a).zip(b) {
                *target = map2_chunk(a, b, &f);
            }
        }
        (Lanes::Varying(a), Lanes::Uniform(b)) => {
            let b = *b;
            for (target, a) in target.iter_mut().zip(a) {
                *target = map2_chunk(a, &b, &f);
            }
        }
        (Lanes::Uniform(a), Lanes::Varying(b)) => {
            let a = *a;
            for (target, b) in target.iter_mut().zip(b) {
                *target = map2_chunk(&a, b, &f);
            }
        }
        (Lanes::Uniform(a), Lanes::Uniform(b)) => target.fill(map2_chunk(a, b, &f)),
    }
}

/// `target = on_true` where `condition` is not 0, else `on_false`, lane by lane.
#[inline(always)]
pub(super) fn select<T: Lane>(
    target: &mut [Chunk<T>],
    condition: Lanes<'_, u8>,
    on_true: Lanes<'_, T>,
    on_false: Lanes<'_, T>,
) {
    for (i, target) in target.iter_mut().enumerate() {
        let (condition, on_true, on_false) = (at(&condition, i), at(&on_true, i), at(&on_false, i));
        let mut out = [T::default(); LANES];
        for lane in 0..LANES {
            out[lane] = if condition[lane] != 0 { on_true[lane] } else { on_false[lane] };
        }
        *target = out;
    }
}
