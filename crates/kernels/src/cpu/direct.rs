//! Matrix products of one batch without packing: small ones, and those of a few rows, where packing costs more than it brings.
//!
//! As in [`super::product`], an element is summed by a fixed tree, which depends on the layouts and extents alone.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::cache_lines::AtLine;
use super::extents::{Extents, SECTION};
use super::processor::Arch;
use super::real::Real;
use super::tile::RUN;
use crate::view::Axes;

/// Rows of a product without packing: for small products, and for those of a few rows.
pub(super) struct DirectProduct<'a, T> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: &'a [T],
    pub(super) rhs: &'a [T],
    /// Where the matrices begin.
    pub(super) starts: [usize; 2],
    pub(super) rows: Range<usize>,
    pub(super) result: &'a mut [T],
}

impl<T: Real> DirectProduct<'_, T> {
    /// Computes the rows.
    #[inline]
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Real> WithSimd for DirectProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let DirectProduct { extents, lhs, rhs, starts: [lhs_start, rhs_start], rows, result } = self;
        let Extents { k, n, lhs: left, rhs: right, .. } = extents;
        let (k, n) = (*k, *n);
        let (Some(left_stride), Some(right_stride)) = (left.columns.forward_stride(), right.rows.forward_stride())
        else {
            return walked(extents, [lhs, rhs], [lhs_start, rhs_start], rows, result);
        };
        // What does not change from row to row and from column to column is asked once: small products are soon done.
        let (row_stride, column_stride) = (left.rows.stride(), right.columns.stride());
        let is_in_order = right.rows.is_unit() && left.columns.is_unit();
        // A few columns are done one by one.
        let combines = right.columns.is_unit() && n >= 8;
        // Elements that are summed one product after the other in any case, with a number of columns that the compiler sees.
        let lanes = T::lanes::<S>();
        let is_plain = if n == 1 { k < lanes || !is_in_order } else { n < lanes && right.columns.is_unit() };
        if let (true, Some(row_stride), true) = (is_plain && k <= RUN, row_stride, n <= FEW_COLUMNS) {
            let few = FewColumns { k, lhs, rhs: &rhs[rhs_start..], lhs_start, row_stride, left_stride, right_stride };
            return match n {
                1 => few.run::<1>(rows, result),
                2 => few.run::<2>(rows, result),
                3 => few.run::<3>(rows, result),
                4 => few.run::<4>(rows, result),
                5 => few.run::<5>(rows, result),
                6 => few.run::<6>(rows, result),
                7 => few.run::<7>(rows, result),
                _ => few.run::<FEW_COLUMNS>(rows, result),
            };
        }
        for (row, line) in rows.zip(result.chunks_exact_mut(n)) {
            let distance = row_stride.map_or_else(|| left.rows.distance(row), |stride| row as isize * stride);
            let lhs = &lhs[lhs_start.wrapping_add_signed(distance)..];
            if combines {
                combine_rows(simd, lhs, left_stride, &rhs[rhs_start..], right_stride, k, line);
                continue;
            }
            for (column, element) in line.iter_mut().enumerate() {
                let distance =
                    column_stride.map_or_else(|| right.columns.distance(column), |stride| column as isize * stride);
                let start = rhs_start.wrapping_add_signed(distance);
                *element = if is_in_order {
                    dot(simd, &lhs[..k], &rhs[start..start + k])
                } else {
                    strided_dot(lhs, left_stride, &rhs[start..], right_stride, k)
                };
            }
        }
    }
}

/// The most columns of products that are computed with all sums of a row in registers, without vectors of columns.
const FEW_COLUMNS: usize = 8;

/// Products of few columns and of the depth of one run.
struct FewColumns<'a, T> {
    k: usize,
    lhs: &'a [T],
    rhs: &'a [T],
    lhs_start: usize,
    /// From row to row of the left operand.
    row_stride: isize,
    /// From column to column of it.
    left_stride: usize,
    /// From row to row of the right operand, whose columns stand side by side.
    right_stride: usize,
}

