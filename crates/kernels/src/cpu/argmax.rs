//! The index of the largest element along an axis.

use arenagrad_graph::{DType, Elements};

use super::buffer::{Element, Operands, typed_mut};
use super::parallel;
use super::processor::{Arch, Vectorise, detect, dispatch};
use super::registers::{BLOCK, LANES};
use super::scalar::maximum;
use crate::cost;

/// An argmax made ready; see [`crate::Kernel::ArgMax`].
#[derive(Clone, Debug)]
pub(super) struct ArgMax {
    arch: Arch,
    dtype: DType,
    outer: usize,
    extent: usize,
    inner: usize,
    tasks: usize,
}

impl ArgMax {
    pub(super) fn new(dtype: DType, outer: usize, extent: usize, inner: usize) -> Self {
        let tasks = parallel::tasks(cost::argmax(dtype, [outer, extent, inner])).min(outer);
        ArgMax { arch: detect(), dtype, outer, extent, inner, tasks }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.tasks > 1
    }

    pub(super) fn run(&self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let result = &mut typed_mut::<i32>(&mut outputs[0])[..self.outer * self.inner];
        match self.dtype {
            DType::F32 => self.divide(self.tasks, operands.typed::<f32>(0), result),
            DType::F64 => self.divide(self.tasks, operands.typed::<f64>(0), result),
            DType::I32 => self.divide(self.tasks, operands.typed::<i32>(0), result),
            DType::Bool => self.divide(self.tasks, operands.typed::<u8>(0), result),
        }
    }

    fn divide<T: Element + PartialOrd>(&self, tasks: usize, operand: &[T], result: &mut [i32]) {
        if tasks <= 1 {
            let ArgMax { arch, extent, inner, .. } = *self;
            dispatch(arch, Work { extent, inner, operand, result });
            return;
        }
        let half = tasks / 2;
        let cut = parallel::cut(0..result.len() / self.inner, half, tasks, 1);
        let (head, tail) = result.split_at_mut(cut * self.inner);
        let (head_operand, tail_operand) = operand.split_at(cut * self.extent * self.inner);
        parallel::join(|| self.divide(half, head_operand, head), || self.divide(tasks - half, tail_operand, tail));
    }
}

struct Work<'a, T> {
    extent: usize,
    inner: usize,
    operand: &'a [T],
    result: &'a mut [i32],
}

impl<T: Element + PartialOrd> Vectorise for Work<'_, T> {
    type Output = ();
    const WIDEST: bool = matches!(T::DTYPE, DType::F32);

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Work { extent, inner, operand, result } = self;
        if inner == 1 {
            for (row, result) in operand.chunks_exact(extent).zip(result) {
                *result = argmax_of_row(row);
            }
            return;
        }
        for (matrix, result) in operand.chunks_exact(extent * inner).zip(result.chunks_exact_mut(inner)) {
            result.fill(0);
            for (row, index) in matrix.chunks_exact(inner).zip(0..extent as i32) {
                for (column, best) in result.iter_mut().enumerate() {
                    let largest = matrix[*best as usize * inner + column];
                    if is_larger(row[column], largest) {
                        *best = index;
                    }
                }
            }
        }
    }
}

/// Whether `value` takes the place of `largest`: NaN does, of anything but NaN.
#[inline(always)]
#[allow(clippy::eq_op)] // Only NaN differs from itself.
fn is_larger<T: Copy + PartialOrd>(value: T, largest: T) -> bool {
    (value > largest) | ((value != value) & (largest == largest))
}

/// The largest element of a row, or NaN, of which `WIDTH` neighbours at a time are compared with those before.
#[inline(always)]
fn largest_of<T: Element + PartialOrd, const WIDTH: usize>(row: &[T]) -> T {
    let mut largest = row[0];
    let (chunks, rest) = row.as_chunks::<WIDTH>();
    if let Some((&first, others)) = chunks.split_first() {
        // Element by element onto the first chunk, and then the second half onto the first until one is left: loops that become vector
        // instructions.
        let mut block = first;
        for chunk in others {
            for (largest, &value) in block.iter_mut().zip(chunk) {
                *largest = maximum(*largest, value);
            }
        }
        let mut length = WIDTH;
        while length > 1 {
            length /= 2;
            let (head, tail) = block[..2 * length].split_at_mut(length);
            for (head, &tail) in head.iter_mut().zip(&*tail) {
                *head = maximum(*head, tail);
            }
        }
        largest = block[0];
    }
    for &value in rest {
        largest = maximum(largest, value);
    }
    largest
}

/// Finds the largest element first, in lanes, and then where it stands.
#[inline(always)]
#[allow(clippy::eq_op)] // Only NaN differs from itself.
fn argmax_of_row<T: Element + PartialOrd>(row: &[T]) -> i32 {
    // A block is set up for each row, so that is for rows which are long beside it.
    let largest = if row.len() < BLOCK { largest_of::<T, LANES>(row) } else { largest_of::<T, BLOCK>(row) };
    let is_nan = largest != largest;
    let found = row.iter().position(|&value| if is_nan { value != value } else { value == largest });
    found.unwrap_or(0) as i32
}
