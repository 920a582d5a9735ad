//! Nests as training has them, each forward with its backward part.

#![allow(dead_code)] // Each test file uses a part.

pub(crate) mod random;

use arenagrad_kernels::{
    BinaryFunction, CompareFunction, DType, Instruction, Nest, ReduceFunction, Space, UnaryFunction, View,
};

use crate::reference::nest::NestBuilder;
use crate::reference::view;

const F32: DType = DType::F32;

/// A view of `[columns]` repeated over rows.
pub(crate) fn over_rows(rows: usize, columns: usize) -> View {
    view(&[(rows, 0), (columns, 1)], 0)
}

/// Softmax along rows, and its gradient for an upstream gradient: inputs `x` and the upstream, outputs of elements.
pub(crate) fn softmax(rows: usize, columns: usize) -> Nest {
    let mut b = NestBuilder::new(rows, columns);
    let (x, upstream) = (b.contiguous(Space::Element, F32), b.contiguous(Space::Element, F32));
    let largest = b.fold(Space::Row, ReduceFunction::Max, x);
    let shifted = b.binary(BinaryFunction::Sub, x, largest);
    let e = b.unary(UnaryFunction::Exp, shifted);
    let sum = b.fold(Space::Row, ReduceFunction::Sum, e);
    let y = b.binary(BinaryFunction::Div, e, sum);
    let product = b.binary(BinaryFunction::Mul, y, upstream);
    let dot = b.fold(Space::Row, ReduceFunction::Sum, product);
    let difference = b.binary(BinaryFunction::Sub, upstream, dot);
    let gradient = b.binary(BinaryFunction::Mul, y, difference);
    b.outputs(&[y, gradient])
}

/// The mean cross-entropy of softmax along rows with labels, and its gradient: inputs `x` and i32 labels, outputs the loss and the
/// gradient.
pub(crate) fn cross_entropy(rows: usize, columns: usize) -> Nest {
    let mut b = NestBuilder::new(rows, columns);
    let x = b.contiguous(Space::Element, F32);
    let label = b.contiguous(Space::Row, DType::I32);
    let largest = b.fold(Space::Row, ReduceFunction::Max, x);
    let shifted = b.binary(BinaryFunction::Sub, x, largest);
    let e = b.unary(UnaryFunction::Exp, shifted);
    let sum = b.fold(Space::Row, ReduceFunction::Sum, e);
    let column = b.compute(Space::Element, DType::I32, Instruction::Iota { inner: 1, extent: columns, first: 0 });
    let is_label = b.compare(CompareFunction::Equal, column, label);
    let zero = b.constant(Space::Element, F32, 0.0);
    let one = b.constant(Space::Element, F32, 1.0);
    let picked = b.choose(is_label, shifted, zero);
    let picked = b.fold(Space::Row, ReduceFunction::Sum, picked);
    let log = b.unary(UnaryFunction::Log, sum);
    let row_loss = b.binary(BinaryFunction::Sub, log, picked);
    let total = b.fold(Space::Whole, ReduceFunction::Sum, row_loss);
    let whole_scale = b.constant(Space::Whole, F32, 1.0 / rows as f64);
    let loss = b.binary(BinaryFunction::Mul, total, whole_scale);
    let probability = b.binary(BinaryFunction::Div, e, sum);
    let hot = b.choose(is_label, one, zero);
    let difference = b.binary(BinaryFunction::Sub, probability, hot);
    let scale = b.constant(Space::Element, F32, 1.0 / rows as f64);
    let gradient = b.binary(BinaryFunction::Mul, difference, scale);
    b.outputs(&[loss, gradient])
}

