//! Gathering along an axis.

use std::mem;
use std::ops::Range;

use arenagrad_graph::{DType, Elements, Shape};

use super::ahead::fetch_elements;
use super::buffer::{Element, Operands, typed_mut};
use super::narrow::{Source, of_storage};
use super::parallel;
use super::registers::BLOCK;
use super::walk::{self, Walk};
use crate::cost;
use crate::view::{Axis, View};

/// How many rows are looked up before the first of them is copied: so long memory has to bring them.
const LOOKED_UP: usize = 16;

/// A gather made ready; see [`crate::Kernel::Gather`].
#[derive(Clone, Debug)]
pub(super) struct Gather {
    lines: Lines,
    indices: View,
    /// Where the index of each line stands, if all elements of a line have one and lie side by side, as in a look-up of embeddings.
    of_lines: Option<Box<View>>,
    elements: usize,
    /// The indices of a piece of a line, for each task.
    scratch: Vec<Vec<i32>>,
}

/// How the elements of a shape that is indexed along an axis lie in the buffer that the indices refer to, line by line
/// along the last of the shape's axes that has several elements.
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
        // A line of one element would cost as much as a long one: lines run along the last axis that has several.
        while axes.len() > 1 && axes.last().is_some_and(|last| last.extent == 1) {
            axes.pop();
        }
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
        let of_lines = index_of_lines(&lines, indices).map(Box::new);
        Gather { lines, indices: indices.clone(), of_lines, elements, scratch }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.scratch.len() > 1
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        of_storage!(operands.buffer(0).storage(), E => self.run_typed::<E>(operands, outputs));
    }

    fn run_typed<E: Source>(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let Gather { lines, indices, of_lines, elements, scratch } = self;
        let outside = E::Value::from_f64(if E::DTYPE.is_float() { f64::NAN } else { 0.0 });
        let (operand, numbers) = (operands.typed::<E>(0), operands.typed(1));
        let task =
            GatherTask { lines, view: indices, of_lines: of_lines.as_deref(), operand, indices: numbers, outside };
        task.divide(scratch, &mut typed_mut(&mut outputs[0])[..*elements], 0);
    }
}

/// Where the index of each line stands, if a line has one and the indexed axis is another.
fn index_of_lines(lines: &Lines, indices: &View) -> Option<View> {
    let (last, outer) = indices.axes().split_last()?;
    if lines.step != 1 || last.stride != 0 || lines.line == 0 || !last.extent.is_multiple_of(lines.line) {
        return None;
    }
    let last = Axis { extent: last.extent / lines.line, ..*last };
    Some(View::new(outer.iter().copied().chain([last]), indices.offset()))
}

#[derive(Clone, Copy)]
struct GatherTask<'a, E: Source> {
    lines: &'a Lines,
    view: &'a View,
    of_lines: Option<&'a View>,
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
        let GatherTask { lines, view, of_lines, operand, indices, outside } = self;
        if let Some(of_lines) = of_lines {
            self.copy_lines(of_lines, result, first);
            return;
        }
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

    /// Copies whole lines, but for the first and the last, of which each has one index.
    fn copy_lines(self, of_lines: &View, mut result: &mut [E::Value], first: usize) {
        let GatherTask { lines, operand, indices, outside, .. } = self;
        let line = lines.line;
        let (mut starts, mut numbers) = (Walk::new(&lines.starts, first / line), Walk::new(of_lines, first / line));
        let mut within = first % line;
        let mut found = [None; LOOKED_UP];
        while !result.is_empty() {
            let count = (within + result.len()).div_ceil(line).min(LOOKED_UP);
            for found in &mut found[..count] {
                let start = starts.next(1).position;
                *found = lines.offset(indices[numbers.next(1).position]).map(|offset| start + offset);
                if let Some(place) = *found {
                    fetch_elements(&operand[place..place + line]);
                }
            }
            for found in &found[..count] {
                let length = (line - within).min(result.len());
                let (target, rest) = mem::take(&mut result).split_at_mut(length);
                match *found {
                    Some(place) => E::load_all(&operand[place + within..place + within + length], target),
                    None => target.fill(outside),
                }
                (result, within) = (rest, 0);
            }
        }
    }
}
