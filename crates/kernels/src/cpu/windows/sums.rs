//! The sums of products with windows, in vectors that are read where they stand; see [`super`].

use pulp::{Simd, WithSimd};

use super::ColumnVector;
use crate::cpu::cache_lines::AtLine;
use crate::cpu::pack::MOST_LANES;
use crate::cpu::processor::in_own_function;
use crate::cpu::real::Real;
use crate::cpu::tile::RUN;

/// How many vectors are summed at a time: so many that a processor need not wait for one sum, so few that where they begin stays in registers.
pub(super) const VECTORS: usize = 8;

/// How many where no more are left.
const FEW: usize = VECTORS / 2;

/// Columns of the result, each vector of which is summed over the depth.
pub(super) struct SumColumns<'a, T> {
    /// The row of the left operand.
    pub(super) row: &'a [T],
    /// The right operand from the beginning of the matrix on.
    pub(super) matrix: &'a [T],
    pub(super) vectors: &'a [ColumnVector],
    /// How far behind a vector the places of the depth are.
    pub(super) distances: &'a [u32],
    pub(super) result: &'a mut [T],
}

impl<T: Real> WithSimd for SumColumns<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for vectors in self.vectors.chunks(VECTORS) {
            let SumColumns { row, matrix, distances, .. } = self;
            let result = &mut *self.result;
            let part = SumColumns { row, matrix, vectors, distances, result };
            if vectors.len() <= FEW {
                in_own_function(simd, SomeColumns::<T, FEW>(part));
            } else {
                in_own_function(simd, SomeColumns::<T, VECTORS>(part));
            }
        }
    }
}

/// At most so many vectors of columns.
struct SomeColumns<'a, T, const VECTORS: usize>(SumColumns<'a, T>);

impl<T: Real, const VECTORS: usize> WithSimd for SomeColumns<'_, T, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let SumColumns { row, matrix, vectors, distances, result } = self.0;
        let lanes = T::lanes::<S>();
        let mut begins = [0; VECTORS];
        for (number, begin) in begins.iter_mut().enumerate() {
            // What comes of the last vector once more is dropped.
            *begin = vectors[number.min(vectors.len() - 1)].place;
        }
        let sums = sum::<T, S, _, VECTORS>(simd, Repeated(row), (matrix, begins), distances);
        for (vector, sum) in vectors.iter().zip(sums) {
            let target = &mut result[vector.column as usize..];
            if let Some(target) = target.get_mut(..lanes) {
                T::vectors_mut::<S>(target)[0] = sum;
            } else {
                let AtLine(elements) = &mut AtLine([T::default(); MOST_LANES]);
                T::vectors_mut::<S>(&mut elements[..lanes])[0] = sum;
                let count = vector.count as usize;
                target[..count].copy_from_slice(&elements[..count]);
            }
        }
    }
}

/// What vectors along the depth are multiplied with.
#[derive(Clone, Copy)]
pub(super) enum Factors<'a, T> {
    /// Vectors of a row of the left operand, where they stand in it.
    Standing(&'a [T], &'a [u32]),
    /// Vectors side by side.
    Packed(&'a [T]),
}

/// All columns of the result, summed over a part of the depth and added to totals.
pub(super) struct SumDepth<'a, T: Real> {
    pub(super) factors: Factors<'a, T>,
    /// The right operand from the beginning of the matrix on.
    pub(super) matrix: &'a [T],
    /// Where columns begin.
    pub(super) columns: &'a [u32],
    /// How far behind these the vectors are.
    pub(super) distances: &'a [u32],
    /// Room for a vector for each column, and for as many more as are summed at a time.
    pub(super) sums: &'a mut [T],
    pub(super) totals: &'a mut [T::Total],
}

impl<T: Real> WithSimd for SumDepth<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let SumDepth { factors, matrix, columns, distances, sums, totals } = self;
        let lanes = T::lanes::<S>();
        sums.fill(T::default());
        for (run, distances) in distances.chunks(RUN).enumerate() {
            let begin = run * RUN;
            for (columns, sums) in columns.chunks(VECTORS).zip(sums.chunks_exact_mut(VECTORS * lanes)) {
                match factors {
                    Factors::Standing(row, places) => {
                        let factors = Standing(row, &places[begin..][..distances.len()]);
                        ColumnsOfRun { factors, matrix, columns, distances, sums }.sum(simd);
                    }
                    Factors::Packed(row) => {
                        let factors = Packed(&row[begin * lanes..][..distances.len() * lanes]);
                        ColumnsOfRun { factors, matrix, columns, distances, sums }.sum(simd);
                    }
                }
            }
        }
        for (total, sum) in totals.iter_mut().zip(T::vectors::<S>(sums)) {
            T::sum(simd, *sum).add_to(total);
        }
    }
}

