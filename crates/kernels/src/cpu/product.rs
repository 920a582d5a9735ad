//! Matrix products by tiles, a batch at a time, row-major results.
//!
//! The crate `gemm` would be the natural choice here, but it allocates its packing buffers anew on each call, and a step
//! of a plan allocates nothing. The way is the usual one (Goto and van de Geijn: "Anatomy of high-performance matrix
//! multiplication", 2008): panels of columns of the right operand are multiplied with panels of rows of the left one, tile
//! by tile. Panels of the right operand are packed either all of them beforehand, once for all tasks, or one at a time just
//! before it is used, so that it never leaves the second cache; or, where columns stand side by side over stretches, as the windows of a convolution
//! do, and few rows are multiplied with them, they are read where they stand. Rows of the left operand are packed only where
//! their elements stand apart or are narrower than their values; a tile reads each element of a row by itself, so neighbours may as well stay where they are.
//!
//! Every element of a result is summed over the depth by a fixed tree, so its bits depend on neither threads nor the tile that
//! it falls in, and the error does not grow with the depth: runs of `RUN` products in order, joined in order within a block of at
//! most `DEPTH`, blocks joined in order within a section of `SECTION`, and sections in a total of higher precision.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::pack::{Operand, Source, pack_panel, pack_rows};
use super::processor::Arch;
use super::tile::{
    Packed, ROWS_NARROW, ROWS_WIDE, RUN, Real, Spread, Standing, TileTarget, Unpacked, VECTORS, VectorPanel,
    multiply_tile,
};
use super::walk::Walk;
use crate::kernel::{Matrices, ProductExtents};

/// The most of the depth that is multiplied at once, whole runs. A panel of columns so long stays in the second cache, which
/// gives it as fast as it is multiplied; and the longer it is, the less often sums are put down and taken up again.
const DEPTH: usize = 512;

/// How much of the depth is summed in the elements' own type, a multiple of [`DEPTH`].
pub(super) const SECTION: usize = 8 * DEPTH;

/// How many rows are multiplied at once with a right operand that is packed beforehand: packed themselves, they stay in the
/// second cache, and what an epilogue follows on does so too.
const ROWS: usize = 96;

/// The most rows that are multiplied at once where panels of the right operand are packed one at a time.
pub(super) const MOST_ROWS: usize = 256;

/// The most elements of a result that are computed at once, beyond [`ROWS`] rows: a few megabytes, which stay in the last cache.
const MOST_ELEMENTS: usize = 256 * 1024;

/// The length of stretches from which elements of a row are read where they stand.
const STRETCH: usize = 4;

/// The most columns with which rows of such stretches are multiplied where they stand.
const COLUMNS_OF_SPREAD_ROWS: usize = 64;

/// What packing a panel of columns costs, in hundredths of a tile's product with it.
const COST_OF_PACKING: usize = 60;

/// What a tile's product costs more, in hundredths, where vectors of columns lie across two lines of the cache.
const COST_ACROSS_LINES: usize = 8;

/// The rows and columns of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileShape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The columns of one vector, and of a tile for the last columns of a result if no more are left.
    lanes: usize,
}

/// The shape of tiles on this processor.
pub(super) fn tile_shape<T: Real>(arch: Arch) -> TileShape {
    struct Query<T>(PhantomData<T>);
    impl<T: Real> WithSimd for Query<T> {
        type Output = TileShape;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) -> TileShape {
            let lanes = T::lanes::<S>();
            let rows = if S::REGISTER_COUNT >= 32 { ROWS_WIDE } else { ROWS_NARROW };
            TileShape { rows, columns: VECTORS * lanes, lanes }
        }
    }
    arch.dispatch(Query::<T>(PhantomData))
}

/// The extents and layouts of products.
#[derive(Clone, Debug)]
pub(super) struct Extents {
    pub(super) batches: usize,
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) lhs: Matrices,
    pub(super) rhs: Matrices,
    /// Whether the elements of the left operand are narrower than its values, which are then packed in any case.
    pub(super) lhs_is_narrow: bool,
}

impl Extents {
    pub(super) fn new(lhs: &Matrices, rhs: &Matrices, lhs_is_narrow: bool) -> Self {
        let ProductExtents { batches, m, k, n } = ProductExtents::new(lhs, rhs);
        Extents { batches, m, k, n, lhs: lhs.clone(), rhs: rhs.clone(), lhs_is_narrow }
    }

