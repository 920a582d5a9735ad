//! Batched matrix products with an epilogue.
//!
//! Rows of the results of all batches are the units that threads share, or columns where few rows meet a large right operand. A right operand
//! that is [kept](MatMul::keep_rhs) is packed as a whole before them, whatever the way, and not again until it changes. The epilogue follows on
//! each block of rows while they are in cache: it reads the product from the task's own memory and writes the step's outputs.

use std::mem;
use std::ops::Range;

use arenagrad_graph::{AlignedVec, DType, Elements, StorageType};

use super::buffer::{Operands, Parts, parts, split_parts};
use super::column_blocks::{ColumnBlocks, columns_of};
use super::direct::DirectProduct;
use super::elementwise::Elementwise;
use super::extents::{Extents, TileShape};
use super::interpret::Accumulators;
use super::pack::Source;
use super::padded::{PaddedOperand, PaddedRows};
use super::parallel;
use super::processor::{Arch, detect};
use super::product::{PackRhs, PackedProduct, PackedRows, Rhs};
use super::product_scratch::{Own, Scratch};
use super::real::Real;
use super::way::{Chosen, Usual, Way, tile_of};
use super::windows::{WindowProduct, Windows};
use crate::choice::Choice;
use crate::cost;
use crate::kernel::Matrices;
use crate::padding::Padding;
use crate::program::Program;

/// A matrix product made ready; see [`crate::Kernel::MatMul`].
#[derive(Clone, Debug)]
pub(super) struct MatMul {
    scheme: Scheme,
    state: State,
}

/// What all tasks share.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    arch: Arch,
    pub(super) extents: Extents,
    pub(super) tile: TileShape,
    pub(super) way: Way,
    /// The most rows that a task computes at once.
    pub(super) height: usize,
    /// How windows are read, where that is the way.
    pub(super) windows: Option<Windows>,
    /// The operands that are padded.
    pub(super) padded: [Option<PaddedOperand>; 2],
    /// Whether the right operand stays packed from run to run, until it changes.
    keeps_rhs: bool,
    pub(super) epilogue: Option<Elementwise>,
}

#[derive(Clone, Debug)]
enum State {
    F32(Scratch<f32>),
    F64(Scratch<f64>),
}

impl MatMul {
    /// A product of dtype `dtype`, computed as `choice` says, whose operands are padded and whose inputs are stored so.
    pub(super) fn new(
        dtype: DType,
        [lhs, rhs]: [&Matrices; 2],
        padding: [Option<&Padding>; 2],
        stored: &[StorageType],
        epilogue: Option<&Program>,
        choice: Choice,
    ) -> Self {
        let arch = detect();
        let tile = tile_of(dtype, arch);
        let padded = [
            padding[0].map(|padding| PaddedOperand::lhs(dtype, padding, lhs)),
            padding[1].map(|padding| PaddedOperand::rhs(dtype, padding)),
        ];
        // Elements are values once they are padded.
        let is_narrow = [0, 1]
            .map(|input: usize| padded[input].is_none() && stored.get(input).is_some_and(|stored| !stored.is_native()));
        let extents = Extents::new(lhs, rhs, is_narrow[0]);
        let is_moved = [padded[0].is_some() || is_narrow[0], is_narrow[1]];
        let Extents { batches, m, n, .. } = extents;
        let windows = Windows::new(&extents, tile.lanes, padded[1].is_some());
        let usual = Usual::of(cost::matmul(dtype, lhs, rhs), &extents, tile, is_moved, windows.is_some());
        let Chosen { way, tasks, height } = usual.chosen(choice, &extents, tile);
        debug_assert!(tasks <= (batches * m).max(1), "a task has a row at least");
        let extents = if way == Way::Columns { extents.divided_by_columns(tasks) } else { extents };
        let scheme = Scheme {
            arch,
            extents,
            tile,
            way,
            height,
            windows: windows.filter(|_| way == Way::Windows),
            padded,
            keeps_rhs: false,
            epilogue: epilogue.map(|epilogue| Elementwise::new(epilogue, 2, n, stored.get(2..).unwrap_or_default())),
        };
        let state = match dtype {
            DType::F32 => State::F32(Scratch::new(&scheme, tasks.max(1))),
            DType::F64 => State::F64(Scratch::new(&scheme, tasks.max(1))),
            DType::I32 | DType::Bool => panic!("matmul is not defined for {dtype}"),
        };
        MatMul { scheme, state }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        let tasks = match &self.state {
            State::F32(scratch) => scratch.tasks.len(),
            State::F64(scratch) => scratch.tasks.len(),
        };
        let padded = self.scheme.padded[1].as_ref().filter(|_| self.scheme.pads_together());
        tasks > 1 || padded.is_some_and(PaddedOperand::divides)
    }