/// At most [`VECTORS`] columns over a run of vectors of the depth.
struct ColumnsOfRun<'a, T, F> {
    factors: F,
    matrix: &'a [T],
    columns: &'a [u32],
    distances: &'a [u32],
    /// What the sums are added to.
    sums: &'a mut [T],
}

impl<T: Real, F: FactorAt<T>> ColumnsOfRun<'_, T, F> {
    #[inline(always)]
    fn sum<S: Simd>(self, simd: S) {
        if self.columns.len() <= FEW {
            in_own_function(simd, FewColumns::<T, F, FEW>(self));
        } else {
            in_own_function(simd, FewColumns::<T, F, VECTORS>(self));
        }
    }
}

/// At most so many of them.
struct FewColumns<'a, T, F, const VECTORS: usize>(ColumnsOfRun<'a, T, F>);

impl<T: Real, F: FactorAt<T>, const VECTORS: usize> WithSimd for FewColumns<'_, T, F, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ColumnsOfRun { factors, matrix, columns, distances, sums } = self.0;
        let mut begins = [0; VECTORS];
        for (number, begin) in begins.iter_mut().enumerate() {
            // What comes of the last column once more is dropped.
            *begin = columns[number.min(columns.len() - 1)];
        }
        let added = sum::<T, S, F, VECTORS>(simd, factors, (matrix, begins), distances);
        for (sum, added) in T::vectors_mut::<S>(sums).iter_mut().zip(added) {
            *sum = T::add(simd, *sum, added);
        }
    }
}

/// The factor of the vectors at each place.
trait FactorAt<T: Real>: Copy {
    fn at<S: Simd>(&self, simd: S, p: usize) -> T::Vector<S>;
}

/// An element in all lanes.
#[derive(Clone, Copy)]
struct Repeated<'a, T>(&'a [T]);

impl<T: Real> FactorAt<T> for Repeated<'_, T> {
    #[inline(always)]
    fn at<S: Simd>(&self, simd: S, p: usize) -> T::Vector<S> {
        T::splat(simd, self.0[p])
    }
}

/// Vectors where they stand in a row.
#[derive(Clone, Copy)]
struct Standing<'a, T>(&'a [T], &'a [u32]);

impl<T: Real> FactorAt<T> for Standing<'_, T> {
    #[inline(always)]
    fn at<S: Simd>(&self, _: S, p: usize) -> T::Vector<S> {
        T::vectors::<S>(&self.0[self.1[p] as usize..][..T::lanes::<S>()])[0]
    }
}

/// Vectors side by side.
#[derive(Clone, Copy)]
struct Packed<'a, T>(&'a [T]);

impl<T: Real> FactorAt<T> for Packed<'_, T> {
    #[inline(always)]
    fn at<S: Simd>(&self, _: S, p: usize) -> T::Vector<S> {
        T::vectors::<S>(self.0)[p]
    }
}

/// Over all places `p`, the sum of the factor there times the vectors that stand `distances[p]` behind where each begins.
#[inline(always)]
fn sum<T: Real, S: Simd, F: FactorAt<T>, const VECTORS: usize>(
    simd: S,
    factors: F,
    (matrix, begins): (&[T], [u32; VECTORS]),
    distances: &[u32],
) -> [T::Vector<S>; VECTORS] {
    let lanes = T::lanes::<S>();
    let furthest = distances.iter().copied().max().unwrap_or(0) as usize;
    // All of one length, so that the compiler checks a place once.
    let length = furthest + lanes;
    let mut standing = [matrix; VECTORS];
    for (elements, begin) in standing.iter_mut().zip(begins) {
        *elements = &matrix[begin as usize..][..length];
    }
    let zeros = [T::splat(simd, T::default()); VECTORS];
    let mut total = zeros;
    for (run, distances) in distances.chunks(RUN).enumerate() {
        let mut sums = zeros;
        for (p, &distance) in distances.iter().enumerate() {
            let factor = factors.at(simd, run * RUN + p);
            let first = distance as usize;
            for (sum, elements) in sums.iter_mut().zip(&standing) {
                let vector = T::vectors::<S>(&elements[first..first + lanes])[0];
                *sum = T::mul_add(simd, factor, vector, *sum);
            }
        }
        if run == 0 {
            total = sums;
        } else {
            for (total, sum) in total.iter_mut().zip(sums) {
                *total = T::add(simd, *total, sum);
            }
        }
    }
    total
}
