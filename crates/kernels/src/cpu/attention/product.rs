//! Products of the tiles of attention: of rows of an operand, or of a tile of scores, with a packed operand.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::cpu::processor::in_own_function;
use crate::cpu::real::Real;
use crate::cpu::tile::{ROWS_NARROW, ROWS_WIDE, RowPanel, TileTarget, Unpacked, VECTORS, multiply_tile};

/// How many queries, and how many keys, a tile of scores is of.
pub(super) const BLOCK: usize = 64;

/// How far the rows of a tile of scores are apart. A tile of a product may read some columns past the last, which are zeros, and rows that are
/// no power of two apart fall into different sets of the cache.
pub(super) const LINE: usize = BLOCK + 16;

/// A tile of scores, of probabilities, or of their gradients.
pub(super) type Tile<T> = [[T; LINE]];

/// The left operand of a product.
pub(super) trait Left<T: Real>: Copy {
    type Panel<'p, const ROWS: usize>: RowPanel<T, ROWS>
    where
        Self: 'p;
    /// The rows from `row` on; past the last row anything.
    fn panel<const ROWS: usize>(&self, row: usize) -> Self::Panel<'_, ROWS>;
}

/// Rows of an operand where they stand.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    /// From the first element of the first row on.
    pub(super) elements: &'a [T],
    /// From one row to the next.
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) depth: usize,
}

impl<T: Real> Left<T> for Rows<'_, T> {
    type Panel<'p, const ROWS: usize>
        = Unpacked<'p, T, ROWS>
    where
        Self: 'p;

    #[inline(always)]
    fn panel<const ROWS: usize>(&self, row: usize) -> Unpacked<'_, T, ROWS> {
        // Past the last row it is read again, and what comes of it dropped.
        let mut lines: [&[T]; ROWS] = [&[]; ROWS];
        for (line, elements) in lines.iter_mut().enumerate() {
            *elements = &self.elements[(row + line).min(self.count - 1) * self.stride..][..self.depth];
        }
        Unpacked(lines)
    }
}

/// The columns of a tile of scores as rows: the product is one of its transpose.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a, T>(pub(super) &'a Tile<T>);

/// Some columns of a tile of scores as a panel of rows.
#[derive(Clone, Copy)]
pub(super) struct ColumnPanel<'a, T> {
    tile: &'a Tile<T>,
    first: usize,
}

impl<T: Real> Left<T> for Columns<'_, T> {
    type Panel<'p, const ROWS: usize>
        = ColumnPanel<'p, T>
    where
        Self: 'p;

    #[inline(always)]
    fn panel<const ROWS: usize>(&self, row: usize) -> ColumnPanel<'_, T> {
        ColumnPanel { tile: self.0, first: row }
    }
}

impl<T: Real, const ROWS: usize> RowPanel<T, ROWS> for ColumnPanel<'_, T> {
    #[inline(always)]
    fn part(self, range: Range<usize>) -> Self {
        ColumnPanel { tile: &self.tile[range], first: self.first }
    }

    #[inline(always)]
    fn at(&self, p: usize, row: usize) -> &T {
        // The columns begin far enough before the end of a line, which this tells the compiler.
        &self.tile[p][self.first.min(LINE - ROWS) + row]
    }
}

/// What is needed of a product with a tile of scores where the diagonal of a causal mask crosses it, by how many places the tile's first query
/// comes after its first key.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The columns up to that of the row's own position: what stands past them is not needed.
    Columns(isize),
    /// The depth up to the row's own position: past it the left operand is 0.
    DepthUpTo(isize),
    /// The depth from the row's own position on: before it the left operand is 0.
    DepthFrom(isize),
}

impl Part {
    /// The depth over which `rows` rows from `row` on are multiplied with columns from `column` on; none if nothing of it is needed.
    #[inline(always)]
    fn depth(self, row: usize, rows: usize, column: usize, depth: usize) -> Option<Range<usize>> {
        let within = |place: isize| place.clamp(0, depth as isize) as usize;
        let (first, end) = (row as isize, (row + rows) as isize);
        match self {
            Part::Whole => Some(0..depth),
            Part::Columns(ahead) => ((column as isize) < end + ahead).then_some(0..depth),
            Part::DepthUpTo(ahead) => Some(0..within(end + ahead)),
            Part::DepthFrom(ahead) => Some(within(first - ahead)..depth),
        }
    }
}

/// `target = left * packed`, or that added to the target: `packed` has panels of columns, `depth` lines each, the last of which is filled up with zeros.
pub(super) struct Product<'a, T, L> {
    pub(super) left: L,
    pub(super) packed: &'a [T],
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) target: &'a mut [T],
    /// From one row of the target to the next.
    pub(super) stride: usize,
    pub(super) add: bool,
    pub(super) part: Part,
}

impl<T: Real, L: Left<T>> WithSimd for Product<'_, T, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if const { S::REGISTER_COUNT >= 32 } {
            self.multiply::<S, ROWS_WIDE>(simd);
        } else {
            self.multiply::<S, ROWS_NARROW>(simd);
        }
    }
}

impl<T: Real, L: Left<T>> Product<'_, T, L> {
    /// Computes it in a function of its own: a pass has up to five of them.
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S) {
        in_own_function(simd, self);
    }

    #[inline(always)]
    fn multiply<S: Simd, const ROWS: usize>(self, simd: S) {
        let Product { left, packed, rows, depth, columns, target, stride, add, part } = self;
        let width = VECTORS * T::lanes::<S>();
        for (panel, column) in (0..columns).step_by(width).enumerate() {
            let (b, _) = T::vectors::<S>(&packed[panel * depth * width..][..depth * width]).as_chunks::<VECTORS>();
            for row in (0..rows).step_by(ROWS) {
                let count = ROWS.min(rows - row);
                let Some(range) = part.depth(row, count, column, depth) else { continue };
                let target = TileTarget {
                    data: &mut target[row * stride + column..],
                    row_stride: stride,
                    rows: count,
                    columns: width.min(columns - column),
                    add,
                };
                let a = left.panel::<ROWS>(row).part(range.clone());
                multiply_tile::<T, S, _, _, ROWS, VECTORS>(simd, a, &b[range], target);
            }
        }
    }
}
