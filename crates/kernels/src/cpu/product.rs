//! Matrix products of one batch over packed operands, row-major results.
//!
//! The crate `gemm` would be the natural choice here, but it allocates its packing buffers anew on each call, and a step
//! of a plan allocates nothing. The way is the usual one (Goto and van de Geijn: "Anatomy of high-performance matrix
//! multiplication", 2008): panels of columns of the right operand are multiplied with panels of rows of the left one, tile
//! by tile. Panels of the right operand are packed either all of them beforehand, once for all tasks, or one at a time just
//! before it is used, so that it never leaves the second cache. Rows of the left operand are packed only where
//! their elements stand apart; a tile reads each element of a row by itself, so neighbours may as well stay where they are.
//!
//! Every element of a result is summed over the depth by a fixed tree, so its bits depend on neither threads nor the tile that
//! it falls in, and the error does not grow with the depth: runs of `RUN` products in order, joined in order within a block of at
//! most `DEPTH`, blocks joined in order within a section of `SECTION`, and sections in a total of higher precision.

use std::marker::PhantomData;
use std::ops::Range;

use arenagrad_graph::Elements;
use pulp::{Arch, Simd, WithSimd};

use super::buffer::typed;
use super::pack::{pack_columns, pack_narrow_columns, pack_narrow_rows, pack_rows};
use super::tile::{Packed, ROWS_NARROW, ROWS_WIDE, RUN, Real, TileTarget, Unpacked, VECTORS, multiply_tile};
use crate::kernel::Matrix;

/// The most of the depth that is multiplied at once, whole runs. A panel of columns so long stays in the second cache, which
/// gives it as fast as it is multiplied; and the longer it is, the less often sums are put down and taken up again.
const DEPTH: usize = 512;

/// How much of the depth is summed in the elements' own type, a multiple of [`DEPTH`].
pub(super) const SECTION: usize = 8 * DEPTH;

/// How many rows are multiplied at once with a right operand that is packed beforehand: packed themselves, they stay in the
/// second cache, and what an epilogue follows on does so too.
const ROWS: usize = 96;

/// The most rows that are multiplied at once where panels of the right operand are packed one at a time.
const MOST_ROWS: usize = 256;

/// The most elements of a result that are computed at once, beyond [`ROWS`] rows: a few megabytes, which stay in the last cache.
const MOST_ELEMENTS: usize = 256 * 1024;

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

/// The extents and layouts of one product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) lhs: Matrix,
    pub(super) rhs: Matrix,
    /// Whether the elements of the left operand are narrower than its values, which are then packed in any case.
    pub(super) lhs_is_narrow: bool,
}

/// The elements of an operand, from those of one batch on.
#[derive(Clone, Copy)]
pub(super) enum Operand<'a, T> {
    /// The values themselves.
    Native(&'a [T]),
    /// Narrower elements, and where those of the batch begin.
    Narrow(&'a Elements, usize),
}

impl<'a, T: Real> Operand<'a, T> {
    /// An operand that begins with the buffer.
    pub(super) fn new(buffer: &'a Elements) -> Self {
        if buffer.storage().is_native() { Operand::Native(typed(buffer)) } else { Operand::Narrow(buffer, 0) }
    }

    /// The operand from `offset` on.
    pub(super) fn from(self, offset: usize) -> Self {
        match self {
            Operand::Native(values) => Operand::Native(&values[offset..]),
            Operand::Narrow(elements, first) => Operand::Narrow(elements, first + offset),
        }
    }

    /// The values; none of what is packed before it is read.
    pub(super) fn values(self) -> &'a [T] {
        match self {
            Operand::Native(values) => values,
            Operand::Narrow(..) => &[],
        }
    }
}

impl Extents {
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
        if self.reads_rows() { 0 } else { rows.next_multiple_of(tile.rows) * self.k.min(DEPTH) }
    }

    /// The totals that a task needs for `rows` rows: none if the depth is a single section.
    pub(super) fn totals(&self, rows: usize) -> usize {
        if self.k > SECTION { rows * self.n } else { 0 }
    }

    /// Whether rows of the left operand are read where they stand.
    fn reads_rows(&self) -> bool {
        self.lhs.column_stride == 1 && !self.lhs_is_narrow
    }
}