    /// Whether depth and columns are evenly spaced and none goes back, so that vectors of them are where strides say.
    pub(super) fn is_evenly_spaced(&self) -> bool {
        [&self.lhs.columns, &self.rhs.rows, &self.rhs.columns].into_iter().all(|axes| axes.forward_stride().is_some())
    }

    /// The rows that are multiplied at once with a right operand that is packed beforehand.
    pub(super) fn rows_at_once(&self) -> usize {
        self.m.min(ROWS)
    }

    /// The rows that are multiplied at once where each panel of the right operand is packed just before it is used.
    pub(super) fn most_rows_at_once(&self) -> usize {
        self.m.min((MOST_ELEMENTS / self.n).clamp(ROWS, MOST_ROWS))
    }

    /// The elements that the whole packed right operand takes.
    pub(super) fn packed_rhs(&self, tile: TileShape) -> usize {
        self.n.next_multiple_of(tile.lanes) * self.k
    }

    /// The elements that a panel of the right operand takes, packed for as much of the depth as is multiplied at once.
    pub(super) fn packed_panel(&self, tile: TileShape) -> usize {
        tile.columns * self.k.min(DEPTH)
    }

    /// The elements that a task needs to pack `rows` rows of the left operand.
    pub(super) fn packed_lhs(&self, tile: TileShape, rows: usize) -> usize {
        if self.reads_rows() {
            return 0;
        }
        let depth = if self.keeps_rows(tile, rows) { self.k } else { self.k.min(DEPTH) };
        rows.next_multiple_of(tile.rows) * depth
    }

    /// Whether a task that computes `rows` rows at once keeps them packed for the next matrix: they are all rows of a left operand which
    /// several matrices in succession have in common, and not so many that they would leave the cache.
    pub(super) fn keeps_rows(&self, tile: TileShape, rows: usize) -> bool {
        let is_common = self.lhs.batch.as_slice().last().is_some_and(|axis| axis.stride == 0);
        let elements = rows.next_multiple_of(tile.rows).saturating_mul(self.k);
        !self.reads_rows() && is_common && rows == self.m && elements <= MOST_ELEMENTS
    }

    /// The totals that a task needs for `rows` rows: none if the depth is a single section.
    pub(super) fn totals(&self, rows: usize) -> usize {
        if self.k > SECTION { rows * self.n } else { 0 }
    }

    /// Whether rows of the left operand are read where they stand: their elements are neighbours, or neighbours over stretches and so few columns
    /// are multiplied with them that packing would cost more than finding each.
    fn reads_rows(&self) -> bool {
        (self.lhs.columns.is_unit() && !self.lhs_is_narrow) || self.reads_spread_rows()
    }

    fn reads_spread_rows(&self) -> bool {
        let axes = self.lhs.columns.as_slice();
        let is_forward = axes.iter().all(|axis| axis.stride >= 0);
        let has_stretches =
            axes.len() > 1 && axes.last().is_some_and(|axis| axis.stride == 1 && axis.extent >= STRETCH);
        !self.lhs_is_narrow && is_forward && has_stretches && self.n <= COLUMNS_OF_SPREAD_ROWS
    }

    /// Whether columns of the right operand are read where they stand, as vectors of `lanes`: as the windows of a convolution do, they stand
    /// side by side over stretches, and so few rows are multiplied with them that packing would cost more than what a tile
    /// computes past the end of a stretch, and than reading vectors that lie across two lines of the cache.
    fn reads_columns(&self, lanes: usize, tile_rows: usize) -> bool {
        let Matrices { rows, columns, .. } = &self.rhs;
        let Some(stretch) = columns.as_slice().last().filter(|axis| axis.stride == 1) else { return false };
        if columns.as_slice().len() < 2 || rows.as_slice().iter().chain(columns.as_slice()).any(|axis| axis.stride < 0)
        {
            return false;
        }
        let computed = stretch.extent.next_multiple_of(lanes);
        let tiles = self.m.div_ceil(tile_rows);
        // In hundredths of what a tile of one row of vectors costs.
        let waste = 100 * (computed - stretch.extent) / stretch.extent + COST_ACROSS_LINES;
        tiles * waste < COST_OF_PACKING
    }
}

