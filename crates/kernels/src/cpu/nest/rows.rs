//! Running the rows of a partition: group by group, pass by pass, block by block.

use std::ops::Range;

use arenagrad_graph::DType;

use super::code::{Fold, Section, Translation};
use super::fold::{
    ClearChunks, EndRow, FoldColumns, FoldRows, FoldRun, FoldedChunks, JoinChunks, JoinRows, combine_lanes, expand,
    with_elements,
};
use super::schedule::Layout;
use super::totals::{Foldable, RunTotal, Totals, not_foldable};
use crate::Space;
use crate::cpu::ahead::{Ahead, Streams};
use crate::cpu::body::{Beside, FOLDED_CHUNKS, FoldTarget, MOST_FOLDS};
use crate::cpu::buffer::{Part, Parts, split_parts};
use crate::cpu::cache_lines::{self, AtLine, CacheLine};
use crate::cpu::interpret::{Outputs, Sources, run_block, run_block_beside, run_once, run_prologue, store};
use crate::cpu::processor::{Arch, dispatch};
use crate::cpu::registers::{BLOCK, Bank, LANES, Lane, Register};

/// What all tasks of a nest share.
#[derive(Clone, Debug)]
pub(super) struct NestScheme {
    pub(super) arch: Arch,
    pub(super) layout: Layout,
    pub(super) translation: Translation,
    pub(super) streams: Streams,
}

/// The memory of one task.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    elements: Bank,
    rows: Bank,
    /// What is kept of a row from one pass to the next.
    kept: Vec<Kept>,
    /// The folds of a row, where they have totals of their own; see [`Layout::has_totals_of_rows`].
    totals: Vec<RunTotal>,
    /// What code folds into, of each fold of a section: the chunks of each row or [`BLOCK`] of a block.
    folded: Vec<Vec<AtLine<FoldedChunks<f32>>>>,
}

/// A value of a row, block by block. A block's memory is exchanged for that of the value's register while the block is computed.
#[derive(Clone, Debug)]
struct Kept {
    dtype: DType,
    blocks: Vec<Box<[CacheLine]>>,
}

/// The outputs of a task that are of elements and rows, from row `first` on.
pub(super) struct RowParts<'a> {
    pub(super) elements: Parts<'a>,
    pub(super) rows: Parts<'a>,
    pub(super) first: usize,
}

impl<'a> RowParts<'a> {
    /// The parts before and from row `row` on.
    pub(super) fn split(self, row: usize, layout: &Layout) -> (RowParts<'a>, RowParts<'a>) {
        let at = row - self.first;
        let (elements, elements_tail) = split_parts(self.elements, at * layout.width);
        let (rows, rows_tail) = split_parts(self.rows, at);
        (
            RowParts { elements, rows, first: self.first },
            RowParts { elements: elements_tail, rows: rows_tail, first: row },
        )
    }
}

impl Kept {
    fn new(dtype: DType, layout: &Layout) -> Kept {
        let chunks = layout.block().div_ceil(LANES);
        let block = match dtype {
            DType::F32 => cache_lines::zeros::<f32>(chunks),
            DType::F64 => cache_lines::zeros::<f64>(chunks),
            DType::I32 => cache_lines::zeros::<i32>(chunks),
            DType::Bool => cache_lines::zeros::<u8>(chunks),
        };
        Kept { dtype, blocks: vec![block; layout.blocks] }
    }

    /// Exchanges a block's memory for that of the register.
    fn exchange(&mut self, bank: &mut Bank, register: Register, block: usize) {
        let memory = &mut self.blocks[block];
        match self.dtype {
            DType::F32 => bank.exchange::<f32>(register, memory),
            DType::F64 => bank.exchange::<f64>(register, memory),
            DType::I32 => bank.exchange::<i32>(register, memory),
            DType::Bool => bank.exchange::<u8>(register, memory),
        }
    }
}

/// The rows that are being run.
#[derive(Clone, Copy)]
struct Group {
    /// The first row.
    start: usize,
    rows: usize,
}

/// A task over some rows.
pub(super) struct RowTask<'a> {
    pub(super) scheme: &'a NestScheme,
    pub(super) sources: &'a Sources<'a>,
}

