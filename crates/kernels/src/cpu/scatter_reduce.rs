//! Scatters along an axis by another function than the sum, or that replace.
//!
//! The updates are gone through in their order, and each is combined with what stands at its place, or stands there itself: neither a largest
//! element nor a product loses digits by that, and the order is the same on any number of threads. Each thread has *rows* of the result
//! to itself, a row being all places of one coordinate along the axis and those before it; of the updates it takes those that go there.

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

/// The widest units whose updates are read a block of units at a time.
const NARROW: usize = 16;

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
    /// The rows that one task has are a multiple of these.
    grain: usize,
}

#[derive(Clone, Debug)]
enum State {
    F32(Vec<Own<f32>>),
    F64(Vec<Own<f64>>),
    I32(Vec<Own<i32>>),
    /// Bools, which are replaced alone.
    Bool(Vec<Own<u8>>),
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
        let elements = operand_shape.elements();
        // Within one coordinate before the axis every task goes through all indices, which pays where that is the least of the work.
        let is_wide = units.width > NARROW || (!in_place && elements / 4 > updates_shape.elements());
        let (grain, most) = match is_wide && units.outer < tasks {
            true => (1, units.rows().min(parallel::threads().max(units.outer))),
            false => (units.extent.max(1), units.outer),
        };
        let tasks = tasks.min(most).max(1);
        let state = match dtype {
            DType::F32 => State::F32(own(&units, tasks)),
            DType::F64 => State::F64(own(&units, tasks)),
            DType::I32 => State::I32(own(&units, tasks)),
            DType::Bool => State::Bool(own(&units, tasks)),
        };
        let scheme = Scheme { function, units, updates: updates.clone(), elements, in_place, grain };
        ScatterReduce { scheme, state }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        match &self.state {
            State::F32(tasks) => tasks.len() > 1,
            State::F64(tasks) => tasks.len() > 1,
            State::I32(tasks) => tasks.len() > 1,
            State::Bool(tasks) => tasks.len() > 1,
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let ScatterReduce { scheme, state } = self;
        match state {
            State::F32(tasks) => run(scheme, tasks, operands, outputs),
            State::F64(tasks) => run(scheme, tasks, operands, outputs),
            State::I32(tasks) => run(scheme, tasks, operands, outputs),
            State::Bool(tasks) => match scheme.function {
                ScatterFunction::Replace => divide(scheme, tasks, operands, outputs, replaced),
                ScatterFunction::Mul | ScatterFunction::Max | ScatterFunction::Min => {
                    panic!("{} is not defined for bool", scheme.function.name())
                }
            },
        }
    }
}

/// An update in the place of what was there.
fn replaced<T>(_: T, update: T) -> T {
    update
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
    match scheme.function {
        ScatterFunction::Mul => divide(scheme, tasks, operands, outputs, T::mul),
        ScatterFunction::Max => divide(scheme, tasks, operands, outputs, maximum),
        ScatterFunction::Min => divide(scheme, tasks, operands, outputs, minimum),
        ScatterFunction::Replace => divide(scheme, tasks, operands, outputs, replaced),
    }
}

