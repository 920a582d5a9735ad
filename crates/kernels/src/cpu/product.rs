//! Matrix products of one batch, row-major results: direct for small ones, over packed operands for others.
//!
//! The crate `gemm` would be the natural choice here, but it allocates its packing buffers anew on each call, and a step
//! of a plan allocates nothing. The packed way is the usual one (Goto and van de Geijn: "Anatomy of high-performance
//! matrix multiplication", 2008): panels of columns of the right operand, packed once, are multiplied with panels of rows of
//! the left one, packed as they are needed, tile by tile.
//!
//! Every element of a result is summed over the depth by a fixed tree, so its bits depend on neither threads nor the tile that
//! it falls in, and the error does not grow with the depth: runs of `RUN` products in order, joined in order within a block of
//! `DEPTH`, blocks joined in order within a section of `SECTION`, and sections in a total of higher precision.

use std::marker::PhantomData;
use std::ops::Range;

use arenagrad_graph::DType;
use pulp::{Arch, Simd, WithSimd};

use super::processor::Vectorise;
use super::tile::{ROWS_NARROW, ROWS_WIDE, RUN, Real, TileTarget, VECTORS, multiply_tile};
use crate::kernel::Matrix;

/// How much of the depth is packed at once, so that a panel of columns stays in the nearest cache.
const DEPTH: usize = 256;

/// How much of the depth is summed in the elements' own type, a multiple of [`DEPTH`].
const SECTION: usize = 16 * DEPTH;

/// How many rows are packed at once, so that they stay in the second cache.
const ROWS: usize = 96;

/// The rows and columns of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileShape {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The shape of tiles on this processor, for results of `n` columns.
pub(super) fn tile_shape<T: Real>(arch: Arch, n: usize) -> TileShape {
    struct Query<T> {
        n: usize,
        element: PhantomData<T>,
    }
    impl<T: Real> WithSimd for Query<T> {
        type Output = TileShape;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) -> TileShape {
            let lanes = T::lanes::<S>();
            let rows = if S::REGISTER_COUNT >= 32 { ROWS_WIDE } else { ROWS_NARROW };
            TileShape { rows, columns: if self.n <= lanes { lanes } else { VECTORS * lanes } }
        }
    }
    arch.dispatch(Query::<T> { n, element: PhantomData })
}

/// The extents and layouts of one product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) lhs: Matrix,
    pub(super) rhs: Matrix,
}

impl Extents {
    /// The elements that the packed right operand takes.
    pub(super) fn packed_rhs(&self, tile: TileShape) -> usize {
        self.n.next_multiple_of(tile.columns) * self.k
    }

    /// The totals that a task needs for the rows that it computes at once: none if the depth is a single section.
    pub(super) fn totals(&self) -> usize {
        if self.k > SECTION { self.m.min(ROWS) * self.n } else { 0 }
    }

    /// The elements that a task needs to pack rows of the left operand.
    pub(super) fn packed_lhs(&self, tile: TileShape) -> usize {
        self.m.min(ROWS).next_multiple_of(tile.rows) * self.k.min(DEPTH)
    }
}

/// Packs panels of columns of the right operand: `packed[(panel * k + p) * columns + column]`, zeros past the last.
pub(super) struct PackRhs<'a, T> {
    pub(super) extents: &'a Extents,
    pub(super) tile: TileShape,
    pub(super) rhs: &'a [T],
    /// The panels, of which `packed` are the elements.
    pub(super) panels: Range<usize>,
    pub(super) packed: &'a mut [T],
}

impl<T: Real> Vectorise for PackRhs<'_, T> {
    type Output = ();
    const WIDEST: bool = matches!(T::DTYPE, DType::F32);

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let PackRhs { extents, tile, rhs, panels, packed } = self;
        let Extents { k, n, rhs: matrix, .. } = *extents;
        for (panel, packed) in panels.zip(packed.chunks_exact_mut(k * tile.columns)) {
            let first = panel * tile.columns;
            let columns = tile.columns.min(n - first);
            let start = matrix.offset + first * matrix.column_stride;
            if matrix.column_stride == 1 {
                for (p, line) in packed.chunks_exact_mut(tile.columns).enumerate() {
                    let source = &rhs[start + p * matrix.row_stride..][..columns];
                    line[..columns].copy_from_slice(source);
                    line[columns..].fill(T::default());
                }
            } else {
                let lines = Lines { stride: matrix.column_stride, step: matrix.row_stride, count: columns, depth: k };
                transpose(&rhs[start..], lines, packed, tile.columns);
            }
        }
    }
}

