//! Matrix products of a few rows with windows: right operands of several axes, along which vectors are neighbours over stretches only.
//!
//! As tiles, such products would be made of rows that do not exist, and to pack their operands is to copy each element as often as it is read. So vectors
//! are read where they stand, in one of two directions:
//!
//! * *Columns*: the lanes of a vector are columns of the result. A depthwise convolution is such products: its depth is the places of the weight.
//! * *Depth*: they are places of the depth, and what lanes have summed is added up at the end. The gradient of a depthwise convolution by its weight is such
//!   products: its columns are the places of the weight.
//!
//! Elements that a vector has are neighbours. Where they stand apart, as in strided convolutions, a matrix is first copied with the elements of each
//! residue side by side; where lines are shorter than a vector and there is no room behind the matrix, as it stands.
//!
//! What is read where is looked up in tables, which are made once. A sum's terms are added in an order that depends on the layouts, as
//! [`super::product`] says of other products; along the depth, the lanes of a vector are summed apart before they are added up. A sum along the depth that
//! what stands beside its lines made infinite or no number is added up anew, element by element.

mod residues;
mod sums;

use std::ops::Range;

use arenagrad_graph::AlignedVec;

use super::direct::walked_dot;
use super::extents::{DEPTH, Extents, SECTION};
use super::processor::Arch;
use super::real::Real;
use super::tile::RUN;
use super::walk::Walk;
use crate::padding::reach;
use crate::view::Axes;
use residues::{CopyByResidue, Residues, line_of};
use sums::{Factors, SumColumns, SumDepth, VECTORS};

/// The most rows of such a product: more are worth a tile of four.
const MOST_ROWS: usize = 2;

/// The most elements that a matrix reaches over: as many as stay in a near cache.
const MOST_ELEMENTS: usize = 256 * 1024;

/// The most columns of which lanes have sums along the depth, for all of these are added to again and again.
const MOST_SUMS: usize = 1024;

/// How many products there are at least that are worth computing by several tasks, for each task computes whole ones. How many threads there are decides
/// nothing here: sums are added up in another order by other ways.
const LEAST_PRODUCTS: usize = 8;

/// Multiplications up to which it does not matter.
const FEW_MULTIPLICATIONS: usize = 64 * 1024;

/// The part of a vector's lanes that the neighbours of a line fill at least, its reciprocal.
const LEAST_LANES: usize = 4;

/// How many vectors of the depth are summed before what the lanes have becomes part of a total.
const AT_ONCE: usize = DEPTH;

/// A product of a few rows with windows made ready.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    direction: Direction,
    /// How a matrix is copied before it is read, if it is.
    copy: Option<Residues>,
    /// Of a vector.
    lanes: usize,
}

/// A vector of columns of the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnVector {
    /// Where it begins behind the beginning of the matrix, for place 0 of the depth.
    pub(super) place: u32,
    /// Its first column in the result. What its last lanes have past the end of a line is overwritten by the vectors that follow, or dropped.
    pub(super) column: u32,
    /// How many of its lanes are columns.
    pub(super) count: u32,
}

/// A part of the depth that is no whole vector of the left operand, whose elements stand apart there, or that stands before the beginning of its row.
#[derive(Clone, Debug)]
struct Part {
    /// Where it begins behind the beginning of a row of the left operand, and how far apart its elements are.
    begin: isize,
    stride: isize,
    /// The lanes that it fills.
    lanes: Range<usize>,
}

#[derive(Clone, Debug)]
enum Direction {
    Columns {
        vectors: Vec<ColumnVector>,
        /// How far from there the places of the depth are.
        distances: Vec<u32>,
        /// Where the elements of a row of the left operand stand, if they are no neighbours.
        row: Vec<isize>,
    },
    Depth {
        /// Where each column begins behind the beginning of the matrix.
        columns: Vec<u32>,
        /// Where whole vectors stand in a row of the left operand, and how far behind the beginning of a column.
        whole: [Vec<u32>; 2],
        parts: Vec<Part>,
        /// How far behind the beginning of a column the parts stand.
        distances: Vec<u32>,
    },
}

