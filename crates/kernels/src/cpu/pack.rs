//! Packing of right operands of matrix products into panels of columns that tiles read from front to back; left ones are packed by `pack_rows`.
//!
//! Rows, columns and depth of an operand may each be several axes. Where all of them are evenly spaced, two strides say where
//! everything is; else runs do: the columns of a panel are cut into runs of equally spaced ones, and so is the depth.

use std::array;
use std::ops::Range;

use arenagrad_graph::Elements;
use pulp::{Simd, WithSimd};

use super::buffer::typed;
use super::cache_lines::AtLine;
use super::narrow::Panel;
use super::processor::in_own_function;
use super::real::{MOST_PIECE, Real};
use super::tile::VECTORS as MOST_VECTORS;
use super::walk::{Run, Walk, read_apart};
use crate::kernel::Matrices;

/// The most lanes that a vector has.
pub(super) const MOST_LANES: usize = 16;

/// The most columns of a panel.
const MOST_COLUMNS: usize = MOST_VECTORS * MOST_LANES;

/// All elements of an operand.
#[derive(Clone, Copy)]
pub(super) enum Source<'a, T> {
    /// The values themselves.
    Native(&'a [T]),
    /// Narrower elements, which become values as they are packed.
    Narrow(&'a Elements),
}

impl<'a, T: Real> Source<'a, T> {
    /// The elements of a buffer.
    pub(super) fn new(buffer: &'a Elements) -> Self {
        if buffer.storage().is_native() { Source::Native(typed(buffer)) } else { Source::Narrow(buffer) }
    }

    /// The values; none of what is packed before it is read.
    pub(super) fn values(self) -> &'a [T] {
        match self {
            Source::Native(values) => values,
            Source::Narrow(_) => &[],
        }
    }
}

/// A matrix of an operand: all elements of the operand, and where the matrix begins.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, T> {
    pub(super) source: Source<'a, T>,
    pub(super) start: usize,
    pub(super) matrices: &'a Matrices,
}

/// Packs a panel of columns of a right operand side by side, `packed[p * width + column]` for the part `depth` of the depth and
/// zeros past the last column: as wide as one vector where that holds them, else as `MOST_VECTORS` vectors.
#[inline(always)]
fn pack_panel<T: Real, S: Simd>(
    simd: S,
    rhs: Operand<'_, T>,
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    let Operand { source, start, matrices } = rhs;
    let is_one_vector = columns.len() <= T::lanes::<S>();
    match source {
        Source::Native(elements) => {
            let rhs = Values { elements, start, matrices };
            if is_one_vector {
                in_own_function(simd, PackColumns::<T, 1> { rhs, columns, depth, packed });
            } else {
                in_own_function(simd, PackColumns::<T, MOST_VECTORS> { rhs, columns, depth, packed });
            }
        }
        Source::Narrow(elements) => {
            let width = T::lanes::<S>() * if is_one_vector { 1 } else { MOST_VECTORS };
            let mut places = [0; MOST_COLUMNS];
            let places = &mut places[..columns.len()];
            Walk::over(&matrices.columns, start, columns.start).places(places);
            let packed = &mut packed[..depth.len() * width];
            T::pack(elements, Panel { places, depth: &matrices.rows, from: depth.start, width }, packed);
        }
    }
}