    /// Keeps the right operand packed from now on, until [it changed](MatMul::rhs_changed), where there is one for all batches that is
    /// packed as a whole; says whether it does.
    pub(super) fn keep_rhs(&mut self) -> bool {
        let Scheme { extents, tile, way, padded, .. } = &self.scheme;
        let is_one = (1..extents.batches).all(|batch| extents.rhs.start(batch) == extents.rhs.start(0));
        let is_packed = way.packs() && padded[1].is_none() && !extents.reads_columns(tile.lanes, tile.rows);
        self.scheme.keeps_rhs = is_one && is_packed;
        if self.scheme.keeps_rhs {
            match &mut self.state {
                State::F32(scratch) => scratch.keep_rhs(&self.scheme),
                State::F64(scratch) => scratch.keep_rhs(&self.scheme),
            }
        }
        self.scheme.keeps_rhs
    }

    /// The right operand is packed anew in the next run.
    pub(super) fn rhs_changed(&mut self) {
        match &mut self.state {
            State::F32(scratch) => scratch.has_rhs = false,
            State::F64(scratch) => scratch.has_rhs = false,
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let MatMul { scheme, state } = self;
        match state {
            State::F32(scratch) => scheme.run(scratch, operands, outputs, |product| Accumulators::F32(product)),
            State::F64(scratch) => scheme.run(scratch, operands, outputs, |product| Accumulators::F64(product)),
        }
    }
}

/// How the tasks of one element type see the product.
#[derive(Clone, Copy)]
struct Task<'a, T> {
    scheme: &'a Scheme,
    operands: Operands<'a>,
    lhs: Source<'a, T>,
    rhs: Source<'a, T>,
    packed_rhs: &'a [T],
    accumulators: for<'b> fn(&'b [T]) -> Accumulators<'b>,
}

impl Scheme {
    /// How many of the rows that are left are computed next: parts of about the same height, none of which leaves a rest of a few rows.
    fn height_of(&self, left: usize) -> usize {
        let Scheme { tile, height, .. } = self;
        left.div_ceil(left.div_ceil(*height)).next_multiple_of(tile.rows).min(*height).min(left)
    }

