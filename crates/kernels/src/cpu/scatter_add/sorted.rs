//! Scatter-adds in the order of the places.
//!
//! Units are sorted by the place that they go to, in ascending order for each place; then every place is summed at once.
//! Places ascend in the result as they do in the order, so each task has a part of both.

use std::ops::Range;

use arenagrad_graph::DType;

use super::{Left, Places, ScatterScheme, Scattered, Sources};
use crate::cpu::ahead::fetch_elements;
use crate::cpu::parallel;
use crate::cpu::processor::{Arch, Vectorise, dispatch};
use crate::cpu::registers::BLOCK;
use crate::cpu::walk;
use crate::units::Units;

/// The most bits of a digit: its counts stay in the nearest cache.
const DIGIT: u32 = 11;

/// The most bits of a digit where that may save a pass over [so many](NEAR_UNITS) units.
const LONG_DIGIT: u32 = 13;

/// How many units there are then: they stay in a near cache, and their passes cost more than the counts.
const NEAR_UNITS: Range<usize> = 1 << 12..1 << 17;

/// Units from which sorting by digits is cheaper than by comparison.
const BY_DIGITS: usize = 512;

/// How many units are asked for before the first of a place is added, and so many more.
const UNITS_AHEAD: usize = 8;

/// The columns whose totals are in registers while the units of a place are added to them, where there are so many.
const COLUMNS_AT_ONCE: usize = 32;

/// The elements of updates that the nearest cache holds.
const NEAR_ELEMENTS: usize = 4096;

/// As many columns as are left are added in smaller groups.
const FEW_COLUMNS: usize = 8;

/// A scatter-add in the order of the places.
#[derive(Clone, Debug)]
pub(super) struct Sorted<T: Scattered> {
    /// For each unit that goes to a place, the place above [`Sorted::unit_bits`] and the unit's number below: ascending
    /// when they are sorted. There is room for all units; [`Sorted::length`] go to a place.
    keys: Vec<u64>,
    length: usize,
    /// What a digit's pass writes.
    spare: Vec<u64>,
    counts: Vec<usize>,
    unit_bits: u32,
    place_bits: u32,
    indices: Vec<i32>,
    tasks: Vec<Own<T>>,
}

/// The memory of one task.
#[derive(Clone, Debug)]
struct Own<T: Scattered> {
    updates: Vec<T>,
    totals: Vec<T::Total>,
}