/// Packs columns of a right operand as [`pack_panel`] does, in as many panels as they need, one after the other. Where columns are neighbours, all panels
/// grow together, so that each line is read once, in one piece.
#[inline(always)]
pub(super) fn pack_panels<T: Real, S: Simd>(
    simd: S,
    rhs: Operand<'_, T>,
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    let Operand { source, start, matrices } = rhs;
    let (width, length) = (MOST_VECTORS * T::lanes::<S>(), depth.len());
    let mut next = columns.start;
    if columns.len() > width
        && let (Source::Native(elements), Some(row_stride)) = (source, matrices.rows.forward_stride())
        && matrices.columns.is_unit()
    {
        let panels = columns.len() / width;
        let source = &elements[start + columns.start + depth.start * row_stride..];
        for p in 0..length {
            let line = &source[p * row_stride..][..panels * width];
            for (panel, line) in line.chunks_exact(width).enumerate() {
                let target = &mut packed[(panel * length + p) * width..][..width];
                for (target, &vector) in T::vectors_mut::<S>(target).iter_mut().zip(T::vectors::<S>(line)) {
                    *target = vector;
                }
            }
        }
        next += panels * width;
    }
    while next < columns.end {
        let end = columns.end.min(next + width);
        let packed = &mut packed[(next - columns.start) * length..];
        pack_panel::<T, S>(simd, rhs, next..end, depth.clone(), packed);
        next = end;
    }
}

/// Packs a panel of columns of a matrix of values as [`pack_panel`] does, always as wide as `MOST_VECTORS` vectors.
#[inline(always)]
pub(super) fn pack_wide_panel<T: Real, S: Simd>(
    simd: S,
    (elements, start, matrices): (&[T], usize, &Matrices),
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    let rhs = Values { elements, start, matrices };
    in_own_function(simd, PackColumns::<T, MOST_VECTORS> { rhs, columns, depth, packed });
}

/// A matrix of an operand whose elements are values.
#[derive(Clone, Copy)]
struct Values<'a, T> {
    elements: &'a [T],
    start: usize,
    matrices: &'a Matrices,
}

/// Packs columns of a right operand side by side, as many as `VECTORS` vectors hold at most: `packed[p * width + column]` for
/// the part `depth` of the depth, zeros past the last column.
struct PackColumns<'a, T, const VECTORS: usize> {
    rhs: Values<'a, T>,
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &'a mut [T],
}

impl<T: Real, const VECTORS: usize> WithSimd for PackColumns<'_, T, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let PackColumns { rhs, columns, depth, packed } = self;
        let lanes = T::lanes::<S>();
        let width = VECTORS * lanes;
        let (count, length) = (columns.len(), depth.len());
        let packed = &mut packed[..length * width];
        let Values { elements, start, matrices } = rhs;
        let (Some(row_stride), Some(column_stride)) =
            (matrices.rows.forward_stride(), matrices.columns.forward_stride())
        else {
            pack_runs_of_columns::<T, S, VECTORS>(simd, rhs, columns, depth, packed);
            return;
        };
        let source = &elements[start + columns.start * column_stride + depth.start * row_stride..];
        if matrices.columns.is_unit() {
            for (p, line) in packed.chunks_exact_mut(width).enumerate() {
                let source = &source[p * row_stride..][..count];
                if count == width {
                    // Of a length that the compiler knows.
                    for (target, &vector) in T::vectors_mut::<S>(line).iter_mut().zip(T::vectors::<S>(source)) {
                        *target = vector;
                    }
                } else {
                    line[..count].copy_from_slice(source);
                    line[count..].fill(T::default());
                }
            }
            return;
        }
        // Vectors along the depth, of which pieces become lines.
        let whole = if row_stride == 1 && const { !S::IS_SCALAR } { length / lanes * lanes } else { 0 };
        for from in (0..whole).step_by(lanes) {
            let lines = &mut packed[from * width..(from + lanes) * width];
            for first in (0..width).step_by(T::PIECE) {
                let mut vectors = [T::splat(simd, T::default()); MOST_PIECE];
                for (i, vector) in vectors.iter_mut().enumerate().take(T::PIECE) {
                    if first + i < count {
                        *vector = T::vectors::<S>(&source[(first + i) * column_stride + from..][..lanes])[0];
                    }
                }
                put_pieces::<T, S>(simd, vectors, (lines, width), first, T::PIECE);
            }
        }
        for p in whole..length {
            let line = &mut packed[p * width..][..width];
            for (column, target) in line.iter_mut().enumerate() {
                *target = if column < count { source[column * column_stride + p * row_stride] } else { T::default() };
            }
        }
    }
}

