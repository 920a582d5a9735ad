//! Scatter-adds line by line: a line is what all axes before the indexed one leave of the places, and of the updates those that go there.
//!
//! A line has a total for each place, small enough for a near cache, and is finished before the next one begins. Each task has lines of its own.

use std::ops::Range;

use super::{Left, Places, ScatterScheme, Scattered, Sources};
use crate::cpu::parallel;
use crate::cpu::registers::BLOCK;
use crate::cpu::walk::{self, Walk};
use crate::units::Units;

/// A scatter-add line by line.
#[derive(Clone, Debug)]
pub(super) struct Lines<T: Scattered> {
    tasks: Vec<Own<T>>,
}

/// The memory of one task.
#[derive(Clone, Debug)]
struct Own<T: Scattered> {
    totals: Vec<T::Total>,
    indices: Vec<i32>,
    updates: Vec<T>,
}

impl<T: Scattered> Lines<T> {
    pub(super) fn new(scheme: &ScatterScheme, tasks: usize) -> Self {
        let Units { width, outer, count, inner, extent, .. } = scheme.units;
        let block = BLOCK.min(count * inner);
        let own = Own {
            totals: vec![T::identity(); extent * inner * width],
            indices: vec![0; block],
            updates: vec![T::default(); block * width],
        };
        Lines { tasks: vec![own; tasks.min(outer).max(1)] }
    }

    pub(super) fn divides(&self) -> bool {
        self.tasks.len() > 1
    }

    pub(super) fn run(&mut self, sources: Sources<'_, T>, result: &mut [T]) {
        divide(&mut self.tasks, sources, 0..sources.scheme.units.outer, result, 0);
    }
}

/// Computes lines, and whatever else lies in `result`, which begins at element `base` of the whole result.
fn divide<T: Scattered>(
    tasks: &mut [Own<T>],
    sources: Sources<'_, T>,
    lines: Range<usize>,
    result: &mut [T],
    base: usize,
) {
    if let [own] = tasks {
        own.run(sources, lines, result, base);
        return;
    }
    let half = tasks.len() / 2;
    let cut = parallel::cut(lines.clone(), half, tasks.len(), 1);
    let Units { extent, inner, places, .. } = &sources.scheme.units;
    // Places ascend in the result as they do in their order.
    let at = places.position(cut * extent * inner) - base;
    let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
    let (head, tail) = result.split_at_mut(at);
    parallel::join(
        || divide(head_tasks, sources, lines.start..cut, head, base),
        || divide(tail_tasks, sources, cut..lines.end, tail, base + at),
    );
}

impl<T: Scattered> Own<T> {
    fn run(&mut self, sources: Sources<'_, T>, lines: Range<usize>, result: &mut [T], base: usize) {
        if let Some(operand) = sources.operand {
            result.copy_from_slice(&operand[base..base + result.len()]);
        }
        let Units { width, extent, inner, places, .. } = &sources.scheme.units;
        let line_places = extent * inner;
        let mut left = Left::new(sources);
        for line in lines {
            self.add(sources, line);
            let mut walk = Walk::new(places, line * line_places);
            let mut place = 0;
            while place < line_places {
                let run = walk.next(line_places - place);
                if sources.factor.is_none() && (run.length == 1 || run.stride == *width as isize) {
                    let (first, count) = (run.at(0) - base, run.length * width);
                    let totals = &self.totals[place * width..][..count];
                    Sources::finish_all(&mut result[first..first + count], totals);
                    place += run.length;
                    continue;
                }
                for i in 0..run.length {
                    let position = run.at(i) - base;
                    let totals = &self.totals[(place + i) * width..][..*width];
                    left.pass(result, position, position + width);
                    for (element, &total) in result[position..position + width].iter_mut().zip(totals) {
                        let mut sum = sources.start(*element);
                        T::join(&mut sum, total);
                        *element = sources.finish(*element, sum);
                    }
                }
                place += run.length;
            }
        }
        left.pass(result, result.len(), result.len());
    }

    /// What the updates of a line add up to at each of its places.
    fn add(&mut self, sources: Sources<'_, T>, line: usize) {
        let Own { totals, indices, updates } = self;
        let Sources { scheme, .. } = sources;
        let Units { width, count, inner, extent, .. } = scheme.units;
        totals.fill(T::identity());
        let end = (line + 1) * count * inner;
        let mut places = Places::new(&scheme.units, line * count * inner);
        for start in (line * count * inner..end).step_by(BLOCK) {
            let length = BLOCK.min(end - start);
            let (indices, updates) = (&mut indices[..length], &mut updates[..length * width]);
            walk::read(sources.indices, &scheme.units.indices, start, indices);
            walk::read(sources.updates, &scheme.updates, start * width, updates);
            if width == 1 && inner == 1 {
                for (&index, &update) in indices.iter().zip(&*updates) {
                    // A negative index is past every extent.
                    if let Some(total) = totals.get_mut(index as usize) {
                        update.add_to(total);
                    }
                }
                continue;
            }
            for (&index, updates) in indices.iter().zip(updates.chunks_exact(width)) {
                if let Some(place) = places.next(index) {
                    let first = (place - line * extent * inner) * width;
                    let totals = &mut totals[first..first + width];
                    totals.iter_mut().zip(updates).for_each(|(total, &update)| update.add_to(total));
                }
            }
        }
    }
}