/// The bits that numbers below `count` have.
fn bits(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

impl<T: Scattered> Sorted<T> {
    pub(super) fn new(scheme: &ScatterScheme, tasks: usize) -> Self {
        let (units, places) = (scheme.units.units(), scheme.units.places());
        let (unit_bits, place_bits) = (bits(units), bits(places));
        assert!(unit_bits + place_bits <= 64, "the numbers of {units} updates and {places} places fit in 64 bits");
        let piece = BLOCK.min(scheme.units.width);
        Sorted {
            keys: vec![0; units],
            length: 0,
            spare: vec![0; if units < BY_DIGITS { 0 } else { units }],
            counts: vec![0; 1 << if NEAR_UNITS.contains(&units) { LONG_DIGIT } else { DIGIT }],
            unit_bits,
            place_bits,
            indices: vec![0; BLOCK.min(units)],
            tasks: (0..tasks.min(units).max(1))
                .map(|_| Own { updates: vec![T::default(); piece], totals: vec![T::identity(); piece] })
                .collect(),
        }
    }

    pub(super) fn divides(&self) -> bool {
        self.tasks.len() > 1
    }

    pub(super) fn run(&mut self, sources: Sources<'_, T>, result: &mut [T]) {
        self.collect(sources);
        // With one unit along the axis each place has one at most, and any order will do; but tasks have places in order, and so has
        // who looks for elements without updates.
        let in_order = sources.scheme.units.count == 1 && self.tasks.len() == 1 && sources.spreading().is_none();
        if !in_order && !self.keys[..self.length].is_sorted() {
            self.sort();
        }
        let task = SortedTask { sources, unit_bits: self.unit_bits };
        task.divide(&mut self.tasks, &self.keys[..self.length], result, 0);
    }

    /// The keys of all units that go to a place, in their order.
    fn collect(&mut self, sources: Sources<'_, T>) {
        let units = &sources.scheme.units;
        let all = units.units();
        self.length = 0;
        if all == 0 {
            return;
        }
        let mut places = Places::new(units, 0);
        for start in (0..all).step_by(BLOCK) {
            let block = &mut self.indices[..BLOCK.min(all - start)];
            walk::read(sources.indices, &units.indices, start, block);
            for (unit, &index) in (start..).zip(&*block) {
                if let Some(place) = places.next(index) {
                    self.keys[self.length] = (place as u64).checked_shl(self.unit_bits).unwrap_or(0) | unit as u64;
                    self.length += 1;
                }
            }
        }
    }

    /// Sorts the keys: all differ, so every way of sorting gives the same order.
    fn sort(&mut self) {
        if self.length < BY_DIGITS {
            self.keys[..self.length].sort_unstable();
            return;
        }
        let passes = self.place_bits.div_ceil(self.counts.len().ilog2());
        let digit = self.place_bits.div_ceil(passes.max(1));
        for pass in 0..passes {
            let shift = self.unit_bits + pass * digit;
            let of = |key: u64| (key >> shift) as usize & ((1 << digit) - 1);
            let counts = &mut self.counts[..1 << digit];
            counts.fill(0);
            let keys = &self.keys[..self.length];
            keys.iter().for_each(|&key| counts[of(key)] += 1);
            let mut first = 0;
            for count in &mut *counts {
                (first, *count) = (first + *count, first);
            }
            for &key in keys {
                let place = &mut counts[of(key)];
                self.spare[*place] = key;
                *place += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
        }
    }
}

#[derive(Clone, Copy)]
struct SortedTask<'a, T> {
    sources: Sources<'a, T>,
    unit_bits: u32,
}

impl<T: Scattered> SortedTask<'_, T> {
    fn place(&self, key: u64) -> usize {
        key.checked_shr(self.unit_bits).unwrap_or(0) as usize
    }

    /// Where a place begins in the result.
    #[inline(always)]
    fn position(&self, place: usize) -> usize {
        let places = &self.sources.scheme.units.places;
        match places.axes() {
            [axis] => places.offset() + place * axis.stride as usize,
            [] | [_, ..] => places.position(place),
        }
    }

    /// Sums the places of `keys` into `result`, which begins at element `base` of the whole result.
    fn divide(self, tasks: &mut [Own<T>], keys: &[u64], result: &mut [T], base: usize) {
        if let [own] = tasks {
            self.run(own, keys, result, base);
            return;
        }
        let half = tasks.len() / 2;
        let mut cut = parallel::cut(0..keys.len(), half, tasks.len(), 1);
        // A place is one task's.
        if let Some(&key) = keys.get(cut) {
            let place = self.place(key);
            cut = keys.partition_point(|&key| self.place(key) < place);
        }
        let at = match keys.get(cut) {
            Some(&key) => self.position(self.place(key)) - base,
            None => result.len(),
        };
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head_keys, tail_keys) = keys.split_at(cut);
        let (head, tail) = result.split_at_mut(at);
        parallel::join(
            || self.divide(head_tasks, head_keys, head, base),
            || self.divide(tail_tasks, tail_keys, tail, base + at),
        );
    }

    fn run(self, own: &mut Own<T>, keys: &[u64], result: &mut [T], base: usize) {
        let ScatterScheme { units, .. } = self.sources.scheme;
        if let Some(operand) = self.sources.operand {
            result.copy_from_slice(&operand[base..base + result.len()]);
        }
        if units.width == 1 {
            self.sum_elements(keys, result, base);
            return;
        }
        let mut rest = keys;
        let mut left = Left::new(self.sources);
        let mut asked_for = 0;
        while let Some(&first) = rest.first() {
            let place = self.place(first);
            let length = rest.iter().position(|&key| self.place(key) != place).unwrap_or(rest.len());
            let (segment, tail) = rest.split_at(length);
            // Of a place with many units the first ones: by the time of the others what is asked for now would be gone.
            let at = keys.len() - rest.len();
            let ahead = keys.len().min(at + length.min(UNITS_AHEAD) + UNITS_AHEAD);
            if asked_for < ahead {
                self.ask_for(&keys[asked_for.max(at)..ahead]);
                asked_for = ahead;
            }
            let start = self.position(place) - base;
            left.pass(result, start, start + units.width);
            for from in (0..units.width).step_by(BLOCK) {
                let columns = from..units.width.min(from + BLOCK);
                let target = &mut result[start + columns.start..start + columns.end];
                self.sum(own, segment, columns, target);
            }
            rest = tail;
        }
        left.pass(result, result.len(), result.len());
    }

    /// Asks for updates that are read soon: they stand in another order than that in which they are added.
    fn ask_for(self, keys: &[u64]) {
        let Sources { scheme, updates, .. } = self.sources;
        if scheme.updates.is_contiguous() {
            let width = scheme.units.width;
            for &key in keys {
                let start = (key & self.unit_mask()) as usize * width;
                fetch_elements(&updates[start..start + width]);
            }
        }
    }

    /// Adds units of one element each to the elements at their places.
    fn sum_elements(self, keys: &[u64], result: &mut [T], base: usize) {
        let Sources { scheme, updates, .. } = self.sources;
        let mask = self.unit_mask();
        let is_contiguous = scheme.updates.is_contiguous();
        let update_of = |key: u64| {
            let unit = (key & mask) as usize;
            updates[if is_contiguous { unit } else { scheme.updates.position(unit) }]
        };
        let mut at = 0;
        let mut left = Left::new(self.sources);
        while let Some(&key) = keys.get(at) {
            let place = self.place(key);
            let position = self.position(place) - base;
            left.pass(result, position, position + 1);
            let element = &mut result[position];
            let first = update_of(key);
            at += 1;
            if keys.get(at).is_none_or(|&next| self.place(next) != place) {
                *element = self.sources.add_one(*element, first);
                continue;
            }
            let mut total = self.sources.start(*element);
            first.add_to(&mut total);
            while let Some(&next) = keys.get(at)
                && self.place(next) == place
            {
                update_of(next).add_to(&mut total);
                at += 1;
            }
            *element = self.sources.finish(*element, total);
        }
        left.pass(result, result.len(), result.len());
    }

    /// The bits of a key that are the unit's number.
    fn unit_mask(&self) -> u64 {
        1u64.checked_shl(self.unit_bits).map_or(u64::MAX, |bit| bit - 1)
    }

    /// Adds some columns of the units of one place to the elements there.
    fn sum(self, own: &mut Own<T>, segment: &[u64], columns: Range<usize>, target: &mut [T]) {
        let Sources { scheme, updates, .. } = self.sources;
        let ScatterScheme { arch, units: Units { width, .. }, updates: view, .. } = scheme;
        let width = *width;
        let is_contiguous = view.is_contiguous();
        let mask = self.unit_mask();
        let Own { updates: scratch, totals } = own;
        let read = |key: u64, scratch: &mut [T]| {
            let start = (key & mask) as usize * width + columns.start;
            walk::read(updates, view, start, scratch);
        };
        let scratch = &mut scratch[..columns.len()];
        if let [key] = *segment {
            read(key, scratch);
            let updates = scratch.iter();
            target
                .iter_mut()
                .zip(updates)
                .for_each(|(element, &update)| *element = self.sources.add_one(*element, update));
            return;
        }
        let totals = &mut totals[..columns.len()];
        totals.iter_mut().zip(&*target).for_each(|(total, &element)| *total = self.sources.start(element));
        if is_contiguous {
            // So many at a time that they stay in the nearest cache while one group of columns after the other is added.
            for keys in segment.chunks((NEAR_ELEMENTS / columns.len()).max(1)) {
                add_to_totals(*arch, updates, UnitsOf { keys, mask, width, column: columns.start }, totals);
            }
        } else {
            for &key in segment {
                read(key, scratch);
                add_to_totals(*arch, scratch, UnitsOf { keys: &[0], mask: 0, width: 0, column: 0 }, totals);
            }
        }
        let totals = totals.iter();
        target.iter_mut().zip(totals).for_each(|(element, &total)| *element = self.sources.finish(*element, total));
    }
}

