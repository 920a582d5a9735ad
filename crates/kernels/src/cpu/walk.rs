//! Walking a view: the runs of equally spaced elements that a range of its domain consists of.

use arenagrad_graph::MAX_RANK;

use super::short_runs::{Crossed, Repeated, SHORT};
use crate::view::{Axes, Axis, View};

/// The most axes that are walked. A tensor has at most [`MAX_RANK`], of which a planner may say one as so many of the buffer; and axes along
/// which it is repeated, or windows slide, come to those.
const MOST_AXES: usize = 2 * MAX_RANK;

/// Consecutive domain positions whose elements are equally spaced in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where the first element stands.
    pub(super) position: usize,
    /// The distance from one element to the next, below 0 where they stand in reverse.
    pub(super) stride: isize,
    /// The number of elements.
    pub(super) length: usize,
}

impl Run {
    /// Where element `i` of the run stands.
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> usize {
        self.position.wrapping_add_signed(i as isize * self.stride)
    }
}

/// Lines of one length, each of elements side by side, that are evenly spaced in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EvenLines {
    /// Where the first line begins.
    position: usize,
    /// The distance from one line to the next.
    stride: isize,
    /// The number of lines.
    pub(super) count: usize,
}

impl EvenLines {
    /// Where line `i` begins.
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> usize {
        self.position.wrapping_add_signed(i as isize * self.stride)
    }
}

/// The runs of a view from some domain index on, outer coordinates counted as on an odometer.
pub(super) struct Walk<'a> {
    axes: &'a [Axis],
    coordinates: [usize; MOST_AXES],
    /// Where the current innermost line begins in the buffer.
    line: usize,
}

impl<'a> Walk<'a> {
    /// A walk that begins at domain index `start`.
    #[inline]
    pub(super) fn new(view: &'a View, start: usize) -> Self {
        Walk::from(view.axes(), view.offset(), start)
    }

    /// A walk through positions from `start` on, of which position 0 stands at `origin`.
    #[inline]
    pub(super) fn over(axes: &'a Axes, origin: usize, start: usize) -> Self {
        Walk::from(axes.as_slice(), origin, start)
    }

    #[inline]
    pub(super) fn from(axes: &'a [Axis], origin: usize, start: usize) -> Self {
        let mut coordinates = [0; MOST_AXES];
        let (mut line, mut rest) = (origin, start);
        for (axis, coordinate) in axes.iter().zip(&mut coordinates).rev() {
            *coordinate = rest % axis.extent;
            rest /= axis.extent;
            line = line.wrapping_add_signed(*coordinate as isize * axis.stride);
        }
        if let Some(inner) = axes.last() {
            line = line.wrapping_sub_signed(coordinates[axes.len() - 1] as isize * inner.stride);
        }
        Walk { axes, coordinates, line }
    }

    /// The next run, of at most `limit` elements.
    #[inline]
    pub(super) fn next(&mut self, limit: usize) -> Run {
        let Some((inner, outer)) = self.axes.split_last() else {
            return Run { position: self.line, stride: 0, length: limit.min(1) };
        };
        let at = self.coordinates[outer.len()];
        let line = Run { position: self.line, stride: inner.stride, length: inner.extent };
        let run = Run { position: line.at(at), stride: inner.stride, length: limit.min(inner.extent - at) };
        self.advance(outer.len(), run.length);
        run
    }

    /// The lines of `length` elements that come next, `limit` at most: none if the next line is not as long, or has begun.
    #[inline]
    pub(super) fn lines(&self, length: usize, limit: usize) -> EvenLines {
        let none = EvenLines { position: self.line, stride: 0, count: 0 };
        let Some((inner, outer)) = self.axes.split_last().filter(|(inner, _)| inner.stride == 1) else { return none };
        let at = self.coordinates[outer.len()];
        match outer.last() {
            Some(axis) if inner.extent == length => {
                let count = if at == 0 { limit.min(axis.extent - self.coordinates[outer.len() - 1]) } else { 0 };
                EvenLines { position: self.line, stride: axis.stride, count }
            }
            // A part of a longer line, or of the only one.
            Some(_) | None => {
                let count = limit.min((inner.extent - at) / length);
                EvenLines { position: self.line + at, stride: length as isize, count }
            }
        }
    }

