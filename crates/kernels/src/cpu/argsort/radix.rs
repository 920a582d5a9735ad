//! Sorting a long row: digit by digit, in parts that are then merged. Parts and merges are shared among threads.

use super::keys::{Sortable, VALUES};
use crate::cpu::parallel;

/// A row, or a part of it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a, T> {
    pub(super) elements: &'a [T],
    /// The index of the first.
    pub(super) first: u32,
    pub(super) is_descending: bool,
}

impl<'a, T: Sortable> Row<'a, T> {
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (head, tail) = self.elements.split_at(at);
        (Row { elements: head, ..self }, Row { elements: tail, first: self.first + at as u32, ..self })
    }

    pub(super) fn keyed(self) -> impl Iterator<Item = T::Keyed> + use<'a, T> {
        let Row { elements, first, is_descending } = self;
        elements.iter().zip(first..).map(move |(element, index)| T::keyed(element.key(is_descending), index))
    }
}

/// Writes the indices of the first elements in order to `result`. `here` and `there` have room for the row, `counts` for
/// [`Sortable::DIGITS`] times [`VALUES`] numbers for each part.
pub(super) fn sort<T: Sortable>(
    row: Row<'_, T>,
    here: &mut [T::Keyed],
    there: &mut [T::Keyed],
    counts: &mut [u32],
    result: &mut [i32],
) {
    let parts = counts.len() / (T::DIGITS * VALUES);
    if parts == 1 {
        sort_part(row, here, there, counts);
        for (index, &keyed) in result.iter_mut().zip(&*here) {
            *index = T::index(keyed);
        }
        return;
    }
    let cut = row.elements.len() / 2;
    sort_halves(row, cut, here, there, counts);
    let (left, right) = here.split_at(cut);
    merge(left, right, result, parts, &T::index);
}

/// Sorts each half of the row in its half of `here`.
fn sort_halves<T: Sortable>(
    row: Row<'_, T>,
    cut: usize,
    here: &mut [T::Keyed],
    there: &mut [T::Keyed],
    counts: &mut [u32],
) {
    let parts = counts.len() / (T::DIGITS * VALUES);
    let (head, tail) = row.split_at(cut);
    let (head_here, tail_here) = here.split_at_mut(cut);
    let (head_there, tail_there) = there.split_at_mut(cut);
    let (head_counts, tail_counts) = counts.split_at_mut(parts / 2 * T::DIGITS * VALUES);
    parallel::join(
        || sort_into(head, head_here, head_there, head_counts),
        || sort_into(tail, tail_here, tail_there, tail_counts),
    );
}

/// Sorts a row in `here`.
fn sort_into<T: Sortable>(row: Row<'_, T>, here: &mut [T::Keyed], there: &mut [T::Keyed], counts: &mut [u32]) {
    let parts = counts.len() / (T::DIGITS * VALUES);
    if parts == 1 {
        sort_part(row, here, there, counts);
        return;
    }
    let cut = row.elements.len() / 2;
    sort_halves(row, cut, there, here, counts);
    let (left, right) = there.split_at(cut);
    merge(left, right, here, parts, &|keyed| keyed);
}

/// Sorts a row in `here`, the least significant digit first, each stably.
fn sort_part<T: Sortable>(row: Row<'_, T>, here: &mut [T::Keyed], there: &mut [T::Keyed], counts: &mut [u32]) {
    counts.fill(0);
    for keyed in row.keyed() {
        for (digit, counts) in counts.chunks_exact_mut(VALUES).enumerate() {
            counts[T::digit(keyed, digit)] += 1;
        }
    }
    let length = row.elements.len() as u32;
    // A digit that all keys share moves nothing.
    let is_shared = |counts: &[u32]| counts.contains(&length);
    let moves = counts.chunks_exact(VALUES).filter(|counts| !is_shared(counts)).count();
    // Each move is from one buffer to the other, and the last one ends here.
    let (mut from, mut to) = if moves % 2 == 1 { (there, here) } else { (here, there) };
    let mut is_first = true;
    for (digit, counts) in counts.chunks_exact_mut(VALUES).enumerate() {
        if is_shared(counts) {
            continue;
        }
        let mut slot = 0;
        for count in &mut *counts {
            slot += std::mem::replace(count, slot);
        }
        if is_first {
            move_by_digit::<T>(row.keyed(), digit, counts, to);
        } else {
            move_by_digit::<T>(from.iter().copied(), digit, counts, to);
        }
        is_first = false;
        (from, to) = (to, from);
    }
    if is_first {
        // All keys are equal: the row is in order, and `from` is here.
        for (slot, keyed) in from.iter_mut().zip(row.keyed()) {
            *slot = keyed;
        }
    }
}

/// Moves each to the next slot of its digit.
#[inline(always)]
fn move_by_digit<T: Sortable>(
    keys: impl Iterator<Item = T::Keyed>,
    digit: usize,
    slots: &mut [u32],
    to: &mut [T::Keyed],
) {
    let slots: &mut [u32; VALUES] = slots.try_into().expect("a slot for each value of a digit");
    for keyed in keys {
        let slot = &mut slots[T::digit(keyed, digit)];
        to[*slot as usize] = keyed;
        *slot += 1;
    }
}

/// Merges two sorted lists, as far as there is room for it, in so many tasks.
fn merge<K: Copy + Ord + Send + Sync, O: Send>(
    left: &[K],
    right: &[K],
    result: &mut [O],
    tasks: usize,
    write: &(impl Fn(K) -> O + Sync),
) {
    if tasks <= 1 {
        merge_part(left, right, result, write);
        return;
    }
    let cut = result.len() / 2;
    let (of_left, of_right) = first_of_both(left, right, cut);
    let (head, tail) = result.split_at_mut(cut);
    parallel::join(
        || merge(&left[..of_left], &right[..of_right], head, tasks / 2, write),
        || merge(&left[of_left..], &right[of_right..], tail, tasks - tasks / 2, write),
    );
}

/// How many of each list are among the first `count` of both.
fn first_of_both<K: Ord>(left: &[K], right: &[K], count: usize) -> (usize, usize) {
    let (mut low, mut high) = (count.saturating_sub(right.len()), count.min(left.len()));
    while low < high {
        let middle = low + (high - low) / 2;
        // Element `middle` of the left is among the first if it comes before the right's that would be in its place.
        if left[middle] < right[count - middle - 1] {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (low, count - low)
}

fn merge_part<K: Copy + Ord, O>(left: &[K], right: &[K], result: &mut [O], write: &impl Fn(K) -> O) {
    let (mut i, mut j) = (0, 0);
    let mut slots = result.iter_mut();
    while i < left.len() && j < right.len() {
        let Some(slot) = slots.next() else { return };
        let (a, b) = (left[i], right[j]);
        let is_left = a < b;
        *slot = write(if is_left { a } else { b });
        i += usize::from(is_left);
        j += usize::from(!is_left);
    }
    for (slot, &keyed) in slots.zip(left[i..].iter().chain(&right[j..])) {
        *slot = write(keyed);
    }
}
