//! Operands of products that are padded as these read them, a few blocks at a time, in memory that products have in common; see [`Padding`].
//!
//! A right operand is padded a block at a time, in which whole matrices lie. A left operand is padded as its depth is gone through, and only where the
//! rows that are computed read it.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arenagrad_graph::{AlignedVec, DType, Elements};

use super::assemble::{Assemble, Inputs};
use super::buffer::{Operands, Part, part};
use super::pack::MOST_LANES;
use super::parallel;
use crate::kernel::Matrices;
use crate::padding::{Padding, reach};

/// Memory for blocks of f32 and of f64 that no task uses. A task has some while it runs, so it takes as much as there are threads, however many products
/// there are.
static SPARE: [Mutex<Vec<Elements>>; 2] = [const { Mutex::new(Vec::new()) }; 2];

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
        let (at_once, depth) = padding.at_once(lhs);
        let inner = &lhs.columns.as_slice()[usize::from(padding.blocks > 1)..];
        let reach = inner.iter().map(reach).sum();
        PaddedOperand { input: 0, at_once, depth, reach, ..PaddedOperand::rhs(dtype, padding) }
    }

    /// Has as much memory in store as tasks may need at a time, so that a run allocates none unless other plans run beside it.
    pub(super) fn reserve(&self, tasks: usize) {
        let (count, mut spare) = (self.count(), self.spare());
        for memory in spare.iter_mut().filter(|memory| memory.len() < count) {
            *memory = self.memory();
        }
        while spare.len() < tasks.min(parallel::threads()) {
            spare.push(self.memory());
        }
    }

    /// Room for as many blocks as are padded at once, which is to be [given back](PaddedOperand::give_back). What stands behind the blocks is zero, whatever the
    /// memory was last used for.
    pub(super) fn take(&self) -> Elements {
        let count = self.count();
        let mut spare = self.spare();
        let large = spare.iter().position(|memory| memory.len() >= count);
        let taken = large.map(|place| spare.swap_remove(place));
        drop(spare);
        let mut memory = taken.unwrap_or_else(|| self.memory());
        let room = self.count() - MOST_LANES..self.count();
        if let Elements::F32(elements) = &mut memory {
            elements[room].fill(0.0);
        } else if let Elements::F64(elements) = &mut memory {
            elements[room].fill(0.0);
        }
        memory
    }

    /// Gives memory back.
    pub(super) fn give_back(&self, memory: Elements) {
        self.spare().push(memory);
    }

    fn spare(&self) -> MutexGuard<'static, Vec<Elements>> {
        let [single, double] = &SPARE;
        let spare = if self.dtype == DType::F64 { double } else { single };
        spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The elements of all blocks that are padded at once, and a vector more, for vectors are read from the last elements on as well.
    fn count(&self) -> usize {
        self.at_once * self.elements + MOST_LANES
    }

    fn memory(&self) -> Elements {
        match self.dtype {
            DType::F32 => Elements::F32(AlignedVec::zeros(self.count())),
            DType::F64 => Elements::F64(AlignedVec::zeros(self.count())),
            DType::I32 | DType::Bool => panic!("matmul is not defined for {}", self.dtype),
        }
    }

    /// Whether threads share the work of a block that is [padded by them together](PaddedOperand::pad_together).
    pub(super) fn divides(&self) -> bool {
        self.block.divides()
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
    /// [Room](PaddedOperand::take) for its blocks.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Piece;
    use crate::view::View;

    #[test]
    fn behind_blocks_is_nothing_that_was_there_before() {
        let piece = Piece { source: View::contiguous(60), destination: View::contiguous(60) };
        let padding = Padding { blocks: 2, elements: 70, stride: 60, piece, fill: 0.0 };
        let operand = PaddedOperand::rhs(DType::F64, &padding);
        operand.give_back(Elements::F64(vec![f64::NAN; 200].into()));
        let Elements::F64(memory) = operand.take() else { panic!("blocks of f64") };
        assert!(memory[70..70 + MOST_LANES].iter().all(|element| *element == 0.0), "{:?}", &memory[70..]);
    }
}
