//! Cumulative operations along an axis.
//!
//! An axis is cut into runs of a length that the shape alone decides. The total of each run is computed, the totals before each run are
//! joined, and from there every run is gone through once more, element by element. So runs can be computed on several threads, and
//! the bits do not depend on how many there are. An axis of one run is gone through once, and so is one on which products leave the
//! range of numbers: in runs they might come back, and results are what each is computed from the one before it.

mod axes;
mod functions;
mod groups;
mod runs;
mod scaled;
mod sketch;

use std::fmt::Debug;
use std::ops::Range;

use arenagrad_graph::{CumulativeFunction, DType, Elements};

use super::buffer::{Operands, typed_mut};
use super::parallel;
use super::processor::{Arch, detect, dispatch};
use crate::cost;
use crate::kernel::Cumulation;
use axes::Axes;
use functions::{Extreme, IntegerProduct, Product, Recurrence, Run, Source, Sum};
use runs::{Results, Totals};

/// A cumulative operation made ready; see [`crate::Kernel::Cumulative`].
#[derive(Debug)]
pub(super) struct Cumulative(Box<dyn Routine>);

/// What is done for a function of a dtype.
trait Routine: Debug + Send + Sync {
    fn divides(&self) -> bool;
    fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]);
    fn duplicate(&self) -> Box<dyn Routine>;
}

impl Clone for Cumulative {
    fn clone(&self) -> Self {
        Cumulative(self.0.duplicate())
    }
}

/// How `[outer, extent, inner]` is gone through.
#[derive(Clone, Copy, Debug)]
struct Scheme {
    outer: usize,
    extent: usize,
    inner: usize,
    is_reversed: bool,
    /// The elements of an axis that a run has.
    run: usize,
    arch: Arch,
}

/// The most elements along the axis in one run.
const LONGEST_RUN: usize = 512;

/// The fewest, so that totals take little memory beside the elements.
const SHORTEST_RUN: usize = 64;

/// The elements of a run and of what stands beside it that a cache holds well.
const RUN_ELEMENTS: usize = 8192;

/// From so many axes on each is one run: they keep the threads busy.
const MANY_AXES: usize = 64;

/// The same where there are so many with those [beside](MANY_BESIDE) them that none waits for its own last result.
const SOME_AXES: usize = 8;

/// So many with those beside them are worth the threads that have nothing to do.
const MANY_BESIDE: usize = 1024;

/// How many runs are gone through side by side, so that none waits for its own last result.
const SIDE_BY_SIDE: usize = 8;

impl Cumulative {
    pub(super) fn new(function: Cumulation, dtype: DType, extents: [usize; 3], is_reversed: bool) -> Self {
        let [outer, extent, inner] = extents;
        let is_whole = outer >= MANY_AXES || (outer >= SOME_AXES && outer * inner >= MANY_BESIDE);
        let run = if is_whole { extent } else { (RUN_ELEMENTS / inner).clamp(SHORTEST_RUN, LONGEST_RUN) };
        let scheme = Scheme { outer, extent, inner, is_reversed, run, arch: detect() };
        let tasks = parallel::tasks(cost::cumulative(function, dtype, extents));
        Cumulative(match (function, dtype) {
            (Cumulation::Function(CumulativeFunction::Sum), DType::F32) => Typed::<Sum<f32>>::boxed(scheme, tasks),
            (Cumulation::Function(CumulativeFunction::Sum), DType::F64) => Typed::<Sum<f64>>::boxed(scheme, tasks),
            (Cumulation::Function(CumulativeFunction::Sum), DType::I32) => Typed::<Sum<i32>>::boxed(scheme, tasks),
            (Cumulation::Function(CumulativeFunction::Product), DType::F32) => {
                Typed::<Product<f32>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::Product), DType::F64) => {
                Typed::<Product<f64>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::Product), DType::I32) => {
                Typed::<IntegerProduct>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::ArgMax), DType::F32) => {
                Typed::<Extreme<f32, true>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::ArgMax), DType::F64) => {
                Typed::<Extreme<f64, true>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::ArgMax), DType::I32) => {
                Typed::<Extreme<i32, true>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::ArgMin), DType::F32) => {
                Typed::<Extreme<f32, false>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::ArgMin), DType::F64) => {
                Typed::<Extreme<f64, false>>::boxed(scheme, tasks)
            }
            (Cumulation::Function(CumulativeFunction::ArgMin), DType::I32) => {
                Typed::<Extreme<i32, false>>::boxed(scheme, tasks)
            }
            (Cumulation::Recurrence, DType::F32) => Typed::<Recurrence<f32>>::boxed(scheme, tasks),
            (Cumulation::Recurrence, DType::F64) => Typed::<Recurrence<f64>>::boxed(scheme, tasks),
            (Cumulation::Recurrence, DType::I32) | (Cumulation::Function(_) | Cumulation::Recurrence, DType::Bool) => {
                panic!("{} is not defined for {dtype}", function.name())
            }
        })
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.0.divides()
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        self.0.run(operands, outputs);
    }
}

