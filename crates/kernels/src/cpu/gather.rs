//! Gathering along an axis.

use std::ops::Range;

use arenagrad_graph::{DType, Elements, Shape};

use super::buffer::{Element, Operands, typed_mut};
use super::narrow::{Source, of_storage};
use super::parallel;
use super::registers::BLOCK;
use super::walk;
use crate::cost;
use crate::view::{Axis, View};

/// A gather made ready; see [`crate::Kernel::Gather`].
#[derive(Clone, Debug)]
pub(super) struct Gather {
    lines: Lines,
    indices: View,
    elements: usize,
    /// The indices of a piece of a line, for each task.
    scratch: Vec<Vec<i32>>,
}

/// How the elements of a shape that is indexed along an axis lie in the buffer that the indices refer to, line by line
/// along the shape's last axis.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// The extent of the indexed axis.
    extent: usize,
    /// The stride of the indexed axis.
    stride: usize,
    /// The length of a line.
    pub(super) line: usize,
    /// The distance between a line's elements beside what their indices say: 0 if the line runs along the indexed axis.
    pub(super) step: usize,
    /// Where each line begins for index 0.
    starts: View,
}

impl Lines {
    /// The lines of `shape`, whose indices go along `axis` of a contiguous tensor of shape `target`.
    pub(super) fn new(target: &Shape, shape: &Shape, axis: usize) -> Self {
        let strides = target.strides();
        let mut axes: Vec<Axis> =
            shape.iter().zip(&strides).map(|(&extent, &stride)| Axis { extent, stride: stride as isize }).collect();
        axes[axis].stride = 0;
        let last = axes.pop().unwrap_or(Axis { extent: 1, stride: 0 });
        Lines {
            extent: target[axis],
            stride: strides[axis],
            line: last.extent,
            step: last.stride as usize,
            starts: View::new(axes, 0),
        }
    }

    /// Where the line that holds domain index `index` begins for index 0, at the element of that domain index.
    pub(super) fn start(&self, index: usize) -> usize {
        self.starts.position(index / self.line) + index % self.line * self.step
    }

    /// How far an index moves a position, if it is in range.
    #[inline(always)]
    pub(super) fn offset(&self, index: i32) -> Option<usize> {
        let index = usize::try_from(index).ok().filter(|&index| index < self.extent)?;
        Some(index * self.stride)
    }

    /// The pieces of lines that a range of the domain consists of, each within a line and at most a block.
    pub(super) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let line = self.line;
        let mut start = range.start;
        std::iter::from_fn(move || {
            let end = range.end.min((start / line + 1) * line).min(start + BLOCK);
            let piece = start..end;
            start = end;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

impl Gather {
    pub(super) fn new(dtype: DType, operand_shape: &Shape, indices_shape: &Shape, axis: usize, indices: &View) -> Self {
        let elements = indices_shape.elements();
        let tasks = parallel::tasks(cost::gather(dtype, indices_shape)).min(elements.div_ceil(BLOCK)).max(1);
        let lines = Lines::new(operand_shape, indices_shape, axis);
        let scratch = (0..tasks).map(|_| vec![0; BLOCK.min(lines.line)]).collect();
        Gather { lines, indices: indices.clone(), elements, scratch }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.scratch.len() > 1
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        of_storage!(operands.buffer(0).storage(), E => self.run_typed::<E>(operands, outputs));
    }

    fn run_typed<E: Source>(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let Gather { lines, indices, elements, scratch, .. } = self;
        let outside = E::Value::from_f64(if E::DTYPE.is_float() { f64::NAN } else { 0.0 });
        let task =
            GatherTask { lines, view: indices, operand: operands.typed::<E>(0), indices: operands.typed(1), outside };
        task.divide(scratch, &mut typed_mut(&mut outputs[0])[..*elements], 0);
    }
}

#[derive(Clone, Copy)]
struct GatherTask<'a, E: Source> {
    lines: &'a Lines,
    view: &'a View,
    operand: &'a [E],
    indices: &'a [i32],
    outside: E::Value,
}

impl<E: Source> GatherTask<'_, E> {
    /// Gathers the elements from domain index `first` on.
    fn divide(self, scratch: &mut [Vec<i32>], result: &mut [E::Value], first: usize) {
        if let [scratch] = scratch {
            self.run(scratch, result, first);
            return;
        }
        let half = scratch.len() / 2;
        let cut = parallel::cut(0..result.len(), half, scratch.len(), BLOCK);
        let (head_scratch, tail_scratch) = scratch.split_at_mut(half);
        let (head, tail) = result.split_at_mut(cut);
        parallel::join(|| self.divide(head_scratch, head, first), || self.divide(tail_scratch, tail, first + cut));
    }

    fn run(self, scratch: &mut [i32], result: &mut [E::Value], first: usize) {
        let GatherTask { lines, view, operand, indices, outside } = self;
        for piece in lines.pieces(first..first + result.len()) {
            let start = lines.start(piece.start);
            let target = &mut result[piece.start - first..piece.end - first];
            let scratch = &mut scratch[..piece.len()];
            walk::read(indices, view, piece.start, scratch);
            let same = scratch.iter().fold(true, |same, &index| same & (index == scratch[0]));
            if same && lines.step == 1 {
                // One row of the operand, as in a look-up of embeddings.
                match lines.offset(scratch[0]) {
                    Some(offset) => E::load_all(&operand[start + offset..start + offset + piece.len()], target),
                    None => target.fill(outside),
                }
                continue;
            }
            let mut position = start;
            for (element, &index) in target.iter_mut().zip(&*scratch) {
                *element = lines.offset(index).map_or(outside, |offset| operand[position + offset].load());
                position += lines.step;
            }
        }
    }
}
