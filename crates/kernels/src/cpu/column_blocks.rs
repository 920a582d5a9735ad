//! A product's columns as tasks have them: a block each, which are brought together row by row.

use std::ops::Range;

use arenagrad_graph::AlignedVec;

use super::extents::{Extents, TileShape};
use super::real::Real;

/// The columns of task `number` of so many: whole panels, but for the last.
pub(super) fn columns_of(extents: &Extents, tile: TileShape, number: usize, tasks: usize) -> Range<usize> {
    let panels = extents.n.div_ceil(tile.columns);
    let column = |number: usize| (panels * number / tasks * tile.columns).min(extents.n);
    column(number)..column(number + 1)
}

/// Blocks of all rows and some of the columns of a matrix, which side by side are the matrix.
#[derive(Clone, Debug)]
pub(super) struct ColumnBlocks<T> {
    blocks: Vec<AlignedVec<T>>,
    /// How many columns each has.
    widths: Vec<usize>,
}

impl<T: Real> ColumnBlocks<T> {
    /// Those of so many tasks.
    pub(super) fn new(extents: &Extents, tile: TileShape, tasks: usize) -> Self {
        let widths: Vec<usize> = (0..tasks).map(|number| columns_of(extents, tile, number, tasks).len()).collect();
        ColumnBlocks { blocks: widths.iter().map(|width| AlignedVec::zeros(extents.m * width)).collect(), widths }
    }

    /// One after the other, each row by row.
    pub(super) fn all_mut(&mut self) -> &mut [AlignedVec<T>] {
        &mut self.blocks
    }

    /// Writes `rows` of the matrix to `target`.
    pub(super) fn gather(&self, rows: Range<usize>, target: &mut [T]) {
        let mut rest = target;
        for row in rows {
            for (block, &width) in self.blocks.iter().zip(&self.widths) {
                let (part, tail) = rest.split_at_mut(width);
                part.copy_from_slice(&block[row * width..][..width]);
                rest = tail;
            }
        }
    }
}