/// Packs panels of columns of the right operand: `packed[(panel * k + p) * columns + column]`, zeros past the last column. The
/// last panel is only a vector wide where that is enough.
pub(super) struct PackRhs<'a, T> {
    pub(super) extents: &'a Extents,
    pub(super) rhs: Operand<'a, T>,
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
        let PackRhs { extents, rhs, panels, packed } = self;
        let Extents { k, n, rhs: matrix, .. } = *extents;
        let width = VECTORS * T::lanes::<S>();
        for (panel, packed) in panels.zip(packed.chunks_mut(k * width)) {
            let columns = panel * width..n.min((panel + 1) * width);
            pack_panel::<T, S>(simd, rhs, matrix, columns, 0..k, packed);
        }
    }
}

/// The right operand of a [`PackedProduct`].
pub(super) enum Rhs<'a, T> {
    /// As [`PackRhs`] packs it.
    Packed(&'a [T]),
    /// As it stands, and room for [`Extents::packed_panel`] elements.
    Unpacked(Operand<'a, T>, &'a mut [T]),
}

/// Rows `rows` of the product, written to `result`, which begins at row `rows.start`.
pub(super) struct PackedProduct<'a, T: Real> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: Operand<'a, T>,
    pub(super) rhs: Rhs<'a, T>,
    /// As many as [`Extents::packed_lhs`] says.
    pub(super) packed_lhs: &'a mut [T],
    /// As many as [`Extents::totals`] says.
    pub(super) totals: &'a mut [T::Total],
    pub(super) rows: Range<usize>,
    pub(super) result: &'a mut [T],
}