/// What a task needs to compute such products.
#[derive(Clone, Debug)]
pub(super) struct Scratch<T: Real> {
    copied: AlignedVec<T>,
    /// A row of the left operand, or parts of one.
    row: AlignedVec<T>,
    sums: AlignedVec<T>,
    totals: AlignedVec<T::Total>,
}

/// Rows of a product, of which `result` are the elements.
pub(super) struct WindowProduct<'a, T: Real> {
    pub(super) extents: &'a Extents,
    pub(super) lhs: &'a [T],
    pub(super) rhs: &'a [T],
    /// Where the matrices begin.
    pub(super) starts: [usize; 2],
    pub(super) rows: Range<usize>,
    pub(super) scratch: &'a mut Scratch<T>,
    pub(super) result: &'a mut [T],
}

impl Windows {
    /// How these products are computed with vectors of so many lanes; none where another way is better. Of operands that are padded there is a vector
    /// of room behind each matrix.
    pub(super) fn new(extents: &Extents, lanes: usize, is_padded: bool) -> Option<Windows> {
        let Extents { batches, m, k, n, .. } = *extents;
        let multiplications = [m, k, n].into_iter().fold(batches, usize::saturating_mul);
        if !(1..=MOST_ROWS).contains(&m) || (batches < LEAST_PRODUCTS && multiplications > FEW_MULTIPLICATIONS) {
            return None;
        }
        let (rows, columns) = (&extents.rhs.rows, &extents.rhs.columns);
        let axes = || rows.as_slice().iter().chain(columns.as_slice());
        if axes().any(|axis| axis.stride <= 0 || axis.extent == 0) {
            return None;
        }
        let elements = axes().map(reach).sum::<usize>() + 1;
        if elements > MOST_ELEMENTS || is_direct(extents) {
            return None;
        }
        let (down, across) = (*rows.as_slice().last()?, *columns.as_slice().last()?);
        let is_of_columns = across.extent >= down.extent && k <= SECTION;
        let (along, other) = if is_of_columns { (across, down) } else { (down, across) };
        if along.extent * LEAST_LANES < lanes || (!is_of_columns && n > MOST_SUMS) {
            return None;
        }
        let copy = match usize::try_from(along.stride).ok()? {
            1 if is_padded || along.extent >= lanes => None,
            1 => Some(Residues { elements, line: elements, stride: 1 }),
            stride => {
                let [rows, columns] = [rows.as_slice(), columns.as_slice()];
                let outer = rows[..rows.len() - 1].iter().chain(&columns[..columns.len() - 1]);
                let line = line_of(outer, along, other, elements)?;
                Some(Residues { elements, line, stride })
            }
        };
        let place = |distance: isize| {
            let distance = distance as usize;
            copy.map_or(distance, |copy| copy.place(distance)) as u32
        };
        let distances = |axes: &Axes| (0..axes.count()).map(|i| place(axes.distance(i))).collect::<Vec<u32>>();
        let left = &extents.lhs.columns;
        let direction = if is_of_columns {
            let vectors = vectors_of(n, across.extent, lanes).map(|(first, fresh)| ColumnVector {
                place: place(columns.distance(first)),
                column: first as u32,
                count: fresh.end as u32,
            });
            let row = if left.is_unit() { Vec::new() } else { (0..k).map(|p| left.distance(p)).collect() };
            Direction::Columns { vectors: vectors.collect(), distances: distances(rows), row }
        } else {
            let (mut whole, mut parts, mut of_parts) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
            for (first, fresh) in vectors_of(k, down.extent, lanes) {
                let run = Walk::over(left, 0, first + fresh.start).next(fresh.len());
                if run.length < fresh.len() {
                    return None;
                }
                let distance = place(rows.distance(first));
                // A row may go back from where it begins.
                let begin = run.position as isize;
                match u32::try_from(begin) {
                    Ok(begin) if run.stride == 1 && fresh.len() == lanes => {
                        whole[0].push(begin);
                        whole[1].push(distance);
                    }
                    Ok(_) | Err(_) => {
                        parts.push(Part { begin, stride: run.stride, lanes: fresh });
                        of_parts.push(distance);
                    }
                }
            }
            Direction::Depth { columns: distances(columns), whole, parts, distances: of_parts }
        };
        Some(Windows { direction, copy, lanes })
    }

