//! Scatter-adds with a total for each place.
//!
//! The updates are cut into parts, as many as the extents make worth it; each part adds up its own totals, in parallel with
//! the others, and at last the parts' totals are added up in order, each place's with the operand's element.

use std::ops::Range;

use super::{Left, Places, ScatterScheme, Scattered, Sources};
use crate::cpu::parallel;
use crate::cpu::registers::BLOCK;
use crate::cpu::walk::{self, Walk};
use crate::units::Units;

/// The fewest units of a part.
const PART: usize = 32 * 1024;

/// The most parts.
const PARTS: usize = 8;

/// How many units a part must have for each place, so that adding up the parts costs little beside them.
const UNITS_PER_PLACE: usize = 8;

/// A scatter-add with a total for each place.
#[derive(Clone, Debug)]
pub(super) struct Dense<T: Scattered> {
    parts: Vec<Part<T>>,
    /// How many tasks the parts are divided into.
    tasks: usize,
}

/// Some of the units, and what they add up to at each place.
#[derive(Clone, Debug)]
struct Part<T: Scattered> {
    units: Range<usize>,
    totals: Vec<T::Total>,
    indices: Vec<i32>,
    updates: Vec<T>,
}

impl<T: Scattered> Dense<T> {
    pub(super) fn new(scheme: &ScatterScheme, tasks: usize) -> Self {
        let (units, places, width) = (scheme.units.units(), scheme.units.places(), scheme.units.width);
        let parts = (units / PART).min(units / (UNITS_PER_PLACE * places).max(1)).clamp(1, PARTS);
        let size = units.div_ceil(parts);
        let parts: Vec<Part<T>> = (0..units)
            .step_by(size)
            .map(|start| Part {
                units: start..units.min(start + size),
                totals: vec![T::identity(); places * width],
                indices: vec![0; BLOCK.min(size)],
                updates: vec![T::default(); BLOCK.min(size) * width],
            })
            .collect();
        let tasks = tasks.min(parts.len());
        Dense { parts, tasks }
    }

    pub(super) fn divides(&self) -> bool {
        self.tasks > 1
    }

    pub(super) fn run(&mut self, sources: Sources<'_, T>, result: &mut [T]) {
        divide(&mut self.parts, sources, self.tasks);
        if let Some(operand) = sources.operand {
            result.copy_from_slice(operand);
        }
        let units = &sources.scheme.units;
        let places = units.places();
        let mut walk = Walk::new(&units.places, 0);
        let mut place = 0;
        let mut left = Left::new(sources);
        while place < places {
            let run = walk.next(places - place);
            if let ([part], None, true) =
                (&self.parts[..], sources.factor, run.length == 1 || run.stride == units.width as isize)
            {
                let (first, count) = (run.at(0), run.length * units.width);
                let totals = &part.totals[place * units.width..][..count];
                Sources::finish_all(&mut result[first..first + count], totals);
                place += run.length;
                continue;
            }
            for i in 0..run.length {
                let position = run.at(i);
                let first = (place + i) * units.width;
                left.pass(result, position, position + units.width);
                for (column, element) in result[position..position + units.width].iter_mut().enumerate() {
                    let mut total = sources.start(*element);
                    self.parts.iter().for_each(|part| T::join(&mut total, part.totals[first + column]));
                    *element = sources.finish(*element, total);
                }
            }
            place += run.length;
        }
        left.pass(result, result.len(), result.len());
    }
}

fn divide<T: Scattered>(parts: &mut [Part<T>], sources: Sources<'_, T>, tasks: usize) {
    if tasks <= 1 {
        parts.iter_mut().for_each(|part| part.run(sources));
        return;
    }
    let (head, tail) = parts.split_at_mut(parts.len() * (tasks / 2) / tasks);
    parallel::join(|| divide(head, sources, tasks / 2), || divide(tail, sources, tasks - tasks / 2));
}

impl<T: Scattered> Part<T> {
    fn run(&mut self, sources: Sources<'_, T>) {
        let Sources { scheme, indices, updates, .. } = sources;
        let width = scheme.units.width;
        self.totals.fill(T::identity());
        let mut places = Places::new(&scheme.units, self.units.start);
        let mut start = self.units.start;
        while start < self.units.end {
            let length = BLOCK.min(self.units.end - start);
            let index_block = &mut self.indices[..length];
            let update_block = &mut self.updates[..length * width];
            walk::read(indices, &scheme.units.indices, start, index_block);
            walk::read(updates, &scheme.updates, start * width, update_block);
            if width == 1 && scheme.units.inner == 1 {
                self.add_lines(&scheme.units, start, length);
            } else {
                for (&index, updates) in index_block.iter().zip(update_block.chunks_exact(width)) {
                    if let Some(place) = places.next(index) {
                        let totals = &mut self.totals[place * width..(place + 1) * width];
                        totals.iter_mut().zip(updates).for_each(|(total, &update)| update.add_to(total));
                    }
                }
            }
            start += length;
        }
    }

    /// Adds a block of units of one element with nothing after the axis: neighbours along the axis share a line of places.
    fn add_lines(&mut self, units: &Units, start: usize, length: usize) {
        let Part { totals, indices, updates, .. } = self;
        let mut done = 0;
        while done < length {
            let (line, along) = ((start + done) / units.count, (start + done) % units.count);
            let end = length.min(done + units.count - along);
            let places = &mut totals[line * units.extent..(line + 1) * units.extent];
            for (&index, &update) in indices[done..end].iter().zip(&updates[done..end]) {
                // A negative index is past every extent.
                if let Some(total) = places.get_mut(index as usize) {
                    update.add_to(total);
                }
            }
            done = end;
        }
    }
}
