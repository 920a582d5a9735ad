//! Where values belong in sorted sequences, by halving.

use arenagrad_graph::{DType, Elements};

use super::buffer::{Element, Operands, typed_mut};
use super::parallel;
use crate::cost;

/// A search made ready; see [`crate::Kernel::SearchSorted`].
#[derive(Clone, Debug)]
pub(super) struct SearchSorted {
    dtype: DType,
    length: usize,
    values: usize,
    row: usize,
    is_right: bool,
    tasks: usize,
}

impl SearchSorted {
    pub(super) fn new(dtype: DType, [length, values, row]: [usize; 3], is_right: bool) -> Self {
        let tasks = parallel::tasks(cost::searchsorted(dtype, length, values)).min(values);
        SearchSorted { dtype, length, values, row, is_right, tasks }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.tasks > 1
    }

    pub(super) fn run(&self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let result = &mut typed_mut::<i32>(&mut outputs[0])[..self.values];
        match self.dtype {
            DType::F32 => self.divide(self.tasks, 0, operands.typed::<f32>(0), operands.typed::<f32>(1), result),
            DType::F64 => self.divide(self.tasks, 0, operands.typed::<f64>(0), operands.typed::<f64>(1), result),
            DType::I32 => self.divide(self.tasks, 0, operands.typed::<i32>(0), operands.typed::<i32>(1), result),
            DType::Bool => panic!("searchsorted is not defined for bool"),
        }
    }

    fn divide<T: Element + PartialOrd>(
        &self,
        tasks: usize,
        first: usize,
        sequences: &[T],
        values: &[T],
        result: &mut [i32],
    ) {
        if tasks > 1 {
            let half = tasks / 2;
            let cut = parallel::cut(0..result.len(), half, tasks, 1);
            let (head, tail) = result.split_at_mut(cut);
            parallel::join(
                || self.divide(half, first, sequences, values, head),
                || self.divide(tasks - half, first + cut, sequences, values, tail),
            );
            return;
        }
        for (place, result) in (first..).zip(result) {
            let sequence = &sequences[place / self.row * self.length..][..self.length];
            let value = values[place];
            // A value that is NaN is above all.
            *result = if self.is_right {
                first_where(sequence, |element| element > value)
            } else {
                first_where(sequence, |element| element >= value)
            };
        }
    }
}

/// How many elements stand before the first for which `holds`, if it holds for all behind that.
#[inline(always)]
fn first_where<T: Copy>(sequence: &[T], holds: impl Fn(T) -> bool) -> i32 {
    let (mut start, mut end) = (0, sequence.len());
    while start < end {
        let middle = start + (end - start) / 2;
        if holds(sequence[middle]) { end = middle } else { start = middle + 1 }
    }
    start as i32
}