    /// Goes past so many of the lines that [`Walk::lines`] says.
    #[inline]
    pub(super) fn skip_lines(&mut self, length: usize, count: usize) {
        let Some((inner, outer)) = self.axes.split_last() else { return };
        match outer.last() {
            Some(axis) if inner.extent == length => {
                self.line = self.line.wrapping_add_signed(count as isize * axis.stride);
                self.advance(outer.len() - 1, count);
            }
            Some(_) | None => self.advance(outer.len(), count * length),
        }
    }

    /// Moves so many positions on along an axis, none of which is past its end. The line begins where the axes but the innermost say.
    #[inline]
    fn advance(&mut self, axis: usize, positions: usize) {
        let is_innermost = axis + 1 == self.axes.len();
        self.coordinates[axis] += positions;
        if self.coordinates[axis] < self.axes[axis].extent {
            return;
        }
        self.coordinates[axis] = 0;
        if !is_innermost {
            self.line = self.line.wrapping_sub_signed(self.axes[axis].extent as isize * self.axes[axis].stride);
        }
        for (axis, coordinate) in self.axes[..axis].iter().zip(&mut self.coordinates).rev() {
            *coordinate += 1;
            self.line = self.line.wrapping_add_signed(axis.stride);
            if *coordinate < axis.extent {
                break;
            }
            *coordinate = 0;
            self.line = self.line.wrapping_sub_signed(axis.extent as isize * axis.stride);
        }
    }

    /// Where the next positions stand, one by one.
    #[inline]
    pub(super) fn places(mut self, places: &mut [usize]) {
        let mut done = 0;
        while done < places.len() {
            let run = self.next(places.len() - done);
            for (i, place) in places[done..done + run.length].iter_mut().enumerate() {
                *place = run.at(i);
            }
            done += run.length;
        }
    }
}

/// Where the elements of `length` domain positions from `start` on begin in the buffer, if they stand there side by side.
#[inline]
pub(super) fn contiguous(view: &View, start: usize, length: usize) -> Option<usize> {
    match view.axes() {
        [axis] => (axis.stride == 1).then_some(view.offset() + start),
        [.., inner] if inner.stride == 1 => {
            let run = Walk::new(view, start).next(length);
            (run.length == length).then_some(run.position)
        }
        _ => None,
    }
}

/// Where the element stands of which all of `length` domain positions from `start` on are repetitions.
#[inline]
pub(super) fn repeated(view: &View, start: usize, length: usize) -> Option<usize> {
    let inner = view.axes().last().filter(|inner| inner.stride == 0 && inner.extent >= length)?;
    (start % inner.extent + length <= inner.extent).then(|| Walk::new(view, start).next(length).position)
}

/// Reads domain positions `start..start + target.len()` of a view.
#[inline]
pub(super) fn read<T: Copy>(source: &[T], view: &View, start: usize, target: &mut [T]) {
    if let [axis] = view.axes()
        && axis.stride == 1
    {
        let first = view.offset() + start;
        target.copy_from_slice(&source[first..first + target.len()]);
        return;
    }
    if let [outer @ .., line, inner] = view.axes() {
        if inner.stride == 0 && inner.extent <= SHORT {
            let lines = Repeated { outer, line: *line, times: inner.extent, offset: view.offset() };
            return lines.read(source, start, target);
        }
        if line.stride == 1 && inner.stride.unsigned_abs() > 1 {
            let lines = Crossed { outer, line: *line, across: *inner, offset: view.offset() };
            return lines.read(source, start, target);
        }
    }
    let mut walk = Walk::new(view, start);
    let mut done = 0;
    while done < target.len() {
        let run = walk.next(target.len() - done);
        let piece = &mut target[done..done + run.length];
        match run.stride {
            0 => piece.fill(source[run.position]),
            1 => copy(&source[run.position..run.position + run.length], piece),
            -1 => {
                // A distance that the compiler sees, so that it turns vectors around.
                let values = source[run.at(run.length - 1)..=run.position].iter().rev();
                for (element, value) in piece.iter_mut().zip(values) {
                    *element = *value;
                }
            }
            stride => {
                let last = run.at(run.length - 1);
                let apart = stride.unsigned_abs();
                if stride > 0 {
                    read_apart(&source[run.position..=last], apart, piece);
                } else {
                    let values = source[last..=run.position].iter().rev().step_by(apart);
                    for (element, value) in piece.iter_mut().zip(values) {
                        *element = *value;
                    }
                }
            }
        }
        done += run.length;
    }
}