/// Units of updates, the numbers of which stand in keys.
#[derive(Clone, Copy)]
struct UnitsOf<'a> {
    keys: &'a [u64],
    mask: u64,
    width: usize,
    /// The first column of those that are added.
    column: usize,
}

impl UnitsOf<'_> {
    /// Where their columns from the first one and so many more on begin, in the order of the keys.
    #[inline(always)]
    fn starts(self, more: usize) -> impl Iterator<Item = usize> {
        let UnitsOf { keys, mask, width, column } = self;
        keys.iter().map(move |key| (key & mask) as usize * width + column + more)
    }
}

/// Adds columns of units to their totals, one unit after the other.
fn add_to_totals<T: Scattered>(arch: Arch, updates: &[T], units: UnitsOf<'_>, totals: &mut [T::Total]) {
    struct Work<'a, T: Scattered> {
        updates: &'a [T],
        units: UnitsOf<'a>,
        totals: &'a mut [T::Total],
    }
    impl<T: Scattered> Vectorise for Work<'_, T> {
        type Output = ();
        const WIDEST: bool = matches!(T::DTYPE, DType::F32);

        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let Work { updates, units, totals } = self;
            let (many, rest) = totals.as_chunks_mut::<COLUMNS_AT_ONCE>();
            let (few, rest) = rest.as_chunks_mut::<FEW_COLUMNS>();
            let mut column = 0;
            for totals in many {
                add_columns(updates, units.starts(column), totals);
                column += COLUMNS_AT_ONCE;
            }
            for totals in few {
                add_columns(updates, units.starts(column), totals);
                column += FEW_COLUMNS;
            }
            if !rest.is_empty() {
                for start in units.starts(column) {
                    let updates = &updates[start..start + rest.len()];
                    rest.iter_mut().zip(updates).for_each(|(total, &update)| update.add_to(total));
                }
            }
        }
    }
    if let [total] = totals {
        units.starts(0).for_each(|start| updates[start].add_to(total));
        return;
    }
    dispatch(arch, Work { updates, units, totals });
}

/// Adds so many columns of updates to totals, which meanwhile are in registers.
#[inline(always)]
fn add_columns<T: Scattered, const COLUMNS: usize>(
    updates: &[T],
    starts: impl Iterator<Item = usize>,
    totals: &mut [T::Total; COLUMNS],
) {
    let mut sums = *totals;
    for start in starts {
        let updates = &updates[start..start + COLUMNS];
        for (sum, &update) in sums.iter_mut().zip(updates) {
            update.add_to(sum);
        }
    }
    *totals = sums;
}