    /// What a task needs.
    pub(super) fn scratch<T: Real>(&self, n: usize) -> Scratch<T> {
        let copied = self.copy.map_or(0, |copy| copy.len() + self.lanes);
        let (row, sums, totals) = match &self.direction {
            Direction::Columns { row, .. } => (row.len(), 0, 0),
            Direction::Depth { parts, .. } => {
                let sums = n.next_multiple_of(VECTORS) * self.lanes;
                (parts.len().min(RUN) * self.lanes, sums, n)
            }
        };
        Scratch {
            copied: AlignedVec::zeros(copied),
            row: AlignedVec::zeros(row),
            sums: AlignedVec::zeros(sums),
            totals: AlignedVec::zeros(totals),
        }
    }

    /// Computes rows of a product.
    pub(super) fn run<T: Real>(&self, product: WindowProduct<'_, T>, arch: Arch) {
        let WindowProduct { extents, lhs, rhs, starts, rows, scratch, result } = product;
        let Scratch { copied, row: own_row, sums, totals } = scratch;
        let matrix = match self.copy {
            Some(copy) => {
                arch.dispatch(CopyByResidue { residues: copy, matrix: &rhs[starts[1]..], copied });
                &**copied
            }
            None => &rhs[starts[1]..],
        };
        for (row, result) in rows.zip(result.chunks_exact_mut(extents.n)) {
            let start = starts[0].wrapping_add_signed(extents.lhs.rows.distance(row));
            match &self.direction {
                Direction::Columns { vectors, distances, row } => {
                    for (element, &distance) in own_row.iter_mut().zip(row) {
                        *element = lhs[start.wrapping_add_signed(distance)];
                    }
                    let row = if row.is_empty() { &lhs[start..][..distances.len()] } else { &**own_row };
                    arch.dispatch(SumColumns { row, matrix, vectors, distances, result });
                }
                Direction::Depth { columns, whole: [places, distances], parts, distances: of_parts } => {
                    totals.fill(T::Total::default());
                    let lhs_row = &lhs[start.min(lhs.len())..];
                    for (places, distances) in places.chunks(AT_ONCE).zip(distances.chunks(AT_ONCE)) {
                        let factors = Factors::Standing(lhs_row, places);
                        arch.dispatch(SumDepth { factors, matrix, columns, distances, sums, totals });
                    }
                    for (parts, distances) in parts.chunks(RUN).zip(of_parts.chunks(RUN)) {
                        let row = &mut own_row[..parts.len() * self.lanes];
                        row.fill(T::default());
                        for (part, vector) in parts.iter().zip(row.chunks_exact_mut(self.lanes)) {
                            part.fill(lhs, start, vector);
                        }
                        arch.dispatch(SumDepth {
                            factors: Factors::Packed(row),
                            matrix,
                            columns,
                            distances,
                            sums,
                            totals,
                        });
                    }
                    for (column, (element, &total)) in result.iter_mut().zip(&*totals).enumerate() {
                        *element = T::rounded(total);
                        // Lanes that are no part of the sum were multiplied by zero, which leaves it as it is unless they are infinite or no numbers.
                        if element.times(T::default()) != T::default() {
                            let starts = [start, starts[1].wrapping_add_signed(extents.rhs.columns.distance(column))];
                            *element = walked_dot([lhs, rhs], starts, [&extents.lhs.columns, &extents.rhs.rows]);
                        }
                    }
                }
            }
        }
    }
}

