//! A panel of columns of a product's result over a block of the depth: its tiles, one below the other.
//!
//! The tiles of one height are computed by a function of their own, compiled once for each way of reading operands and for each instruction set. Joined
//! with what chooses among these ways, loops of tiles would share their registers with it, and each stand in the program once more for each place that it
//! is called from.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::extents::SECTION;
use super::processor::in_own_function;
use super::real::Real;
use super::tile::{
    Columns, Packed, PackedColumns, ROWS_LOW, ROWS_NARROW, RowPanel, Spread, Standing, TileTarget, Unpacked,
    multiply_tile, rows_of_next,
};

/// A panel of columns of the result, over a part of the depth.
pub(super) struct Block<'a, T> {
    pub(super) lhs: &'a [T],
    pub(super) packed_lhs: &'a [T],
    /// Where each row of the left operand begins.
    pub(super) places: &'a [usize],
    /// How far from there its elements stand, where they are read and are no neighbours.
    pub(super) row_distances: &'a [usize],
    /// One past the furthest of these.
    pub(super) row_span: usize,
    /// Whether rows of neighbours are read where they stand.
    pub(super) reads_rows: bool,
    pub(super) depth: Range<usize>,
    /// The columns of the result, and how many it has.
    pub(super) columns: Range<usize>,
    pub(super) row_stride: usize,
}

impl<T: Real> Block<'_, T> {
    /// Multiplies with columns where they stand, which the first tile packs for the others.
    #[inline(always)]
    pub(super) fn take<S: Simd, const TILE_ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        vectors: [&[T]; VECTORS],
        distances: &[u32],
        panel: &mut [T],
        result: &mut [T],
    ) {
        let height = rows_of_next(self.places.len(), TILE_ROWS);
        let standing = Standing { vectors, distances, packed: &mut *panel };
        if TILE_ROWS == ROWS_NARROW && height == ROWS_LOW {
            self.multiply_tiles::<S, _, ROWS_LOW, VECTORS>(simd, standing, 0..1, result);
        } else {
            self.multiply_tiles::<S, _, TILE_ROWS, VECTORS>(simd, standing, 0..1, result);
        }
        self.multiply::<S, TILE_ROWS, VECTORS>(simd, panel, height, result);
    }

    /// Multiplies the rows from `row` on, where a tile begins, with packed columns, tile by tile.
    #[inline(always)]
    pub(super) fn multiply<S: Simd, const TILE_ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        b: &[T],
        row: usize,
        result: &mut [T],
    ) {
        let rows = self.places.len();
        let mut end = row;
        while end < rows && rows_of_next(rows - end, TILE_ROWS) == TILE_ROWS {
            end += TILE_ROWS;
        }
        if row < end {
            self.multiply_tiles::<S, _, TILE_ROWS, VECTORS>(simd, PackedColumns(b), row..end, result);
        }
        if TILE_ROWS == ROWS_NARROW && end < rows {
            self.multiply_tiles::<S, _, ROWS_LOW, VECTORS>(simd, PackedColumns(b), end..rows, result);
        }
    }

    /// The tiles of so many rows that begin in `rows`, where the first does.
    #[inline(always)]
    fn multiply_tiles<S: Simd, B: Columns<T, VECTORS>, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        b: B,
        rows: Range<usize>,
        result: &mut [T],
    ) {
        if const { !S::IS_SCALAR } && !self.row_distances.is_empty() {
            in_own_function(simd, Tiles::<T, Spread<'_, T, ROWS>, B, ROWS, VECTORS>::new(self, b, rows, result));
        } else if self.reads_rows {
            in_own_function(simd, Tiles::<T, Unpacked<'_, T, ROWS>, B, ROWS, VECTORS>::new(self, b, rows, result));
        } else {
            in_own_function(simd, Tiles::<T, Packed<'_, T, ROWS>, B, ROWS, VECTORS>::new(self, b, rows, result));
        }
    }
}

/// Rows of a left operand as a tile reads them.
trait RowsOf<'a, T, const ROWS: usize>: RowPanel<T, ROWS> {
    /// Those of the tile that begins at `row`. Past the last row that is read again, and what comes of it dropped.
    fn of(block: &'a Block<'_, T>, row: usize) -> Self;
}

impl<'a, T: Copy, const ROWS: usize> RowsOf<'a, T, ROWS> for Packed<'a, T, ROWS> {
    #[inline(always)]
    fn of(block: &'a Block<'_, T>, row: usize) -> Self {
        let depth = block.depth.len();
        Packed(block.packed_lhs[row * depth..][..ROWS * depth].as_chunks::<ROWS>().0)
    }
}

impl<'a, T: Copy, const ROWS: usize> RowsOf<'a, T, ROWS> for Unpacked<'a, T, ROWS> {
    #[inline(always)]
    fn of(block: &'a Block<'_, T>, row: usize) -> Self {
        let mut lines: [&[T]; ROWS] = [&[]; ROWS];
        for (line, elements) in lines.iter_mut().enumerate() {
            let start = block.places[(row + line).min(block.places.len() - 1)] + block.depth.start;
            *elements = &block.lhs[start..start + block.depth.len()];
        }
        Unpacked(lines)
    }
}

impl<'a, T: Copy, const ROWS: usize> RowsOf<'a, T, ROWS> for Spread<'a, T, ROWS> {
    #[inline(always)]
    fn of(block: &'a Block<'_, T>, row: usize) -> Self {
        let mut lines: [&[T]; ROWS] = [&[]; ROWS];
        for (line, elements) in lines.iter_mut().enumerate() {
            let start = block.places[(row + line).min(block.places.len() - 1)];
            *elements = &block.lhs[start..start + block.row_span];
        }
        Spread { lines, distances: block.row_distances }
    }
}

/// Tiles of `ROWS` rows, whose operands are read as `A` and `B` say.
struct Tiles<'a, 'b, T, A, B, const ROWS: usize, const VECTORS: usize> {
    block: &'a Block<'b, T>,
    b: B,
    rows: Range<usize>,
    result: &'a mut [T],
    read_as: PhantomData<A>,
}

impl<'a, 'b, T, A, B, const ROWS: usize, const VECTORS: usize> Tiles<'a, 'b, T, A, B, ROWS, VECTORS> {
    #[inline(always)]
    fn new(block: &'a Block<'b, T>, b: B, rows: Range<usize>, result: &'a mut [T]) -> Self {
        Tiles { block, b, rows, result, read_as: PhantomData }
    }
}

impl<'a, T: Real, A: RowsOf<'a, T, ROWS>, B: Columns<T, VECTORS>, const ROWS: usize, const VECTORS: usize> WithSimd
    for Tiles<'a, '_, T, A, B, ROWS, VECTORS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tiles { block, b, rows, result, .. } = self;
        let Block { row_stride, ref columns, .. } = *block;
        let b = b.panel::<S>();
        for row in rows.step_by(ROWS) {
            let target = TileTarget {
                data: &mut result[row * row_stride + columns.start..],
                row_stride,
                rows: ROWS.min(block.places.len() - row),
                columns: columns.len(),
                add: !block.depth.start.is_multiple_of(SECTION),
            };
            multiply_tile::<T, S, A, _, ROWS, VECTORS>(simd, A::of(block, row), b, target);
        }
    }
}