impl<T: Real> FewColumns<'_, T> {
    /// Each element is summed as [`strided_dot`] sums it.
    #[inline(always)]
    fn run<const COLUMNS: usize>(self, rows: Range<usize>, result: &mut [T]) {
        let FewColumns { k, lhs, rhs, lhs_start, row_stride, left_stride, right_stride } = self;
        for (row, line) in rows.zip(result.chunks_exact_mut(COLUMNS)) {
            let factors = &lhs[lhs_start.wrapping_add_signed(row as isize * row_stride)..];
            let mut sums = [T::default(); COLUMNS];
            for p in 0..k {
                let factor = factors[p * left_stride];
                let others = &rhs[p * right_stride..][..COLUMNS];
                for (sum, &other) in sums.iter_mut().zip(others) {
                    *sum = T::plus(*sum, T::times(factor, other));
                }
            }
            line.copy_from_slice(&sums);
        }
    }
}

/// Products whose depth is several axes, or goes back.
#[inline(never)]
fn walked<T: Real>(
    extents: &Extents,
    operands: [&[T]; 2],
    [lhs_start, rhs_start]: [usize; 2],
    rows: Range<usize>,
    result: &mut [T],
) {
    let Extents { n, lhs: left, rhs: right, .. } = extents;
    for (row, line) in rows.zip(result.chunks_exact_mut(*n)) {
        let lhs_start = lhs_start.wrapping_add_signed(left.rows.distance(row));
        for (column, element) in line.iter_mut().enumerate() {
            let rhs_start = rhs_start.wrapping_add_signed(right.columns.distance(column));
            *element = walked_dot(operands, [lhs_start, rhs_start], [&left.columns, &right.rows]);
        }
    }
}

/// `result = sum over p of factors[p * stride] * rows[p * row_stride..]`.
#[inline(always)]
fn combine_rows<T: Real, S: Simd>(
    simd: S,
    factors: &[T],
    stride: usize,
    rows: &[T],
    row_stride: usize,
    k: usize,
    result: &mut [T],
) {
    let width = COMBINED * T::lanes::<S>();
    for (result, column) in result.chunks_mut(width).zip((0..).step_by(width)) {
        if k <= SECTION {
            combine_section(simd, factors, stride, &rows[column..], row_stride, k, result);
            continue;
        }
        let mut totals = [T::Total::default(); COMBINED_COLUMNS];
        for from in (0..k).step_by(SECTION) {
            let (factors, rows) = (&factors[from * stride..], &rows[from * row_stride + column..]);
            combine_section(simd, factors, stride, rows, row_stride, SECTION.min(k - from), result);
            totals.iter_mut().zip(&*result).for_each(|(total, &sum)| sum.add_to(total));
        }
        result.iter_mut().zip(&totals).for_each(|(element, &total)| *element = T::rounded(total));
    }
}

/// How many vectors of columns [`combine_rows`] computes at a time.
const COMBINED: usize = 4;

/// Columns that fit in as many of the widest vectors.
const COMBINED_COLUMNS: usize = 64;

/// [`combine_rows`] of at most [`SECTION`] rows, to at most [`COMBINED`] vectors of columns.
#[inline(always)]
fn combine_section<T: Real, S: Simd>(
    simd: S,
    factors: &[T],
    stride: usize,
    rows: &[T],
    row_stride: usize,
    k: usize,
    result: &mut [T],
) {
    let width = result.len();
    let whole = width / T::lanes::<S>() * T::lanes::<S>();
    for from in (0..k).step_by(RUN) {
        let mut sums = [T::splat(simd, T::default()); COMBINED];
        let AtLine(rest) = &mut AtLine([T::default(); COMBINED_COLUMNS]);
        for p in from..k.min(from + RUN) {
            let factor = factors[p * stride];
            let row = &rows[p * row_stride..][..width];
            let x = T::splat(simd, factor);
            for (sum, &b) in sums.iter_mut().zip(T::vectors::<S>(row)) {
                *sum = T::mul_add(simd, x, b, *sum);
            }
            for (sum, &b) in rest.iter_mut().zip(&row[whole..]) {
                *sum = T::plus(*sum, T::times(factor, b));
            }
        }
        let add = from > 0;
        for (target, &sum) in T::vectors_mut::<S>(result).iter_mut().zip(&sums) {
            *target = if add { T::add(simd, *target, sum) } else { sum };
        }
        for (target, &sum) in result[whole..].iter_mut().zip(&*rest) {
            *target = if add { T::plus(*target, sum) } else { sum };
        }
    }
}

