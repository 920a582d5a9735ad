//! Folding the elements of a block: along rows, along columns, and altogether.
//!
//! Elements are summed in their own type for a short run only, and the runs are added up in totals of higher precision
//! ([`Summable`](crate::cpu::total::Summable)). A total of a long row or of the whole has a part for each lane; the lanes
//! are combined when all elements have been met. Largest and smallest elements are exact.

use arenagrad_graph::{AlignedVec, ReduceFunction};

use super::schedule::ROWS_IN_ORDER;
use crate::cpu::body::FOLDED_CHUNKS;
use crate::cpu::cache_lines::AtLine;
use crate::cpu::interpret::Sources;
use crate::cpu::processor::Vectorise;
use crate::cpu::reducible::{Reducible, combine, combine_elements, identity};
use crate::cpu::registers::{BLOCK, Bank, LANES, LONG_BLOCK, Lanes, Register};
use crate::cpu::total::Summable;

/// Elements are met in so many chunks at once, each with sums of its own.
const ROUNDS: usize = FOLDED_CHUNKS;

/// The folds of these chunks.
pub(super) type FoldedChunks<T> = [[T; LANES]; ROUNDS];

/// The widest rows of which several are folded side by side, element by element, and how many.
pub(super) const NARROW: usize = 2 * LANES;
const SIDE_BY_SIDE: usize = 8;

/// How many rows are summed in the element type before they are added to the totals of the columns.
const RUN: usize = ROWS_IN_ORDER;

/// A total for each lane.
pub(super) type LaneTotals<T> = [<T as crate::cpu::total::Summable>::Total; LANES];

/// The totals of all columns.
#[derive(Clone, Debug)]
pub(super) struct ColumnTotals<T: Reducible> {
    pub(super) totals: AlignedVec<T::Total>,
    /// The fold of the last few rows, or groups of rows.
    run: AlignedVec<T>,
    /// How many these are.
    length: usize,
}

/// The totals of nothing.
pub(super) fn lane_identity<T: Reducible>(function: ReduceFunction) -> LaneTotals<T> {
    [identity::<T>(function).total(); LANES]
}

/// The combination of all lanes.
#[inline(always)]
pub(super) fn combine_lanes<T: Reducible>(function: ReduceFunction, lanes: &LaneTotals<T>) -> T::Total {
    let mut lanes = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine::<T>(function, lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Gives the first `length` elements of a register to `fold`.
#[inline(always)]
pub(super) fn with_elements<T: Reducible, R>(
    sources: &Sources<'_>,
    bank: &Bank,
    register: Register,
    length: usize,
    fold: impl FnOnce(&[T]) -> R,
) -> R {
    match sources.lanes::<T>(bank, register, length.div_ceil(LANES)) {
        Lanes::Varying(chunks) => fold(&chunks.as_flattened()[..length]),
        Lanes::Uniform(&[value, ..]) => with_repeated(value, length, fold),
    }
}

/// Gives so many elements that are one value to `fold`. It is seldom, and a function of its own: what they stand in would be part of every caller's stack.
#[cold]
#[inline(never)]
fn with_repeated<T: Reducible, R>(value: T, length: usize, fold: impl FnOnce(&[T]) -> R) -> R {
    fold(&[value; LONG_BLOCK][..length])
}

/// Combines the totals of lanes with elements, at most a block.
#[inline(always)]
fn fold_lanes<T: Reducible>(function: ReduceFunction, values: &[T], totals: &mut LaneTotals<T>) {
    match function {
        ReduceFunction::Sum => fold_lanes_with(function, values, totals, combine_elements::sum),
        ReduceFunction::Max => fold_lanes_with(function, values, totals, combine_elements::max),
        ReduceFunction::Min => fold_lanes_with(function, values, totals, combine_elements::min),
        ReduceFunction::Product => fold_lanes_with(function, values, totals, combine_elements::product),
    }
}

#[inline(always)]
fn fold_lanes_with<T: Reducible>(
    function: ReduceFunction,
    values: &[T],
    totals: &mut LaneTotals<T>,
    combine_two: impl Fn(T, T) -> T,
) {
    let AtLine(folds) = &mut AtLine([[identity::<T>(function); LANES]; ROUNDS]);
    let (rounds, rest) = values.as_chunks::<{ LANES * ROUNDS }>();
    for round in rounds {
        for (fold, values) in folds.iter_mut().zip(round.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                fold[lane] = combine_two(fold[lane], values[lane]);
            }
        }
    }
    let (chunks, rest) = rest.as_chunks::<LANES>();
    for (fold, values) in folds.iter_mut().zip(chunks) {
        for lane in 0..LANES {
            fold[lane] = combine_two(fold[lane], values[lane]);
        }
    }
    for (fold, &value) in folds[ROUNDS - 1].iter_mut().zip(rest) {
        *fold = combine_two(*fold, value);
    }
    join_chunks(function, folds, totals, combine_two);
}

/// Combines the totals of lanes with the folds of some chunks.
#[inline(always)]
fn join_chunks<T: Reducible>(
    function: ReduceFunction,
    folds: &FoldedChunks<T>,
    totals: &mut LaneTotals<T>,
    combine_two: impl Fn(T, T) -> T,
) {
    for lane in 0..LANES {
        let fold =
            combine_two(combine_two(folds[0][lane], folds[1][lane]), combine_two(folds[2][lane], folds[3][lane]));
        totals[lane] = combine::<T>(function, totals[lane], fold.total());
    }
}

/// Combines a total with what code has folded into chunks.
pub(super) struct JoinChunks<'a> {
    pub(super) function: ReduceFunction,
    pub(super) folds: &'a FoldedChunks<f32>,
    pub(super) totals: &'a mut LaneTotals<f32>,
}