    fn run<T: Real>(
        &self,
        scratch: &mut Scratch<T>,
        operands: Operands<'_>,
        outputs: &mut [Elements],
        accumulators: for<'b> fn(&'b [T]) -> Accumulators<'b>,
    ) {
        let Extents { batches, m, n, .. } = self.extents;
        let lhs = self.source(0, operands);
        let Scratch { blocks, packed_rhs, has_rhs, tasks } = scratch;
        if self.keeps_rhs && !mem::replace(has_rhs, true) {
            let (rhs, start) = (self.source(1, operands), self.extents.rhs.start(0));
            PackRhs::divide(self.arch, &self.extents, (rhs, start), packed_rhs, tasks.len());
        }
        // The block of the right operand that all tasks work at, where it is padded beforehand.
        let mut padded_rhs = self.padded[1].as_ref().filter(|_| self.pads_together()).map(PaddedOperand::take);
        let mut outputs = parts(outputs, batches * m * n);
        match self.way {
            Way::Direct | Way::Panels(_) | Way::Windows => {
                let grain = self.way.grain(m);
                let (rhs, _) = self.rhs((operands, 0), &mut padded_rhs, &mut None);
                let task = Task { scheme: self, operands, lhs, rhs, packed_rhs, accumulators };
                task.divide(tasks, outputs, 0..batches * m, grain);
            }
            Way::Columns => {
                let (rhs, _) = self.rhs((operands, 0), &mut padded_rhs, &mut None);
                let task = Task { scheme: self, operands, lhs, rhs, packed_rhs, accumulators };
                let all = tasks.len();
                task.divide_columns(tasks, blocks.all_mut(), 0..all, all);
                task.divide_gathering(tasks, blocks, outputs, 0..m);
            }
            Way::PackedInTurn => {
                let (mut packed, mut padded) = (None, None);
                for batch in 0..batches {
                    let start = self.extents.rhs.start(batch);
                    if !self.keeps_rhs && packed != Some(start) {
                        let (rhs, start_there) = self.rhs((operands, batch), &mut padded_rhs, &mut padded);
                        PackRhs::divide(self.arch, &self.extents, (rhs, start_there), packed_rhs, tasks.len());
                        packed = Some(start);
                    }
                    let (head, tail) = split_parts(outputs, m * n);
                    outputs = tail;
                    let rhs = Source::Native(&[]);
                    let task = Task { scheme: self, operands, lhs, rhs, packed_rhs, accumulators };
                    task.divide(tasks, head, batch * m..(batch + 1) * m, self.tile.rows);
                }
            }
        }
        if let (Some(padded), Some(memory)) = (&self.padded[1], padded_rhs) {
            padded.give_back(memory);
        }
    }

    /// Whether the right operand is padded before tasks share the work, and not by each of them.
    pub(super) fn pads_together(&self) -> bool {
        self.padded[1].is_some() && (self.extents.batches == 1 || self.way == Way::PackedInTurn)
    }

    /// The elements of an operand as they stand in its buffer; none of what is padded before it is read.
    fn source<'a, T: Real>(&self, operand: usize, operands: Operands<'a>) -> Source<'a, T> {
        if self.padded[operand].is_some() { Source::Native(&[]) } else { Source::new(operands.buffer(operand)) }
    }

    /// The right operand, and where the matrix of a batch begins in it; if it is [padded together](Scheme::pads_together), the block that the matrix
    /// lies in, in `memory`, which holds the block `kept` already.
    fn rhs<'a, T: Real>(
        &self,
        (operands, batch): (Operands<'a>, usize),
        memory: &'a mut Option<Elements>,
        kept: &mut Option<usize>,
    ) -> (Source<'a, T>, usize) {
        let start = self.extents.rhs.start(batch);
        match (&self.padded[1], memory) {
            (Some(padded), Some(memory)) => {
                let (block, start) = padded.place(start);
                if kept.replace(block) != Some(block) {
                    padded.pad_together(operands, block, memory);
                }
                (Source::new(memory), start)
            }
            (Some(_) | None, _) => (self.source(1, operands), start),
        }
    }
}