/// [`PackColumns`] for columns or a depth of several axes, or that go back.
#[inline(always)]
fn pack_runs_of_columns<T: Real, S: Simd, const VECTORS: usize>(
    simd: S,
    rhs: Values<'_, T>,
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    let Values { elements, start, matrices } = rhs;
    let lanes = T::lanes::<S>();
    let (width, count) = (VECTORS * lanes, columns.len());
    // Where the columns stand at depth 0, as runs and one by one.
    let mut runs = [Run { position: 0, stride: 0, length: 0 }; MOST_COLUMNS];
    let mut places = [0; MOST_COLUMNS];
    let (mut found, mut column) = (0, 0);
    let mut walk = Walk::over(&matrices.columns, start, columns.start);
    while column < count {
        let run = walk.next(count - column);
        for (i, place) in places[column..column + run.length].iter_mut().enumerate() {
            *place = run.at(i);
        }
        runs[found] = run;
        found += 1;
        column += run.length;
    }
    let (runs, places) = (&runs[..found], &places[..count]);
    // A line is copied run by run; short runs cost more than to read neighbours along the depth and exchange rows and columns.
    let has_long_runs = runs.iter().all(|run| run.stride == 1) && 2 * count >= lanes * found;
    // Where all runs are whole pieces of one length, a line is as many copies of a length that the compiler knows.
    let apart = runs.first().map_or(0, |run| run.stride);
    let are_pieces = |piece| count == width && runs.iter().all(|run| run.stride == apart && run.length % piece == 0);
    let piece = [16, 8, 4].into_iter().find(|&piece| are_pieces(piece)).unwrap_or(0);
    let mut walk = Walk::over(&matrices.rows, 0, depth.start);
    let mut p = 0;
    while p < depth.len() {
        let run = walk.next(depth.len() - p);
        let lines = &mut packed[p * width..(p + run.length) * width];
        p += run.length;
        if const { !S::IS_SCALAR } && run.stride == 1 && run.length >= lanes && !has_long_runs {
            for from in (0..run.length).step_by(lanes) {
                // The last vectors end where the run does, and some of those before them are packed again.
                let from = from.min(run.length - lanes);
                let lines = &mut lines[from * width..(from + lanes) * width];
                for first in (0..width).step_by(T::PIECE) {
                    let mut vectors = [T::splat(simd, T::default()); MOST_PIECE];
                    for (i, vector) in vectors.iter_mut().enumerate().take(T::PIECE) {
                        if first + i < count {
                            let place = places[first + i].wrapping_add(run.position).wrapping_add(from);
                            *vector = T::vectors::<S>(&elements[place..place + lanes])[0];
                        }
                    }
                    put_pieces::<T, S>(simd, vectors, (lines, width), first, T::PIECE);
                }
            }
            continue;
        }
        match (apart, piece) {
            (1, 16) => pack_pieces::<T, 16>(elements, places, run, lines),
            (1, 8) => pack_pieces::<T, 8>(elements, places, run, lines),
            (1, 4) => pack_pieces::<T, 4>(elements, places, run, lines),
            // As convolutions with a stride of two read them.
            (2, 16 | 8) => pack_pieces_apart::<T, 8, 15>(elements, places, run, lines),
            (2, 4) => pack_pieces_apart::<T, 4, 7>(elements, places, run, lines),
            _ => {
                for (i, line) in lines.chunks_exact_mut(width).enumerate() {
                    pack_line::<T, S>(elements, runs, run.at(i), line);
                    line[count..].fill(T::default());
                }
            }
        }
    }
}

/// Lines of columns that stand at `places`, of which so many in succession are neighbours as a piece has, over a run of the depth.
#[inline(always)]
fn pack_pieces<T: Real, const PIECE: usize>(elements: &[T], places: &[usize], run: Run, lines: &mut [T]) {
    for (i, line) in lines.chunks_exact_mut(places.len()).enumerate() {
        let distance = run.at(i);
        let (pieces, _) = line.as_chunks_mut::<PIECE>();
        for (piece, &place) in pieces.iter_mut().zip(places.iter().step_by(PIECE)) {
            let first = place.wrapping_add(distance);
            piece.copy_from_slice(&elements[first..first + PIECE]);
        }
    }
}

