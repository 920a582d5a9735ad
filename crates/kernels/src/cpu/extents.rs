//! The extents of matrix products, what of them is computed at once, and the memory that this takes.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::processor::Arch;
use super::real::Real;
use super::tile::{ROWS_NARROW, ROWS_WIDE, VECTORS};
use crate::kernel::{Matrices, ProductExtents};

/// The most of the depth that is multiplied at once, whole runs. A panel of columns so long stays in the second cache, which
/// gives it as fast as it is multiplied; and the longer it is, the less often sums are put down and taken up again.
pub(super) const DEPTH: usize = 512;

/// How much of the depth is summed in the elements' own type, a multiple of [`DEPTH`].
pub(super) const SECTION: usize = 8 * DEPTH;

/// Of how many bytes of a line of the right operand panels are packed at once where its columns are neighbours: so many that the processor
/// fetches what is next before it is asked for, and so few that the panels stay in the second cache.
const BYTES_AT_ONCE: usize = 256;

/// How many rows are multiplied at once with a right operand that is packed beforehand: packed themselves, they stay in the
/// second cache, and what an epilogue follows on does so too.
const ROWS: usize = 96;

/// The most rows that are multiplied at once where panels of the right operand are packed one at a time.
pub(super) const MOST_ROWS: usize = 256;

/// The most elements of a result that are computed at once, beyond [`ROWS`] rows: a few megabytes, which stay in the last cache.
const MOST_ELEMENTS: usize = 256 * 1024;

/// The elements of a result that are brought together at once where tasks have columns of it.
const ELEMENTS_GATHERED: usize = 8 * 1024;

/// The most elements of a result that is computed so, for they are kept twice.
const MOST_GATHERED: usize = 1024 * 1024;

/// The length of stretches from which elements of a row are read where they stand.
const STRETCH: usize = 4;

/// The most columns with which rows of such stretches are multiplied where they stand.
const COLUMNS_OF_SPREAD_ROWS: usize = 64;

/// How many tiles, one beside the other, read a row where packing it costs less than reading it where it stands does: its elements side by side with those
/// of a tile's other rows take fewer lines of the nearest cache, and none that those need too, as rows do that are a power of two apart.
const TILES_OF_PACKED_ROWS: usize = 24;

/// What packing a panel of columns costs, in hundredths of a tile's product with it.
const COST_OF_PACKING: usize = 60;

/// What the first tile's product costs more, in hundredths, where it reads columns that may lie across two lines of the cache, and packs them.
const COST_OF_TAKING: usize = 30;

/// The most tiles of which the first counts, if it takes longer than the others.
const FEW_TILES: usize = 7;

/// The rows and columns of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileShape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The columns of one vector, and of a tile for the last columns of a result if no more are left.
    pub(super) lanes: usize,
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
    /// The columns of the result that each task computes.
    columns_of_task: usize,
    pub(super) lhs: Matrices,
    pub(super) rhs: Matrices,
    /// Whether the elements of the left operand are narrower than its values, which are then packed in any case.
    pub(super) lhs_is_narrow: bool,
}

impl Extents {
    pub(super) fn new(lhs: &Matrices, rhs: &Matrices, lhs_is_narrow: bool) -> Self {
        let ProductExtents { batches, m, k, n } = ProductExtents::new(lhs, rhs);
        Extents { batches, m, k, n, columns_of_task: n, lhs: lhs.clone(), rhs: rhs.clone(), lhs_is_narrow }
    }

