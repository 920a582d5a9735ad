//! Packing of left operands of matrix products into panels of rows that tiles read from front to back.
//!
//! Where rows begin is given place by place. The depth may be several axes, so it is gone through in runs of equally spaced elements.

use std::ops::Range;

use pulp::Simd;

use super::narrow::Panel;
use super::pack::{Source, put_pieces};
use super::real::{MOST_PIECE, Real};
use super::tile::{ROWS_LOW, ROWS_NARROW, rows_of_next};
use super::walk::{Run, Walk};
use crate::view::Axes;

/// How many lines of a transposed left operand are read at once: so few that they stay in the nearest cache, even a power of two apart, until all
/// panels of rows have their part of them.
const LINES_AT_ONCE: usize = 8;

/// Packs rows of a left operand, panel by panel, each as high as its tile: `packed[row * length + p * height + line]` for line `line` of
/// the panel of so many rows that begins at row `row`, and for the part `range` of the depth, of which `length` is the length; zeros past the last row.
/// `places` are where the rows begin, and places of the depth stand behind them as far as its axes say, and `origin` further.
#[inline(always)]
pub(super) fn pack_rows<T: Real, S: Simd, const TILE_ROWS: usize>(
    simd: S,
    lhs: Source<'_, T>,
    depth: (&Axes, usize),
    mut places: &[usize],
    range: Range<usize>,
    mut packed: &mut [T],
) {
    if let (Source::Native(values), Some(first)) = (lhs, first_of_neighbours(places))
        && places.len() > TILE_ROWS
    {
        let mut rows = 0;
        while places.len() - rows >= TILE_ROWS && rows_of_next(places.len() - rows, TILE_ROWS) == TILE_ROWS {
            rows += TILE_ROWS;
        }
        let (panels, rest) = packed.split_at_mut(rows * range.len());
        pack_neighbours::<T, TILE_ROWS>(values, depth, first, range.clone(), panels);
        (places, packed) = (&places[rows..], rest);
    }
    while !places.is_empty() {
        let height = rows_of_next(places.len(), TILE_ROWS);
        let (rows, left) = places.split_at(height.min(places.len()));
        let (panel, rest) = packed.split_at_mut(height * range.len());
        (places, packed) = (left, rest);
        if TILE_ROWS == ROWS_NARROW && height == ROWS_LOW {
            pack_panel_of_rows::<T, S, ROWS_LOW>(simd, lhs, depth, rows, range.clone(), panel);
        } else {
            pack_panel_of_rows::<T, S, TILE_ROWS>(simd, lhs, depth, rows, range.clone(), panel);
        }
    }
}

/// Where the first of rows begins that begin one element after the other, as those of a transposed matrix do.
#[inline(always)]
fn first_of_neighbours(places: &[usize]) -> Option<usize> {
    let first = *places.first()?;
    places.iter().enumerate().all(|(line, &place)| place == first.wrapping_add(line)).then_some(first)
}

/// Whole panels of rows that begin at `first` and its neighbours, a few places of the depth after the other for all of them: panel by panel, each line of
/// the operand would be fetched as often as it has panels, for lines a power of two apart push one another out of the nearest cache.
#[inline(always)]
fn pack_neighbours<T: Real, const ROWS: usize>(
    lhs: &[T],
    (axes, origin): (&Axes, usize),
    first: usize,
    range: Range<usize>,
    packed: &mut [T],
) {
    let (packed, _) = packed.as_chunks_mut::<ROWS>();
    let mut walk = Walk::over(axes, origin, range.start);
    let mut done = 0;
    while done < range.len() {
        let run = walk.next((range.len() - done).min(LINES_AT_ONCE));
        for (number, panel) in packed.chunks_exact_mut(range.len()).enumerate() {
            let place = first.wrapping_add(number * ROWS);
            for (p, target) in panel[done..done + run.length].iter_mut().enumerate() {
                target.copy_from_slice(&lhs[place.wrapping_add(run.at(p))..][..ROWS]);
            }
        }
        done += run.length;
    }
}

