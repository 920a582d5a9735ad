//! Fused elementwise kernels, and the epilogues of others: a program run block by block.

use arenagrad_graph::{Elements, StorageType};

use std::ops::Range;

use super::ahead::{Ahead, Streams};
use super::block_order::BlockOrder;
use super::buffer::{Operands, Parts, parts, split_parts};
use super::code::Translation;
use super::interpret::{Accumulators, Outputs, Sources, run_block, run_prologue, store_block};
use super::parallel;
use super::processor::{Arch, detect};
use super::registers::{BLOCK, Bank};
use crate::cost;
use crate::program::{Program, ProgramInput};

/// A program made ready.
#[derive(Clone, Debug)]
pub(super) struct Elementwise {
    arch: Arch,
    translation: Translation,
    inputs: Vec<ProgramInput>,
    /// Which of the step's inputs is the program's first.
    first: usize,
    elements: usize,
    streams: Streams,
    order: Option<BlockOrder>,
    /// Registers for each of the tasks that the work is divided into.
    banks: Vec<Bank>,
}

impl Elementwise {
    /// A program whose inputs begin at the step's input `first`, and are stored so; parts of its domain that are computed begin and end at multiples of `unit`.
    pub(super) fn new(program: &Program, first: usize, unit: usize, stored: &[StorageType]) -> Self {
        let translation = Translation::storing(program, unit, stored);
        let tasks = parallel::tasks(cost::elementwise(program));
        let tasks = tasks.min(program.elements.div_ceil(BLOCK)).max(1);
        let banks = (0..tasks).map(|_| translation.bank()).collect();
        let output_bytes = translation.outputs.iter().map(|&(dtype, _)| cost::size(dtype)).sum();
        Elementwise {
            streams: Streams::new(&program.inputs, output_bytes, program.elements, translation.body.code.len()),
            order: BlockOrder::of(&program.inputs),
            arch: detect(),
            translation,
            inputs: program.inputs.clone(),
            first,
            elements: program.elements,
            banks,
        }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.banks.len() > 1
    }

    /// Runs the program over its whole domain.
    pub(super) fn run(&mut self, operands: Operands<'_>, accumulators: Accumulators<'_>, outputs: &mut [Elements]) {
        let Elementwise { arch, translation, inputs, first, elements, streams, order, banks } = self;
        let sources = Sources { operands, first: *first, inputs, accumulators, accumulator_base: 0 };
        let task = ElementwiseTask { arch: *arch, translation, sources: &sources, streams, order: *order };
        task.divide(banks, parts(outputs, *elements), 0..*elements);
    }

    /// Registers for one task of another kernel, which calls [`Elementwise::run_range`].
    pub(super) fn bank(&self) -> Bank {
        self.translation.bank()
    }

    /// Runs the program over a part of its domain, of which `accumulators` hold the values and `outputs` the elements
    /// from domain index `base` on.
    pub(super) fn run_range(
        &self,
        bank: &mut Bank,
        operands: Operands<'_>,
        accumulators: (Accumulators<'_>, usize),
        outputs: (&mut Parts<'_>, usize),
        range: Range<usize>,
    ) {
        let (accumulators, accumulator_base) = accumulators;
        let sources = Sources { operands, first: self.first, inputs: &self.inputs, accumulators, accumulator_base };
        let Elementwise { arch, translation, streams, order, .. } = self;
        let task = ElementwiseTask { arch: *arch, translation, sources: &sources, streams, order: *order };
        task.run(bank, outputs.0, outputs.1, range);
    }
}

/// A program over a domain that is divided among threads.
#[derive(Clone, Copy)]
struct ElementwiseTask<'a> {
    arch: Arch,
    translation: &'a Translation,
    sources: &'a Sources<'a>,
    streams: &'a Streams,
    order: Option<BlockOrder>,
}

impl ElementwiseTask<'_> {
    /// Runs `range`, of which `outputs` are the elements, with one bank a task.
    fn divide(self, banks: &mut [Bank], mut outputs: Parts<'_>, range: Range<usize>) {
        if let [bank] = banks {
            self.run(bank, &mut outputs, range.start, range);
            return;
        }
        let half = banks.len() / 2;
        let cut = parallel::cut(range.clone(), half, banks.len(), BLOCK);
        let (head_banks, tail_banks) = banks.split_at_mut(half);
        let (head, tail) = split_parts(outputs, cut - range.start);
        parallel::join(
            || self.divide(head_banks, head, range.start..cut),
            || self.divide(tail_banks, tail, cut..range.end),
        );
    }

    fn run(self, bank: &mut Bank, outputs: &mut Parts<'_>, base: usize, range: Range<usize>) {
        let ElementwiseTask { arch, translation, sources, streams, order } = self;
        if range.is_empty() {
            return;
        }
        run_prologue(arch, &translation.setup, bank, sources);
        let mut ahead = Ahead::none();
        if let Some(order) = order {
            order.for_each(range, |block| {
                let written = Outputs::Written(outputs);
                run_block(arch, &translation.body, bank, sources, written, (base, block.clone()), &mut ahead);
                store_block(translation, bank, outputs, base, block);
            });
            return;
        }
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + translation.block);
            streams.look(&mut ahead, sources, outputs, (base, end..range.end.min(end + translation.block)));
            let written = Outputs::Written(outputs);
            run_block(arch, &translation.body, bank, sources, written, (base, start..end), &mut ahead);
            store_block(translation, bank, outputs, base, start..end);
            start = end;
        }
    }
}
