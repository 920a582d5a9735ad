//! How elements combine in a reduction, and runs of elements into one.
//!
//! A run, at most a block, is reduced in lanes of its own type; what runs give is combined in the wider accumulator type.
//! So a float sum's error does not grow with its length: a run contributes that of some tens of additions.

use arenagrad_graph::ReduceFunction;

use super::buffer::Element;
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

/// Combines `accumulator` with all of `values`, at most a block.
#[inline(always)]
pub(super) fn reduce_run<T: Reducible>(
    function: ReduceFunction,
    values: &[T],
    accumulator: T::Accumulator,
) -> T::Accumulator {
    match function {
        ReduceFunction::Sum => fold_run(values, accumulator, T::identity(function), T::add, T::add_accumulators),
        ReduceFunction::Max => fold_run(values, accumulator, T::identity(function), maximum, maximum),
        ReduceFunction::Min => fold_run(values, accumulator, T::identity(function), minimum, minimum),
    }
}

#[inline(always)]
fn fold_run<T: Reducible>(
    values: &[T],
    mut accumulator: T::Accumulator,
    identity: T,
    combine: impl Fn(T, T) -> T,
    combine_accumulators: impl Fn(T::Accumulator, T::Accumulator) -> T::Accumulator,
) -> T::Accumulator {
    let (chunks, rest) = values.as_chunks::<LANES>();
    if !chunks.is_empty() {
        let mut lanes = [[identity; LANES]; 4];
        let (fours, ones) = chunks.as_chunks::<4>();
        for four in fours {
            for (lanes, chunk) in lanes.iter_mut().zip(four) {
                for lane in 0..LANES {
                    lanes[lane] = combine(lanes[lane], chunk[lane]);
                }
            }
        }
        for (lanes, chunk) in lanes.iter_mut().zip(ones) {
            for lane in 0..LANES {
                lanes[lane] = combine(lanes[lane], chunk[lane]);
            }
        }
        let [mut first, second, third, fourth] = lanes;
        for lane in 0..LANES {
            first[lane] = combine(combine(first[lane], second[lane]), combine(third[lane], fourth[lane]));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                first[lane] = combine(first[lane], first[lane + width]);
            }
            width /= 2;
        }
        accumulator = combine_accumulators(accumulator, first[0].widen());
    }
    for value in rest {
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

/// The dtype's name and values, for what is typed only at run time.
pub(super) fn fill_identity<T: Reducible + Element>(function: ReduceFunction, accumulators: &mut [T::Accumulator]) {
    accumulators.fill(T::identity(function).widen());
}