/// The sum of products, in vectors where there are enough of them.
#[inline(always)]
fn dot<T: Real, S: Simd>(simd: S, a: &[T], b: &[T]) -> T {
    if a.len() <= SECTION {
        return dot_of_section(simd, a, b);
    }
    let mut total = T::Total::default();
    for (a, b) in a.chunks(SECTION).zip(b.chunks(SECTION)) {
        dot_of_section(simd, a, b).add_to(&mut total);
    }
    T::rounded(total)
}

/// The sum of at most [`SECTION`] products: each element of its vectors sums at most a run, or few.
#[inline(always)]
fn dot_of_section<T: Real, S: Simd>(simd: S, a: &[T], b: &[T]) -> T {
    const SUMS: usize = 4;
    let whole = a.len() / T::lanes::<S>() * T::lanes::<S>();
    let mut sum = T::default();
    if whole > 0 {
        let mut totals = [T::splat(simd, T::default()); SUMS];
        let (a, a_rest) = T::vectors::<S>(a).as_chunks::<SUMS>();
        let (b, b_rest) = T::vectors::<S>(b).as_chunks::<SUMS>();
        for (a, b) in a.chunks(RUN).zip(b.chunks(RUN)) {
            let mut sums = [T::splat(simd, T::default()); SUMS];
            for (a, b) in a.iter().zip(b) {
                for i in 0..SUMS {
                    sums[i] = T::mul_add(simd, a[i], b[i], sums[i]);
                }
            }
            for (total, &sum) in totals.iter_mut().zip(&sums) {
                *total = T::add(simd, *total, sum);
            }
        }
        for ((total, &a), &b) in totals.iter_mut().zip(a_rest).zip(b_rest) {
            *total = T::mul_add(simd, a, b, *total);
        }
        let [first, second, third, fourth] = totals;
        let total = T::add(simd, T::add(simd, first, second), T::add(simd, third, fourth));
        sum = T::sum(simd, total);
    }
    for (&a, &b) in a[whole..].iter().zip(&b[whole..]) {
        sum = T::plus(sum, T::times(a, b));
    }
    sum
}

/// The sum of products of elements that stand anywhere.
#[inline(always)]
pub(super) fn walked_dot<T: Real>(
    [a, b]: [&[T]; 2],
    [a_start, b_start]: [usize; 2],
    [a_axes, b_axes]: [&Axes; 2],
) -> T {
    let at = |start: usize, axes: &Axes, p: usize| start.wrapping_add_signed(axes.distance(p));
    sum_in_runs(a_axes.count(), |p| T::times(a[at(a_start, a_axes, p)], b[at(b_start, b_axes, p)]))
}

/// The sum of products of elements that stand apart.
#[inline(always)]
fn strided_dot<T: Real>(a: &[T], a_stride: usize, b: &[T], b_stride: usize, k: usize) -> T {
    sum_in_runs(k, |p| T::times(a[p * a_stride], b[p * b_stride]))
}

/// The sum of `k` products, in runs.
#[inline(always)]
fn sum_in_runs<T: Real>(k: usize, product: impl Fn(usize) -> T) -> T {
    let run = |range: Range<usize>| {
        let mut sum = T::default();
        for p in range {
            sum = T::plus(sum, product(p));
        }
        sum
    };
    if k <= RUN {
        return run(0..k);
    }
    let mut total = T::Total::default();
    for from in (0..k).step_by(RUN) {
        run(from..k.min(from + RUN)).add_to(&mut total);
    }
    T::rounded(total)
}
