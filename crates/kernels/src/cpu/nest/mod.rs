//! Nests: elementwise work with reductions along rows and columns in between.
//!
//! A row, or a group of short ones, is passed over as often as its folds need; in each pass its elements are computed
//! block by block by the interpreter of elementwise code, while the row is in the cache; folds may be part of the code where it is machine code. Rows are cut into
//! partitions whose size depends on the nest alone. Each has its own totals of what is folded over rows; they are combined in
//! order at the end, so that a result has the same bits on any number of threads.

mod after;
mod code;
mod fold;
mod fragments;
mod rows;
mod schedule;
mod scope;
mod totals;

use arenagrad_graph::{Elements, StorageType};

use std::ops::Range;

use super::ahead::Streams;
use super::buffer::{Operands, Parts, part};
use super::interpret::{Accumulators, Sources};
use super::machine_code::{self, Vectors};
use super::parallel;
use super::processor::detect;
use crate::{Nest as NestKernel, Space, cost};
use after::After;
use code::Translation;
use rows::{NestScheme, RowParts, RowTask, Worker};
use schedule::{Layout, Schedule};
use totals::Totals;

/// A nest made ready.
#[derive(Clone, Debug)]
pub(super) struct Nest {
    scheme: NestScheme,
    /// The space of each output and how many elements it has.
    outputs: Vec<(Space, usize)>,
    columns: usize,
    /// The totals of each partition.
    totals: Vec<Totals>,
    /// Memory for each of the tasks that the work is divided into.
    workers: Vec<Worker>,
    after: After,
}

impl Nest {
    /// A nest made ready, whose inputs are stored so; see [`crate::Kernel::Nest`].
    pub(super) fn new(nest: &NestKernel, stored: &[StorageType]) -> Nest {
        Nest::with_vectors(nest, machine_code::vectors(detect()), stored)
    }

    /// As [`Nest::new`], with fragments for these vectors.
    pub(super) fn with_vectors(nest: &NestKernel, vectors: Option<Vectors>, stored: &[StorageType]) -> Nest {
        let schedule = Schedule::new(nest, vectors.is_some());
        let translation = Translation::new(nest, &schedule, vectors, stored);
        let layout = schedule.layout;
        let partitions = layout.rows.div_ceil(layout.partition);
        let totals = (0..partitions).map(|_| Totals::new(&translation, nest.columns)).collect();
        let streams = streams(nest, &translation, layout);
        let scheme = NestScheme { arch: detect(), layout, translation, streams };
        let tasks = parallel::tasks(cost::nest(nest)).min(partitions).max(1);
        let outputs = nest.outputs.iter().map(|&output| {
            let space = nest.values[output as usize].space;
            (space, nest.extent(space))
        });
        Nest {
            outputs: outputs.collect(),
            columns: nest.columns,
            totals,
            workers: (0..tasks).map(|_| Worker::new(&scheme)).collect(),
            after: After::new(&scheme),
            scheme,
        }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.workers.len() > 1
    }

    /// Runs the nest.
    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let Nest { scheme, outputs: described, columns, totals, workers, after } = self;
        let [mut elements, mut rows, mut of_columns, mut whole] = [(); 4].map(|()| Parts::new());
        for (buffer, &(space, extent)) in outputs.iter_mut().zip(&*described) {
            let parts = match space {
                Space::Element => &mut elements,
                Space::Row => &mut rows,
                Space::Column => &mut of_columns,
                Space::Whole => &mut whole,
            };
            parts.push(part(buffer, extent));
        }
        let inputs = &scheme.translation.inputs;
        let sources = &Sources { operands, first: 0, inputs, accumulators: Accumulators::None, accumulator_base: 0 };
        let parts = RowParts { elements, rows, first: 0 };
        divide(&RowTask { scheme, sources }, workers, totals, parts, 0..scheme.layout.rows);
        after.run_whole(scheme, sources, totals, &mut whole);
        after.run_columns(scheme, sources, totals, &mut of_columns, *columns);
    }
}

/// What a group of rows asks for while the one before is computed. A row of several blocks would drive the one before out of the nearest cache.
fn streams(nest: &NestKernel, translation: &Translation, layout: Layout) -> Streams {
    if layout.blocks > 1 {
        return Streams::default();
    }
    let values = nest.outputs.iter().map(|&output| &nest.values[output as usize]);
    let of_elements = values.filter(|value| value.space == Space::Element);
    let output_bytes = of_elements.map(|value| cost::size(value.dtype)).sum();
    let calls: usize = translation.passes.iter().map(|pass| pass.body.code.len() + pass.folds.len()).sum();
    Streams::new(&translation.inputs, output_bytes, nest.rows * nest.columns, calls)
}

/// Runs the partitions of `rows`, whose totals are `totals`, with one worker a task.
fn divide(
    task: &RowTask<'_>,
    workers: &mut [Worker],
    totals: &mut [Totals],
    mut parts: RowParts<'_>,
    rows: Range<usize>,
) {
    let layout = &task.scheme.layout;
    if let [worker] = workers {
        task.start(worker);
        for (partition, totals) in totals.iter_mut().enumerate() {
            let start = rows.start + partition * layout.partition;
            task.run(worker, totals, &mut parts, start..rows.end.min(start + layout.partition));
        }
        return;
    }
    let half = workers.len() / 2;
    let cut = parallel::cut(0..totals.len(), half, workers.len(), 1);
    let row = rows.end.min(rows.start + cut * layout.partition);
    let (head_workers, tail_workers) = workers.split_at_mut(half);
    let (head_totals, tail_totals) = totals.split_at_mut(cut);
    let (head, tail) = parts.split(row, layout);
    parallel::join(
        || divide(task, head_workers, head_totals, head, rows.start..row),
        || divide(task, tail_workers, tail_totals, tail, row..rows.end),
    );
}
