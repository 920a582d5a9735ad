//! Which way a matrix product is computed, and by how many tasks: extents, costs and how many threads there are decide.

use arenagrad_graph::DType;

use super::extents::{Extents, MOST_ROWS, TileShape, tile_shape};
use super::parallel;
use super::processor::{Arch, detect};
use super::windows::Windows;
use crate::choice::Choice;
use crate::cost::{self, Cost};
use crate::kernel::Matrices;

/// Multiplications below which packing costs more than it brings.
const PACKING: usize = 256;

/// Rows below which packing the right operand costs as much as the product.
const PACKING_ROWS: usize = 4;

/// Rows a task from which each task may pack the right operand for itself. With fewer, packing it in every task costs more than
/// packing it once and waiting for that.
const ROWS_OF_OWN_PACKING: usize = 48;

/// The ways of computing a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Without packing, rows of all batches divided among tasks.
    Direct,
    /// Rows of all batches divided among tasks at multiples of so many rows; a task packs panels of the right operand as it
    /// comes to them.
    Panels(usize),
    /// One batch after the other: the right operand is packed, and then the rows divided among tasks.
    PackedInTurn,
    /// The columns of a single product divided among tasks, each of which packs the panels of its own; then the rows, for what follows.
    Columns,
    /// Without packing, whole products divided among tasks: vectors of windows are read where they stand.
    Windows,
}

impl Way {
    /// Whether operands are packed.
    pub(super) fn packs(self) -> bool {
        !matches!(self, Way::Direct | Way::Windows)
    }

    /// At multiples of how many rows tasks may begin, where rows of products of `m` rows are divided among them.
    pub(super) fn grain(self, m: usize) -> usize {
        match self {
            Way::Panels(grain) => grain,
            Way::Windows => m,
            Way::Direct | Way::PackedInTurn | Way::Columns => 1,
        }
    }
}

/// The tile of products of that dtype.
pub(super) fn tile_of(dtype: DType, arch: Arch) -> TileShape {
    match dtype {
        DType::F32 => tile_shape::<f32>(arch),
        DType::F64 => tile_shape::<f64>(arch),
        DType::I32 | DType::Bool => panic!("matmul is not defined for {dtype}"),
    }
}

/// The choice that is made for a product unless another is asked for; none where there is no other.
pub(crate) fn usual(dtype: DType, lhs: &Matrices, rhs: &Matrices) -> Option<Choice> {
    let tile = tile_of(dtype, detect());
    let extents = Extents::new(lhs, rhs, false);
    let windows = Windows::new(&extents, tile.lanes, false);
    match Usual::of(cost::matmul(dtype, lhs, rhs), &extents, tile, [false; 2], windows.is_some()).way {
        Way::Direct | Way::Windows => None,
        Way::Panels(_) => Some(Choice::Panels(extents.most_rows_at_once())),
        Way::PackedInTurn => Some(Choice::PackedInTurn(extents.rows_at_once())),
        Way::Columns => Some(Choice::Columns(extents.most_rows_at_once())),
    }
}

/// How a product is computed unless another way is asked for, and by how many tasks.
pub(super) struct Usual {
    pub(super) way: Way,
    pub(super) tasks: usize,
}

