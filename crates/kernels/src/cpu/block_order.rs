//! In which order the blocks of elementwise work are computed.
//!
//! Usually in the order of the elements. Where an input is read across its rows, each element of a block stands in another line of the
//! caches, and the block after it reads the neighbours of these elements from the same lines. At a distance of a power of two such lines
//! compete for few places of a cache and are gone when their neighbours are wanted. Then blocks are short pieces of rows, and pieces
//! beneath one another follow each other. It knows nothing of what is computed.

use std::ops::Range;

use super::cache_lines::LINE;
use super::registers::BLOCK;
use crate::cost;
use crate::program::ProgramInput;
use crate::view::Axis;

/// The distance in bytes after which lines have the same place in a second cache: 1 MiB in 8 ways, and less than what most processors have.
const PERIOD: usize = 128 * 1024;

/// How many lines of one place stay there beside what else is read.
const KEPT: usize = 8;

/// The least elements of a piece: fewer cost more than lines that are read again.
const LEAST: usize = 32;

/// Pieces of rows, some beneath one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockOrder {
    /// The elements of a row.
    row: usize,
    /// How many rows have elements of one line.
    rows: usize,
    /// The elements of a piece.
    piece: usize,
}

impl BlockOrder {
    /// The order for what is read across its rows; none where the order of the elements is as good.
    pub(super) fn of(inputs: &[ProgramInput]) -> Option<BlockOrder> {
        inputs.iter().find_map(|input| BlockOrder::of_view(input.view.axes(), cost::size(input.dtype)))
    }

    fn of_view(axes: &[Axis], bytes: usize) -> Option<BlockOrder> {
        let [.., down, across] = axes else { return None };
        let distance = across.stride.unsigned_abs() * bytes;
        let step = down.stride.unsigned_abs() * bytes;
        if step == 0 || step * 2 > LINE || distance <= LINE {
            return None;
        }
        // The largest power of two in the distance says how many places its multiples have.
        let places = PERIOD / (1 << distance.trailing_zeros()).clamp(LINE, PERIOD);
        let kept = places * KEPT;
        (across.extent > kept).then(|| BlockOrder {
            row: across.extent,
            rows: LINE / step,
            piece: kept.clamp(LEAST, BLOCK),
        })
    }

    /// Calls `visit` for blocks that together are `range`.
    pub(super) fn for_each(self, range: Range<usize>, mut visit: impl FnMut(Range<usize>)) {
        let BlockOrder { row, rows, piece } = self;
        let mut start = range.start;
        while start < range.end {
            let within = start % row;
            let whole = if within == 0 { rows.min((range.end - start) / row) } else { 0 };
            if whole == 0 {
                let end = range.end.min(start + piece).min(start - within + row);
                visit(start..end);
                start = end;
                continue;
            }
            for column in (0..row).step_by(piece) {
                let length = piece.min(row - column);
                for number in 0..whole {
                    let first = start + number * row + column;
                    visit(first..first + length);
                }
            }
            start += whole * row;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn across(rows: usize, row: usize, stride: isize) -> Option<BlockOrder> {
        BlockOrder::of_view(&[Axis { extent: rows, stride: 1 }, Axis { extent: row, stride }], 4)
    }

    #[test]
    fn only_lines_that_compete_are_read_in_pieces() {
        assert_eq!(across(1024, 1024, 1024), Some(BlockOrder { row: 1024, rows: 16, piece: 256 }));
        assert_eq!(across(1024, 1024, -1024), across(1024, 1024, 1024));
        assert_eq!(across(64, 1 << 20, 64).map(|order| order.piece), Some(BLOCK));
        assert_eq!(across(1000, 1000, 1000), None);
        assert_eq!(across(1024, 64, 1024), None);
        // In order, every second element, rows that have no line in common, repeated rows.
        assert_eq!(across(1024, 1024, 1), None);
        assert_eq!(across(1024, 1 << 20, 2), None);
        let apart = [Axis { extent: 8, stride: 64 }, Axis { extent: 4096, stride: 1024 }];
        assert_eq!(BlockOrder::of_view(&apart, 4), None);
        let repeated = [Axis { extent: 8, stride: 0 }, Axis { extent: 4096, stride: 1024 }];
        assert_eq!(BlockOrder::of_view(&repeated, 4), None);
    }

    #[test]
    fn blocks_are_each_element_once() {
        for order in [BlockOrder { row: 100, rows: 16, piece: 32 }, BlockOrder { row: 7, rows: 2, piece: 32 }] {
            for range in [0..2000, 0..100, 37..1999, 100..101, 99..300, 5..5] {
                let mut found = vec![0; 2000];
                order.for_each(range.clone(), |block| {
                    assert!(!block.is_empty() && block.len() <= BLOCK);
                    found[block].iter_mut().for_each(|count| *count += 1);
                });
                let expected = (0..2000).map(|index| usize::from(range.contains(&index)));
                assert!(expected.eq(found.iter().copied()), "{order:?} {range:?}");
            }
        }
    }
}