impl Worker {
    pub(super) fn new(scheme: &NestScheme) -> Worker {
        let NestScheme { layout, translation, .. } = scheme;
        let [elements, rows, ..] = &translation.setups;
        let totals = if layout.has_totals_of_rows() { &translation.totals[Space::Row as usize][..] } else { &[] };
        Worker {
            elements: elements.bank(layout.block()),
            rows: rows.bank(layout.group),
            kept: translation.kept.iter().map(|&(dtype, _)| Kept::new(dtype, layout)).collect(),
            totals: totals.iter().map(|total| RunTotal::new(total.dtype)).collect(),
            folded: vec![
                vec![AtLine([[0.0; LANES]; FOLDED_CHUNKS]); layout.folded()];
                translation.passes.iter().map(|pass| pass.coded_folds.len()).max().unwrap_or(0)
            ],
        }
    }
}

impl RowTask<'_> {
    /// Computes what is uniform over all elements and rows.
    pub(super) fn start(&self, worker: &mut Worker) {
        let NestScheme { arch, layout, translation, .. } = self.scheme;
        let [elements, rows, ..] = &translation.setups;
        run_prologue(*arch, elements, &mut worker.elements, self.sources);
        run_prologue(*arch, rows, &mut worker.rows, self.sources);
        run_once(*arch, &translation.coordinates, (&mut worker.elements, layout.block()), self.sources);
    }

    /// Runs a partition of the rows.
    pub(super) fn run(&self, worker: &mut Worker, totals: &mut Totals, parts: &mut RowParts<'_>, rows: Range<usize>) {
        let NestScheme { layout, translation, .. } = self.scheme;
        totals.clear(translation);
        // Filled where it stands: what is written piece by piece just before it is copied is waited for.
        let mut beside = Beside::nothing();
        let (mut ahead, mut start) = (Ahead::none(), rows.start);
        while start < rows.end {
            let group = Group { start, rows: layout.group.min(rows.end - start) };
            let is_last = start + group.rows == rows.end;
            let (first, later) = translation.rows.split_first().expect("there are rows before the first pass");
            self.run_rows(worker, first, totals, parts, group);
            let next = (start + group.rows) * layout.width..rows.end.min(start + 2 * group.rows) * layout.width;
            let base = parts.first * layout.width;
            if translation.asks_ahead {
                self.scheme.streams.addresses(&mut beside.ahead, self.sources, &parts.elements, (base, next));
            } else {
                self.scheme.streams.look(&mut ahead, self.sources, &parts.elements, (base, next));
            }
            for (pass, section) in translation.passes.iter().zip(later) {
                self.run_pass(worker, pass, totals, parts, (group, is_last), (&mut ahead, &mut beside));
                self.run_rows(worker, section, totals, parts, group);
            }
            start += group.rows;
        }
    }

    /// Runs what becomes of rows between two passes.
    fn run_rows(
        &self,
        worker: &mut Worker,
        section: &Section,
        totals: &mut Totals,
        parts: &mut RowParts<'_>,
        group: Group,
    ) {
        let arch = self.scheme.arch;
        let bank = &mut worker.rows;
        let range = group.start..group.start + group.rows;
        let (first, outputs) = (parts.first, Outputs::Written(&mut parts.rows));
        run_block(arch, &section.body, bank, self.sources, outputs, (first, range.clone()), &mut Ahead::none());
        store_section(section, bank, &mut parts.rows, range.start - parts.first..range.end - parts.first);
        for fold in &section.folds {
            let total = &mut totals.whole[fold.total];
            match fold.dtype {
                DType::F32 => fold_run::<f32>(arch, self.sources, fold, bank, group.rows, total),
                DType::F64 => fold_run::<f64>(arch, self.sources, fold, bank, group.rows, total),
                DType::I32 => fold_run::<i32>(arch, self.sources, fold, bank, group.rows, total),
                DType::Bool => not_foldable(),
            }
        }
    }

    /// Runs one pass over the elements of a group.
    fn run_pass(
        &self,
        worker: &mut Worker,
        section: &Section,
        totals: &mut Totals,
        parts: &mut RowParts<'_>,
        (group, is_last): (Group, bool),
        (ahead, beside): (&mut Ahead, &mut Beside),
    ) {
        let NestScheme { layout, translation, .. } = self.scheme;
        self.transfer(worker, section, group.rows);
        for (address, &(dtype, register)) in beside.rows.iter_mut().zip(&translation.rows_read) {
            *address = match dtype {
                DType::F32 => worker.rows.varying::<f32>(register, group.rows).as_ptr().cast(),
                DType::I32 => worker.rows.varying::<i32>(register, group.rows).as_ptr().cast(),
                DType::F64 | DType::Bool => panic!("fragments read rows of 32 bits"),
            };
        }
        let elements = group.rows * layout.width;
        let domain = group.start * layout.width;
        if layout.has_totals_of_rows() {
            let folds = section.folds.iter().chain(&section.coded_folds);
            for fold in folds.filter(|fold| fold.space == Space::Row) {
                worker.totals[fold.total].clear(fold.function);
            }
        }
        for block in 0..layout.blocks {
            let first = block * layout.longest;
            let length = layout.longest.min(elements - first);
            let start = domain + first;
            for &kept in &section.kept {
                worker.kept[kept].exchange(&mut worker.elements, translation.kept[kept].1, block);
            }
            let base = parts.first * layout.width;
            fold_targets(worker, section, totals, (self.scheme, first..first + length), &mut beside.folds);
            let bank = &mut worker.elements;
            run_block_beside(
                self.scheme.arch,
                (&section.body, &*beside),
                bank,
                self.sources,
                Outputs::Written(&mut parts.elements),
                (base, start..start + length),
                ahead,
            );
            store_section(section, bank, &mut parts.elements, start - base..start - base + length);
            self.join_folds(worker, section, totals, (group, length));
            for fold in &section.folds {
                ahead.fetch();
                match fold.dtype {
                    DType::F32 => self.fold::<f32>(worker, fold, totals, group, first, length),
                    DType::F64 => self.fold::<f64>(worker, fold, totals, group, first, length),
                    DType::I32 => self.fold::<i32>(worker, fold, totals, group, first, length),
                    DType::Bool => not_foldable(),
                }
            }
            for &kept in &section.kept {
                worker.kept[kept].exchange(&mut worker.elements, translation.kept[kept].1, block);
            }
        }
        for fold in section.folds.iter().chain(&section.coded_folds) {
            match fold.dtype {
                DType::F32 => self.end_rows::<f32>(worker, fold, totals, (group, is_last)),
                DType::F64 => self.end_rows::<f64>(worker, fold, totals, (group, is_last)),
                DType::I32 => self.end_rows::<i32>(worker, fold, totals, (group, is_last)),
                DType::Bool => not_foldable(),
            }
        }
    }

    /// Combines totals with what the code of a block of `length` elements has folded.
    fn join_folds(&self, worker: &mut Worker, section: &Section, totals: &mut Totals, (group, length): (Group, usize)) {
        let NestScheme { arch, layout, .. } = *self.scheme;
        for (fold, blocks) in section.coded_folds.iter().zip(&worker.folded) {
            let function = fold.function;
            let total = match fold.space {
                Space::Row if layout.has_totals_of_rows() => &mut worker.totals[fold.total],
                Space::Row => {
                    let results = &mut worker.rows.varying_mut::<f32>(fold.result)[..group.rows];
                    dispatch(arch, JoinRows { function, rows: &blocks[..group.rows], results });
                    continue;
                }
                Space::Whole => &mut totals.whole[fold.total],
                Space::Column | Space::Element => continue,
            };
            let totals = f32::run_total_mut(total);
            for AtLine(folds) in &blocks[..length.div_ceil(BLOCK)] {
                dispatch(arch, JoinChunks { function, folds, totals });
            }
        }
    }

    /// Brings values of rows into the registers of elements.
    fn transfer(&self, worker: &mut Worker, section: &Section, rows: usize) {
        fn typed<T: Lane>(worker: &mut Worker, from: Register, to: Register, rows: usize, width: usize) {
            let values = worker.rows.varying::<T>(from, rows);
            if to.is_uniform() {
                worker.elements.set_uniform(to, values[0]);
            } else {
                expand(values, width, worker.elements.varying_mut::<T>(to));
            }
        }
        let width = self.scheme.layout.width;
        for transfer in &section.transfers {
            match transfer.dtype {
                DType::F32 => typed::<f32>(worker, transfer.from, transfer.to, rows, width),
                DType::F64 => typed::<f64>(worker, transfer.from, transfer.to, rows, width),
                DType::I32 => typed::<i32>(worker, transfer.from, transfer.to, rows, width),
                DType::Bool => typed::<u8>(worker, transfer.from, transfer.to, rows, width),
            }
        }
    }

    /// Folds the elements of a block, whose first is in column `first`.
    fn fold<T: Foldable>(
        &self,
        worker: &mut Worker,
        fold: &Fold,
        totals: &mut Totals,
        group: Group,
        first: usize,
        length: usize,
    ) {
        let NestScheme { arch, layout, .. } = self.scheme;
        let function = fold.function;
        let sources = self.sources;
        match fold.space {
            Space::Row if layout.has_totals_of_rows() => {
                fold_run::<T>(*arch, sources, fold, &worker.elements, length, &mut worker.totals[fold.total]);
            }
            Space::Row => {
                let results = &mut worker.rows.varying_mut::<T>(fold.result)[..group.rows];
                with_elements(sources, &worker.elements, fold.operand, length, |values| {
                    dispatch(*arch, FoldRows { function, values, width: layout.width, results });
                });
            }
            Space::Column => {
                let totals = T::column_total_mut(&mut totals.columns[fold.total]);
                let width = layout.width.min(length);
                with_elements(sources, &worker.elements, fold.operand, length, |values| {
                    let in_order = layout.folds_columns_in_order();
                    dispatch(*arch, FoldColumns { function, values, width, first, in_order, totals });
                });
            }
            Space::Whole => {
                fold_run::<T>(*arch, sources, fold, &worker.elements, length, &mut totals.whole[fold.total]);
            }
            Space::Element => panic!("a fold does not give an element"),
        }
    }

    /// What a fold does when all elements of a group have been met.
    fn end_rows<T: Foldable>(
        &self,
        worker: &mut Worker,
        fold: &Fold,
        totals: &mut Totals,
        (group, is_last): (Group, bool),
    ) {
        let NestScheme { arch, layout, .. } = self.scheme;
        let function = fold.function;
        match fold.space {
            Space::Row if layout.has_totals_of_rows() => {
                let lanes = T::run_total(&worker.totals[fold.total]);
                worker.rows.varying_mut::<T>(fold.result)[0] = T::rounded(combine_lanes::<T>(function, lanes));
            }
            Space::Row | Space::Whole => {}
            Space::Column => {
                let totals = T::column_total_mut(&mut totals.columns[fold.total]);
                let rows = if layout.folds_columns_in_order() { group.rows } else { 1 };
                dispatch(*arch, EndRow { function, rows, is_last, totals });
            }
            Space::Element => panic!("a fold does not give an element"),
        }
    }
}

