//! Adding updates at indices along an axis.
//!
//! Runs on one thread, in the row-major order of the updates, which is the ascending order along the axis for each
//! element of the result that the definition asks for.

use arenagrad_graph::{DType, Shape};

use super::buffer::{Buffer, Element, Operands, typed_mut};
use super::gather::Lines;
use super::registers::BLOCK;
use super::scalar::Number;
use super::walk;
use crate::view::View;

/// A scatter-add made ready; see [`crate::Kernel::ScatterAdd`].
#[derive(Clone, Debug)]
pub(super) struct ScatterAdd {
    lines: Lines,
    indices: View,
    updates: View,
    elements: usize,
    in_place: bool,
    index_scratch: Vec<i32>,
    scratch: Scratch,
}

/// A piece of a line of updates.
#[derive(Clone, Debug)]
enum Scratch {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
}

impl ScatterAdd {
    /// A scatter-add of updates of `dtype` and the given shape, in the views `(indices, updates)`.
    pub(super) fn new(
        dtype: DType,
        operand_shape: &Shape,
        updates_shape: &Shape,
        axis: usize,
        (indices, updates): (&View, &View),
        in_place: bool,
    ) -> Self {
        let lines = Lines::new(operand_shape, updates_shape, axis);
        let piece = BLOCK.min(lines.line);
        ScatterAdd {
            lines,
            indices: indices.clone(),
            updates: updates.clone(),
            elements: operand_shape.elements(),
            in_place,
            index_scratch: vec![0; piece],
            scratch: match dtype {
                DType::F32 => Scratch::F32(vec![0.0; piece]),
                DType::F64 => Scratch::F64(vec![0.0; piece]),
                DType::I32 => Scratch::I32(vec![0; piece]),
                DType::Bool => panic!("scatter_add is not defined for bool"),
            },
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Buffer]) {
        let ScatterAdd { lines, indices, updates, elements, in_place, index_scratch, scratch } = self;
        let task = Task { lines, indices, updates, elements: *elements, in_place: *in_place, operands };
        match scratch {
            Scratch::F32(scratch) => task.run(index_scratch, scratch, outputs),
            Scratch::F64(scratch) => task.run(index_scratch, scratch, outputs),
            Scratch::I32(scratch) => task.run(index_scratch, scratch, outputs),
        }
    }
}

struct Task<'a> {
    lines: &'a Lines,
    indices: &'a View,
    updates: &'a View,
    elements: usize,
    in_place: bool,
    operands: Operands<'a>,
}

impl Task<'_> {
    fn run<T: Element + Number>(self, index_scratch: &mut [i32], scratch: &mut [T], outputs: &mut [Buffer]) {
        let Task { lines, indices, updates, elements, in_place, operands } = self;
        let result = &mut typed_mut::<T>(&mut outputs[0])[..elements];
        if !in_place {
            result.copy_from_slice(&operands.typed::<T>(0)[..elements]);
        }
        let (index_source, update_source) = (operands.typed::<i32>(1), operands.typed::<T>(2));
        for piece in lines.pieces(0..updates.elements()) {
            let (index_scratch, scratch) = (&mut index_scratch[..piece.len()], &mut scratch[..piece.len()]);
            walk::read(index_source, indices, piece.start, index_scratch);
            walk::read(update_source, updates, piece.start, scratch);
            let start = lines.start(piece.start);
            let first = index_scratch[0];
            if lines.step == 1 && index_scratch.iter().fold(true, |same, &index| same & (index == first)) {
                // One row of the result, as in the gradient of a look-up of embeddings.
                if let Some(offset) = lines.offset(first) {
                    let row = &mut result[start + offset..start + offset + scratch.len()];
                    for (element, &update) in row.iter_mut().zip(&*scratch) {
                        *element = element.add(update);
                    }
                }
                continue;
            }
            let mut position = start;
            for (&index, &update) in index_scratch.iter().zip(&*scratch) {
                if let Some(offset) = lines.offset(index) {
                    let element = &mut result[position + offset];
                    *element = element.add(update);
                }
                position += lines.step;
            }
        }
    }
}
