//! Batched matrix products with an epilogue.
//!
//! Rows of the results of all batches are the units that threads share. The epilogue follows on each block of rows while
//! they are in cache: it reads the product from the task's own memory and writes the step's outputs.

use std::ops::Range;

use arenagrad_graph::DType;
use pulp::Arch;

use super::buffer::{Buffer, Operands, Parts, parts, split_parts};
use super::elementwise::Elementwise;
use super::interpret::Accumulators;
use super::parallel;
use super::processor::{detect, dispatch};
use super::product::{DirectProduct, Extents, PackRhs, PackedProduct, TileShape, rows_at_once, tile_shape};
use super::registers::Bank;
use super::tile::Real;
use crate::cost;
use crate::kernel::{BatchAxis, Matrix};
use crate::program::Program;
use crate::view::{Axis, View};

/// Multiplications below which packing costs more than it brings.
const PACKING: usize = 1024;

/// Rows below which packing the right operand costs as much as the product.
const PACKING_ROWS: usize = 4;

/// A matrix product made ready; see [`crate::Kernel::MatMul`].
#[derive(Clone, Debug)]
pub(super) struct MatMul {
    scheme: Scheme,
    state: State,
}

/// What all tasks share.
#[derive(Clone, Debug)]
struct Scheme {
    arch: Arch,
    extents: Extents,
    tile: TileShape,
    /// Where each batch's matrices begin, beside the matrices' own offsets.
    lhs_batches: View,
    rhs_batches: View,
    batches: usize,
    way: Way,
    epilogue: Option<Elementwise>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Without packing, rows of all batches divided among tasks.
    Direct,
    /// One batch after the other, its rows divided among tasks.
    RowsInTurn,
    /// Batches divided among tasks, each of which packs for itself.
    WholeBatches,
}

#[derive(Clone, Debug)]
enum State {
    F32(Scratch<f32>),
    F64(Scratch<f64>),
}

/// The memory of all tasks.
#[derive(Clone, Debug)]
struct Scratch<T: Real> {
    /// The packed right operand of the batch that all tasks work at.
    packed_rhs: Vec<T>,
    tasks: Vec<Own<T>>,
}

/// The memory of one task.
#[derive(Clone, Debug)]
struct Own<T: Real> {
    packed_lhs: Vec<T>,
    packed_rhs: Vec<T>,
    /// Rows of the product, where an epilogue reads them.
    product: Vec<T>,
    /// Totals of rows of the product, where the depth is summed in several sections.
    totals: Vec<T::Total>,
    bank: Option<Bank>,
}

