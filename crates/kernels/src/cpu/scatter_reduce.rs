//! Scatters along an axis by another function than the sum.
//!
//! The updates are gone through in their order, and each is combined with what stands at its place: neither a largest element nor a product
//! loses digits by that, and the order is the same on any number of threads. Work is divided among threads before the indexed axis,
//! where updates go to parts of the result of their own.

use std::ops::Range;

use arenagrad_graph::{DType, Elements, ScatterFunction, Shape};

use super::buffer::{Element, Operands, typed_mut};
use super::parallel;
use super::registers::BLOCK;
use super::scalar::{Number, maximum, minimum};
use super::scatter_add::Places;
use super::walk;
use crate::cost;
use crate::units::Units;
use crate::view::View;

/// A scatter made ready; see [`crate::Kernel::ScatterReduce`].
#[derive(Clone, Debug)]
pub(super) struct ScatterReduce {
    scheme: Scheme,
    state: State,
}

/// What all tasks share.
#[derive(Clone, Debug)]
struct Scheme {
    function: ScatterFunction,
    units: Units,
    /// Where the updates lie, over their row-major domain.
    updates: View,
    /// The elements of the result.
    elements: usize,
    in_place: bool,
}

#[derive(Clone, Debug)]
enum State {
    F32(Vec<Own<f32>>),
    F64(Vec<Own<f64>>),
    I32(Vec<Own<i32>>),
}

/// What a task has for itself.
#[derive(Clone, Debug)]
struct Own<T> {
    indices: Vec<i32>,
    updates: Vec<T>,
}

impl ScatterReduce {
    /// A scatter to a tensor of the first shape of updates of `dtype` and the second, in the views `(indices, updates)`.
    pub(super) fn new(
        dtype: DType,
        function: ScatterFunction,
        [operand_shape, updates_shape]: [&Shape; 2],
        axis: usize,
        (indices, updates): (&View, &View),
        in_place: bool,
    ) -> Self {
        let units = Units::new(operand_shape, updates_shape, axis, indices);
        let tasks = parallel::tasks(cost::scatter_add(dtype, [operand_shape, updates_shape], in_place, false));
        let tasks = tasks.min(units.outer).max(1);
        let state = match dtype {
            DType::F32 => State::F32(own(&units, tasks)),
            DType::F64 => State::F64(own(&units, tasks)),
            DType::I32 => State::I32(own(&units, tasks)),
            DType::Bool => panic!("scatters by a function are not defined for bool"),
        };
        let elements = operand_shape.elements();
        ScatterReduce { scheme: Scheme { function, units, updates: updates.clone(), elements, in_place }, state }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        match &self.state {
            State::F32(tasks) => tasks.len() > 1,
            State::F64(tasks) => tasks.len() > 1,
            State::I32(tasks) => tasks.len() > 1,
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let ScatterReduce { scheme, state } = self;
        match state {
            State::F32(tasks) => run(scheme, tasks, operands, outputs),
            State::F64(tasks) => run(scheme, tasks, operands, outputs),
            State::I32(tasks) => run(scheme, tasks, operands, outputs),
        }
    }
}

/// The scratch of each task: a block of units, or of the columns of one.
fn own<T: Element + Default + Clone>(units: &Units, tasks: usize) -> Vec<Own<T>> {
    let block = block(units);
    let columns = block * units.width.min(BLOCK);
    (0..tasks).map(|_| Own { indices: vec![0; block], updates: vec![T::default(); columns] }).collect()
}

/// How many units are read at once: as many as have a block of elements.
fn block(units: &Units) -> usize {
    (BLOCK / units.width.max(1)).clamp(1, units.units().max(1))
}

fn run<T: Element + Number>(scheme: &Scheme, tasks: &mut [Own<T>], operands: Operands<'_>, outputs: &mut [Elements]) {
    let result = &mut typed_mut::<T>(&mut outputs[0])[..scheme.elements];
    let operand = if scheme.in_place { None } else { Some(&operands.typed::<T>(0)[..scheme.elements]) };
    let task = Task { scheme, operand, indices: operands.typed(1), updates: operands.typed(2) };
    match scheme.function {
        ScatterFunction::Mul => task.divide(tasks, 0..scheme.units.outer, result, 0, T::mul),
        ScatterFunction::Max => task.divide(tasks, 0..scheme.units.outer, result, 0, maximum),
        ScatterFunction::Min => task.divide(tasks, 0..scheme.units.outer, result, 0, minimum),
    }
}

/// What all tasks read.
#[derive(Clone, Copy)]
struct Task<'a, T> {
    scheme: &'a Scheme,
    /// The operand, unless the result holds it.
    operand: Option<&'a [T]>,
    indices: &'a [i32],
    updates: &'a [T],
}

impl<T: Element + Number> Task<'_, T> {
    /// Scatters the units of the coordinates `outer` before the axis into `result`, which begins at element `base` of the whole result.
    fn divide(
        self,
        tasks: &mut [Own<T>],
        outer: Range<usize>,
        result: &mut [T],
        base: usize,
        combine: impl Fn(T, T) -> T + Copy + Send + Sync,
    ) {
        if let [own] = tasks {
            self.run(own, outer, result, base, combine);
            return;
        }
        let half = tasks.len() / 2;
        let cut = parallel::cut(outer.clone(), half, tasks.len(), 1);
        let units = &self.scheme.units;
        let per_outer = units.extent * units.inner;
        let at = if cut < units.outer { units.places.position(cut * per_outer) - base } else { result.len() };
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head, tail) = result.split_at_mut(at);
        parallel::join(
            || self.divide(head_tasks, outer.start..cut, head, base, combine),
            || self.divide(tail_tasks, cut..outer.end, tail, base + at, combine),
        );
    }

    #[inline(always)]
    fn run(self, own: &mut Own<T>, outer: Range<usize>, result: &mut [T], base: usize, combine: impl Fn(T, T) -> T) {
        let Task { scheme: Scheme { units, updates: view, .. }, operand, indices, updates } = self;
        if let Some(operand) = operand {
            result.copy_from_slice(&operand[base..base + result.len()]);
        }
        let per_outer = units.count * units.inner;
        let (mut start, end) = (outer.start * per_outer, outer.end * per_outer);
        if start == end || units.extent == 0 {
            return;
        }
        let is_plain = units.places.is_contiguous();
        let mut places = Places::new(units, start);
        while start < end {
            let index_block = {
                let length = own.indices.len().min(end - start);
                &mut own.indices[..length]
            };
            walk::read(indices, &units.indices, start, index_block);
            if units.width <= BLOCK {
                let block = &mut own.updates[..index_block.len() * units.width];
                walk::read(updates, view, start * units.width, block);
            }
            for (unit, &index) in index_block.iter().enumerate() {
                let Some(place) = places.next(index) else { continue };
                let first = if is_plain { place } else { units.places.position(place) } - base;
                let target = &mut result[first..first + units.width];
                if units.width <= BLOCK {
                    let updates = &own.updates[unit * units.width..(unit + 1) * units.width];
                    target.iter_mut().zip(updates).for_each(|(element, &update)| *element = combine(*element, update));
                    continue;
                }
                for (piece, target) in target.chunks_mut(BLOCK).enumerate() {
                    let updates_piece = &mut own.updates[..target.len()];
                    walk::read(updates, view, (start + unit) * units.width + piece * BLOCK, updates_piece);
                    let pairs = target.iter_mut().zip(&*updates_piece);
                    pairs.for_each(|(element, &update)| *element = combine(*element, update));
                }
            }
            start += index_block.len();
        }
    }
}