impl Usual {
    /// Operands that are `moved` cannot be read where they stand in their buffers. `slides` says that there are [windows](super::windows).
    pub(super) fn of(cost: Cost, extents: &Extents, tile: TileShape, moved: [bool; 2], slides: bool) -> Usual {
        let Extents { batches, m, k, n, .. } = *extents;
        let work = m.saturating_mul(n).saturating_mul(k);
        let mut tasks = parallel::tasks(cost);
        let way = if slides && moved == [false; 2] {
            tasks = tasks.min(batches);
            Way::Windows
        } else if work <= PACKING || (m < PACKING_ROWS && extents.is_evenly_spaced() && moved == [false; 2]) {
            tasks = tasks.min(batches * m);
            if moved == [false; 2] { Way::Direct } else { Way::Panels(1) }
        } else if batches >= 2 * tasks && batches > 1 {
            tasks = tasks.min(batches);
            Way::Panels(m)
        } else {
            // Each task reads a whole operand, so there are no more of them than threads.
            if tasks > 1 {
                tasks = tasks.min(parallel::threads());
            }
            // Of a few rows each task has columns, for which rows would not go round.
            let tiles = n.div_ceil(tile.columns);
            if batches == 1 && tasks <= tiles && extents.moves_less_by_columns(tasks) {
                return Usual { way: Way::Columns, tasks };
            }
            tasks = tasks.min((batches * m).div_ceil(tile.rows)).max(1);
            let rows = m.min((batches * m).div_ceil(tasks));
            let packs_once = rows <= extents.most_rows_at_once();
            if packs_once && (tasks == 1 || rows >= ROWS_OF_OWN_PACKING) {
                Way::Panels(tile.rows)
            } else if m < ROWS_OF_OWN_PACKING && tasks > 1 && batches >= parallel::threads() {
                // Shared by rows, so few of them would wait for all that is packed of each batch to go to memory and come back. Whole
                // batches wait for nothing; several tasks for each thread, for batches that do not go up evenly.
                tasks = parallel::tasks(cost).min(batches);
                Way::Panels(m)
            } else {
                tasks = tasks.min(m.div_ceil(tile.rows));
                Way::PackedInTurn
            }
        };
        Usual { way, tasks }
    }

    /// What `choice` makes of it.
    pub(super) fn chosen(self, choice: Choice, extents: &Extents, tile: TileShape) -> Chosen {
        let Usual { mut way, mut tasks } = self;
        let Extents { batches, m, .. } = *extents;
        let packs = way.packs();
        let mut height = match way {
            Way::Direct | Way::Windows | Way::PackedInTurn => extents.rows_at_once(),
            Way::Panels(_) | Way::Columns => extents.most_rows_at_once(),
        };
        match choice {
            Choice::Panels(rows) if packs => {
                if matches!(way, Way::PackedInTurn | Way::Columns) {
                    way = Way::Panels(tile.rows);
                }
                height = rows.min(m).min(MOST_ROWS);
            }
            Choice::PackedInTurn(rows) if packs => {
                (way, height) = (Way::PackedInTurn, rows.min(m).min(MOST_ROWS));
                tasks = tasks.min(m.div_ceil(tile.rows));
            }
            Choice::Columns(rows) if packs && batches == 1 => {
                (way, height) = (Way::Columns, rows.min(m).min(MOST_ROWS));
                tasks = tasks.min(extents.n.div_ceil(tile.columns));
            }
            Choice::Panels(_)
            | Choice::PackedInTurn(_)
            | Choice::Columns(_)
            | Choice::Usual
            | Choice::Registers { .. }
            | Choice::Workgroup { .. }
            | Choice::Cooperative { .. }
            | Choice::Invocations(_) => {}
        }
        Chosen { way, tasks, height }
    }
}

/// How a product is computed.
pub(super) struct Chosen {
    pub(super) way: Way,
    pub(super) tasks: usize,
    /// The most rows that a task computes at once.
    pub(super) height: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Axes;

    /// How a product of matrices side by side is computed on two threads.
    fn of([m, k, n]: [usize; 3], moved: [bool; 2]) -> (Way, usize) {
        let matrices = |rows, columns: usize| {
            Matrices::single(0, Axes::strided(rows, columns as isize), Axes::strided(columns, 1))
        };
        let (lhs, rhs) = (matrices(m, k), matrices(k, n));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
        pool.install(|| {
            let extents = Extents::new(&lhs, &rhs, moved[0]);
            let cost = cost::matmul(DType::F32, &lhs, &rhs);
            let Usual { way, tasks } = Usual::of(cost, &extents, tile_of(DType::F32, detect()), moved, false);
            (way, tasks)
        })
    }

    #[test]
    fn few_rows_of_a_large_product_are_computed_by_columns() {
        // As many rows as one tile has, or a single one that meets narrow elements: rows would be one task.
        assert_eq!(of([8, 2048, 2048], [false; 2]), (Way::Columns, 2));
        assert_eq!(of([1, 2048, 2048], [false, true]), (Way::Columns, 2));
        assert_eq!(of([1, 2048, 2048], [false; 2]), (Way::Direct, 1));
        assert_eq!(of([8, 8, 16], [false; 2]).1, 1);
        assert_eq!(of([1, 64, 4], [false, true]).1, 1);
    }
}