impl MatMul {
    /// A product of dtype `dtype` with extents `[m, k, n]`.
    pub(super) fn new(
        dtype: DType,
        batch: &[BatchAxis],
        [m, k, n]: [usize; 3],
        lhs: Matrix,
        rhs: Matrix,
        epilogue: Option<&Program>,
    ) -> Self {
        let view = |stride: fn(&BatchAxis) -> usize| {
            View::new(batch.iter().map(|axis| Axis { extent: axis.extent, stride: stride(axis) }), 0)
        };
        let arch = detect();
        let tile = match dtype {
            DType::F32 => tile_shape::<f32>(arch, n),
            DType::F64 => tile_shape::<f64>(arch, n),
            DType::I32 | DType::Bool => panic!("matmul is not defined for {dtype}"),
        };
        let batches = batch.iter().map(|axis| axis.extent).product();
        let work = m.saturating_mul(n).saturating_mul(k);
        let mut tasks = parallel::tasks(cost::matmul(dtype, batch, [m, k, n]));
        let way = if work <= PACKING || m < PACKING_ROWS {
            tasks = tasks.min(batches * m);
            Way::Direct
        } else if batches >= 2 * tasks && batches > 1 {
            tasks = tasks.min(batches);
            Way::WholeBatches
        } else {
            // Each task reads the whole packed right operand, so there are no more of them than threads.
            if tasks > 1 {
                tasks = tasks.min(rayon::current_num_threads()).min(m.div_ceil(tile.rows));
            }
            Way::RowsInTurn
        };
        let scheme = Scheme {
            arch,
            extents: Extents { m, k, n, lhs, rhs },
            tile,
            lhs_batches: view(|axis| axis.lhs_stride),
            rhs_batches: view(|axis| axis.rhs_stride),
            batches,
            way,
            epilogue: epilogue.map(|epilogue| Elementwise::new(epilogue, 2)),
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
        match &self.state {
            State::F32(scratch) => scratch.tasks.len() > 1,
            State::F64(scratch) => scratch.tasks.len() > 1,
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Buffer]) {
        let MatMul { scheme, state } = self;
        match state {
            State::F32(scratch) => scheme.run(scratch, operands, outputs, |product| Accumulators::F32(product)),
            State::F64(scratch) => scheme.run(scratch, operands, outputs, |product| Accumulators::F64(product)),
        }
    }
}

impl<T: Real> Scratch<T> {
    fn new(scheme: &Scheme, tasks: usize) -> Self {
        let Scheme { extents, tile, way, epilogue, .. } = scheme;
        let zeros = |count: usize| vec![T::default(); count];
        let packed_rhs = extents.packed_rhs(*tile);
        Scratch {
            packed_rhs: zeros(if *way == Way::RowsInTurn { packed_rhs } else { 0 }),
            tasks: (0..tasks)
                .map(|_| Own {
                    packed_lhs: zeros(if *way == Way::Direct { 0 } else { extents.packed_lhs(*tile) }),
                    packed_rhs: zeros(if *way == Way::WholeBatches { packed_rhs } else { 0 }),
                    totals: vec![T::Total::default(); if *way == Way::Direct { 0 } else { extents.totals() }],
                    product: zeros(if epilogue.is_some() { extents.m.min(rows_at_once()) * extents.n } else { 0 }),
                    bank: epilogue.as_ref().map(Elementwise::bank),
                })
                .collect(),
        }
    }
}

/// How the tasks of one element type see the product.
#[derive(Clone, Copy)]
struct Task<'a, T> {
    scheme: &'a Scheme,
    operands: Operands<'a>,
    lhs: &'a [T],
    rhs: &'a [T],
    packed_rhs: &'a [T],
    accumulators: for<'b> fn(&'b [T]) -> Accumulators<'b>,
}