impl<T: Real> Task<'_, T> {
    /// Computes `rows`, counted over all batches, of which `outputs` are the elements.
    fn divide(self, tasks: &mut [Own<T>], mut outputs: Parts<'_>, rows: Range<usize>, grain: usize) {
        if let [own] = tasks {
            self.run(own, &mut outputs, rows);
            return;
        }
        let half = tasks.len() / 2;
        let cut = parallel::cut(rows.clone(), half, tasks.len(), grain);
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head, tail) = split_parts(outputs, (cut - rows.start) * self.scheme.extents.n);
        parallel::join(
            || self.divide(head_tasks, head, rows.start..cut, grain),
            || self.divide(tail_tasks, tail, cut..rows.end, grain),
        );
    }

    fn run(self, own: &mut Own<T>, outputs: &mut Parts<'_>, rows: Range<usize>) {
        let extents = &self.scheme.extents;
        // The operand may have been written since the last run.
        own.kept_lhs = None;
        self.take_memory(own);
        let mut start = rows.start;
        while start < rows.end {
            let (batch, row) = (start / extents.m, start % extents.m);
            let height = self.scheme.height_of((rows.end - start).min(extents.m - row));
            self.run_rows(own, outputs, rows.start, batch, row..row + height);
            start += height;
        }
        self.give_memory_back(own);
    }

    /// Takes memory for what the task pads for itself.
    fn take_memory(self, own: &mut Own<T>) {
        let [left, right] = &self.scheme.padded;
        let right = right.as_ref().filter(|_| !self.scheme.pads_together());
        own.padded = [left.as_ref().map(PaddedOperand::take), right.map(PaddedOperand::take)];
        own.kept_rhs = None;
    }

    fn give_memory_back(self, own: &mut Own<T>) {
        for (padded, memory) in self.scheme.padded.iter().zip(&mut own.padded) {
            if let (Some(padded), Some(memory)) = (padded, memory.take()) {
                padded.give_back(memory);
            }
        }
    }

    /// Lets each of the tasks `numbers` of `all` compute its columns of a single product, into its block.
    fn divide_columns(self, tasks: &mut [Own<T>], blocks: &mut [AlignedVec<T>], numbers: Range<usize>, all: usize) {
        if let ([own], [block]) = (&mut *tasks, &mut *blocks) {
            let Scheme { extents, tile, .. } = self.scheme;
            let columns = columns_of(extents, *tile, numbers.start, all);
            own.kept_lhs = None;
            self.take_memory(own);
            let mut row = 0;
            while row < extents.m {
                let rows = row..row + self.scheme.height_of(extents.m - row);
                let result = &mut block[rows.start * columns.len()..rows.end * columns.len()];
                row = rows.end;
                self.multiply(own, 0, rows, columns.clone(), result);
            }
            self.give_memory_back(own);
            return;
        }
        let half = tasks.len() / 2;
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head, tail) = blocks.split_at_mut(half);
        let cut = numbers.start + half;
        parallel::join(
            || self.divide_columns(head_tasks, head, numbers.start..cut, all),
            || self.divide_columns(tail_tasks, tail, cut..numbers.end, all),
        );
    }

    /// Brings the blocks' parts of `rows` together, of which `outputs` are the elements, and computes their epilogue.
    fn divide_gathering(
        self,
        tasks: &mut [Own<T>],
        blocks: &ColumnBlocks<T>,
        mut outputs: Parts<'_>,
        rows: Range<usize>,
    ) {
        let Scheme { extents, epilogue, .. } = self.scheme;
        let n = extents.n;
        if let [own] = tasks {
            let (Some(epilogue), Some(bank)) = (epilogue, &mut own.bank) else {
                blocks.gather(rows, outputs[0].typed_mut::<T>());
                return;
            };
            for first in rows.clone().step_by(extents.rows_gathered()) {
                let some = first..rows.end.min(first + extents.rows_gathered());
                let elements = some.start * n..some.end * n;
                let results = &mut own.product[..elements.len()];
                blocks.gather(some, results);
                let accumulators = ((self.accumulators)(results), elements.start);
                epilogue.run_range(bank, self.operands, accumulators, (&mut outputs, rows.start * n), elements);
            }
            return;
        }
        let half = tasks.len() / 2;
        let cut = parallel::cut(rows.clone(), half, tasks.len(), 1);
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head, tail) = split_parts(outputs, (cut - rows.start) * n);
        parallel::join(
            || self.divide_gathering(head_tasks, blocks, head, rows.start..cut),
            || self.divide_gathering(tail_tasks, blocks, tail, cut..rows.end),
        );
    }

    /// Computes some rows of one batch and their epilogue. `outputs` begin at row `base`, counted over all batches.
    fn run_rows(self, own: &mut Own<T>, outputs: &mut Parts<'_>, base: usize, batch: usize, rows: Range<usize>) {
        let Scheme { extents, epilogue, .. } = self.scheme;
        let Extents { m, n, .. } = *extents;
        let first = batch * m + rows.start;
        let elements = first * n..(first + rows.len()) * n;
        match epilogue {
            Some(epilogue) => {
                let mut product = mem::take(&mut own.product);
                let results = &mut product[..elements.len()];
                self.multiply(own, batch, rows, 0..n, results);
                if let Some(bank) = &mut own.bank {
                    let accumulators = ((self.accumulators)(results), elements.start);
                    epilogue.run_range(bank, self.operands, accumulators, (outputs, base * n), elements);
                }
                own.product = product;
            }
            None => {
                let range = elements.start - base * n..elements.end - base * n;
                self.multiply(own, batch, rows, 0..n, &mut outputs[0].typed_mut::<T>()[range]);
            }
        }
    }

    fn multiply(self, own: &mut Own<T>, batch: usize, rows: Range<usize>, columns: Range<usize>, result: &mut [T]) {
        let Scheme { arch, extents, tile, way, height, padded, .. } = self.scheme;
        let Task { lhs, rhs, operands, .. } = self;
        let mut starts = [extents.lhs.start(batch), extents.rhs.start(batch)];
        let Own { packed_lhs, kept_lhs, padded: [left, right], kept_rhs, panel, totals, windows, .. } = own;
        let mut rhs = rhs;
        if let Some(padded) = &padded[1] {
            let (block, start) = padded.place(starts[1]);
            starts[1] = start;
            if let Some(memory) = right {
                if kept_rhs.replace(block) != Some(block) {
                    padded.pad_alone(operands, block, memory);
                }
                rhs = Source::new(memory);
            }
        }
        let padded_lhs = match (&padded[0], left) {
            (Some(operand), Some(memory)) => Some(PaddedRows { operand, operands, memory }),
            (Some(_) | None, _) => None,
        };
        let rhs = match way {
            Way::Panels(_) | Way::Columns | Way::PackedInTurn if self.scheme.keeps_rhs => Rhs::Packed(self.packed_rhs),
            Way::Windows => {
                if let (Some(ready), Some(scratch)) = (&self.scheme.windows, windows) {
                    let (lhs, rhs) = (lhs.values(), rhs.values());
                    ready.run(WindowProduct { extents, lhs, rhs, starts, rows, scratch, result }, *arch);
                }
                return;
            }
            Way::Direct => {
                DirectProduct { extents, lhs: lhs.values(), rhs: rhs.values(), starts, rows, result }.run(*arch);
                return;
            }
            Way::Panels(_) | Way::Columns => Rhs::Unpacked(rhs, starts[1], panel),
            Way::PackedInTurn => Rhs::Packed(self.packed_rhs),
        };
        let totals = &mut totals[..extents.totals(rows.len(), columns.len())];
        // Tasks may begin and end within a matrix: then they have a part of its rows.
        let packed_rows = if rows.len() < extents.m || !extents.keeps_rows(*tile, *height) {
            *kept_lhs = None;
            PackedRows::ByBlocks
        } else if kept_lhs.replace(starts[0]) == Some(starts[0]) {
            PackedRows::Ready
        } else {
            PackedRows::Whole
        };
        let lhs_start = starts[0];
        PackedProduct {
            extents,
            lhs,
            padded_lhs,
            lhs_start,
            rhs,
            packed_lhs,
            packed_rows,
            totals,
            rows,
            columns,
            result,
        }
        .run(*arch);
    }
}
