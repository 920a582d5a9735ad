//! Tensors as lists of rows along their first axis: choosing, joining and stacking them.
//!
//! Callers have checked that rows are there and that tensors are alike; nothing here knows names or samples.

use arenagrad_graph::{Element, Elements, Shape};

use crate::error::Error;
use crate::tensor::Tensor;

/// The shape of one row: that of the tensor without its first axis.
pub(super) fn row_shape(tensor: &Tensor) -> Shape {
    Shape::from(tensor.shape().dims().get(1..).unwrap_or_default())
}

/// The rows of these numbers, one behind the other. `[n, ..] -> [rows, ..]`
pub(super) fn gathered(tensor: &Tensor, rows: impl ExactSizeIterator<Item = usize>) -> Result<Tensor, Error> {
    let dims: Vec<usize> = std::iter::once(rows.len()).chain(tensor.shape().dims().iter().skip(1).copied()).collect();
    Tensor::from_data(dims.into(), gathered_elements(tensor, rows))
}

/// One row. `[n, ..] -> [..]`
pub(super) fn row(tensor: &Tensor, number: usize) -> Result<Tensor, Error> {
    Tensor::from_data(row_shape(tensor), gathered_elements(tensor, std::iter::once(number)))
}

/// Tensors of one shape along a new first axis. `n x [..] -> [n, ..]`
pub(super) fn stacked(tensors: &[&Tensor]) -> Result<Tensor, Error> {
    let Some(first) = tensors.first() else {
        return Tensor::from_data(Shape::from([0]), Elements::F32(Vec::new()));
    };
    let dims: Vec<usize> = std::iter::once(tensors.len()).chain(first.shape().dims().iter().copied()).collect();
    Tensor::from_data(dims.into(), joined_elements(tensors, first))
}

/// Tensors whose rows are alike, one behind the other. `[n, ..], [m, ..] -> [n + m, ..]`
pub(super) fn joined(tensors: &[&Tensor]) -> Result<Tensor, Error> {
    let Some(first) = tensors.first() else {
        return Tensor::from_data(Shape::from([0]), Elements::F32(Vec::new()));
    };
    let rows = tensors.iter().map(|tensor| tensor.shape().dims().first().copied().unwrap_or(1)).sum();
    let dims: Vec<usize> = std::iter::once(rows).chain(first.shape().dims().iter().skip(1).copied()).collect();
    Tensor::from_data(dims.into(), joined_elements(tensors, first))
}

fn gathered_elements(tensor: &Tensor, rows: impl ExactSizeIterator<Item = usize>) -> Elements {
    // Of no rows the width may be past what can be counted.
    let width = tensor.shape().dims().iter().skip(1).copied().fold(1, usize::saturating_mul);
    let mut elements = Elements::empty(tensor.storage());
    reserve(&mut elements, rows.len().saturating_mul(width));
    for row in rows {
        append(&mut elements, tensor.data(), row * width, width);
    }
    elements
}

fn joined_elements(tensors: &[&Tensor], first: &Tensor) -> Elements {
    let mut elements = Elements::empty(first.storage());
    reserve(&mut elements, tensors.iter().map(|tensor| tensor.data().len()).sum());
    for tensor in tensors {
        append(&mut elements, tensor.data(), 0, tensor.data().len());
    }
    elements
}

fn reserve(elements: &mut Elements, count: usize) {
    match elements {
        Elements::F32(data) => data.reserve_exact(count),
        Elements::F64(data) => data.reserve_exact(count),
        Elements::I32(data) => data.reserve_exact(count),
        Elements::Bool(data) => data.reserve_exact(count),
        Elements::F16(data) => data.reserve_exact(count),
        Elements::Bf16(data) => data.reserve_exact(count),
        Elements::U8(data) => data.reserve_exact(count),
        Elements::I8(data) => data.reserve_exact(count),
        Elements::I64(data) => data.reserve_exact(count),
    }
}

/// Appends `count` elements of `source` from `start` on; both are of one type.
fn append(target: &mut Elements, source: &Elements, start: usize, count: usize) {
    fn of<T: Element>(target: &mut Vec<T>, source: &Elements, start: usize, count: usize) {
        let source = T::slice(source).expect("rows of one type are put together");
        target.extend_from_slice(&source[start..start + count]);
    }
    match target {
        Elements::F32(target) => of(target, source, start, count),
        Elements::F64(target) => of(target, source, start, count),
        Elements::I32(target) => of(target, source, start, count),
        Elements::Bool(target) => {
            // Truth values are bytes, which are no element type of their own.
            if let Elements::Bool(source) = source {
                target.extend_from_slice(&source[start..start + count]);
            }
        }
        Elements::F16(target) => of(target, source, start, count),
        Elements::Bf16(target) => of(target, source, start, count),
        Elements::U8(target) => of(target, source, start, count),
        Elements::I8(target) => of(target, source, start, count),
        Elements::I64(target) => of(target, source, start, count),
    }
}