/// Lines of a matrix that are to be packed side by side: where each begins after the one before, the distance between a
/// line's elements, the number of lines and their length.
#[derive(Clone, Copy)]
struct Lines {
    stride: usize,
    step: usize,
    count: usize,
    depth: usize,
}

/// `packed[p * width + line] = source[line * stride + p * step]`, zeros for lines past the last up to `width`.
#[inline(always)]
fn transpose<T: Real>(source: &[T], lines: Lines, packed: &mut [T], width: usize) {
    let Lines { stride, step, count, depth } = lines;
    if count < width {
        packed[..depth * width].fill(T::default());
    }
    let mut line = 0;
    if step == 1 {
        while line + 8 <= count {
            transpose_lines::<T, 8>(&source[line * stride..], stride, depth, &mut packed[line..], width);
            line += 8;
        }
        while line + 2 <= count {
            transpose_lines::<T, 2>(&source[line * stride..], stride, depth, &mut packed[line..], width);
            line += 2;
        }
    }
    for line in line..count {
        let values = source[line * stride..=line * stride + (depth - 1) * step].iter().step_by(step);
        for (target, &value) in packed[line..].iter_mut().step_by(width).zip(values) {
            *target = value;
        }
    }
}

/// [`transpose`] of `LINES` lines of neighbouring elements, by squares that stand in registers.
#[inline(always)]
fn transpose_lines<T: Real, const LINES: usize>(
    source: &[T],
    stride: usize,
    depth: usize,
    packed: &mut [T],
    width: usize,
) {
    const STEP: usize = 8;
    let mut from = 0;
    while from + STEP <= depth {
        let mut square = [[T::default(); STEP]; LINES];
        for (line, row) in square.iter_mut().enumerate() {
            row.copy_from_slice(&source[line * stride + from..][..STEP]);
        }
        for i in 0..STEP {
            let mut column = [T::default(); LINES];
            for line in 0..LINES {
                column[line] = square[line][i];
            }
            packed[(from + i) * width..][..LINES].copy_from_slice(&column);
        }
        from += STEP;
    }
    for p in from..depth {
        for line in 0..LINES {
            packed[p * width + line] = source[line * stride + p];
        }
    }
}

/// Rows `rows` of the product, written to `result`, which begins at row `rows.start`, with the packed right operand.
pub(super) struct PackedProduct<'a, T: Real> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: &'a [T],
    pub(super) packed_rhs: &'a [T],
    pub(super) packed_lhs: &'a mut [T],
    /// As many as [`Extents::totals`] says.
    pub(super) totals: &'a mut [T::Total],
    pub(super) rows: Range<usize>,
    pub(super) result: &'a mut [T],
}

/// The rows that a packed product computes at once: what an epilogue follows on is still in the second cache.
pub(super) const fn rows_at_once() -> usize {
    ROWS
}

impl<T: Real> PackedProduct<'_, T> {
    /// Computes the rows, at most [`rows_at_once`].
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Real> WithSimd for PackedProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As `tile_shape` said, by which the right operand has been packed.
        let is_narrow = self.extents.n <= T::lanes::<S>();
        // A constant, so that the way not taken is not compiled.
        if const { S::REGISTER_COUNT >= 32 } {
            if is_narrow {
                self.multiply::<S, ROWS_WIDE, 1>(simd)
            } else {
                self.multiply::<S, ROWS_WIDE, VECTORS>(simd)
            }
        } else if is_narrow {
            self.multiply::<S, ROWS_NARROW, 1>(simd);
        } else {
            self.multiply::<S, ROWS_NARROW, VECTORS>(simd);
        }
    }
}

