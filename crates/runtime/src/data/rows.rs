//! Tensors as lists of rows along their first axis: choosing and stacking them.
//!
//! Callers have checked that rows are there and that tensors are alike; nothing here knows names or samples.

use arenagrad_graph::{DType, Elements, Shape};

use crate::error::Error;
use crate::tensor::{Tensor, append, reserve};

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

/// Tensors of one shape along a new first axis. `n x [..] -> [n, ..]`; of none, no numbers.
pub(super) fn stacked(tensors: &[&Tensor]) -> Result<Tensor, Error> {
    if tensors.is_empty() { Tensor::zeros([0], DType::F32) } else { Tensor::stack(tensors, 0) }
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