fn divide<T: Element>(
    scheme: &Scheme,
    tasks: &mut [Own<T>],
    operands: Operands<'_>,
    outputs: &mut [Elements],
    combine: impl Fn(T, T) -> T + Copy + Send + Sync,
) {
    let result = &mut typed_mut::<T>(&mut outputs[0])[..scheme.elements];
    let operand = if scheme.in_place { None } else { Some(&operands.typed::<T>(0)[..scheme.elements]) };
    let task = Task { scheme, operand, indices: operands.typed(1), updates: operands.typed(2) };
    task.divide(tasks, 0..scheme.units.rows(), result, 0, combine);
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

impl<T: Element> Task<'_, T> {
    /// Scatters to those rows, which `result` begins with, at element `base` of the whole result.
    fn divide(
        self,
        tasks: &mut [Own<T>],
        rows: Range<usize>,
        result: &mut [T],
        base: usize,
        combine: impl Fn(T, T) -> T + Copy + Send + Sync,
    ) {
        if let [own] = tasks {
            self.run(own, rows, result, base, combine);
            return;
        }
        let half = tasks.len() / 2;
        let cut = parallel::cut(rows.clone(), half, tasks.len(), self.scheme.grain);
        let units = &self.scheme.units;
        let at = if cut < units.rows() { units.places.position(cut * units.inner) - base } else { result.len() };
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head, tail) = result.split_at_mut(at);
        parallel::join(
            || self.divide(head_tasks, rows.start..cut, head, base, combine),
            || self.divide(tail_tasks, cut..rows.end, tail, base + at, combine),
        );
    }

    #[inline(always)]
    fn run(self, own: &mut Own<T>, rows: Range<usize>, result: &mut [T], base: usize, combine: impl Fn(T, T) -> T) {
        let Task { scheme: Scheme { units, updates: view, .. }, operand, indices, updates } = self;
        if let Some(operand) = operand {
            result.copy_from_slice(&operand[base..base + result.len()]);
        }
        let per_outer = units.count * units.inner;
        if rows.is_empty() || per_outer == 0 || units.extent == 0 {
            return;
        }
        if units.width == 1 && units.places.is_contiguous() {
            self.run_elements(own, rows, result, combine);
            return;
        }
        let outer = rows.start / units.extent..rows.end.div_ceil(units.extent);
        let (mut start, end) = (outer.start * per_outer, outer.end * per_outer);
        let reached = rows.start * units.inner..rows.end * units.inner;
        // Narrow units are read together; of wide ones those alone that go to these rows.
        let is_narrow = units.width <= NARROW;
        let is_plain = units.places.is_contiguous();
        let mut places = Places::new(units, start);
        while start < end {
            let index_block = {
                let length = own.indices.len().min(end - start);
                &mut own.indices[..length]
            };
            walk::read(indices, &units.indices, start, index_block);
            if is_narrow {
                let block = &mut own.updates[..index_block.len() * units.width];
                walk::read(updates, view, start * units.width, block);
            }
            for (unit, &index) in index_block.iter().enumerate() {
                let Some(place) = places.next(index).filter(|place| reached.contains(place)) else { continue };
                let first = if is_plain { place } else { units.places.position(place) } - base;
                let target = &mut result[first..first + units.width];
                if is_narrow {
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

    /// The same for units of one element, where rows follow one another in the result. Never part of its caller, whose loops would be slower
    /// for it.
    #[inline(never)]
    fn run_elements(self, own: &mut Own<T>, rows: Range<usize>, result: &mut [T], combine: impl Fn(T, T) -> T) {
        let Task { scheme: Scheme { units, updates: view, .. }, .. } = self;
        let Units { count, inner, extent, .. } = *units;
        for outer in rows.start / extent..rows.end.div_ceil(extent) {
            let line = outer * extent;
            let reached = rows.start.max(line)..rows.end.min(line + extent);
            let first = reached.start - line;
            let target = &mut result[(reached.start - rows.start) * inner..(reached.end - rows.start) * inner];
            let (mut start, end) = (outer * count * inner, (outer + 1) * count * inner);
            let mut column = 0;
            while start < end {
                let length = own.indices.len().min(end - start);
                let (indices, updates) = (&mut own.indices[..length], &mut own.updates[..length]);
                walk::read(self.indices, &units.indices, start, indices);
                walk::read(self.updates, view, start, updates);
                for (&index, &update) in indices.iter().zip(&*updates) {
                    // A negative index is past every extent, and so is one in front of what is reached.
                    let row = (index as usize).wrapping_sub(first);
                    if row < reached.len() {
                        let element = &mut target[row * inner + column];
                        *element = combine(*element, update);
                    }
                    column += 1;
                    if column == inner {
                        column = 0;
                    }
                }
                start += length;
            }
        }
    }
}