impl Scheme {
    fn run<T: Real>(
        &self,
        scratch: &mut Scratch<T>,
        operands: Operands<'_>,
        outputs: &mut [Buffer],
        accumulators: for<'b> fn(&'b [T]) -> Accumulators<'b>,
    ) {
        let Extents { m, n, .. } = self.extents;
        let (lhs, rhs) = (operands.typed::<T>(0), operands.typed::<T>(1));
        let Scratch { packed_rhs, tasks } = scratch;
        let mut outputs = parts(outputs, self.batches * m * n);
        match self.way {
            Way::Direct | Way::WholeBatches => {
                let grain = if self.way == Way::Direct { 1 } else { m };
                let task = Task { scheme: self, operands, lhs, rhs, packed_rhs: &[], accumulators };
                task.divide(tasks, outputs, 0..self.batches * m, grain);
            }
            Way::RowsInTurn => {
                let mut packed = None;
                for batch in 0..self.batches {
                    let offset = self.rhs_batches.position(batch);
                    if packed != Some(offset) {
                        self.pack(&rhs[offset..], packed_rhs, tasks.len());
                        packed = Some(offset);
                    }
                    let (head, tail) = split_parts(outputs, m * n);
                    outputs = tail;
                    let task = Task { scheme: self, operands, lhs, rhs, packed_rhs, accumulators };
                    task.divide(tasks, head, batch * m..(batch + 1) * m, self.tile.rows);
                }
            }
        }
    }

    /// Packs the right operand of one batch.
    fn pack<T: Real>(&self, rhs: &[T], packed: &mut [T], tasks: usize) {
        fn divide<T: Real>(scheme: &Scheme, rhs: &[T], packed: &mut [T], panels: Range<usize>, tasks: usize) {
            if tasks <= 1 {
                let Scheme { arch, extents, tile, .. } = scheme;
                dispatch(*arch, PackRhs { extents, tile: *tile, rhs, panels, packed });
                return;
            }
            let cut = parallel::cut(panels.clone(), tasks / 2, tasks, 1);
            let (head, tail) = packed.split_at_mut((cut - panels.start) * scheme.extents.k * scheme.tile.columns);
            parallel::join(
                || divide(scheme, rhs, head, panels.start..cut, tasks / 2),
                || divide(scheme, rhs, tail, cut..panels.end, tasks - tasks / 2),
            );
        }
        let panels = self.extents.n.div_ceil(self.tile.columns);
        let tasks = if packed.len() < 64 * 1024 { 1 } else { tasks };
        divide(self, rhs, packed, 0..panels, tasks);
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
        let Scheme { extents, tile, way, .. } = self.scheme;
        let mut start = rows.start;
        while start < rows.end {
            let (batch, row) = (start / extents.m, start % extents.m);
            if *way == Way::WholeBatches && row == 0 {
                let panels = 0..extents.n.div_ceil(tile.columns);
                let rhs = &self.rhs[self.scheme.rhs_batches.position(batch)..];
                let packed = &mut own.packed_rhs[..];
                dispatch(self.scheme.arch, PackRhs { extents, tile: *tile, rhs, panels, packed });
            }
            let end = rows.end.min((batch + 1) * extents.m).min(start + rows_at_once());
            self.run_rows(own, outputs, rows.start, batch, row..row + end - start);
            start = end;
        }
    }

    /// Computes some rows of one batch and their epilogue. `outputs` begin at row `base`, counted over all batches.
    fn run_rows(self, own: &mut Own<T>, outputs: &mut Parts<'_>, base: usize, batch: usize, rows: Range<usize>) {
        let Scheme { arch, extents, epilogue, .. } = self.scheme;
        let Extents { m, n, .. } = *extents;
        let Own { packed_lhs, packed_rhs, product, totals, bank } = own;
        let packed_rhs = if packed_rhs.is_empty() { self.packed_rhs } else { packed_rhs };
        let first = batch * m + rows.start;
        let elements = first * n..(first + rows.len()) * n;
        match (epilogue, bank) {
            (Some(epilogue), Some(bank)) => {
                let product = &mut product[..elements.len()];
                self.multiply(*arch, (packed_lhs, totals), packed_rhs, batch, rows, product);
                let accumulators = ((self.accumulators)(product), elements.start);
                epilogue.run_range(bank, self.operands, accumulators, (outputs, base * n), elements);
            }
            (None, _) | (Some(_), None) => {
                let range = elements.start - base * n..elements.end - base * n;
                let result = &mut outputs[0].typed_mut::<T>()[range];
                self.multiply(*arch, (packed_lhs, totals), packed_rhs, batch, rows, result);
            }
        }
    }

    fn multiply(
        self,
        arch: Arch,
        (packed_lhs, totals): (&mut [T], &mut [T::Total]),
        packed_rhs: &[T],
        batch: usize,
        rows: Range<usize>,
        result: &mut [T],
    ) {
        let Scheme { extents, way, lhs_batches, rhs_batches, .. } = self.scheme;
        let lhs = &self.lhs[lhs_batches.position(batch)..];
        if *way == Way::Direct {
            let rhs = &self.rhs[rhs_batches.position(batch)..];
            DirectProduct { extents, lhs, rhs, rows, result }.run(arch);
        } else {
            PackedProduct { extents, lhs, packed_rhs, packed_lhs, totals, rows, result }.run(arch);
        }
    }
}
