//! How elements combine in a reduction, and runs of elements into one.
//!
//! A run, at most a block, is reduced pairwise in its own type; what runs give is combined in the wider accumulator type.
//! So the error of a float sum hardly grows with its length.

use arenagrad_graph::ReduceFunction;

use super::registers::{LANES, Lane};
use super::scalar::{maximum, minimum};

/// A type that reductions are defined for.
pub(super) trait Reducible: Lane + PartialOrd {
    /// What results of runs are combined in.
    type Accumulator: Copy + PartialOrd + Send + Sync + std::fmt::Debug;
    fn widen(self) -> Self::Accumulator;
    fn narrow(accumulator: Self::Accumulator) -> Self;
    fn add(self, other: Self) -> Self;
    fn add_accumulators(a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator;
    /// What changes nothing when it is combined with others.
    fn identity(function: ReduceFunction) -> Self;
}

macro_rules! reducible_float {
    ($($float:ty),*) => {$(
        impl Reducible for $float {
            type Accumulator = f64;

            #[inline(always)]
            fn widen(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn narrow(accumulator: f64) -> Self {
                accumulator as Self
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn add_accumulators(a: f64, b: f64) -> f64 {
                a + b
            }

            #[inline(always)]
            fn identity(function: ReduceFunction) -> Self {
                match function {
                    ReduceFunction::Sum => 0.0,
                    ReduceFunction::Max => Self::NEG_INFINITY,
                    ReduceFunction::Min => Self::INFINITY,
                }
            }
        }
    )*};
}
reducible_float!(f32, f64);

impl Reducible for i32 {
    type Accumulator = i32;

    #[inline(always)]
    fn widen(self) -> i32 {
        self
    }

    #[inline(always)]
    fn narrow(accumulator: i32) -> Self {
        accumulator
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn add_accumulators(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn identity(function: ReduceFunction) -> Self {
        match function {
            ReduceFunction::Sum => 0,
            ReduceFunction::Max => i32::MIN,
            ReduceFunction::Min => i32::MAX,
        }
    }
}

/// Combines two accumulators.
#[inline(always)]
pub(super) fn combine<T: Reducible>(function: ReduceFunction, a: T::Accumulator, b: T::Accumulator) -> T::Accumulator {
    match function {
        ReduceFunction::Sum => T::add_accumulators(a, b),
        ReduceFunction::Max => maximum(a, b),
        ReduceFunction::Min => minimum(a, b),
    }
}

/// Combines `accumulator` with all of `values`, at most a block, which are spent.
#[inline(always)]
pub(super) fn reduce_run<T: Reducible>(
    function: ReduceFunction,
    values: &mut [T],
    accumulator: T::Accumulator,
) -> T::Accumulator {
    match function {
        ReduceFunction::Sum => fold_run(values, accumulator, T::add, T::add_accumulators),
        ReduceFunction::Max => fold_run(values, accumulator, maximum, maximum),
        ReduceFunction::Min => fold_run(values, accumulator, minimum, minimum),
    }
}

/// Folds the second half onto the first until few are left: vector instructions, and pairwise sums.
#[inline(always)]
fn fold_run<T: Reducible>(
    values: &mut [T],
    mut accumulator: T::Accumulator,
    combine: impl Fn(T, T) -> T,
    combine_accumulators: impl Fn(T::Accumulator, T::Accumulator) -> T::Accumulator,
) -> T::Accumulator {
    let mut length = values.len();
    while length > LANES {
        let half = length.div_ceil(2).next_multiple_of(LANES);
        let (head, tail) = values[..length].split_at_mut(half);
        for (head, &tail) in head.iter_mut().zip(&*tail) {
            *head = combine(*head, tail);
        }
        length = half;
    }
    for value in &values[..length] {
        accumulator = combine_accumulators(accumulator, value.widen());
    }
    accumulator
}

/// Combines each accumulator with the value beside it.
#[inline(always)]
pub(super) fn accumulate<T: Reducible>(function: ReduceFunction, values: &[T], accumulators: &mut [T::Accumulator]) {
    match function {
        ReduceFunction::Sum => accumulate_with::<T>(values, accumulators, T::add_accumulators),
        ReduceFunction::Max => accumulate_with::<T>(values, accumulators, maximum),
        ReduceFunction::Min => accumulate_with::<T>(values, accumulators, minimum),
    }
}

#[inline(always)]
fn accumulate_with<T: Reducible>(
    values: &[T],
    accumulators: &mut [T::Accumulator],
    combine: impl Fn(T::Accumulator, T::Accumulator) -> T::Accumulator,
) {
    for (accumulator, value) in accumulators.iter_mut().zip(values) {
        *accumulator = combine(*accumulator, value.widen());
    }
}

/// Makes accumulators ready to be combined with the first values.
pub(super) fn fill_identity<T: Reducible>(function: ReduceFunction, accumulators: &mut [T::Accumulator]) {
    accumulators.fill(T::identity(function).widen());
}