/// A function of a dtype, with its scratch.
#[derive(Clone, Debug)]
struct Typed<F: Run> {
    scheme: Scheme,
    /// Into how many tasks the runs of one axis are divided.
    of_runs: usize,
    /// For each task of axes.
    scratch: Vec<Scratch<F>>,
}

/// What a task remembers of an axis and of those beside it.
#[derive(Clone, Debug)]
struct Scratch<F: Run> {
    /// The totals of runs, and then of all that is before each run: of all runs of an axis where they are divided among tasks, else
    /// of those that are gone through side by side.
    totals: Vec<F::Total>,
    /// The totals of all runs so far.
    running: Vec<F::Total>,
    /// What the next results are computed from, for each task of runs.
    states: Vec<F::State>,
}

impl<F: Run> Typed<F> {
    fn boxed(scheme: Scheme, tasks: usize) -> Box<dyn Routine> {
        let runs = scheme.runs();
        let (of_axes, of_runs) =
            if scheme.outer >= tasks || runs == 1 { (tasks.min(scheme.outer), 1) } else { (1, tasks.min(runs)) };
        let kept = match (runs, of_runs) {
            (1, _) => 0,
            (runs, 1) => runs.min(SIDE_BY_SIDE),
            (runs, _) => runs,
        };
        let none = F::Total::default();
        let scratch = Scratch {
            totals: vec![none; kept * scheme.inner],
            running: vec![none; scheme.inner],
            states: vec![F::State::default(); of_runs * scheme.inner],
        };
        Box::new(Typed::<F> { scheme, of_runs, scratch: vec![scratch; of_axes] })
    }
}

impl<F: Run> Routine for Typed<F> {
    fn divides(&self) -> bool {
        self.scratch.len() > 1 || self.of_runs > 1
    }

    fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let elements = self.scheme.outer * self.scheme.block();
        let factors: &[F::Element] =
            if operands.slots.len() > 1 { &operands.typed::<F::Element>(1)[..elements] } else { &[] };
        let source = Source { elements: &operands.typed::<F::Element>(0)[..elements], factors };
        let result = &mut typed_mut::<F::Output>(&mut outputs[0])[..elements];
        self.scheme.axes::<F>(&mut self.scratch, self.of_runs, source, result);
    }

    fn duplicate(&self) -> Box<dyn Routine> {
        Box::new(self.clone())
    }
}

impl<T> Source<'_, T> {
    fn split_at(self, at: usize) -> (Self, Self) {
        let (elements, other_elements) = self.elements.split_at(at);
        let (factors, other_factors) = self.factors.split_at(at.min(self.factors.len()));
        (Source { elements, factors }, Source { elements: other_elements, factors: other_factors })
    }
}

impl Scheme {
    /// How many runs an axis has.
    fn runs(&self) -> usize {
        self.extent.div_ceil(self.run)
    }

    /// How many elements an axis and those beside it have.
    fn block(&self) -> usize {
        self.extent * self.inner
    }

    /// The places along the axis, in the direction of the operation, of run `run`.
    fn places(&self, run: usize) -> Range<usize> {
        run * self.run..((run + 1) * self.run).min(self.extent)
    }

    /// The index along the axis of a place in the direction of the operation.
    #[inline(always)]
    fn index(&self, place: usize) -> usize {
        if self.is_reversed { self.extent - 1 - place } else { place }
    }

