//! The memory that a matrix product takes while it runs, allocated when it is made ready.

use arenagrad_graph::{AlignedVec, Elements};

use super::column_blocks::ColumnBlocks;
use super::elementwise::Elementwise;
use super::matmul::Scheme;
use super::real::Real;
use super::registers::Bank;
use super::way::Way;
use super::windows;

/// The memory of all tasks.
#[derive(Clone, Debug)]
pub(super) struct Scratch<T: Real> {
    /// What each task computes where columns are divided.
    pub(super) blocks: ColumnBlocks<T>,
    /// The packed right operand of the batch that all tasks work at, where it is packed beforehand; that of all batches, where it is kept.
    pub(super) packed_rhs: AlignedVec<T>,
    /// Whether it still holds what a run before packed, where that is kept.
    pub(super) has_rhs: bool,
    pub(super) tasks: Vec<Own<T>>,
}

/// The memory of one task.
#[derive(Clone, Debug)]
pub(super) struct Own<T: Real> {
    pub(super) packed_lhs: AlignedVec<T>,
    /// Where the left matrix begins whose rows `packed_lhs` holds, all of them and for all of the depth.
    pub(super) kept_lhs: Option<usize>,
    /// Blocks of operands that the task pads for itself, while it runs.
    pub(super) padded: [Option<Elements>; 2],
    /// Which block of the right operand that is.
    pub(super) kept_rhs: Option<usize>,
    /// A few panels of the right operand, where it is not packed beforehand.
    pub(super) panel: AlignedVec<T>,
    /// Rows of the product, where an epilogue reads them.
    pub(super) product: AlignedVec<T>,
    /// Totals of rows of the product, where the depth is summed in several sections.
    pub(super) totals: AlignedVec<T::Total>,
    /// What products with windows take.
    pub(super) windows: Option<windows::Scratch<T>>,
    pub(super) bank: Option<Bank>,
}

impl<T: Real> Scratch<T> {
    /// What so many tasks need.
    pub(super) fn new(scheme: &Scheme, tasks: usize) -> Self {
        let Scheme { extents, tile, way, height, epilogue, .. } = scheme;
        let (packs, panels) = (way.packs(), matches!(way, Way::Panels(_) | Way::Columns));
        let rows = if *way == Way::Columns { extents.rows_gathered() } else { *height };
        let zeros = |is_needed: bool, count: usize| AlignedVec::zeros(if is_needed { count } else { 0 });
        for (padded, together) in scheme.padded.iter().zip([false, scheme.pads_together()]) {
            padded.iter().for_each(|padded| padded.reserve(if together { 1 } else { tasks }));
        }
        Scratch {
            blocks: ColumnBlocks::new(extents, *tile, if *way == Way::Columns { tasks } else { 0 }),
            packed_rhs: zeros(*way == Way::PackedInTurn, extents.packed_rhs(*tile)),
            has_rhs: false,
            tasks: (0..tasks)
                .map(|_| Own {
                    packed_lhs: zeros(packs, extents.packed_lhs(*tile, *height)),
                    kept_lhs: None,
                    padded: [None, None],
                    kept_rhs: None,
                    panel: zeros(panels, extents.packed_panels::<T>(*tile)),
                    totals: AlignedVec::zeros(if packs { extents.totals(*height, extents.n) } else { 0 }),
                    product: zeros(epilogue.is_some(), rows * extents.n),
                    windows: scheme.windows.as_ref().map(|windows| windows.scratch(extents.n)),
                    bank: epilogue.as_ref().map(Elementwise::bank),
                })
                .collect(),
        }
    }

    /// Has room for all of the packed right operand, and none for a few panels of it.
    pub(super) fn keep_rhs(&mut self, scheme: &Scheme) {
        self.packed_rhs = AlignedVec::zeros(scheme.extents.packed_rhs(scheme.tile));
        self.tasks.iter_mut().for_each(|own| own.panel = AlignedVec::new());
    }
}