/// Packs one panel of columns: a vector wide where that is enough.
#[inline(always)]
fn pack_panel<T: Real, S: Simd>(
    simd: S,
    rhs: Operand<'_, T>,
    matrix: Matrix,
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    let lanes = T::lanes::<S>();
    let is_narrow = columns.len() <= lanes;
    match rhs {
        Operand::Native(rhs) if is_narrow => pack_columns::<T, S, 1>(simd, rhs, matrix, columns, depth, packed),
        Operand::Native(rhs) => pack_columns::<T, S, VECTORS>(simd, rhs, matrix, columns, depth, packed),
        Operand::Narrow(elements, first) => {
            let width = if is_narrow { lanes } else { VECTORS * lanes };
            pack_narrow_columns(elements, first, matrix, columns, depth, width, packed);
        }
    }
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
        let PackedProduct { extents, lhs, mut rhs, packed_lhs, totals, rows, result } = self;
        let Extents { k, n, .. } = *extents;
        let lanes = T::lanes::<S>();
        let width = VECTORS * lanes;
        totals.fill(T::Total::default());
        let mut from = 0;
        while from < k {
            // Blocks of about the same length, each of whole runs but for the last.
            let left = k.min((from / SECTION + 1) * SECTION) - from;
            let length = left.div_ceil(left.div_ceil(DEPTH)).next_multiple_of(RUN).min(left);
            let depth = from..from + length;
            if !extents.reads_rows() {
                let (rows, depth) = (rows.clone(), depth.clone());
                match lhs {
                    Operand::Native(lhs) => pack_rows::<T, TILE_ROWS>(lhs, extents.lhs, rows, depth, packed_lhs),
                    Operand::Narrow(elements, first) => {
                        pack_narrow_rows::<T, TILE_ROWS>(elements, first, extents.lhs, rows, depth, packed_lhs);
                    }
                }
            }
            for column in (0..n).step_by(width) {
                let columns = column..n.min(column + width);
                let narrow = columns.len() <= lanes;
                let row_width = if narrow { lanes } else { width };
                let b: &[T] = match &mut rhs {
                    Rhs::Packed(packed) => &packed[column * k..][depth.start * row_width..depth.end * row_width],
                    Rhs::Unpacked(rhs, panel) => {
                        pack_panel::<T, S>(simd, *rhs, extents.rhs, columns.clone(), depth.clone(), panel);
                        panel
                    }
                };
                let block =
                    Block { extents, lhs: lhs.values(), packed_lhs, rows: rows.clone(), depth: depth.clone(), columns };
                if narrow {
                    block.multiply::<S, TILE_ROWS, 1>(simd, b, result);
                } else {
                    block.multiply::<S, TILE_ROWS, VECTORS>(simd, b, result);
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
    rows: Range<usize>,
    depth: Range<usize>,
    columns: Range<usize>,
}

impl<T: Real> Block<'_, T> {
    #[inline(always)]
    fn multiply<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S, b: &[T], result: &mut [T]) {
        let Block { extents, lhs, packed_lhs, rows, depth, columns } = self;
        let Matrix { offset, row_stride, .. } = extents.lhs;
        let (b, _) = T::vectors::<S>(b).as_chunks::<VECTORS>();
        let b = &b[..depth.len()];
        for first in rows.clone().step_by(ROWS) {
            let row = first - rows.start;
            let target = TileTarget {
                data: &mut result[row * extents.n + columns.start..],
                row_stride: extents.n,
                rows: ROWS.min(rows.len() - row),
                columns: columns.len(),
                add: !depth.start.is_multiple_of(SECTION),
            };
            if extents.reads_rows() {
                // Past the last row it is read again, and what comes of it dropped.
                let mut lines: [&[T]; ROWS] = [&[]; ROWS];
                for (line, elements) in lines.iter_mut().enumerate() {
                    let start = offset + (first + line).min(rows.end - 1) * row_stride + depth.start;
                    *elements = &lhs[start..start + depth.len()];
                }
                multiply_tile::<T, S, _, ROWS, VECTORS>(simd, Unpacked(lines), b, target);
            } else {
                let (a, _) = packed_lhs[row * depth.len()..][..ROWS * depth.len()].as_chunks::<ROWS>();
                multiply_tile::<T, S, _, ROWS, VECTORS>(simd, Packed(a), b, target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The instruction sets that this processor has, of which a run takes the widest alone.
    fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::Scalar, Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        archs
    }

    fn check<T: Real + From<i16> + std::fmt::Debug>(arch: Arch, [m, k, n]: [usize; 3], transposed: [bool; 2]) {
        let matrix = |rows, columns, transposed| {
            let (row_stride, column_stride) = if transposed { (1, rows) } else { (columns, 1) };
            Matrix { offset: 0, row_stride, column_stride }
        };
        let extents = Extents {
            m,
            k,
            n,
            lhs: matrix(m, k, transposed[0]),
            rhs: matrix(k, n, transposed[1]),
            lhs_is_narrow: false,
        };
        // Of so few digits that every sum is exact.
        let element = |i: usize| (i * 7919 % 17) as i16 - 8;
        let operand = |count: usize| (0..count).map(|i| T::from(element(i))).collect::<Vec<T>>();
        let (lhs, rhs) = (operand(m * k), operand(k * n));
        let at = |matrix: Matrix, i, j| element(i * matrix.row_stride + j * matrix.column_stride);
        let expected = (0..m * n).map(|i| {
            let (i, j) = (i / n, i % n);
            let product = |p| at(extents.lhs, i, p) * at(extents.rhs, p, j);
            (0..k).fold(T::default(), |sum, p| sum.plus(T::from(product(p))))
        });
        let expected: Vec<T> = expected.collect();

        let tile = tile_shape::<T>(arch);
        let mut packed = vec![T::default(); extents.packed_rhs(tile)];
        PackRhs {
            extents: &extents,
            rhs: Operand::Native(&rhs),
            panels: 0..n.div_ceil(tile.columns),
            packed: &mut packed,
        }
        .run(arch);
        let mut panel = vec![T::default(); extents.packed_panel(tile)];
        for rhs in [Rhs::Packed(&packed), Rhs::Unpacked(Operand::Native(&rhs), &mut panel)] {
            let mut packed_lhs = vec![T::default(); extents.packed_lhs(tile, m)];
            let mut totals = vec![T::Total::default(); extents.totals(m)];
            let mut result = vec![T::default(); m * n];
            let (packed_lhs, totals) = (&mut packed_lhs[..], &mut totals[..]);
            let (rows, lhs) = (0..m, Operand::Native(&lhs[..]));
            let product = PackedProduct { extents: &extents, lhs, rhs, packed_lhs, totals, rows, result: &mut result };
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
