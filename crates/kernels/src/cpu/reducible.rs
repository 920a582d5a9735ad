//! How elements combine in a reduction, and runs of elements into one.
//!
//! A run, at most a block, is reduced pairwise in its own type; what runs give is combined in accumulators, which are totals of
//! higher precision. So the error of a float sum hardly grows with its length.

use arenagrad_graph::ReduceFunction;

use super::registers::{BLOCK, LANES, Lane};
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

/// What is left of a run once its second half has been folded onto the first.
pub(super) type Folded<T> = [T; BLOCK / 2];

/// Combines `accumulator` with all of `values`, at most a block.
#[inline(always)]
pub(super) fn reduce_run<T: Reducible>(
    function: ReduceFunction,
    values: &[T],
    folded: &mut Folded<T>,
    accumulator: T::Total,
) -> T::Total {
    match function {
        ReduceFunction::Sum => fold_run(values, folded, accumulator, T::add, joined::<T>),
        ReduceFunction::Max => fold_run(values, folded, accumulator, maximum, maximum),
        ReduceFunction::Min => fold_run(values, folded, accumulator, minimum, minimum),
        ReduceFunction::Product => fold_run(values, folded, accumulator, T::multiply, T::product),
    }
}

/// Folds the second half onto the first, out of place, of more values than a chunk has, and writes what is left; says how many that are.
#[inline(always)]
fn fold_once<T: Reducible>(values: &[T], folded: &mut Folded<T>, combine: impl Fn(T, T) -> T) -> usize {
    let half = values.len().div_ceil(2).next_multiple_of(LANES);
    let (head, tail) = values.split_at(half);
    for ((folded, &head), &tail) in folded.iter_mut().zip(head).zip(tail) {
        *folded = combine(head, tail);
    }
    folded[tail.len()..half].copy_from_slice(&head[tail.len()..]);
    half
}

/// What folding three times leaves, of values of which all halves are whole chunks: in the same order, with one store in the place of seven.
#[inline(always)]
fn fold_thrice<T: Reducible>(values: &[T], folded: &mut Folded<T>, combine: impl Fn(T, T) -> T) -> usize {
    let chunks = values.as_chunks::<LANES>().0;
    let eighth = chunks.len() / 8;
    let parts: [&[[T; LANES]]; 8] = std::array::from_fn(|part| &chunks[part * eighth..][..eighth]);
    for (at, folded) in folded.as_chunks_mut::<LANES>().0[..eighth].iter_mut().enumerate() {
        let mut left = [T::default(); LANES];
        for (lane, left) in left.iter_mut().enumerate() {
            let twice = |first: usize| {
                let once = |first: usize| combine(parts[first][at][lane], parts[first + 4][at][lane]);
                combine(once(first), once(first + 2))
            };
            *left = combine(twice(0), twice(1));
        }
        *folded = left;
    }
    eighth * LANES
}