impl Part {
    /// Fills its lanes of a vector with the elements of a row that begins at `start`.
    fn fill<T: Real>(&self, lhs: &[T], start: usize, vector: &mut [T]) {
        let begin = start.wrapping_add_signed(self.begin);
        let lanes = &mut vector[self.lanes.clone()];
        if self.stride == 1 {
            lanes.copy_from_slice(&lhs[begin..][..lanes.len()]);
            return;
        }
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = lhs[begin.wrapping_add_signed(i as isize * self.stride)];
        }
    }
}

/// Whether such products are best computed [directly](super::direct): as vectors of neighbours that are evenly spaced.
fn is_direct(extents: &Extents) -> bool {
    let (left, right) = (&extents.lhs, &extents.rhs);
    extents.is_evenly_spaced() && (right.columns.is_unit() || (right.rows.is_unit() && left.columns.is_unit()))
}

/// The vectors of `count` places in lines of `extent`: the place that its first lane is, and the lanes that no vector before it had. Lines of a vector and more
/// are vectors alone, of which the last may begin within the one before it; shorter ones are a part of a vector each.
fn vectors_of(count: usize, extent: usize, lanes: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    (0..count).step_by(extent).flat_map(move |line| {
        (0..extent).step_by(lanes).map(move |fresh| {
            let first = fresh.min(extent.saturating_sub(lanes));
            (line + first, fresh - first..lanes.min(extent - first))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::extents::tile_shape;
    use crate::cpu::processor::detect;
    use crate::kernel::Matrices;
    use crate::view::Axis;

    fn axes(list: &[[isize; 2]]) -> Axes {
        Axes::new(list.iter().map(|&[extent, stride]| Axis { extent: extent as usize, stride }))
    }

    fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::Scalar, detect()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        archs
    }

    /// Rows of a product of operands whose elements `element` gives, of the left one for 0 and the right one for 1, and what plain loops say.
    fn rows<T: Real>(
        arch: Arch,
        [lhs, rhs]: [&Matrices; 2],
        element: impl Fn(usize, usize) -> T,
    ) -> Option<[Vec<T>; 2]> {
        // As one of so many that tasks share them.
        let one_of_many =
            |matrices: &Matrices| Matrices { batch: Axes::strided(LEAST_PRODUCTS, 0), ..matrices.clone() };
        let extents = Extents::new(&one_of_many(lhs), &one_of_many(rhs), false);
        let Extents { m, k, n, .. } = extents;
        let windows = Windows::new(&extents, tile_shape::<T>(arch).lanes, false)?;
        let operand = |of, matrices: &Matrices| (0..matrices.view().end()).map(|i| element(of, i)).collect::<Vec<T>>();
        let (left, right) = (operand(0, lhs), operand(1, rhs));
        let at = |of, matrices: &Matrices, i, j| element(of, matrices.position(0, i, j));
        let expected = (0..m * n).map(|i| {
            let product = |p| at(0, lhs, i / n, p).times(at(1, rhs, p, i % n));
            (0..k).fold(T::default(), |sum, p| sum.plus(product(p)))
        });
        let expected = expected.collect();
        let mut scratch = windows.scratch(n);
        let mut result = vec![T::default(); m * n];
        let starts = [lhs.start(0), rhs.start(0)];
        let (scratch, all) = (&mut scratch, 0..m);
        let product = WindowProduct {
            extents: &extents,
            lhs: &left,
            rhs: &right,
            starts,
            rows: all,
            scratch,
            result: &mut result,
        };
        windows.run(product, arch);
        Some([result, expected])
    }

    /// Windows of `kernel` over an image, `stride` and `dilation` apart, in both directions: with a row for each of `m` weights, and one for each of `m`
    /// upstream gradients.
    fn both_directions(
        [height, width]: [isize; 2],
        kernel: [isize; 2],
        stride: isize,
        dilation: isize,
        m: isize,
    ) -> [[Matrices; 2]; 2] {
        let line = (width - 1) * stride + (kernel[1] - 1) * dilation + 1 + (width + kernel[0]) % 2;
        let down = axes(&[[kernel[0], dilation * line], [kernel[1], dilation]]);
        let across = axes(&[[height, stride * line], [width, stride]]);
        let rows = |count: isize| axes(&[[m, count]]);
        let places = kernel[0] * kernel[1];
        // Weights go back, as those of a gradient do.
        let weights = Matrices::single(places as usize - 1, rows(places), axes(&[[places, -1]]));
        let upstream = Matrices::single(0, rows(height * width), axes(&[[height * width, 1]]));
        [[weights, Matrices::single(3, down.clone(), across.clone())], [upstream, Matrices::single(3, across, down)]]
    }

    #[test]
    fn windows_of_every_kind_in_both_directions() {
        // Of so few digits that every sum is exact.
        let element = |i: usize| (i * 7919 % 17) as i16 - 8;
        let mut computed = 0;
        for arch in archs() {
            for image in [[16, 16], [7, 7], [5, 4], [3, 40], [1, 600], [14, 14], [9, 23], [130, 70]] {
                for (kernel, stride, dilation) in [
                    ([3, 3], 1, 1),
                    ([7, 7], 1, 1),
                    ([3, 3], 2, 1),
                    ([5, 5], 2, 2),
                    ([1, 9], 1, 1),
                    ([9, 1], 1, 3),
                    ([4, 3], 3, 1),
                    ([3, 1], 3, 3),
                ] {
                    for [lhs, rhs] in both_directions(image, kernel, stride, dilation, 1 + image[0] % 2) {
                        let single = rows(arch, [&lhs, &rhs], |_, i| f32::from(element(i)));
                        let double = rows(arch, [&lhs, &rhs], |_, i| f64::from(element(i)));
                        if let Some([result, expected]) = &single {
                            assert_eq!(result, expected, "{arch:?}: {image:?} {kernel:?} {stride} {dilation}");
                        }
                        computed += usize::from(single.is_some()) + usize::from(double.is_some());
                        if let Some([result, expected]) = &double {
                            assert_eq!(result, expected, "{arch:?}: {image:?} {kernel:?} {stride} {dilation}");
                        }
                    }
                }
            }
        }
        assert!(computed > 300, "only {computed} of the products were computed so");
    }

    #[test]
    fn what_stands_beside_a_line_is_no_part_of_a_sum() {
        // Lines of nine columns, the last of which is infinite: only the last column of the kernel meets it, but a vector of eight lanes has it beside the
        // seven elements that the second one meets.
        let element = |of, i: usize| match of {
            1 if i % 9 == 2 => f32::INFINITY,
            _ => (i % 5) as f32 + 1.0,
        };
        for arch in archs() {
            for height in [2, 5] {
                let [_, [lhs, rhs]] = both_directions([height, 7], [3, 3], 1, 1, 1);
                let [result, expected] = rows(arch, [&lhs, &rhs], element).expect("its lines are long enough");
                assert_eq!(result, expected, "{arch:?}");
                assert_eq!(expected.iter().filter(|sum| sum.is_finite()).count(), 6);
            }
        }
    }

    #[test]
    fn long_sums_along_the_depth_are_summed_in_totals() {
        let (line, height) = (130, 1500);
        let across = axes(&[[height, line], [128, 1]]);
        let lhs = Matrices::single(0, axes(&[[1, 0]]), axes(&[[height * 128, 0]]));
        let rhs = Matrices::single(0, across, axes(&[[3, 1]]));
        let factor = 0.1f32.sqrt();
        let term = f64::from(factor) * f64::from(factor);
        // What a lane would be wrong by that summed all of its terms one after the other.
        let terms = height * 128 / 16;
        let plain = (0..terms).fold(0.0f32, |sum, _| factor.mul_add(factor, sum));
        let wrong_by = (f64::from(plain) / (term * terms as f64) - 1.0).abs();
        assert!(wrong_by > 2e-5, "{wrong_by}");
        for arch in archs() {
            let [result, _] = rows(arch, [&lhs, &rhs], |_, _| factor).expect("its lines are long enough");
            for result in result {
                let wrong_by = (f64::from(result) / (term * (height * 128) as f64) - 1.0).abs();
                assert!(wrong_by < 2e-6, "{arch:?}: wrong by {wrong_by}");
            }
        }
    }
}