impl<T: Real> PackedProduct<'_, T> {
    #[inline(always)]
    fn multiply<S: Simd, const TILE_ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let PackedProduct { extents, lhs, packed_rhs, packed_lhs, totals, rows, result } = self;
        let Extents { k, n, lhs: matrix, .. } = *extents;
        let width = VECTORS * T::lanes::<S>();
        totals.fill(T::Total::default());
        let mut from = 0;
        while from < k {
            let to = k.min(from + DEPTH);
            let depth = to - from;
            for (panel, packed) in packed_lhs.chunks_mut(TILE_ROWS * depth).enumerate() {
                let first = rows.start + panel * TILE_ROWS;
                if first >= rows.end {
                    break;
                }
                let lines = TILE_ROWS.min(rows.end - first);
                let start = matrix.offset + first * matrix.row_stride + from * matrix.column_stride;
                pack_lhs_panel::<T, TILE_ROWS>(&lhs[start..], matrix, lines, packed, depth);
            }
            for (panel, packed_rhs) in packed_rhs.chunks_exact(k * width).enumerate() {
                let b = &packed_rhs[from * width..to * width];
                let column = panel * width;
                for (i, a) in packed_lhs.chunks_exact(TILE_ROWS * depth).enumerate() {
                    let row = i * TILE_ROWS;
                    if row >= rows.len() {
                        break;
                    }
                    let target = TileTarget {
                        data: &mut result[row * n + column..],
                        row_stride: n,
                        rows: TILE_ROWS.min(rows.len() - row),
                        columns: width.min(n - column),
                        add: !from.is_multiple_of(SECTION),
                    };
                    multiply_tile::<T, S, TILE_ROWS, VECTORS>(simd, a, b, target);
                }
            }
            from = to;
            if k > SECTION && (from.is_multiple_of(SECTION) || from == k) {
                for (total, &sum) in totals.iter_mut().zip(&*result) {
                    sum.add_to(total);
                }
            }
        }
        if k > SECTION {
            for (element, &total) in result.iter_mut().zip(&*totals) {
                *element = T::rounded(total);
            }
        }
    }
}

/// `packed[p * TILE_ROWS + line]` of the rows of a panel.
#[inline(always)]
fn pack_lhs_panel<T: Real, const TILE_ROWS: usize>(
    source: &[T],
    matrix: Matrix,
    lines: usize,
    packed: &mut [T],
    depth: usize,
) {
    if matrix.row_stride == 1 && lines == TILE_ROWS {
        let (packed, _) = packed.as_chunks_mut::<TILE_ROWS>();
        for (p, target) in packed[..depth].iter_mut().enumerate() {
            let start = p * matrix.column_stride;
            target.copy_from_slice(&source[start..start + TILE_ROWS]);
        }
        return;
    }
    let lines = Lines { stride: matrix.row_stride, step: matrix.column_stride, count: lines, depth };
    transpose(source, lines, packed, TILE_ROWS);
}

/// Rows of a product without packing: for small products, and for those of a few rows.
pub(super) struct DirectProduct<'a, T> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: &'a [T],
    pub(super) rhs: &'a [T],
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
        let DirectProduct { extents, lhs, rhs, rows, result } = self;
        let Extents { k, n, lhs: left, rhs: right, .. } = *extents;
        for (row, line) in rows.zip(result.chunks_exact_mut(n)) {
            let lhs = &lhs[left.offset + row * left.row_stride..];
            // A few columns are done one by one.
            if right.column_stride == 1 && n >= 8 {
                combine_rows(simd, lhs, left.column_stride, &rhs[right.offset..], right.row_stride, k, line);
                continue;
            }
            for (column, element) in line.iter_mut().enumerate() {
                let start = right.offset + column * right.column_stride;
                *element = if right.row_stride == 1 && left.column_stride == 1 {
                    dot(simd, &lhs[..k], &rhs[start..start + k])
                } else {
                    strided_dot(lhs, left.column_stride, &rhs[start..], right.row_stride, k)
                };
            }
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
        let mut rest = [T::default(); COMBINED_COLUMNS];
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
        for (target, &sum) in result[whole..].iter_mut().zip(&rest) {
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

/// The sum of products of elements that stand apart.
#[inline(always)]
fn strided_dot<T: Real>(a: &[T], a_stride: usize, b: &[T], b_stride: usize, k: usize) -> T {
    let run = |range: Range<usize>| {
        let mut sum = T::default();
        for p in range {
            sum = T::plus(sum, T::times(a[p * a_stride], b[p * b_stride]));
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