/// Every `apart`-th element, from the first on to the last.
#[inline(always)]
pub(super) fn read_apart<T: Copy>(source: &[T], apart: usize, target: &mut [T]) {
    match apart {
        2 => read_apart_exactly::<T, 2>(source, target),
        3 => read_apart_exactly::<T, 3>(source, target),
        4 => read_apart_exactly::<T, 4>(source, target),
        apart => {
            for (element, &value) in target.iter_mut().zip(source.iter().step_by(apart)) {
                *element = value;
            }
        }
    }
}

/// A distance that the compiler sees, so that it takes vectors of neighbours apart.
#[inline(always)]
fn read_apart_exactly<T: Copy, const APART: usize>(source: &[T], target: &mut [T]) {
    let (pieces, rest) = source.as_chunks::<APART>();
    for (element, piece) in target.iter_mut().zip(pieces) {
        *element = piece[0];
    }
    if let (Some(last), Some(&value)) = (target.last_mut(), rest.first()) {
        *last = value;
    }
}

/// As many elements as a line of an image may have are copied in pieces of [`PIECE`]: to call out for them takes longer.
const SHORT_LINE: usize = 64;

/// How many elements of a short line are copied at once; see [`copy`].
pub(super) const PIECE: usize = 8;

/// A copy that does not call out for a few elements.
#[inline(always)]
pub(super) fn copy<T: Copy>(source: &[T], target: &mut [T]) {
    let length = target.len();
    if length > SHORT_LINE {
        target.copy_from_slice(source);
        return;
    }
    if length < PIECE {
        for (element, value) in target.iter_mut().zip(source) {
            *element = *value;
        }
        return;
    }
    let source = &source[..length];
    let (pieces, _) = target.as_chunks_mut::<PIECE>();
    for (piece, values) in pieces.iter_mut().zip(source.as_chunks::<PIECE>().0) {
        *piece = *values;
    }
    // The last piece ends where the line does, and some of it has been copied before.
    if let (Some(piece), Some(values)) = (target.last_chunk_mut::<PIECE>(), source.last_chunk::<PIECE>()) {
        *piece = *values;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::view::Axis;

    /// Where the domain positions `range` stand, whole lines first wherever there are some.
    fn places_by_lines(view: &View, range: Range<usize>) -> Vec<usize> {
        let length = view.axes().last().map_or(1, |axis| axis.extent);
        let (mut walk, mut places) = (Walk::new(view, range.start), Vec::new());
        while places.len() < range.len() {
            let left = range.len() - places.len();
            let lines = walk.lines(length, left / length);
            walk.skip_lines(length, lines.count);
            places.extend((0..lines.count).flat_map(|i| lines.at(i)..lines.at(i) + length));
            if lines.count == 0 {
                let run = walk.next(left);
                places.extend((0..run.length).map(|i| run.at(i)));
            }
        }
        places
    }

    #[test]
    fn reads_what_position_says_from_any_start() {
        let views = [
            View::contiguous(24),
            View::new([], 3),
            View::new([Axis { extent: 24, stride: 0 }], 5),
            View::new([Axis { extent: 4, stride: 1 }, Axis { extent: 6, stride: 4 }], 2),
            View::new([Axis { extent: 2, stride: 0 }, Axis { extent: 3, stride: 7 }, Axis { extent: 4, stride: 1 }], 1),
            View::new([Axis { extent: 12, stride: 2 }, Axis { extent: 2, stride: 0 }], 0),
            // Elements repeated a few times, along lines in order, apart and backwards, and lines repeated as well.
            View::new([Axis { extent: 9, stride: 1 }, Axis { extent: 3, stride: 0 }], 2),
            View::new(
                [
                    Axis { extent: 2, stride: 5 },
                    Axis { extent: 2, stride: 0 },
                    Axis { extent: 3, stride: 1 },
                    Axis { extent: 2, stride: 0 },
                ],
                1,
            ),
            View::new(
                [Axis { extent: 2, stride: 6 }, Axis { extent: 3, stride: -2 }, Axis { extent: 5, stride: 0 }],
                4,
            ),
            // Flipped, every second element from the end, and windows that overlap, in order and from the end.
            View::new([Axis { extent: 24, stride: -1 }], 23),
            View::new([Axis { extent: 3, stride: 20 }, Axis { extent: 8, stride: 3 }], 1),
            View::new([Axis { extent: 24, stride: 4 }], 2),
            View::new([Axis { extent: 4, stride: 6 }, Axis { extent: 3, stride: -2 }], 5),
            View::new([Axis { extent: 4, stride: -6 }, Axis { extent: 6, stride: 1 }], 18),
            View::new([Axis { extent: 5, stride: 2 }, Axis { extent: 4, stride: 1 }], 1),
            // Lines across neighbours, of every length that is read in a way of its own, more and fewer of them than are read together.
            View::new(
                [Axis { extent: 2, stride: 30 }, Axis { extent: 21, stride: 1 }, Axis { extent: 2, stride: 70 }],
                1,
            ),
            View::new([Axis { extent: 21, stride: 1 }, Axis { extent: 3, stride: -25 }], 60),
            View::new([Axis { extent: 6, stride: 1 }, Axis { extent: 4, stride: 9 }], 0),
            View::new(
                [Axis { extent: 3, stride: 200 }, Axis { extent: 21, stride: 1 }, Axis { extent: 7, stride: 23 }],
                2,
            ),
            View::new([Axis { extent: 7, stride: 1 }, Axis { extent: 9, stride: -11 }], 90),
            View::new(
                [Axis { extent: 2, stride: 8 }, Axis { extent: 3, stride: -1 }, Axis { extent: 3, stride: -2 }],
                7,
            ),
        ];
        for view in views {
            let source: Vec<usize> = (0..view.end()).collect();
            for start in 0..view.elements() {
                for end in start..=view.elements() {
                    assert_eq!(
                        places_by_lines(&view, start..end),
                        (start..end).map(|index| view.position(index)).collect::<Vec<_>>()
                    );
                    let mut found = vec![usize::MAX; end - start];
                    read(&source, &view, start, &mut found);
                    let expected: Vec<usize> = (start..end).map(|index| view.position(index)).collect();
                    assert_eq!(found, expected, "{view:?} {start}..{end}");
                    if let Some(position) = repeated(&view, start, end - start) {
                        assert!(expected.iter().all(|&expected| expected == position), "{view:?} {start}..{end}");
                    } else {
                        let differs =
                            |inner: &Axis| inner.stride != 0 || start / inner.extent != (end - 1) / inner.extent;
                        assert!(start == end || view.axes().last().is_none_or(differs), "{view:?} {start}..{end}");
                    }
                    let is_contiguous = expected.windows(2).all(|pair| pair[0] + 1 == pair[1]);
                    if let Some(position) = contiguous(&view, start, end - start) {
                        assert!(is_contiguous && expected.first().is_none_or(|&first| first == position));
                    }
                }
            }
        }
    }
}
