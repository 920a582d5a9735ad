//! Operands of products that are padded in memory of the product's own, a few blocks at a time; see [`Padding`].
//!
//! A right operand is padded a block at a time, in which whole matrices lie. A left operand is padded as its depth is gone through, and only where the
//! rows that are computed read it.

use std::ops::Range;

use arenagrad_graph::{AlignedVec, DType, Elements};

use super::assemble::{Assemble, Inputs};
use super::buffer::{Operands, Part, part};
use super::extents::DEPTH;
use super::pack::MOST_LANES;
use crate::kernel::Matrices;
use crate::padding::Padding;

/// The most elements of blocks that are padded at once for the sake of their depth: as many as stay in the second cache.
const MOST_ELEMENTS: usize = 64 * 1024;

/// An operand whose blocks are padded as they are needed.
#[derive(Clone, Debug)]
pub(super) struct PaddedOperand {
    dtype: DType,
    /// Which input of the step it is made of.
    input: usize,
    /// A block.
    block: Assemble,
    elements: usize,
    stride: usize,
    blocks: usize,
    /// How many blocks there is room for.
    at_once: usize,
    /// How much of the depth these have, if it goes through them.
    depth: usize,
    /// How far the depth reaches within a block.
    reach: usize,
}

impl PaddedOperand {
    /// Right operands, each matrix of which lies in a block.
    pub(super) fn rhs(dtype: DType, padding: &Padding) -> Self {
        let Padding { blocks, elements, stride, ref piece, fill } = *padding;
        let block = Assemble::new(dtype, elements, Some(fill), std::slice::from_ref(piece));
        PaddedOperand { dtype, input: 1, block, elements, stride, blocks, at_once: 1, depth: 0, reach: 0 }
    }

    /// A left operand whose depth goes through one block after the other.
    pub(super) fn lhs(dtype: DType, padding: &Padding, lhs: &Matrices) -> Self {
        let of_block = padding.depth(lhs);
        let room = (MOST_ELEMENTS / padding.elements).clamp(1, padding.blocks);
        let at_once = (DEPTH / of_block).clamp(1, room);
        let inner = &lhs.columns.as_slice()[usize::from(padding.blocks > 1)..];
        let reach = inner.iter().map(|axis| (axis.extent - 1) * axis.stride.unsigned_abs()).sum();
        PaddedOperand { input: 0, at_once, depth: at_once * of_block, reach, ..PaddedOperand::rhs(dtype, padding) }
    }

    /// Room for as many blocks as are padded at once.
    pub(super) fn memory(&self) -> Elements {
        // And a vector more, for vectors are read from the last elements on as well.
        let count = self.at_once * self.elements + MOST_LANES;
        match self.dtype {
            DType::F32 => Elements::F32(AlignedVec::zeros(count)),
            DType::F64 => Elements::F64(AlignedVec::zeros(count)),
            DType::I32 | DType::Bool => panic!("matmul is not defined for {}", self.dtype),
        }
    }

    /// In which block an element of the padded tensor stands, and where there.
    pub(super) fn place(&self, element: usize) -> (usize, usize) {
        (element / self.elements, element % self.elements)
    }

    /// Pads a block, by threads if it is large.
    pub(super) fn pad_together(&self, operands: Operands<'_>, block: usize, memory: &mut Elements) {
        let tasks = self.block.tasks();
        self.pad(operands, block, 0..self.elements, part(memory, self.elements), tasks);
    }

    /// Pads a block.
    pub(super) fn pad_alone(&self, operands: Operands<'_>, block: usize, memory: &mut Elements) {
        self.pad(operands, block, 0..self.elements, part(memory, self.elements), 1);
    }

    /// Pads the elements `range` of a block.
    fn pad(&self, operands: Operands<'_>, block: usize, range: Range<usize>, target: Part<'_>, tasks: usize) {
        let inputs = Inputs { operands, first: self.input, offset: block * self.stride };
        self.block.divide(inputs, range, target, tasks);
    }
}

/// Rows of a left operand that are padded as the depth is gone through.
pub(super) struct PaddedRows<'a> {
    pub(super) operand: &'a PaddedOperand,
    pub(super) operands: Operands<'a>,
    /// [Room](PaddedOperand::memory) for its blocks.
    pub(super) memory: &'a mut Elements,
}

impl PaddedRows<'_> {
    /// Where the blocks end that are padded at once and have the place `from` of the depth.
    pub(super) fn end(&self, from: usize) -> usize {
        (from / self.operand.depth + 1) * self.operand.depth
    }

    /// Pads the blocks that the depth enters at `from`, if it does, for rows that begin at `places`. Says how far these blocks stand behind the first of all.
    pub(super) fn pad(&mut self, from: usize, places: &[usize]) -> usize {
        let PaddedOperand { elements, blocks, at_once, depth, reach, .. } = *self.operand;
        let first = from / depth * at_once;
        if from.is_multiple_of(depth) {
            let begin = places.iter().copied().min().unwrap_or(0);
            let end = places.iter().copied().max().map_or(0, |last| last + reach + 1);
            let mut left = part(self.memory, at_once * elements);
            for block in first..blocks.min(first + at_once) {
                let (own, others) = left.split_at(elements);
                left = others;
                let (_, own) = own.split_at(begin);
                let (own, _) = own.split_at(end - begin);
                self.operand.pad(self.operands, block, begin..end, own, 1);
            }
        }
        first * elements
    }
}