/// [`pack_pieces`] where the elements of a piece are evenly spaced over `SPAN` elements.
#[inline(always)]
fn pack_pieces_apart<T: Real, const PIECE: usize, const SPAN: usize>(
    elements: &[T],
    places: &[usize],
    run: Run,
    lines: &mut [T],
) {
    let apart = const { (SPAN - 1) / (PIECE - 1) };
    for (i, line) in lines.chunks_exact_mut(places.len()).enumerate() {
        let distance = run.at(i);
        let (pieces, _) = line.as_chunks_mut::<PIECE>();
        for (piece, &place) in pieces.iter_mut().zip(places.iter().step_by(PIECE)) {
            let first = place.wrapping_add(distance);
            let span = &elements[first..first + SPAN];
            *piece = array::from_fn(|i| span[i * apart]);
        }
    }
}

/// The elements of runs, each moved on by `distance`, side by side.
#[inline(always)]
fn pack_line<T: Real, S: Simd>(elements: &[T], runs: &[Run], distance: usize, mut line: &mut [T]) {
    for run in runs {
        let (head, tail) = line.split_at_mut(run.length);
        line = tail;
        let first = run.position.wrapping_add(distance);
        match run.stride {
            0 => head.fill(elements[first]),
            1 => {
                let source = &elements[first..first + run.length];
                let whole = T::vectors::<S>(source).len() * T::lanes::<S>();
                for (target, &vector) in T::vectors_mut::<S>(head).iter_mut().zip(T::vectors::<S>(source)) {
                    *target = vector;
                }
                for (element, &value) in head[whole..].iter_mut().zip(&source[whole..]) {
                    *element = value;
                }
            }
            2 => read_every_second(&elements[first..], head),
            stride if stride > 0 => {
                read_apart(
                    &elements[first..=run.at(run.length - 1).wrapping_add(distance)],
                    stride.unsigned_abs(),
                    head,
                );
            }
            stride => {
                let mut place = first;
                for element in head {
                    *element = elements[place];
                    place = place.wrapping_add_signed(stride);
                }
            }
        }
    }
}

/// Every second element, in pieces of a length that the compiler knows: runs are too short for a loop over vectors.
#[inline(always)]
fn read_every_second<T: Real>(source: &[T], target: &mut [T]) {
    let (pieces, rest) = target.as_chunks_mut::<8>();
    let mut left = source;
    for piece in pieces {
        let span = &left[..15];
        *piece = array::from_fn(|i| span[2 * i]);
        // Behind the last element of all is nothing to go on to.
        left = left.get(16..).unwrap_or_default();
    }
    for (element, &value) in rest.iter_mut().zip(left.iter().step_by(2)) {
        *element = value;
    }
}

/// Writes vectors along the depth, as many as a piece has elements, beside each other: `lines[p * width + first + i]` is lane `p` of vector `i`, for the
/// first `count` of them.
#[inline(always)]
pub(super) fn put_pieces<T: Real, S: Simd>(
    simd: S,
    vectors: [T::Vector<S>; MOST_PIECE],
    (lines, width): (&mut [T], usize),
    first: usize,
    count: usize,
) {
    let vectors = T::transpose_pieces(simd, vectors);
    for (i, &vector) in vectors.iter().enumerate().take(T::PIECE) {
        let AtLine(elements) = &mut AtLine([T::default(); MOST_LANES]);
        let elements = &mut elements[..T::lanes::<S>()];
        T::vectors_mut::<S>(elements)[0] = vector;
        for (number, piece) in elements.chunks_exact(T::PIECE).enumerate() {
            lines[(number * T::PIECE + i) * width + first..][..count].copy_from_slice(&piece[..count]);
        }
    }
}
