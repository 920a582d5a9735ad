//! Packing of operands of matrix products into panels that tiles read from front to back.

use std::ops::Range;

use arenagrad_graph::Elements;
use pulp::Simd;

use super::narrow::Panel;
use super::tile::Real;
use crate::kernel::Matrix;

/// The most lanes that a vector has.
const MOST_LANES: usize = 16;

/// Packs columns of a right operand side by side, as many as `VECTORS` vectors hold at most: `packed[p * width + column]` for
/// the part `depth` of the depth, zeros past the last column.
#[inline(always)]
pub(super) fn pack_columns<T: Real, S: Simd, const VECTORS: usize>(
    simd: S,
    rhs: &[T],
    matrix: Matrix,
    columns: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    let lanes = T::lanes::<S>();
    let width = VECTORS * lanes;
    let (count, length) = (columns.len(), depth.len());
    let source = &rhs[matrix.offset + columns.start * matrix.column_stride + depth.start * matrix.row_stride..];
    let packed = &mut packed[..length * width];
    if matrix.column_stride == 1 {
        for (p, line) in packed.chunks_exact_mut(width).enumerate() {
            let source = &source[p * matrix.row_stride..][..count];
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
    // Squares of as many lines as there are lanes: a line of the cache is read once, and whole vectors are written.
    let whole = if matrix.row_stride == 1 { length / lanes * lanes } else { 0 };
    for from in (0..whole).step_by(lanes) {
        for line in (0..width).step_by(lanes) {
            let mut square = [T::splat(simd, T::default()); MOST_LANES];
            for (i, vector) in square.iter_mut().enumerate().take(lanes) {
                if line + i < count {
                    *vector = T::vectors::<S>(&source[(line + i) * matrix.column_stride + from..][..lanes])[0];
                }
            }
            transpose_square::<T, S>(simd, &mut square);
            for (i, &vector) in square.iter().enumerate().take(lanes) {
                T::vectors_mut::<S>(&mut packed[(from + i) * width + line..][..lanes])[0] = vector;
            }
        }
    }
    for p in whole..length {
        let line = &mut packed[p * width..][..width];
        for (column, target) in line.iter_mut().enumerate() {
            *target = if column < count {
                source[column * matrix.column_stride + p * matrix.row_stride]
            } else {
                T::default()
            };
        }
    }
}

/// Exchanges rows and columns of a square of as many vectors as one has lanes (Eklundh's way: halves, quarters, and so on).
#[inline(always)]
fn transpose_square<T: Real, S: Simd>(simd: S, square: &mut [T::Vector<S>; MOST_LANES]) {
    let lanes = T::lanes::<S>();
    // Written out, so that the whole square stays in registers.
    let mut rows = *square;
    macro_rules! exchange {
        ($step:literal: $($row:literal)*) => {$(
            if $row + $step < lanes {
                (rows[$row], rows[$row + $step]) = T::exchange(simd, rows[$row], rows[$row + $step], $step);
            }
        )*};
    }
    exchange!(8: 0 1 2 3 4 5 6 7);
    exchange!(4: 0 1 2 3 8 9 10 11);
    exchange!(2: 0 1 4 5 8 9 12 13);
    exchange!(1: 0 2 4 6 8 10 12 14);
    *square = rows;
}

/// Packs rows of a left operand, panel by panel: `packed[panel * length * TILE_ROWS + p * TILE_ROWS + row]` for the part `depth`
/// of the depth, of which `length` is the length; zeros past the last row.
#[inline(always)]
pub(super) fn pack_rows<T: Real, const TILE_ROWS: usize>(
    lhs: &[T],
    matrix: Matrix,
    rows: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    for (first, packed) in rows.clone().step_by(TILE_ROWS).zip(packed.chunks_exact_mut(TILE_ROWS * depth.len())) {
        let lines = TILE_ROWS.min(rows.end - first);
        let start = matrix.offset + first * matrix.row_stride + depth.start * matrix.column_stride;
        pack_row_panel::<T, TILE_ROWS>(&lhs[start..], matrix, lines, packed);
    }
}

/// `packed[p * TILE_ROWS + line]` of the `lines` rows of a panel, zeros past the last.
#[inline(always)]
fn pack_row_panel<T: Real, const TILE_ROWS: usize>(source: &[T], matrix: Matrix, lines: usize, packed: &mut [T]) {
    let (packed, _) = packed.as_chunks_mut::<TILE_ROWS>();
    for (p, target) in packed.iter_mut().enumerate() {
        let source = &source[p * matrix.column_stride..];
        if matrix.row_stride == 1 && lines == TILE_ROWS {
            target.copy_from_slice(&source[..TILE_ROWS]);
            continue;
        }
        for (line, element) in target.iter_mut().enumerate() {
            *element = if line < lines { source[line * matrix.row_stride] } else { T::default() };
        }
    }
}

/// As [`pack_columns`] for elements that are narrower than the values, those of the matrix from `first` on; `width` columns a line.
pub(super) fn pack_narrow_columns<T: Real>(
    rhs: &Elements,
    first: usize,
    matrix: Matrix,
    columns: Range<usize>,
    depth: Range<usize>,
    width: usize,
    packed: &mut [T],
) {
    let panel = Panel {
        first: first + matrix.offset + columns.start * matrix.column_stride + depth.start * matrix.row_stride,
        stride: matrix.column_stride,
        depth_stride: matrix.row_stride,
        count: columns.len(),
        width,
    };
    T::pack(rhs, panel, &mut packed[..depth.len() * width]);
}

/// As [`pack_rows`] for elements that are narrower than the values, those of the matrix from `first` on.
pub(super) fn pack_narrow_rows<T: Real, const TILE_ROWS: usize>(
    lhs: &Elements,
    first: usize,
    matrix: Matrix,
    rows: Range<usize>,
    depth: Range<usize>,
    packed: &mut [T],
) {
    for (row, packed) in rows.clone().step_by(TILE_ROWS).zip(packed.chunks_exact_mut(TILE_ROWS * depth.len())) {
        let panel = Panel {
            first: first + matrix.offset + row * matrix.row_stride + depth.start * matrix.column_stride,
            stride: matrix.row_stride,
            depth_stride: matrix.column_stride,
            count: TILE_ROWS.min(rows.end - row),
            width: TILE_ROWS,
        };
        T::pack(lhs, panel, packed);
    }
}