/// What the code of a section folds a block into, whose elements are `elements` of those of the group.
fn fold_targets(
    worker: &mut Worker,
    section: &Section,
    totals: &mut Totals,
    (scheme, elements): (&NestScheme, Range<usize>),
    targets: &mut [FoldTarget; MOST_FOLDS],
) {
    let NestScheme { arch, layout, .. } = *scheme;
    let folds = section.coded_folds.iter().zip(&mut worker.folded);
    for (target, (fold, blocks)) in targets.iter_mut().zip(folds) {
        *target = match fold.space {
            Space::Column => {
                let total = f32::column_total_mut(&mut totals.columns[fold.total]);
                let columns = if layout.group == 1 { elements.clone() } else { 0..layout.width };
                FoldTarget::new(&mut total.run_mut()[columns])
            }
            Space::Row | Space::Whole => {
                let is_of_rows = fold.space == Space::Row && layout.group > 1;
                let count = elements.len().div_ceil(if is_of_rows { layout.width } else { BLOCK });
                dispatch(arch, ClearChunks { function: fold.function, blocks: &mut blocks[..count] });
                FoldTarget::of_chunks(blocks)
            }
            Space::Element => panic!("a fold does not give an element"),
        };
    }
}

/// Combines a total with the first `length` elements of a register.
fn fold_run<T: Foldable>(
    arch: Arch,
    sources: &Sources<'_>,
    fold: &Fold,
    bank: &Bank,
    length: usize,
    total: &mut RunTotal,
) {
    let totals = T::run_total_mut(total);
    with_elements::<T, _>(sources, bank, fold.operand, length, |values| {
        for values in values.chunks(BLOCK) {
            dispatch(arch, FoldRun { function: fold.function, values, totals });
        }
    });
}

/// Writes the outputs of a section at `range` of their parts.
pub(super) fn store_section(section: &Section, bank: &Bank, parts: &mut [Part<'_>], range: Range<usize>) {
    for output in &section.stores {
        store(bank, output.stored, &mut parts[output.part], range.clone());
    }
}
