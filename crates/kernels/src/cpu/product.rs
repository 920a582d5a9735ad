//! Matrix products by tiles, a batch at a time, row-major results.
//!
//! The crate `gemm` would be the natural choice here, but it allocates its packing buffers anew on each call, and a step
//! of a plan allocates nothing. The way is the usual one (Goto and van de Geijn: "Anatomy of high-performance matrix
//! multiplication", 2008): panels of columns of the right operand are multiplied with panels of rows of the left one, tile
//! by tile. Panels of the right operand are packed either all of them beforehand, once for all tasks, or a few at a time just
//! before they are used, so that they never leave the second cache; or, where columns stand side by side over stretches, as the windows of a convolution
//! do, by the first tile that reads them. Rows of the left operand are packed where their elements stand apart or are narrower than their values, beside
//! such columns, and where so many tiles read them that it costs less than to read neighbours where they stand ([`Extents::reads_rows`]). The last rows of a
//! result are a low tile where a usual one would compute more rows that do not exist.
//!
//! Every element of a result is summed over the depth by a fixed tree, so its bits depend on neither threads nor the tile that
//! it falls in, and the error does not grow with the depth: runs of `RUN` products in order, joined in order within a block of at
//! most `DEPTH`, blocks joined in order within a section of `SECTION`, and sections in a total of higher precision. Where a left operand is padded
//! meanwhile, a block ends with what is padded at once also.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::block::Block;
use super::extents::{DEPTH, Extents, MOST_ROWS, SECTION, tile_shape};
use super::pack::{Operand, Source, pack_panels};
use super::pack_rows::pack_rows;
use super::padded::PaddedRows;
use super::parallel;
use super::processor::Arch;
use super::real::Real;
use super::tile::{ROWS_NARROW, ROWS_WIDE, RUN, VECTORS};
use super::walk::Walk;

/// The packed elements from which on tasks share the packing.
const ELEMENTS_SHARED: usize = 64 * 1024;

/// Packs panels of columns of the right operand: `packed[(panel * k + p) * columns + column]`, zeros past the last column. The
/// last panel is only a vector wide where that is enough.
pub(super) struct PackRhs<'a, T> {
    pub(super) extents: &'a Extents,
    pub(super) rhs: Source<'a, T>,
    /// Where the matrix begins.
    pub(super) start: usize,
    /// The panels, of which `packed` are the elements.
    pub(super) panels: Range<usize>,
    pub(super) packed: &'a mut [T],
}

impl<'a, T: Real> PackRhs<'a, T> {
    /// Packs all of the matrix that begins at an element of `rhs`, shared by so many tasks.
    pub(super) fn divide(
        arch: Arch,
        extents: &'a Extents,
        (rhs, start): (Source<'a, T>, usize),
        packed: &'a mut [T],
        tasks: usize,
    ) {
        let panels = 0..extents.n.div_ceil(tile_shape::<T>(arch).columns);
        let tasks = if packed.len() < ELEMENTS_SHARED { 1 } else { tasks };
        PackRhs { extents, rhs, start, panels, packed }.run(arch, tasks);
    }

    fn run(self, arch: Arch, tasks: usize) {
        if tasks <= 1 {
            arch.dispatch(self);
            return;
        }
        let PackRhs { extents, rhs, start, panels, packed } = self;
        let half = tasks / 2;
        let cut = parallel::cut(panels.clone(), half, tasks, 1);
        let (head, tail) = packed.split_at_mut((cut - panels.start) * extents.k * tile_shape::<T>(arch).columns);
        parallel::join(
            || PackRhs { extents, rhs, start, panels: panels.start..cut, packed: head }.run(arch, half),
            || PackRhs { extents, rhs, start, panels: cut..panels.end, packed: tail }.run(arch, tasks - half),
        );
    }
}

impl<T: Real> WithSimd for PackRhs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let PackRhs { extents, rhs, start, panels, packed } = self;
        let Extents { k, n, .. } = *extents;
        let operand = Operand { source: rhs, start, matrices: &extents.rhs };
        let width = VECTORS * T::lanes::<S>();
        let columns_at_once = extents.columns_at_once::<T>(width);
        let (first, end) = (panels.start * width, n.min(panels.end * width));
        for column in (first..end).step_by(columns_at_once) {
            let columns = column..end.min(column + columns_at_once);
            pack_panels::<T, S>(simd, operand, columns, 0..k, &mut packed[(column - first) * k..]);
        }
    }
}

