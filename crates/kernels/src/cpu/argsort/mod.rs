//! The indices of the first elements in order, of each row.
//!
//! Elements become integers that order as they do, each with its index behind it, so that no two are equal and the order does not depend on
//! how it is found. Few of many are selected; short rows are sorted by comparisons, long ones digit by digit. Many rows are shared among
//! threads, and so are the parts of a single one.

mod keys;
mod radix;
mod select;

use arenagrad_graph::{DType, Elements};

use super::buffer::{Operands, typed_mut};
use super::parallel;
use super::processor::{Arch, detect, dispatch};
use crate::cost;
use keys::{Sortable, VALUES};
use radix::Row;
use select::{Select, room, sift};

/// A sort made ready; see [`crate::Kernel::ArgSort`].
#[derive(Clone, Debug)]
pub(super) enum ArgSort {
    F32(Typed<f32>),
    F64(Typed<f64>),
    I32(Typed<i32>),
}

/// A sort of elements of a type.
#[derive(Clone, Debug)]
pub(super) struct Typed<T: Sortable> {
    scheme: Scheme,
    /// For each task of rows.
    scratch: Vec<Scratch<T>>,
}

#[derive(Clone, Copy, Debug)]
struct Scheme {
    arch: Arch,
    rows: usize,
    extent: usize,
    count: usize,
    is_descending: bool,
    way: Way,
    /// Into how many parts a row is divided.
    parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Select,
    Compare,
    Digits,
}

/// What a task needs for a row.
#[derive(Clone, Debug)]
struct Scratch<T: Sortable> {
    here: Vec<T::Keyed>,
    there: Vec<T::Keyed>,
    counts: Vec<u32>,
    /// How many were selected of each part.
    selected: Vec<usize>,
}

/// The longest row that is sorted by comparisons.
const COMPARED: usize = 2048;

/// A row is divided where each part has so many elements at least.
const PART: usize = 1 << 15;

/// Elements are selected where they are fewer than all by this factor.
const FEW: usize = 8;

impl ArgSort {
    pub(super) fn new(dtype: DType, [rows, extent, count]: [usize; 3], is_descending: bool) -> Self {
        let way = match (extent <= COMPARED, count <= extent / FEW) {
            (true, _) => Way::Compare,
            (false, true) => Way::Select,
            (false, false) => Way::Digits,
        };
        let tasks = parallel::tasks(cost::argsort(dtype, [rows, extent, count]));
        let (of_rows, parts) = if rows >= tasks || extent < 2 * PART {
            (tasks.min(rows), 1)
        } else {
            let threads = parallel::threads().next_power_of_two();
            (1, threads.min((extent / PART).next_power_of_two() / 2).max(1))
        };
        let scheme = Scheme { arch: detect(), rows, extent, count, is_descending, way, parts };
        match dtype {
            DType::F32 => ArgSort::F32(Typed::new(scheme, of_rows)),
            DType::F64 => ArgSort::F64(Typed::new(scheme, of_rows)),
            DType::I32 => ArgSort::I32(Typed::new(scheme, of_rows)),
            DType::Bool => panic!("argsort is not defined for bool"),
        }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        match self {
            ArgSort::F32(typed) => typed.divides(),
            ArgSort::F64(typed) => typed.divides(),
            ArgSort::I32(typed) => typed.divides(),
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        match self {
            ArgSort::F32(typed) => typed.run(operands, outputs),
            ArgSort::F64(typed) => typed.run(operands, outputs),
            ArgSort::I32(typed) => typed.run(operands, outputs),
        }
    }
}

impl<T: Sortable> Typed<T> {
    fn new(scheme: Scheme, of_rows: usize) -> Self {
        let Scheme { extent, count, way, parts, .. } = scheme;
        let buffer = |length: usize| vec![T::Keyed::default(); length];
        let scratch = match way {
            Way::Compare => Scratch { here: buffer(extent), there: vec![], counts: vec![], selected: vec![] },
            Way::Select => {
                Scratch { here: buffer(parts * room(count)), there: vec![], counts: vec![], selected: vec![0; parts] }
            }
            Way::Digits => Scratch {
                here: buffer(extent),
                there: buffer(extent),
                counts: vec![0; parts * T::DIGITS * VALUES],
                selected: vec![],
            },
        };
        Typed { scheme, scratch: vec![scratch; of_rows] }
    }

    fn divides(&self) -> bool {
        self.scratch.len() > 1 || self.scheme.parts > 1
    }

    fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let Scheme { rows, extent, count, .. } = self.scheme;
        let operand = &operands.typed::<T>(0)[..rows * extent];
        let result = &mut typed_mut::<i32>(&mut outputs[0])[..rows * count];
        self.scheme.rows(&mut self.scratch, operand, result);
    }
}

impl Scheme {
    fn rows<T: Sortable>(&self, scratch: &mut [Scratch<T>], operand: &[T], result: &mut [i32]) {
        if let [scratch] = scratch {
            for (row, result) in operand.chunks_exact(self.extent).zip(result.chunks_exact_mut(self.count)) {
                let row = Row { elements: row, first: 0, is_descending: self.is_descending };
                self.row(scratch, row, result);
            }
            return;
        }
        let half = scratch.len() / 2;
        let cut = parallel::cut(0..result.len() / self.count, half, scratch.len(), 1);
        let (head_scratch, tail_scratch) = scratch.split_at_mut(half);
        let (head, tail) = result.split_at_mut(cut * self.count);
        let (head_operand, tail_operand) = operand.split_at(cut * self.extent);
        parallel::join(|| self.rows(head_scratch, head_operand, head), || self.rows(tail_scratch, tail_operand, tail));
    }

    fn row<T: Sortable>(&self, scratch: &mut Scratch<T>, row: Row<'_, T>, result: &mut [i32]) {
        let Scratch { here, there, counts, selected } = scratch;
        let sorted = match self.way {
            Way::Digits => {
                radix::sort(row, here, there, counts, result);
                return;
            }
            Way::Compare => {
                here.iter_mut().zip(row.keyed()).for_each(|(slot, keyed)| *slot = keyed);
                let taken = sift::<T>(here, self.count);
                &mut here[..taken]
            }
            Way::Select => {
                let room = room(self.count);
                self.select(row, here, selected);
                // What each part has, side by side.
                let mut taken = selected[0];
                for (part, &length) in selected.iter().enumerate().skip(1) {
                    here.copy_within(part * room..part * room + length, taken);
                    taken += length;
                }
                let taken = sift::<T>(&mut here[..taken], self.count);
                &mut here[..taken]
            }
        };
        sorted.sort_unstable();
        for (index, &keyed) in result.iter_mut().zip(&*sorted) {
            *index = T::index(keyed);
        }
    }

    /// Selects of each part of a row, of which there are as many as `selected`.
    fn select<T: Sortable>(&self, row: Row<'_, T>, candidates: &mut [T::Keyed], selected: &mut [usize]) {
        if let [selected] = selected {
            *selected = dispatch(self.arch, Select { row, count: self.count, candidates });
            return;
        }
        let half = selected.len() / 2;
        let (head_selected, tail_selected) = selected.split_at_mut(half);
        let (head_candidates, tail_candidates) = candidates.split_at_mut(half * room(self.count));
        let (head, tail) = row.split_at(row.elements.len() / 2);
        parallel::join(
            || self.select(head, head_candidates, head_selected),
            || self.select(tail, tail_candidates, tail_selected),
        );
    }
}