/// Folds the second half onto the first until few are left: vector instructions, and pairwise sums.
#[inline(always)]
fn fold_run<T: Reducible>(
    values: &[T],
    folded: &mut Folded<T>,
    mut accumulator: T::Total,
    combine: impl Fn(T, T) -> T + Copy,
    combine_accumulators: impl Fn(T::Total, T::Total) -> T::Total,
) -> T::Total {
    let mut left = values;
    if values.len() > LANES {
        let mut length = if values.len().is_multiple_of(8 * LANES) {
            fold_thrice(values, folded, combine)
        } else {
            fold_once(values, folded, combine)
        };
        while length > LANES {
            let half = length.div_ceil(2).next_multiple_of(LANES);
            let (head, tail) = folded[..length].split_at_mut(half);
            for (head, &tail) in head.iter_mut().zip(&*tail) {
                *head = combine(*head, tail);
            }
            length = half;
        }
        left = &folded[..length];
    }
    if let Ok(lanes) = <[T; LANES]>::try_from(left) {
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
    for value in left {
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

/// Combines each accumulator with the values of its column, of rows of as many columns; the first value is of column `column`.
#[inline(always)]
pub(super) fn accumulate_columns<T: Reducible>(
    function: ReduceFunction,
    (values, column): (&[T], usize),
    accumulators: &mut [T::Total],
) {
    match function {
        ReduceFunction::Sum => fold_columns((values, column), accumulators, joined::<T>),
        ReduceFunction::Max => fold_columns((values, column), accumulators, maximum),
        ReduceFunction::Min => fold_columns((values, column), accumulators, minimum),
        ReduceFunction::Product => fold_columns((values, column), accumulators, T::product),
    }
}

#[inline(always)]
fn fold_columns<T: Reducible>(
    (values, column): (&[T], usize),
    accumulators: &mut [T::Total],
    combine: impl Fn(T::Total, T::Total) -> T::Total + Copy,
) {
    let width = accumulators.len();
    // The rest of a row that an earlier block began.
    let (begun, values) = values.split_at(((width - column) % width).min(values.len()));
    accumulate_with(begun, &mut accumulators[column..], combine);
    let (rows, rest) = values.split_at(values.len() / width * width);
    let mut first = 0;
    while first < width {
        let columns = &mut accumulators[first..];
        first += fold_some_columns::<T, LANES>((rows, width, first), columns, combine)
            .or_else(|| fold_some_columns::<T, { LANES / 2 }>((rows, width, first), columns, combine))
            .or_else(|| fold_some_columns::<T, { LANES / 4 }>((rows, width, first), columns, combine))
            .or_else(|| fold_some_columns::<T, 1>((rows, width, first), columns, combine))
            .unwrap_or(1);
    }
    accumulate_with(rest, accumulators, combine);
}

/// Folds so many columns from `first` on, whose totals stay in registers meanwhile, and says how many; nothing where fewer are left.
#[inline(always)]
fn fold_some_columns<T: Reducible, const COLUMNS: usize>(
    (rows, width, first): (&[T], usize, usize),
    accumulators: &mut [T::Total],
    combine: impl Fn(T::Total, T::Total) -> T::Total,
) -> Option<usize> {
    let accumulators = accumulators.first_chunk_mut::<COLUMNS>()?;
    let mut totals = *accumulators;
    for row in rows.chunks_exact(width) {
        let values = row[first..].first_chunk::<COLUMNS>()?;
        for (total, value) in totals.iter_mut().zip(values) {
            *total = combine(*total, value.total());
        }
    }
    *accumulators = totals;
    Some(COLUMNS)
}

/// Makes accumulators ready to be combined with the first values.
pub(super) fn fill_identity<T: Reducible>(function: ReduceFunction, accumulators: &mut [T::Total]) {
    accumulators.fill(identity::<T>(function).total());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_thrice_gives_the_bits_of_folding_by_halves() {
        for length in [8 * LANES, 24 * LANES, BLOCK] {
            let mut values: Vec<f32> = (0..length).map(|i| (i as f32 * 0.7).sin() * 10f32.powi(i as i32 % 9)).collect();
            for is_nan in [false, true] {
                values[length / 3] = if is_nan { f32::NAN } else { -0.0 };
                let (mut thrice, mut halved) = ([0.0; BLOCK / 2], [0.0; BLOCK / 2]);
                let left = fold_thrice(&values, &mut thrice, combine_elements::sum);
                let mut rest = values.clone();
                for _ in 0..3 {
                    let half = fold_once(&rest, &mut halved, combine_elements::sum);
                    rest = halved[..half].to_vec();
                }
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&thrice[..left]), bits(&rest), "{length} values");
            }
        }
    }

    #[test]
    fn columns_are_accumulated_wherever_a_block_begins() {
        for width in 1..40 {
            for (column, count) in [(0, 3 * width), (width - 1, 5 * width + 2), (width / 2, width / 3), (0, 1)] {
                let values: Vec<i32> = (0..count as i32).map(|i| i * i).collect();
                let (mut found, mut expected) = (vec![7; width], vec![7; width]);
                accumulate_columns(ReduceFunction::Sum, (&values, column), &mut found);
                for (at, value) in values.iter().enumerate() {
                    expected[(column + at) % width] += value;
                }
                assert_eq!(found, expected, "{count} values from column {column} of {width}");
            }
        }
    }
}