/// What layer norm computes of its input `x`: the deviations from the mean of the row, its reciprocal standard deviation, and
/// their product.
fn normalised(b: &mut NestBuilder, x: u32) -> (u32, u32) {
    let columns = b.0.columns as f64;
    let sum = b.fold(Space::Row, ReduceFunction::Sum, x);
    let share = b.constant(Space::Row, F32, 1.0 / columns);
    let mean = b.binary(BinaryFunction::Mul, sum, share);
    let deviation = b.binary(BinaryFunction::Sub, x, mean);
    let square = b.binary(BinaryFunction::Mul, deviation, deviation);
    let squares = b.fold(Space::Row, ReduceFunction::Sum, square);
    let variance = b.binary(BinaryFunction::Mul, squares, share);
    let small = b.constant(Space::Row, F32, 1e-5);
    let variance = b.binary(BinaryFunction::Add, variance, small);
    let root = b.unary(UnaryFunction::Sqrt, variance);
    let one = b.constant(Space::Row, F32, 1.0);
    let reciprocal = b.binary(BinaryFunction::Div, one, root);
    (b.binary(BinaryFunction::Mul, deviation, reciprocal), reciprocal)
}

/// Layer norm along rows with scale and shift: inputs `x`, scale, shift.
pub(crate) fn layer_norm(rows: usize, columns: usize) -> Nest {
    let mut b = NestBuilder::new(rows, columns);
    let x = b.contiguous(Space::Element, F32);
    let scale = b.load(Space::Element, F32, over_rows(rows, columns));
    let shift = b.load(Space::Element, F32, over_rows(rows, columns));
    let (normal, _) = normalised(&mut b, x);
    let scaled = b.binary(BinaryFunction::Mul, normal, scale);
    let y = b.binary(BinaryFunction::Add, scaled, shift);
    b.outputs(&[y])
}

/// The gradients of layer norm with respect to `x`, scale and shift: inputs `x`, scale and the upstream gradient.
pub(crate) fn layer_norm_backward(rows: usize, columns: usize) -> Nest {
    let mut b = NestBuilder::new(rows, columns);
    let x = b.contiguous(Space::Element, F32);
    let scale = b.load(Space::Element, F32, over_rows(rows, columns));
    let upstream = b.contiguous(Space::Element, F32);
    let (normal, reciprocal) = normalised(&mut b, x);
    let share = b.constant(Space::Row, F32, 1.0 / columns as f64);
    let scaled = b.binary(BinaryFunction::Mul, upstream, scale);
    let sum = b.fold(Space::Row, ReduceFunction::Sum, scaled);
    let mean = b.binary(BinaryFunction::Mul, sum, share);
    let product = b.binary(BinaryFunction::Mul, scaled, normal);
    let dot = b.fold(Space::Row, ReduceFunction::Sum, product);
    let mean_product = b.binary(BinaryFunction::Mul, dot, share);
    let part = b.binary(BinaryFunction::Mul, normal, mean_product);
    let rest = b.binary(BinaryFunction::Sub, scaled, mean);
    let rest = b.binary(BinaryFunction::Sub, rest, part);
    let gradient = b.binary(BinaryFunction::Mul, rest, reciprocal);
    let for_scale = b.binary(BinaryFunction::Mul, upstream, normal);
    let for_scale = b.fold(Space::Column, ReduceFunction::Sum, for_scale);
    let for_shift = b.fold(Space::Column, ReduceFunction::Sum, upstream);
    b.outputs(&[gradient, for_scale, for_shift])
}

/// Twelve elementwise operations, one output and its mean.
pub(crate) fn flat(elements: usize) -> Nest {
    let mut b = NestBuilder::new(1, elements);
    let (x, y) = (b.contiguous(Space::Element, F32), b.contiguous(Space::Element, F32));
    let half = b.constant(Space::Element, F32, 0.5);
    let mut value = b.binary(BinaryFunction::Mul, x, y);
    for _ in 0..3 {
        let sum = b.binary(BinaryFunction::Add, value, y);
        let scaled = b.binary(BinaryFunction::Mul, sum, half);
        value = b.binary(BinaryFunction::Maximum, scaled, x);
    }
    let difference = b.binary(BinaryFunction::Sub, value, y);
    let value = b.unary(UnaryFunction::Abs, difference);
    let sum = b.fold(Space::Whole, ReduceFunction::Sum, value);
    let scale = b.constant(Space::Whole, F32, 1.0 / elements as f64);
    let mean = b.binary(BinaryFunction::Mul, sum, scale);
    b.outputs(&[value, mean])
}