    /// The same product, of which so many tasks compute some columns each.
    pub(super) fn divided_by_columns(self, tasks: usize) -> Self {
        Extents { columns_of_task: self.n.div_ceil(tasks.max(1)), ..self }
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

    /// The rows of a product that are brought together at once where tasks have columns of it: what they take stays in the first cache.
    pub(super) fn rows_gathered(&self) -> usize {
        (ELEMENTS_GATHERED / self.n.max(1)).clamp(1, self.m.max(1))
    }

    /// Whether so many tasks move fewer elements if each has some columns of the result, and packs those of the right operand, than if each
    /// has some rows and reads all of the right operand, which is packed by each or by all together.
    pub(super) fn moves_less_by_columns(&self, tasks: usize) -> bool {
        let (m, k, n, tasks) = (self.m as f64, self.k as f64, self.n as f64, tasks as f64);
        // A packed element was read and written.
        let by_columns = (m / MOST_ROWS as f64).ceil() * 2.0 * k * n / tasks + m * k + 2.0 * m * n / tasks;
        let by_rows = (2.0 * k * n / tasks + k * n).min(2.0 * k * n) + m * k / tasks;
        m * n <= MOST_GATHERED as f64 && by_columns < by_rows
    }

    /// The elements that the whole packed right operand takes.
    pub(super) fn packed_rhs(&self, tile: TileShape) -> usize {
        self.n.next_multiple_of(tile.lanes) * self.k
    }

    /// The columns of the right operand of which panels are packed at once, where they are not packed beforehand: a panel's, and several
    /// panels' where columns are neighbours, for then each line of them is read in longer pieces.
    pub(super) fn columns_at_once<T: Real>(&self, panel: usize) -> usize {
        if self.rhs.columns.is_unit() { panel.max(BYTES_AT_ONCE / size_of::<T>() / panel * panel) } else { panel }
    }

    /// The elements that those panels take, packed for as much of the depth as is multiplied at once.
    pub(super) fn packed_panels<T: Real>(&self, tile: TileShape) -> usize {
        let columns = self.columns_at_once::<T>(tile.columns).min(self.n.next_multiple_of(tile.columns));
        columns * self.k.min(DEPTH)
    }

    /// The elements that a task needs to pack `rows` rows of the left operand.
    pub(super) fn packed_lhs(&self, tile: TileShape, rows: usize) -> usize {
        if self.reads_rows(tile.lanes, tile.rows) {
            return 0;
        }
        let depth = if self.keeps_rows(tile, rows) { self.k } else { self.k.min(DEPTH) };
        rows.next_multiple_of(tile.rows) * depth
    }

    /// Whether a task that computes `rows` rows at once keeps them packed for the next matrix: they are all rows of a left operand that
    /// [serves several](Extents::serves_several).
    pub(super) fn keeps_rows(&self, tile: TileShape, rows: usize) -> bool {
        !self.reads_rows(tile.lanes, tile.rows) && self.serves_several(tile.rows) && rows == self.m
    }

    /// Whether several matrices in succession have the left operand in common, and its rows are not so many that, packed, they would leave the cache.
    fn serves_several(&self, tile_rows: usize) -> bool {
        let is_common = self.lhs.batch.as_slice().last().is_some_and(|axis| axis.stride == 0);
        is_common && self.m.next_multiple_of(tile_rows).saturating_mul(self.k) <= MOST_ELEMENTS
    }

    /// The totals that a task needs for so many rows and columns: none if the depth is a single section.
    pub(super) fn totals(&self, rows: usize, columns: usize) -> usize {
        if self.k > SECTION { rows * columns } else { 0 }
    }

    /// Whether rows of the left operand are read where they stand: their elements are neighbours, or neighbours over stretches, and so few columns
    /// are multiplied with them that packing would cost more. Beside columns that the first tile reads where they stand neighbours are packed
    /// also if that is done once for several matrices, or the tiles are so few that the first counts: a processor has too few registers for where so many
    /// rows and vectors are.
    pub(super) fn reads_rows(&self, lanes: usize, tile_rows: usize) -> bool {
        let are_neighbours = self.lhs.columns.is_unit() && !self.lhs_is_narrow;
        let are_read_often = self.columns_of_task >= TILES_OF_PACKED_ROWS * VECTORS * lanes;
        let is_packed_beside = self.m.div_ceil(tile_rows) <= FEW_TILES || self.serves_several(tile_rows);
        let is_packed = are_read_often || (is_packed_beside && self.reads_columns(lanes, tile_rows));
        (are_neighbours && !is_packed) || self.reads_spread_rows(lanes)
    }

    /// The second of these. Where there are no vectors it would be code for a processor that hardly anybody has.
    pub(super) fn reads_spread_rows(&self, lanes: usize) -> bool {
        let axes = self.lhs.columns.as_slice();
        let is_forward = axes.iter().all(|axis| axis.stride >= 0);
        let has_stretches =
            axes.len() > 1 && axes.last().is_some_and(|axis| axis.stride == 1 && axis.extent >= STRETCH);
        lanes > 1 && !self.lhs_is_narrow && is_forward && has_stretches && self.n <= COLUMNS_OF_SPREAD_ROWS
    }

    /// Whether the first tile of a panel reads columns of the right operand where they stand, as vectors of `lanes`, and packs them for the others: as the
    /// windows of a convolution do, they stand side by side over stretches, and what all tiles compute past the end of a stretch costs less than to pack
    /// them beforehand. Single elements are no vectors: where there are none, all is packed.
    pub(super) fn reads_columns(&self, lanes: usize, tile_rows: usize) -> bool {
        let Matrices { rows, columns, .. } = &self.rhs;
        let Some(stretch) = columns.as_slice().last().filter(|axis| axis.stride == 1 && lanes > 1) else {
            return false;
        };
        if columns.as_slice().len() < 2 || rows.as_slice().iter().chain(columns.as_slice()).any(|axis| axis.stride < 0)
        {
            return false;
        }
        let computed = stretch.extent.next_multiple_of(lanes);
        let tiles = self.m.div_ceil(tile_rows);
        // In hundredths of what a tile of one row of vectors costs.
        let waste = 100 * (computed - stretch.extent) / stretch.extent;
        tiles * waste + COST_OF_TAKING < COST_OF_PACKING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Axes;

    #[test]
    fn columns_are_divided_where_few_rows_meet_a_large_right_operand() {
        let by_columns = |[m, k, n]: [usize; 3], tasks| {
            let matrices = |rows, columns: usize| {
                Matrices::single(0, Axes::strided(rows, columns as isize), Axes::strided(columns, 1))
            };
            Extents::new(&matrices(m, k), &matrices(k, n), false).moves_less_by_columns(tasks)
        };
        assert!(by_columns([64, 784, 256], 2) && by_columns([256, 1024, 1024], 2) && by_columns([256, 1024, 1024], 16));
        assert!(
            !by_columns([784, 64, 256], 2) && !by_columns([2048, 2048, 2048], 2) && !by_columns([4096, 4096, 8], 2)
        );
    }
}