/// A panel of [`pack_rows`].
#[inline(always)]
fn pack_panel_of_rows<T: Real, S: Simd, const ROWS: usize>(
    simd: S,
    lhs: Source<'_, T>,
    depth: (&Axes, usize),
    places: &[usize],
    range: Range<usize>,
    packed: &mut [T],
) {
    let (axes, origin) = depth;
    let lhs = match lhs {
        Source::Native(values) => values,
        Source::Narrow(elements) => {
            T::pack(elements, Panel { places, depth: axes, from: range.start, width: ROWS }, packed);
            return;
        }
    };
    let (mut packed, _) = packed.as_chunks_mut::<ROWS>();
    let mut walk = Walk::over(axes, origin, range.start);
    while !packed.is_empty() {
        let run = walk.next(packed.len());
        let (head, tail) = packed.split_at_mut(run.length);
        packed = tail;
        let lanes = T::lanes::<S>();
        let packed = if run.stride == 1 && const { !S::IS_SCALAR } { run.length / lanes * lanes } else { 0 };
        pack_vectors_of_rows::<T, S, ROWS>(simd, lhs, run.position, places, &mut head[..packed]);
        let rest = Run { position: run.at(packed), length: run.length - packed, ..run };
        pack_row_panel::<T, ROWS>(lhs, rest, places, &mut head[packed..]);
    }
}

/// `packed[p][line]` of the rows of a panel that begin `distance` past `places`, zeros past the last, over neighbours along the depth: whole vectors.
#[inline(always)]
fn pack_vectors_of_rows<T: Real, S: Simd, const ROWS: usize>(
    simd: S,
    lhs: &[T],
    distance: usize,
    places: &[usize],
    packed: &mut [[T; ROWS]],
) {
    let lanes = T::lanes::<S>();
    for (number, lines) in packed.chunks_exact_mut(lanes).enumerate() {
        let from = distance.wrapping_add(number * lanes);
        for first in (0..ROWS).step_by(T::PIECE) {
            let mut vectors = [T::splat(simd, T::default()); MOST_PIECE];
            for (i, vector) in vectors.iter_mut().enumerate().take(T::PIECE.min(ROWS - first)) {
                if let Some(place) = places.get(first + i) {
                    *vector = T::vectors::<S>(&lhs[place.wrapping_add(from)..][..lanes])[0];
                }
            }
            put_pieces::<T, S>(simd, vectors, (lines.as_flattened_mut(), ROWS), first, T::PIECE.min(ROWS - first));
        }
    }
}

/// `packed[p][line]` of the rows of a panel that begin at `places`, zeros past the last, over a run of the depth.
#[inline(always)]
fn pack_row_panel<T: Real, const TILE_ROWS: usize>(
    lhs: &[T],
    run: Run,
    places: &[usize],
    packed: &mut [[T; TILE_ROWS]],
) {
    let Ok(all) = <&[usize; TILE_ROWS]>::try_from(places) else {
        for (p, target) in packed.iter_mut().enumerate() {
            *target = [T::default(); TILE_ROWS];
            for (element, &place) in target.iter_mut().zip(places) {
                *element = lhs[place.wrapping_add(run.at(p))];
            }
        }
        return;
    };
    let first = all[0];
    let mut are_neighbours = true;
    for (line, &place) in all.iter().enumerate() {
        are_neighbours &= place == first.wrapping_add(line);
    }
    for (p, target) in packed.iter_mut().enumerate() {
        let distance = run.at(p);
        if are_neighbours {
            target.copy_from_slice(&lhs[first.wrapping_add(distance)..][..TILE_ROWS]);
            continue;
        }
        for (element, &place) in target.iter_mut().zip(all) {
            *element = lhs[place.wrapping_add(distance)];
        }
    }
}