impl Vectorise for JoinChunks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let JoinChunks { function, folds, totals } = self;
        match function {
            ReduceFunction::Sum => join_chunks(function, folds, totals, combine_elements::sum),
            ReduceFunction::Max => join_chunks(function, folds, totals, combine_elements::max),
            ReduceFunction::Min => join_chunks(function, folds, totals, combine_elements::min),
            ReduceFunction::Product => join_chunks(function, folds, totals, combine_elements::product),
        }
    }
}

/// Makes chunks ready for what code folds into them.
pub(super) struct ClearChunks<'a> {
    pub(super) function: ReduceFunction,
    pub(super) blocks: &'a mut [AtLine<FoldedChunks<f32>>],
}

impl Vectorise for ClearChunks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let ClearChunks { function, blocks } = self;
        blocks.fill(AtLine([[identity::<f32>(function); LANES]; ROUNDS]));
    }
}

/// Combines what code has folded of each of several rows into chunks.
pub(super) struct JoinRows<'a> {
    pub(super) function: ReduceFunction,
    pub(super) rows: &'a [AtLine<FoldedChunks<f32>>],
    pub(super) results: &'a mut [f32],
}

impl Vectorise for JoinRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let JoinRows { function, rows, results } = self;
        match function {
            ReduceFunction::Sum => join_rows(function, rows, results, combine_elements::sum),
            ReduceFunction::Max => join_rows(function, rows, results, combine_elements::max),
            ReduceFunction::Min => join_rows(function, rows, results, combine_elements::min),
            ReduceFunction::Product => join_rows(function, rows, results, combine_elements::product),
        }
    }
}

#[inline(always)]
fn join_rows(
    function: ReduceFunction,
    rows: &[AtLine<FoldedChunks<f32>>],
    results: &mut [f32],
    combine_two: impl Fn(f32, f32) -> f32,
) {
    for (AtLine(folds), result) in rows.iter().zip(results) {
        let mut totals = lane_identity::<f32>(function);
        join_chunks(function, folds, &mut totals, &combine_two);
        *result = f32::rounded(combine_lanes::<f32>(function, &totals));
    }
}

/// Folds part of a row, or of the whole.
pub(super) struct FoldRun<'a, T: Reducible> {
    pub(super) function: ReduceFunction,
    pub(super) values: &'a [T],
    pub(super) totals: &'a mut LaneTotals<T>,
}

impl<T: Reducible> Vectorise for FoldRun<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        fold_lanes(self.function, self.values, self.totals);
    }
}

/// Folds each of several rows.
pub(super) struct FoldRows<'a, T: Reducible> {
    pub(super) function: ReduceFunction,
    pub(super) values: &'a [T],
    pub(super) width: usize,
    pub(super) results: &'a mut [T],
}

impl<T: Reducible> Vectorise for FoldRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let FoldRows { function, values, width, results } = self;
        if width <= NARROW {
            match function {
                ReduceFunction::Sum => {
                    let zero = identity::<T>(function).total();
                    fold_narrow(
                        values,
                        width,
                        results,
                        zero,
                        |total, x: T| combine::<T>(function, total, x.total()),
                        T::rounded,
                    );
                }
                ReduceFunction::Max => {
                    fold_narrow(values, width, results, identity(function), combine_elements::max, |x| x);
                }
                ReduceFunction::Min => {
                    fold_narrow(values, width, results, identity(function), combine_elements::min, |x| x);
                }
                ReduceFunction::Product => {
                    fold_narrow(values, width, results, identity(function), combine_elements::product, |x| x);
                }
            }
            return;
        }
        for (row, result) in values.chunks_exact(width).zip(results) {
            let mut totals = lane_identity::<T>(function);
            fold_lanes(function, row, &mut totals);
            *result = T::rounded(combine_lanes::<T>(function, &totals));
        }
    }
}