    /// The parts of a block's results that the first `runs` of `of` runs from `first` on have, and the others.
    fn split<'a, T>(&self, result: &'a mut [T], first: usize, runs: usize) -> (&'a mut [T], &'a mut [T]) {
        let end = self.places(first + runs - 1).end;
        let length = (end - first * self.run) * self.inner;
        if self.is_reversed {
            let (others, part) = result.split_at_mut(result.len() - length);
            (part, others)
        } else {
            result.split_at_mut(length)
        }
    }

    /// Goes through axes, divided among as many tasks as there is scratch for.
    fn axes<F: Run>(
        &self,
        scratch: &mut [Scratch<F>],
        of_runs: usize,
        source: Source<'_, F::Element>,
        result: &mut [F::Output],
    ) {
        if let [scratch] = scratch {
            if self.runs() == 1 {
                let states = &mut scratch.states[..self.inner];
                dispatch(self.arch, Axes::<F> { scheme: self, states, source, result });
                return;
            }
            let (mut source, mut result) = (source, result);
            while !result.is_empty() {
                let (block, others) = source.split_at(self.block());
                let (results, other_results) = result.split_at_mut(self.block());
                self.axis::<F>(scratch, of_runs, block, results);
                (source, result) = (others, other_results);
            }
            return;
        }
        let half = scratch.len() / 2;
        let cut = parallel::cut(0..result.len() / self.block(), half, scratch.len(), 1) * self.block();
        let (head_scratch, tail_scratch) = scratch.split_at_mut(half);
        let (head, tail) = result.split_at_mut(cut);
        let (head_source, tail_source) = source.split_at(cut);
        parallel::join(
            || self.axes::<F>(head_scratch, of_runs, head_source, head),
            || self.axes::<F>(tail_scratch, of_runs, tail_source, tail),
        );
    }

    /// Goes through one axis and those beside it: in runs, and once if it is one run or leaves the range of numbers.
    fn axis<F: Run>(
        &self,
        scratch: &mut Scratch<F>,
        of_runs: usize,
        source: Source<'_, F::Element>,
        result: &mut [F::Output],
    ) {
        let runs = self.runs();
        let Scratch { totals, running, states } = scratch;
        let (mut first, mut rest) = (0, &mut *result);
        while first < runs {
            // Shared among tasks twice as many each time: where the range is left at the begin of an axis, few totals are computed in vain.
            let at_once = if of_runs > 1 { first.max(of_runs * SIDE_BY_SIDE) } else { SIDE_BY_SIDE };
            let now = at_once.min(runs - first);
            let totals = &mut totals[..now * self.inner];
            self.divide_totals::<F>(of_runs, first, totals, source);
            if join_totals::<F>(first, totals, running) {
                break;
            }
            let (part, others) = self.split(rest, first, now);
            self.divide_results::<F>(states, first, totals, source, part);
            (first, rest) = (first + now, others);
        }
        if first < runs || !self.go_on::<F>(source, result) {
            let whole = Scheme { run: self.extent, ..*self };
            let states = &mut states[..self.inner];
            // Nothing is before the only run.
            dispatch(self.arch, Results::<F> { scheme: &whole, first: 0, starts: running, states, source, result });
        }
    }

    /// Whether each run goes on from the one before it.
    fn go_on<F: Run>(&self, source: Source<'_, F::Element>, result: &[F::Output]) -> bool {
        (1..self.runs()).all(|run| {
            let place = self.places(run).start;
            let [before, now] = [place - 1, place].map(|place| self.index(place) * self.inner);
            (0..self.inner)
                .all(|column| F::goes_on(result[before + column], source, now + column, result[now + column]))
        })
    }

    fn divide_totals<F: Run>(
        &self,
        tasks: usize,
        first: usize,
        totals: &mut [F::Total],
        source: Source<'_, F::Element>,
    ) {
        if tasks <= 1 {
            dispatch(self.arch, Totals::<F> { scheme: self, first, totals, source });
            return;
        }
        let half = tasks / 2;
        let cut = parallel::cut(0..totals.len() / self.inner, half, tasks, 1);
        let (head, tail) = totals.split_at_mut(cut * self.inner);
        parallel::join(
            || self.divide_totals::<F>(half, first, head, source),
            || self.divide_totals::<F>(tasks - half, first + cut, tail, source),
        );
    }

    /// The results of runs from run `first` on, by as many tasks as there are states for.
    fn divide_results<F: Run>(
        &self,
        states: &mut [F::State],
        first: usize,
        starts: &[F::Total],
        source: Source<'_, F::Element>,
        result: &mut [F::Output],
    ) {
        if starts.is_empty() {
            return;
        }
        let (runs, tasks) = (starts.len() / self.inner, states.len() / self.inner);
        let half = tasks / 2;
        let cut = if tasks <= 1 { 0 } else { parallel::cut(0..runs, half, tasks, SIDE_BY_SIDE) };
        if cut == 0 || cut == runs {
            let states = &mut states[..self.inner];
            dispatch(self.arch, Results::<F> { scheme: self, first, starts, states, source, result });
            return;
        }
        let (head_states, tail_states) = states.split_at_mut(half * self.inner);
        let (head_starts, tail_starts) = starts.split_at(cut * self.inner);
        let (head, tail) = self.split(result, first, cut);
        parallel::join(
            || self.divide_results::<F>(head_states, first, head_starts, source, head),
            || self.divide_results::<F>(tail_states, first + cut, tail_starts, source, tail),
        );
    }
}

/// Makes of the totals of runs, the first of which is run `first`, the totals of all that is before each; `running` is that of all so
/// far. Nothing is before the first run of all. Says whether any of these runs leaves the range of numbers.
fn join_totals<F: Run>(first: usize, totals: &mut [F::Total], running: &mut [F::Total]) -> bool {
    let inner = running.len();
    let mut leaves_range = false;
    for (run, totals) in (first..).zip(totals.chunks_exact_mut(inner)) {
        if run == 0 {
            leaves_range |= totals.iter().any(|total| F::leaves_range(None, total));
            running.copy_from_slice(totals);
            continue;
        }
        for (total, running) in totals.iter_mut().zip(&mut *running) {
            leaves_range |= F::leaves_range(Some(running), total);
            let joined = F::join(*running, *total);
            *total = std::mem::replace(running, joined);
        }
    }
    leaves_range
}