/// Packs panels of columns of the right operand: `packed[(panel * k + p) * columns + column]`, zeros past the last column. The
/// last panel is only a vector wide where that is enough.
pub(super) struct PackRhs<'a, T> {
    pub(super) extents: &'a Extents,
    pub(super) rhs: Source<'a, T>,
    /// Where the matrix begins.
    pub(super) start: usize,
    /// The panels, of which `packed` are the elements.
    pub(super) panels: Range<usize>,
    pub(super) packed: &'a mut [T],
}

impl<T: Real> PackRhs<'_, T> {
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Real> WithSimd for PackRhs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let PackRhs { extents, rhs, start, panels, packed } = self;
        let Extents { k, n, .. } = *extents;
        let operand = Operand { source: rhs, start, matrices: &extents.rhs };
        let width = VECTORS * T::lanes::<S>();
        for (panel, packed) in panels.zip(packed.chunks_mut(k * width)) {
            let columns = panel * width..n.min((panel + 1) * width);
            pack_panel::<T, S>(simd, operand, columns, 0..k, packed);
        }
    }
}

/// The right operand of a [`PackedProduct`].
pub(super) enum Rhs<'a, T> {
    /// As [`PackRhs`] packs it.
    Packed(&'a [T]),
    /// As it stands from an element on, and room for [`Extents::packed_panel`] elements.
    Unpacked(Source<'a, T>, usize, &'a mut [T]),
}

/// How rows of a left operand that are not read where they stand come to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackedRows {
    /// For one block of the depth after the other, each in the place of the one before.
    ByBlocks,
    /// For all of the depth, so that the next products of the same rows need not pack them.
    Whole,
    /// They are already packed for all of the depth.
    Ready,
}

/// Rows `rows` of the product, written to `result`, which begins at row `rows.start`.
pub(super) struct PackedProduct<'a, T: Real> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: Source<'a, T>,
    /// Where the matrix begins in `lhs`.
    pub(super) lhs_start: usize,
    pub(super) rhs: Rhs<'a, T>,
    /// As many as [`Extents::packed_lhs`] says.
    pub(super) packed_lhs: &'a mut [T],
    pub(super) packed_rows: PackedRows,
    /// As many as [`Extents::totals`] says.
    pub(super) totals: &'a mut [T::Total],
    pub(super) rows: Range<usize>,
    pub(super) result: &'a mut [T],
}

impl<T: Real> PackedProduct<'_, T> {
    /// Computes the rows.
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Real> WithSimd for PackedProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As `tile_shape` said. A constant, so that the way not taken is not compiled.
        if const { S::REGISTER_COUNT >= 32 } {
            self.multiply::<S, ROWS_WIDE>(simd);
        } else {
            self.multiply::<S, ROWS_NARROW>(simd);
        }
    }
}