/// The right operand of a [`PackedProduct`].
pub(super) enum Rhs<'a, T> {
    /// As [`PackRhs`] packs it.
    Packed(&'a [T]),
    /// As it stands from an element on, and room for [`Extents::packed_panels`] elements.
    Unpacked(Source<'a, T>, usize, &'a mut [T]),
}

/// How rows of a left operand that are not read where they stand come to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackedRows {
    /// For one block of the depth after the other, each in the place of the one before.
    ByBlocks,
    /// For all of the depth, so that the next products of the same rows need not pack them.
    Whole,
    /// They are already packed for all of the depth.
    Ready,
}

/// Rows `rows` and columns `columns` of the product, written to `result` side by side.
pub(super) struct PackedProduct<'a, T: Real> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: Source<'a, T>,
    /// What the rows are instead if they are padded meanwhile.
    pub(super) padded_lhs: Option<PaddedRows<'a>>,
    /// Where the matrix begins in `lhs`.
    pub(super) lhs_start: usize,
    pub(super) rhs: Rhs<'a, T>,
    /// As many as [`Extents::packed_lhs`] says.
    pub(super) packed_lhs: &'a mut [T],
    pub(super) packed_rows: PackedRows,
    /// As many as [`Extents::totals`] says.
    pub(super) totals: &'a mut [T::Total],
    pub(super) rows: Range<usize>,
    /// All of them, or whole panels of the right operand.
    pub(super) columns: Range<usize>,
    pub(super) result: &'a mut [T],
}

impl<T: Real> PackedProduct<'_, T> {
    /// Computes them.
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Real> WithSimd for PackedProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As `tile_shape` said. A constant, so that the way not taken is not compiled.
        if const { S::REGISTER_COUNT >= 32 } {
            self.multiply::<S, ROWS_WIDE>(simd);
        } else {
            self.multiply::<S, ROWS_NARROW>(simd);
        }
    }
}