/// Folds each of several short rows, some of them side by side, for each waits for its last element.
#[inline(always)]
fn fold_narrow<T: Copy, A: Copy>(
    values: &[T],
    width: usize,
    results: &mut [T],
    identity: A,
    combine: impl Fn(A, T) -> A,
    rounded: impl Fn(A) -> T,
) {
    let mut groups = results.chunks_exact_mut(SIDE_BY_SIDE);
    let mut start = 0;
    for results in &mut groups {
        let rows = &values[start..start + SIDE_BY_SIDE * width];
        let mut folds = [identity; SIDE_BY_SIDE];
        for column in 0..width {
            for (row, fold) in folds.iter_mut().enumerate() {
                *fold = combine(*fold, rows[row * width + column]);
            }
        }
        for (result, fold) in results.iter_mut().zip(folds) {
            *result = rounded(fold);
        }
        start += SIDE_BY_SIDE * width;
    }
    for (result, row) in groups.into_remainder().iter_mut().zip(values[start..].chunks_exact(width)) {
        *result = rounded(row.iter().fold(identity, |fold, &value| combine(fold, value)));
    }
}

/// Folds the columns from `first` on of several whole rows, or of a part of one.
pub(super) struct FoldColumns<'a, T: Reducible> {
    pub(super) function: ReduceFunction,
    pub(super) values: &'a [T],
    /// The elements of a row among the values.
    pub(super) width: usize,
    pub(super) first: usize,
    /// Whether the rows are combined one after the other.
    pub(super) in_order: bool,
    pub(super) totals: &'a mut ColumnTotals<T>,
}

impl<T: Reducible> Vectorise for FoldColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let FoldColumns { function, values, width, first, in_order, totals } = self;
        let run = &mut totals.run[first..first + width];
        match function {
            ReduceFunction::Sum => fold_columns_with((values, in_order), run, combine_elements::sum),
            ReduceFunction::Max => fold_columns_with((values, in_order), run, combine_elements::max),
            ReduceFunction::Min => fold_columns_with((values, in_order), run, combine_elements::min),
            ReduceFunction::Product => fold_columns_with((values, in_order), run, combine_elements::product),
        }
    }
}

/// Combines the run with the rows in their order; or folds the second half of the rows onto the first until one is left, with which it is combined.
#[inline(always)]
fn fold_columns_with<T: Reducible>((values, in_order): (&[T], bool), run: &mut [T], combine_two: impl Fn(T, T) -> T) {
    let width = run.len();
    let mut rows = values.len() / width;
    if in_order || rows == 1 {
        for row in values.chunks_exact(width) {
            for (run, &value) in run.iter_mut().zip(row) {
                *run = combine_two(*run, value);
            }
        }
    } else {
        let AtLine(folded) = &mut AtLine([T::default(); BLOCK]);
        let head = rows.div_ceil(2);
        let (first, second) = values.split_at(head * width);
        let folded = &mut folded[..head * width];
        folded.copy_from_slice(first);
        for ((folded, &a), &b) in folded.iter_mut().zip(first).zip(second) {
            *folded = combine_two(a, b);
        }
        rows = head;
        while rows > 1 {
            let head = rows.div_ceil(2);
            let (first, second) = folded[..rows * width].split_at_mut(head * width);
            for (a, &b) in first.iter_mut().zip(&*second) {
                *a = combine_two(*a, b);
            }
            rows = head;
        }
        for (run, &value) in run.iter_mut().zip(&*folded) {
            *run = combine_two(*run, value);
        }
    }
}

impl<T: Reducible> ColumnTotals<T> {
    /// The folds of the last few rows.
    pub(super) fn run_mut(&mut self) -> &mut [T] {
        &mut self.run
    }

    pub(super) fn new(columns: usize) -> Self {
        ColumnTotals {
            totals: AlignedVec::repeated(T::default().total(), columns),
            run: AlignedVec::zeros(columns),
            length: 0,
        }
    }

    /// Makes the totals ready for the first elements.
    pub(super) fn clear(&mut self, function: ReduceFunction) {
        self.totals.fill(identity::<T>(function).total());
        self.run.fill(identity::<T>(function));
        self.length = 0;
    }
}

/// Notes that so many rows have been folded, or one group of them by halves, and adds the last few to the totals.
pub(super) struct EndRow<'a, T: Reducible> {
    pub(super) function: ReduceFunction,
    pub(super) rows: usize,
    /// No more rows come.
    pub(super) is_last: bool,
    pub(super) totals: &'a mut ColumnTotals<T>,
}

impl<T: Reducible> Vectorise for EndRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let EndRow { function, rows, is_last, totals: ColumnTotals { totals, run, length } } = self;
        *length += rows;
        if *length < RUN && !is_last {
            return;
        }
        *length = 0;
        for (total, run) in totals.iter_mut().zip(run) {
            *total = combine::<T>(function, *total, run.total());
            *run = identity::<T>(function);
        }
    }
}

/// Repeats each row's value over the elements of its row.
pub(super) fn expand<T: Copy>(rows: &[T], width: usize, elements: &mut [T]) {
    let mut start = 0;
    for &value in rows {
        if width <= LANES
            && let Some(chunk) = elements[start..].first_chunk_mut::<LANES>()
        {
            // The elements past the row are of later ones, which are written next.
            *chunk = [value; LANES];
        } else {
            elements[start..start + width].fill(value);
        }
        start += width;
    }
}