impl<T: Real> PackedProduct<'_, T> {
    #[inline(always)]
    fn multiply<S: Simd, const TILE_ROWS: usize>(self, simd: S) {
        let PackedProduct { extents, lhs, lhs_start, mut rhs, packed_lhs, packed_rows, totals, rows, result } = self;
        let Extents { k, n, .. } = *extents;
        let mut places = [0; MOST_ROWS];
        let places = &mut places[..rows.len()];
        Walk::over(&extents.lhs.rows, lhs_start, rows.start).places(places);
        let places = &*places;
        let lanes = T::lanes::<S>();
        let width = VECTORS * lanes;
        totals.fill(T::Total::default());
        let mut from = 0;
        while from < k {
            // Blocks of about the same length, each of whole runs but for the last.
            let left = k.min((from / SECTION + 1) * SECTION) - from;
            let length = left.div_ceil(left.div_ceil(DEPTH)).next_multiple_of(RUN).min(left);
            let depth = from..from + length;
            let packed_lhs = match packed_rows {
                PackedRows::ByBlocks => &mut *packed_lhs,
                PackedRows::Whole | PackedRows::Ready => {
                    let height = rows.len().next_multiple_of(TILE_ROWS);
                    &mut packed_lhs[height * depth.start..height * depth.end]
                }
            };
            if !extents.reads_rows() && packed_rows != PackedRows::Ready {
                pack_rows::<T, TILE_ROWS>(lhs, &extents.lhs.columns, places, depth.clone(), packed_lhs);
            }
            let packed_lhs = &*packed_lhs;
            let mut row_distances = [0; DEPTH];
            let row_distances = &mut row_distances[..if extents.reads_spread_rows() { length } else { 0 }];
            Walk::over(&extents.lhs.columns, 0, depth.start).places(row_distances);
            let row_distances = &*row_distances;
            let mut distances = [0; DEPTH];
            let mut standing = None;
            if let Rhs::Unpacked(Source::Native(elements), start, _) = &rhs
                && extents.reads_columns(lanes, TILE_ROWS)
            {
                let distances = &mut distances[..length];
                Walk::over(&extents.rhs.rows, 0, depth.start).places(distances);
                let furthest = distances.iter().copied().max().unwrap_or(0);
                standing = Some((*elements, &*distances, furthest, Walk::over(&extents.rhs.columns, *start, 0)));
            }
            let mut column = 0;
            while column < n {
                let mut columns = column..n.min(column + width);
                let mut in_place = None;
                if let Some((elements, distances, furthest, walk)) = &mut standing {
                    let run = walk.next(columns.len());
                    columns.end = column + run.length;
                    let end = run.position + *furthest + columns.len().next_multiple_of(lanes);
                    if end <= elements.len() {
                        in_place = Some(Standing { elements: &elements[run.position..end], distances });
                    }
                }
                column = columns.end;
                let narrow = columns.len() <= lanes;
                let row_width = if narrow { lanes } else { width };
                let block = Block {
                    extents,
                    lhs: lhs.values(),
                    packed_lhs,
                    places,
                    row_distances,
                    depth: depth.clone(),
                    columns: columns.clone(),
                };
                if let Some(panel) = in_place {
                    if narrow {
                        block.multiply::<S, _, TILE_ROWS, 1>(simd, panel, result);
                    } else {
                        block.multiply::<S, _, TILE_ROWS, VECTORS>(simd, panel, result);
                    }
                    continue;
                }
                let b: &[T] = match &mut rhs {
                    Rhs::Packed(packed) => &packed[columns.start * k..][depth.start * row_width..depth.end * row_width],
                    Rhs::Unpacked(rhs, start, panel) => {
                        let operand = Operand { source: *rhs, start: *start, matrices: &extents.rhs };
                        pack_panel::<T, S>(simd, operand, columns.clone(), depth.clone(), panel);
                        panel
                    }
                };
                let b = T::vectors::<S>(b);
                if narrow {
                    block.multiply::<S, _, TILE_ROWS, 1>(simd, &b.as_chunks::<1>().0[..length], result);
                } else {
                    block.multiply::<S, _, TILE_ROWS, VECTORS>(simd, &b.as_chunks::<VECTORS>().0[..length], result);
                }
            }
            from = depth.end;
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

/// A panel of columns of the result, over a part of the depth.
struct Block<'a, T> {
    extents: &'a Extents,
    lhs: &'a [T],
    packed_lhs: &'a [T],
    /// Where each row of the left operand begins.
    places: &'a [usize],
    /// How far from there its elements stand, where they are read and are no neighbours.
    row_distances: &'a [usize],
    depth: Range<usize>,
    columns: Range<usize>,
}

impl<T: Real> Block<'_, T> {
    #[inline(always)]
    fn multiply<S: Simd, B: VectorPanel<T, S, VECTORS>, const ROWS: usize, const VECTORS: usize>(
        self,
        simd: S,
        b: B,
        result: &mut [T],
    ) {
        let Block { extents, lhs, packed_lhs, places, row_distances, depth, columns } = self;
        let span = row_distances.iter().copied().max().map_or(0, |furthest| furthest + 1);
        for row in (0..places.len()).step_by(ROWS) {
            let target = TileTarget {
                data: &mut result[row * extents.n + columns.start..],
                row_stride: extents.n,
                rows: ROWS.min(places.len() - row),
                columns: columns.len(),
                add: !depth.start.is_multiple_of(SECTION),
            };
            if !row_distances.is_empty() {
                let mut lines: [&[T]; ROWS] = [&[]; ROWS];
                for (line, elements) in lines.iter_mut().enumerate() {
                    let start = places[(row + line).min(places.len() - 1)];
                    *elements = &lhs[start..start + span];
                }
                let a = Spread { lines, distances: row_distances };
                multiply_tile::<T, S, _, B, ROWS, VECTORS>(simd, a, b, target);
            } else if extents.reads_rows() {
                // Past the last row it is read again, and what comes of it dropped.
                let mut lines: [&[T]; ROWS] = [&[]; ROWS];
                for (line, elements) in lines.iter_mut().enumerate() {
                    let start = places[(row + line).min(places.len() - 1)] + depth.start;
                    *elements = &lhs[start..start + depth.len()];
                }
                multiply_tile::<T, S, _, B, ROWS, VECTORS>(simd, Unpacked(lines), b, target);
            } else {
                let (a, _) = packed_lhs[row * depth.len()..][..ROWS * depth.len()].as_chunks::<ROWS>();
                multiply_tile::<T, S, _, B, ROWS, VECTORS>(simd, Packed(a), b, target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Axes;

    /// The instruction sets that this processor has, of which a run takes the widest alone.
    fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::Scalar, Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        archs
    }

    fn check<T: Real + From<i16> + std::fmt::Debug>(arch: Arch, [m, k, n]: [usize; 3], transposed: [bool; 2]) {
        let matrix = |rows: usize, columns: usize, transposed| {
            let (row_stride, column_stride) = if transposed { (1, rows as isize) } else { (columns as isize, 1) };
            Matrices::single(0, Axes::strided(rows, row_stride), Axes::strided(columns, column_stride))
        };
        let extents = Extents::new(&matrix(m, k, transposed[0]), &matrix(k, n, transposed[1]), false);
        // Of so few digits that every sum is exact.
        let element = |i: usize| (i * 7919 % 17) as i16 - 8;
        let operand = |count: usize| (0..count).map(|i| T::from(element(i))).collect::<Vec<T>>();
        let (lhs, rhs) = (operand(m * k), operand(k * n));
        let at = |matrices: &Matrices, i, j| element(matrices.position(0, i, j));
        let expected = (0..m * n).map(|i| {
            let (i, j) = (i / n, i % n);
            let product = |p| at(&extents.lhs, i, p) * at(&extents.rhs, p, j);
            (0..k).fold(T::default(), |sum, p| sum.plus(T::from(product(p))))
        });
        let expected: Vec<T> = expected.collect();

        let tile = tile_shape::<T>(arch);
        let mut packed = vec![T::default(); extents.packed_rhs(tile)];
        let panels = 0..n.div_ceil(tile.columns);
        PackRhs { extents: &extents, rhs: Source::Native(&rhs), start: 0, panels, packed: &mut packed }.run(arch);
        let mut panel = vec![T::default(); extents.packed_panel(tile)];
        for rhs in [Rhs::Packed(&packed), Rhs::Unpacked(Source::Native(&rhs), 0, &mut panel)] {
            let mut packed_lhs = vec![T::default(); extents.packed_lhs(tile, m)];
            let mut totals = vec![T::Total::default(); extents.totals(m)];
            let mut result = vec![T::default(); m * n];
            let (packed_lhs, totals) = (&mut packed_lhs[..], &mut totals[..]);
            let (rows, lhs) = (0..m, Source::Native(&lhs[..]));
            let (extents, result_rows, packed_rows) = (&extents, &mut result[..], PackedRows::ByBlocks);
            let product = PackedProduct {
                extents,
                lhs,
                lhs_start: 0,
                rhs,
                packed_lhs,
                packed_rows,
                totals,
                rows,
                result: result_rows,
            };
            product.run(arch);
            assert!(result == expected, "{:?} by {arch:?}, transposed: {transposed:?}", [m, k, n]);
        }
    }

    #[test]
    fn products_under_every_instruction_set() {
        for arch in archs() {
            for extents in [[8, 16, 32], [6, 8, 16], [13, 37, 41], [5, 520, 7], [17, 64, 48], [3, 4100, 9]] {
                for transposed in [[false, false], [false, true], [true, false], [true, true]] {
                    check::<f32>(arch, extents, transposed);
                    check::<f64>(arch, extents, transposed);
                }
            }
        }
    }
}
