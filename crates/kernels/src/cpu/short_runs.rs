//! Reading views whose runs are so short that a step of a walk for each would take longer than what is copied: elements that are repeated a few times, and
//! lines that cross the order of the buffer, as where axes change places.

use super::walk::{Run, Walk, read_apart};
use crate::view::Axis;

/// The most repetitions of an element that are written as part of a line: more are filled one element at a time.
pub(super) const SHORT: usize = 8;

/// Lines of which each element is repeated a few times, as where an image is enlarged or a window's gradient goes to all its elements:
/// runs of one element would be too short to be worth a step of a walk.
pub(super) struct Repeated<'a> {
    pub(super) outer: &'a [Axis],
    pub(super) line: Axis,
    pub(super) times: usize,
    pub(super) offset: usize,
}

impl Repeated<'_> {
    #[inline(always)]
    pub(super) fn read<T: Copy>(&self, source: &[T], start: usize, target: &mut [T]) {
        let length = self.line.extent * self.times;
        let mut walk = Walk::from(self.outer, self.offset, start / length);
        let (mut done, mut within) = (0, start % length);
        while done < target.len() {
            let origin = walk.next(1).position;
            let line = Run { position: origin, stride: self.line.stride, length: self.line.extent };
            let end = length.min(within + target.len() - done);
            let mut piece = &mut target[done..done + end - within];
            done += end - within;
            // The rest of an element that an earlier block began.
            if within % self.times != 0 {
                let rest = (self.times - within % self.times).min(piece.len());
                let (head, tail) = piece.split_at_mut(rest);
                head.fill(source[line.at(within / self.times)]);
                piece = tail;
                within += rest;
            }
            let (first, whole) = (within / self.times, piece.len() / self.times);
            let (body, tail) = piece.split_at_mut(whole * self.times);
            if whole > 0 && line.stride == 1 {
                repeat(&source[line.at(first)..][..whole], self.times, body);
            } else {
                for (i, element) in body.chunks_exact_mut(self.times).enumerate() {
                    element.fill(source[line.at(first + i)]);
                }
            }
            if !tail.is_empty() {
                tail.fill(source[line.at(first + whole)]);
            }
            within = 0;
        }
    }
}

/// Each element so many times, one after the other.
#[inline(always)]
fn repeat<T: Copy>(source: &[T], times: usize, target: &mut [T]) {
    match times {
        2 => repeat_exactly::<T, 2>(source, target),
        3 => repeat_exactly::<T, 3>(source, target),
        4 => repeat_exactly::<T, 4>(source, target),
        times => {
            for (element, &value) in target.chunks_exact_mut(times).zip(source) {
                element.fill(value);
            }
        }
    }
}

#[inline(always)]
fn repeat_exactly<T: Copy, const TIMES: usize>(source: &[T], target: &mut [T]) {
    for (element, &value) in target.chunks_exact_mut(TIMES).zip(source) {
        for copy in element {
            *copy = value;
        }
    }
}

/// Lines across neighbours: the first elements of such lines stand side by side in the buffer, and so do their second ones. Read one line after the other, each
/// element would come from a line of the cache of its own; so a few lines are read together.
pub(super) struct Crossed<'a> {
    pub(super) outer: &'a [Axis],
    /// From one line to the next, which are neighbours.
    pub(super) line: Axis,
    /// Along a line.
    pub(super) across: Axis,
    pub(super) offset: usize,
}

/// How many lines are read together, and how many where fewer are left.
const TOGETHER: usize = 8;
const FEW_TOGETHER: usize = 4;

impl Crossed<'_> {
    /// Never part of its caller, which is what loads every operand: it would be larger and slower for all others.
    #[inline(never)]
    pub(super) fn read<T: Copy>(&self, source: &[T], start: usize, target: &mut [T]) {
        let square = self.line.extent * self.across.extent;
        let mut walk = Walk::from(self.outer, self.offset, start / square);
        let (mut rest, mut within) = (target, start % square);
        while !rest.is_empty() {
            let (part, others) = rest.split_at_mut((square - within).min(rest.len()));
            self.read_lines(source, walk.next(1).position, within, part);
            (rest, within) = (others, 0);
        }
    }

    /// Reads from place `within` of the lines on, the first of which begins at `origin`.
    #[inline(always)]
    fn read_lines<T: Copy>(&self, source: &[T], origin: usize, within: usize, target: &mut [T]) {
        let length = self.across.extent;
        let (mut line, at) = (within / length, within % length);
        let mut rest = target;
        if at > 0 {
            let (part, others) = rest.split_at_mut((length - at).min(rest.len()));
            self.read_line(source, origin + line, at, part);
            (rest, line) = (others, line + 1);
        }
        let (whole, tail) = rest.split_at_mut(rest.len() / length * length);
        let first = origin + line;
        line += whole.len() / length;
        match length {
            2 => self.interleave::<T, 2>(source, first, whole),
            3 => self.interleave::<T, 3>(source, first, whole),
            4 => self.interleave::<T, 4>(source, first, whole),
            _ => {
                let done = self.read_together::<T, TOGETHER>(source, first, whole);
                let left = &mut whole[done * length..];
                let few = self.read_together::<T, FEW_TOGETHER>(source, first + done, left);
                for (line, target) in left[few * length..].chunks_exact_mut(length).enumerate() {
                    self.read_line(source, first + done + few + line, 0, target);
                }
            }
        }
        if !tail.is_empty() {
            self.read_line(source, origin + line, 0, tail);
        }
    }

    /// Where element `at` of a line stands.
    #[inline(always)]
    fn place(&self, line: usize, at: usize) -> usize {
        line.wrapping_add_signed(at as isize * self.across.stride)
    }

    /// Elements of a line from `at` on.
    #[inline(always)]
    fn read_line<T: Copy>(&self, source: &[T], line: usize, at: usize, target: &mut [T]) {
        if self.across.stride > 0 {
            let last = self.place(line, at + target.len() - 1);
            return read_apart(&source[self.place(line, at)..=last], self.across.stride.unsigned_abs(), target);
        }
        for (i, element) in target.iter_mut().enumerate() {
            *element = source[self.place(line, at + i)];
        }
    }

    /// Lines of so many elements: what is read is that many stretches of neighbours, in turn an element of each.
    #[inline(always)]
    fn interleave<T: Copy, const LENGTH: usize>(&self, source: &[T], first: usize, target: &mut [T]) {
        let (lines, _) = target.as_chunks_mut::<LENGTH>();
        let mut stretches: [&[T]; LENGTH] = [&[]; LENGTH];
        for (at, stretch) in stretches.iter_mut().enumerate() {
            *stretch = &source[self.place(first, at)..][..lines.len()];
        }
        for (number, line) in lines.iter_mut().enumerate() {
            for (element, stretch) in line.iter_mut().zip(&stretches) {
                *element = stretch[number];
            }
        }
    }

    /// Reads whole lines, so many at a time; says how many there were.
    #[inline(always)]
    fn read_together<T: Copy, const LINES: usize>(&self, source: &[T], first: usize, target: &mut [T]) -> usize {
        let length = self.across.extent;
        let mut done = 0;
        for some in target.chunks_exact_mut(LINES * length) {
            let mut lines = some.chunks_exact_mut(length);
            let mut lines: [&mut [T]; LINES] = std::array::from_fn(|_| lines.next().unwrap_or_default());
            for at in 0..length {
                let begin = self.place(first + done, at);
                let values = &source[begin..begin + LINES];
                for (line, value) in lines.iter_mut().zip(values) {
                    line[at] = *value;
                }
            }
            done += LINES;
        }
        done
    }
}