impl<T: Real> PackedProduct<'_, T> {
    #[inline(always)]
    fn multiply<S: Simd, const TILE_ROWS: usize>(self, simd: S) {
        let PackedProduct { extents, lhs_start, mut rhs, packed_lhs, packed_rows, totals, rows, .. } = self;
        let (all_columns, result, mut padded_lhs) = (self.columns, self.result, self.padded_lhs);
        let k = extents.k;
        let mut places = [0; MOST_ROWS];
        let places = &mut places[..rows.len()];
        Walk::over(&extents.lhs.rows, lhs_start, rows.start).places(places);
        let places = &*places;
        let lanes = T::lanes::<S>();
        let width = VECTORS * lanes;
        totals.fill(T::Total::default());
        let mut from = 0;
        while from < k {
            // Blocks of about the same length, each of whole runs but for the last.
            let end = padded_lhs.as_ref().map_or(k, |padded| padded.end(from));
            let left = k.min(end).min((from / SECTION + 1) * SECTION) - from;
            let length = left.div_ceil(left.div_ceil(DEPTH)).next_multiple_of(RUN).min(left);
            let depth = from..from + length;
            // Places of the depth are counted from where the blocks begin that are padded.
            let origin = padded_lhs.as_mut().map_or(0, |padded| padded.pad(from, places).wrapping_neg());
            let lhs = match &padded_lhs {
                Some(padded) => Source::new(&*padded.memory),
                None => self.lhs,
            };
            let packed_lhs = match packed_rows {
                PackedRows::ByBlocks => &mut *packed_lhs,
                PackedRows::Whole | PackedRows::Ready => {
                    let height = rows.len().next_multiple_of(TILE_ROWS);
                    &mut packed_lhs[height * depth.start..height * depth.end]
                }
            };
            let reads_rows = extents.reads_rows(lanes, TILE_ROWS);
            if !reads_rows && packed_rows != PackedRows::Ready {
                let columns = (&extents.lhs.columns, origin);
                pack_rows::<T, S, TILE_ROWS>(simd, lhs, columns, places, depth.clone(), packed_lhs);
            }
            let packed_lhs = &*packed_lhs;
            let mut row_distances = [0; DEPTH];
            let row_distances = &mut row_distances[..if extents.reads_spread_rows(lanes) { length } else { 0 }];
            Walk::over(&extents.lhs.columns, origin, depth.start).places(row_distances);
            let row_distances = &*row_distances;
            let row_span = row_distances.iter().copied().max().map_or(0, |furthest| furthest + 1);
            let mut distances = [0; DEPTH];
            let mut standing = None;
            if let Rhs::Unpacked(Source::Native(elements), start, _) = &rhs
                && extents.reads_columns(lanes, TILE_ROWS)
            {
                let mut places = [0; DEPTH];
                let (places, distances) = (&mut places[..length], &mut distances[..length]);
                Walk::over(&extents.rhs.rows, 0, depth.start).places(places);
                let furthest = places.iter().copied().max().unwrap_or(0);
                if u32::try_from(furthest).is_ok() {
                    for (distance, &place) in distances.iter_mut().zip(&*places) {
                        *distance = place as u32;
                    }
                    let walk = Walk::over(&extents.rhs.columns, *start, all_columns.start);
                    standing = Some((*elements, &*distances, furthest, walk));
                }
            }
            // The columns whose panels are packed.
            let mut packed_columns = all_columns.start..all_columns.start;
            let mut column = all_columns.start;
            while column < all_columns.end {
                let mut columns = column..all_columns.end.min(column + width);
                let mut in_place = None;
                if let Some((elements, distances, furthest, walk)) = &mut standing {
                    // Vectors may stand anywhere, each in one piece; only the last may have fewer columns than lanes.
                    let mut vectors: [&[T]; VECTORS] = [&[]; VECTORS];
                    let mut are_there = true;
                    let (mut number, mut found) = (0, 0);
                    while number < VECTORS && found == number * lanes && found < columns.len() {
                        let run = walk.next(lanes.min(columns.len() - found));
                        let end = run.position + *furthest + lanes;
                        match elements.get(run.position..end) {
                            Some(elements) => vectors[number] = elements,
                            None => are_there = false,
                        }
                        (number, found) = (number + 1, found + run.length);
                    }
                    columns.end = column + found;
                    if are_there {
                        in_place = Some((vectors, *distances));
                    }
                }
                column = columns.end;
                let narrow = columns.len() <= lanes;
                let row_width = if narrow { lanes } else { width };
                let block = Block {
                    lhs: lhs.values(),
                    packed_lhs,
                    places,
                    row_distances,
                    row_span,
                    reads_rows,
                    depth: depth.clone(),
                    columns: columns.start - all_columns.start..columns.end - all_columns.start,
                    row_stride: all_columns.len(),
                };
                if const { !S::IS_SCALAR }
                    && let (Some((vectors, distances)), Rhs::Unpacked(_, _, panels)) = (in_place, &mut rhs)
                {
                    let panel = &mut panels[..length * row_width];
                    if narrow {
                        block.take::<S, TILE_ROWS, 1>(simd, [vectors[0]], distances, panel, result);
                    } else {
                        block.take::<S, TILE_ROWS, VECTORS>(simd, vectors, distances, panel, result);
                    }
                    continue;
                }
                let b: &[T] = match &mut rhs {
                    Rhs::Packed(packed) => &packed[columns.start * k..][depth.start * row_width..depth.end * row_width],
                    Rhs::Unpacked(rhs, start, panels) => {
                        if columns.end > packed_columns.end {
                            packed_columns = columns.clone();
                            if standing.is_none() {
                                let end = columns.start + extents.columns_at_once::<T>(width);
                                packed_columns.end = end.min(all_columns.end);
                            }
                            let operand = Operand { source: *rhs, start: *start, matrices: &extents.rhs };
                            pack_panels::<T, S>(simd, operand, packed_columns.clone(), depth.clone(), panels);
                        }
                        &panels[(columns.start - packed_columns.start) * length..]
                    }
                };
                let b = &b[..length * row_width];
                if narrow {
                    block.multiply::<S, TILE_ROWS, 1>(simd, b, 0, result);
                } else {
                    block.multiply::<S, TILE_ROWS, VECTORS>(simd, b, 0, result);
                }
            }
            from = depth.end;
            if k > SECTION && (from.is_multiple_of(SECTION) || from == k) {
                for (total, &sum) in totals.iter_mut().zip(&*result) {
                    sum.add_to(total);
                }
            }
        }
        if k > SECTION {
            for (element, &total) in result.iter_mut().zip(&*totals) {
                *element = T::rounded(total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::extents::tile_shape;
    use crate::kernel::Matrices;
    use crate::view::{Axes, Axis};

    /// The instruction sets that this processor has, of which a run takes the widest alone.
    fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::Scalar, Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        archs
    }

    fn check<T: Real + From<i16> + std::fmt::Debug>(arch: Arch, [m, k, n]: [usize; 3], transposed: [bool; 2]) {
        let matrix = |rows: usize, columns: usize, transposed| {
            let (row_stride, column_stride) = if transposed { (1, rows as isize) } else { (columns as isize, 1) };
            Matrices::single(0, Axes::strided(rows, row_stride), Axes::strided(columns, column_stride))
        };
        check_matrices::<T>(arch, &matrix(m, k, transposed[0]), &matrix(k, n, transposed[1]));
    }

    fn check_matrices<T: Real + From<i16> + std::fmt::Debug>(arch: Arch, lhs: &Matrices, rhs: &Matrices) {
        let extents = Extents::new(lhs, rhs, false);
        let Extents { m, k, n, .. } = extents;
        // Of so few digits that every sum is exact.
        let element = |i: usize| (i * 7919 % 17) as i16 - 8;
        let operand = |matrices: &Matrices| (0..matrices.view().end()).map(|i| T::from(element(i))).collect::<Vec<T>>();
        let (lhs, rhs) = (operand(lhs), operand(rhs));
        let at = |matrices: &Matrices, i, j| element(matrices.position(0, i, j));
        let expected = (0..m * n).map(|i| {
            let (i, j) = (i / n, i % n);
            let product = |p| at(&extents.lhs, i, p) * at(&extents.rhs, p, j);
            (0..k).fold(T::default(), |sum, p| sum.plus(T::from(product(p))))
        });
        let expected: Vec<T> = expected.collect();

        let tile = tile_shape::<T>(arch);
        let mut packed = vec![T::default(); extents.packed_rhs(tile)];
        let panels = 0..n.div_ceil(tile.columns);
        PackRhs { extents: &extents, rhs: Source::Native(&rhs), start: 0, panels, packed: &mut packed }.run(arch, 1);
        let mut panel = vec![T::default(); extents.packed_panels::<T>(tile)];
        for rhs in [Rhs::Packed(&packed), Rhs::Unpacked(Source::Native(&rhs), 0, &mut panel)] {
            let mut packed_lhs = vec![T::default(); extents.packed_lhs(tile, m)];
            let mut totals = vec![T::Total::default(); extents.totals(m, n)];
            let mut result = vec![T::default(); m * n];
            let (packed_lhs, totals) = (&mut packed_lhs[..], &mut totals[..]);
            let (rows, lhs) = (0..m, Source::Native(&lhs[..]));
            let (extents, result_rows, packed_rows) = (&extents, &mut result[..], PackedRows::ByBlocks);
            let product = PackedProduct {
                extents,
                lhs,
                padded_lhs: None,
                lhs_start: 0,
                rhs,
                packed_lhs,
                packed_rows,
                totals,
                rows,
                columns: 0..n,
                result: result_rows,
            };
            product.run(arch);
            assert!(result == expected, "{:?} by {arch:?}, {:?} x {:?}", [m, k, n], extents.lhs, extents.rhs);
        }
    }

    #[test]
    fn products_under_every_instruction_set() {
        for arch in archs() {
            for extents in [
                [8, 16, 32],
                [6, 8, 16],
                [13, 37, 41],
                [5, 520, 7],
                [17, 64, 48],
                [3, 4100, 9],
                [11, 70, 201],
                [16, 5, 3],
                [13, 77, 800],
            ] {
                for transposed in [[false, false], [false, true], [true, false], [true, true]] {
                    check::<f32>(arch, extents, transposed);
                    check::<f64>(arch, extents, transposed);
                }
            }
        }
    }

    #[test]
    fn windows_are_packed_by_the_first_of_tiles_of_every_height() {
        let axes = |list: &[[usize; 2]]| {
            Axes::new(list.iter().map(|&[extent, stride]| Axis { extent, stride: stride as isize }))
        };
        for arch in archs() {
            // Of the last, in more tiles than a few, rows are read where they stand.
            for rows in (1..20).chain([45, 65]) {
                // Windows of 3 x 3 over 70 channels of 6 x 34 and of 5 x 10: of a depth of two blocks.
                for [height, width] in [[4, 32], [3, 8]] {
                    let (line, depth) = (width + 2, 70 * 9);
                    let channel = (height + 2) * line;
                    let windows = Matrices::single(
                        0,
                        axes(&[[70, channel], [3, line], [3, 1]]),
                        axes(&[[height, line], [width, 1]]),
                    );
                    let weights = Matrices::single(0, axes(&[[rows, depth]]), axes(&[[depth, 1]]));
                    check_matrices::<f32>(arch, &weights, &windows);
                    check_matrices::<f64>(arch, &weights, &windows);
                }
            }
        }
    }
}
