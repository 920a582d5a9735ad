//! Loops over registers: the only loops that elementwise arithmetic runs in.
//!
//! They go over all elements of the chunks, without a check or a branch, so that the compiler makes vector instructions of
//! them; that a register consists of whole chunks tells it that there is no remainder.

use super::registers::{Chunk, LANES, Lane, Lanes};

/// `target = f(a)`, element by element.
#[inline(always)]
pub(super) fn map<T: Lane, R: Lane>(target: &mut [Chunk<R>], a: Lanes<'_, T>, f: impl Fn(T) -> R) {
    let target = target.as_flattened_mut();
    match a {
        Lanes::Varying(a) => {
            for (target, &a) in target.iter_mut().zip(a.as_flattened()) {
                *target = f(a);
            }
        }
        Lanes::Uniform(&[a, ..]) => target.fill(f(a)),
    }
}

/// `target = f(a, b)`, element by element.
#[inline(always)]
pub(super) fn map2<T: Lane, U: Lane, R: Lane>(
    target: &mut [Chunk<R>],
    a: Lanes<'_, T>,
    b: Lanes<'_, U>,
    f: impl Fn(T, U) -> R,
) {
    let target = target.as_flattened_mut();
    match (a, b) {
        (Lanes::Varying(a), Lanes::Varying(b)) => {
            for ((target, &a), &b) in target.iter_mut().zip(a.as_flattened()).zip(b.as_flattened()) {
                *target = f(a, b);
            }
        }
        (Lanes::Varying(a), Lanes::Uniform(&[b, ..])) => {
            for (target, &a) in target.iter_mut().zip(a.as_flattened()) {
                *target = f(a, b);
            }
        }
        (Lanes::Uniform(&[a, ..]), Lanes::Varying(b)) => {
            for (target, &b) in target.iter_mut().zip(b.as_flattened()) {
                *target = f(a, b);
            }
        }
        (Lanes::Uniform(&[a, ..]), Lanes::Uniform(&[b, ..])) => target.fill(f(a, b)),
    }
}

/// A function that is many instructions.
///
/// It is a type of its own: functions and closures are called through code that is inlined only where they are short, and what is not inlined is compiled
/// without the instruction set of the loop around it.
pub(super) trait Long<T> {
    /// The value. Implementations are `#[inline(always)]`.
    fn of(&self, a: T) -> T;
}

/// A function of two that is many instructions, as [`Long`].
pub(super) trait Long2<T> {
    /// The value. Implementations are `#[inline(always)]`.
    fn of(&self, a: T, b: T) -> T;
}

/// `target = f(a)`, element by element, with one loop for either kind of operand, so that the function is compiled once.
#[inline(always)]
pub(super) fn map_long<T: Lane>(target: &mut [Chunk<T>], a: Lanes<'_, T>, f: impl Long<T>) {
    let (source, is_uniform) = match a {
        Lanes::Varying(chunks) => (chunks, false),
        Lanes::Uniform(chunk) => (std::slice::from_ref(chunk), true),
    };
    for (target, &a) in target.as_flattened_mut().iter_mut().zip(source.as_flattened()) {
        *target = f.of(a);
    }
    if is_uniform && let Some((&mut first, rest)) = target.split_first_mut() {
        rest.fill(first);
    }
}

/// `target = f(a, b)`, element by element, with one loop for all kinds of operands.
#[inline(always)]
pub(super) fn map2_long<T: Lane>(target: &mut [Chunk<T>], a: Lanes<'_, T>, b: Lanes<'_, T>, f: impl Long2<T>) {
    for (i, target) in target.iter_mut().enumerate() {
        let (a, b) = (a.chunk(i), b.chunk(i));
        for lane in 0..LANES {
            target[lane] = f.of(a[lane], b[lane]);
        }
    }
}

/// `target = fast(a)`, element by element, save that `slow` does what `accepts` refuses.
#[inline(always)]
pub(super) fn map_checked<T: Lane>(
    target: &mut [Chunk<T>],
    a: Lanes<'_, T>,
    fast: impl Long<T>,
    accepts: impl Fn(T) -> bool,
    slow: fn(T) -> T,
) {
    map_long(target, a, fast);
    let a = match a {
        Lanes::Varying(a) => a.as_flattened(),
        Lanes::Uniform(&[a, ..]) => {
            if !accepts(a) {
                target.as_flattened_mut().fill(slow(a));
            }
            return;
        }
    };
    let refused = a.iter().fold(0u32, |refused, &a| refused | u32::from(!accepts(a)));
    if refused != 0 {
        for (target, &a) in target.as_flattened_mut().iter_mut().zip(a) {
            if !accepts(a) {
                *target = slow(a);
            }
        }
    }
}

/// `target = fast(a, b)`, element by element, save that `slow` does what `accepts` refuses.
#[inline(always)]
pub(super) fn map2_checked<T: Lane>(
    target: &mut [Chunk<T>],
    a: Lanes<'_, T>,
    b: Lanes<'_, T>,
    fast: impl Long2<T>,
    accepts: impl Fn(T, T) -> bool,
    slow: fn(T, T) -> T,
) {
    for (i, target) in target.iter_mut().enumerate() {
        let (a, b) = (a.chunk(i), b.chunk(i));
        let mut refused = 0u32;
        for lane in 0..LANES {
            target[lane] = fast.of(a[lane], b[lane]);
            refused |= u32::from(!accepts(a[lane], b[lane]));
        }
        if refused != 0 {
            for lane in 0..LANES {
                if !accepts(a[lane], b[lane]) {
                    target[lane] = slow(a[lane], b[lane]);
                }
            }
        }
    }
}

/// `target = on_true` where `condition` is not 0, else `on_false`, element by element.
#[inline(always)]
pub(super) fn select<T: Lane>(
    target: &mut [Chunk<T>],
    condition: Lanes<'_, u8>,
    on_true: Lanes<'_, T>,
    on_false: Lanes<'_, T>,
) {
    let target = target.as_flattened_mut();
    let condition = match condition {
        Lanes::Varying(chunks) => chunks.as_flattened(),
        Lanes::Uniform(&[condition, ..]) => {
            match if condition != 0 { on_true } else { on_false } {
                Lanes::Varying(chunks) => target.copy_from_slice(chunks.as_flattened()),
                Lanes::Uniform(&[value, ..]) => target.fill(value),
            }
            return;
        }
    };
    let pairs = target.iter_mut().zip(condition);
    match (on_true, on_false) {
        (Lanes::Varying(a), Lanes::Varying(b)) => {
            for (((target, &condition), &a), &b) in pairs.zip(a.as_flattened()).zip(b.as_flattened()) {
                *target = if condition != 0 { a } else { b };
            }
        }
        (Lanes::Varying(a), Lanes::Uniform(&[b, ..])) => {
            for ((target, &condition), &a) in pairs.zip(a.as_flattened()) {
                *target = if condition != 0 { a } else { b };
            }
        }
        (Lanes::Uniform(&[a, ..]), Lanes::Varying(b)) => {
            for ((target, &condition), &b) in pairs.zip(b.as_flattened()) {
                *target = if condition != 0 { a } else { b };
            }
        }
        (Lanes::Uniform(&[a, ..]), Lanes::Uniform(&[b, ..])) => {
            for (target, &condition) in pairs {
                *target = if condition != 0 { a } else { b };
            }
        }
    }
}
