//! How elements combine in a reduction, and runs of elements into one.
//!
//! A run, at most a block, is reduced pairwise in its own type; what runs give is combined in accumulators, which are totals of
//! higher precision. So the error of a float sum hardly grows with its length.

use arenagrad_graph::ReduceFunction;

use super::registers::{LANES, Lane};
use super::scalar::{maximum, minimum};
use super::total::Summable;

/// A type that reductions are defined for.
pub(super) trait Reducible: Lane + PartialOrd + Summable<Total: PartialOrd> {
    fn add(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// What changes nothing when it is combined with others.
    fn identity(function: ReduceFunction) -> Self;
}

macro_rules! reducible_float {
    ($($float:ty),*) => {$(
        impl Reducible for $float {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn multiply(self, other: Self) -> Self {
                self * other
            }

            #[inline(always)]
            fn identity(function: ReduceFunction) -> Self {
                match function {
                    ReduceFunction::Sum => 0.0,
                    ReduceFunction::Max => Self::NEG_INFINITY,
                    ReduceFunction::Min => Self::INFINITY,
                    ReduceFunction::Product => 1.0,
                }
            }
        }
    )*};
}
reducible_float!(f32, f64);

impl Reducible for i32 {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }

    #[inline(always)]
    fn identity(function: ReduceFunction) -> Self {
        match function {
            ReduceFunction::Sum => 0,
            ReduceFunction::Max => i32::MIN,
            ReduceFunction::Min => i32::MAX,
            ReduceFunction::Product => 1,
        }
    }
}

/// What changes nothing when it is combined with other elements.
#[inline(always)]
pub(super) fn identity<T: Reducible>(function: ReduceFunction) -> T {
    <T as Reducible>::identity(function)
}

/// The sum of two accumulators.
#[inline(always)]
fn joined<T: Summable>(mut a: T::Total, b: T::Total) -> T::Total {
    T::join(&mut a, b);
    a
}

/// Combines two accumulators.
#[inline(always)]
pub(super) fn combine<T: Reducible>(function: ReduceFunction, a: T::Total, b: T::Total) -> T::Total {
    match function {
        ReduceFunction::Sum => joined::<T>(a, b),
        ReduceFunction::Max => maximum(a, b),
        ReduceFunction::Min => minimum(a, b),
        ReduceFunction::Product => T::product(a, b),
    }
}

/// How two elements combine, as arguments for the loops over them.
pub(super) mod combine_elements {
    use super::Reducible;
    use crate::cpu::scalar::{maximum, minimum};

    #[inline(always)]
    pub(in crate::cpu) fn sum<T: Reducible>(a: T, b: T) -> T {
        Reducible::add(a, b)
    }

    #[inline(always)]
    pub(in crate::cpu) fn max<T: Reducible>(a: T, b: T) -> T {
        maximum(a, b)
    }

    #[inline(always)]
    pub(in crate::cpu) fn min<T: Reducible>(a: T, b: T) -> T {
        minimum(a, b)
    }

    #[inline(always)]
    pub(in crate::cpu) fn product<T: Reducible>(a: T, b: T) -> T {
        Reducible::multiply(a, b)
    }
}

/// Combines `accumulator` with all of `values`, at most a block, which are spent.
#[inline(always)]
pub(super) fn reduce_run<T: Reducible>(function: ReduceFunction, values: &mut [T], accumulator: T::Total) -> T::Total {
    match function {
        ReduceFunction::Sum => fold_run(values, accumulator, T::add, joined::<T>),
        ReduceFunction::Max => fold_run(values, accumulator, maximum, maximum),
        ReduceFunction::Min => fold_run(values, accumulator, minimum, minimum),
        ReduceFunction::Product => fold_run(values, accumulator, T::multiply, T::product),
    }
}

/// Folds the second half onto the first until few are left: vector instructions, and pairwise sums.
#[inline(always)]
fn fold_run<T: Reducible>(
    values: &mut [T],
    mut accumulator: T::Total,
    combine: impl Fn(T, T) -> T,
    combine_accumulators: impl Fn(T::Total, T::Total) -> T::Total,
) -> T::Total {
    let mut length = values.len();
    while length > LANES {
        let half = length.div_ceil(2).next_multiple_of(LANES);
        let (head, tail) = values[..length].split_at_mut(half);
        for (head, &tail) in head.iter_mut().zip(&*tail) {
            *head = combine(*head, tail);
        }
        length = half;
    }
    if let Ok(lanes) = <[T; LANES]>::try_from(&values[..length]) {
        // By halves: one after the other, each would wait for the one before.
        let mut totals = lanes.map(T::total);
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                totals[lane] = combine_accumulators(totals[lane], totals[lane + half]);
            }
            half /= 2;
        }
        return combine_accumulators(accumulator, totals[0]);
    }
    for value in &values[..length] {
        accumulator = combine_accumulators(accumulator, value.total());
    }
    accumulator
}

/// Combines each accumulator with the value beside it.
#[inline(always)]
pub(super) fn accumulate<T: Reducible>(function: ReduceFunction, values: &[T], accumulators: &mut [T::Total]) {
    match function {
        ReduceFunction::Sum => accumulate_with::<T>(values, accumulators, joined::<T>),
        ReduceFunction::Max => accumulate_with::<T>(values, accumulators, maximum),
        ReduceFunction::Min => accumulate_with::<T>(values, accumulators, minimum),
        ReduceFunction::Product => accumulate_with::<T>(values, accumulators, T::product),
    }
}

#[inline(always)]
fn accumulate_with<T: Reducible>(
    values: &[T],
    accumulators: &mut [T::Total],
    combine: impl Fn(T::Total, T::Total) -> T::Total,
) {
    for (accumulator, value) in accumulators.iter_mut().zip(values) {
        *accumulator = combine(*accumulator, value.total());
    }
}

/// Makes accumulators ready to be combined with the first values.
pub(super) fn fill_identity<T: Reducible>(function: ReduceFunction, accumulators: &mut [T::Total]) {
    accumulators.fill(identity::<T>(function).total());
}
