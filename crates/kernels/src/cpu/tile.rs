//! The innermost loop of a matrix product: a tile of the result that stays in vector registers, over packed operands.

use pulp::Simd;

use super::registers::Lane;
use super::total::Summable;

/// How many products are summed one after the other before the sum joins those of other runs: so few that rounding hardly
/// counts, so many that joining hardly does.
pub(super) const RUN: usize = 64;

/// How many vectors of columns a tile has; it has one where the result is no wider.
pub(super) const VECTORS: usize = 2;

/// Rows of a tile where a processor has 32 vector registers.
pub(super) const ROWS_WIDE: usize = 8;

/// Rows of a tile where it has 16.
pub(super) const ROWS_NARROW: usize = 6;

/// An element type of matrix products, with its vectors under each instruction set.
pub(super) trait Real: Lane + PartialOrd + Summable {
    type Vector<S: Simd>: Copy;
    /// The elements of a vector.
    fn lanes<S: Simd>() -> usize;
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn mul_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// As many whole vectors as there are.
    fn vectors<S: Simd>(slice: &[Self]) -> &[Self::Vector<S>];
    /// As many whole vectors as there are.
    fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [Self::Vector<S>];
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// The sum of a vector's elements.
    fn sum<S: Simd>(simd: S, vector: Self::Vector<S>) -> Self;
}

macro_rules! real {
    ($($float:ty, $vector:ident, $lanes:ident, $splat:ident, $mul_add:ident, $add:ident, $sum:ident, $of:ident, $of_mut:ident;)*) => {$(
        impl Real for $float {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }

            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$mul_add(a, b, c)
            }

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn vectors<S: Simd>(slice: &[Self]) -> &[S::$vector] {
                S::$of(slice).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(slice: &mut [Self]) -> &mut [S::$vector] {
                S::$of_mut(slice).0
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }

            #[inline(always)]
            fn sum<S: Simd>(simd: S, vector: S::$vector) -> Self {
                simd.$sum(vector)
            }
        }
    )*};
}
real! {
    f32, f32s, F32_LANES, splat_f32s, mul_add_e_f32s, add_f32s, reduce_sum_f32s, as_simd_f32s, as_mut_simd_f32s;
    f64, f64s, F64_LANES, splat_f64s, mul_add_e_f64s, add_f64s, reduce_sum_f64s, as_simd_f64s, as_mut_simd_f64s;
}

/// Where a tile's result goes: its first element, and the distance from one row to the next.
pub(super) struct TileTarget<'a, T> {
    pub(super) data: &'a mut [T],
    pub(super) row_stride: usize,
    /// The rows and columns of the tile that exist.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether the product is added to what stands there.
    pub(super) add: bool,
}

/// The product of a panel of `ROWS` rows, `a[p * ROWS + row]`, and one of columns, `b[p * columns + column]`.
#[inline(always)]
pub(super) fn multiply_tile<T: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    a: &[T],
    b: &[T],
    target: TileTarget<'_, T>,
) {
    let (a, _) = a.as_chunks::<ROWS>();
    let (b, _) = T::vectors::<S>(b).as_chunks::<VECTORS>();
    let depth = a.len().min(b.len());
    let first = RUN.min(depth);
    let mut total = sum_run(simd, &a[..first], &b[..first]);
    for from in (first..depth).step_by(RUN) {
        let to = depth.min(from + RUN);
        let run = sum_run(simd, &a[from..to], &b[from..to]);
        for (total, run) in total.iter_mut().zip(&run) {
            for (total, &run) in total.iter_mut().zip(run) {
                *total = T::add(simd, *total, run);
            }
        }
    }
    store_tile(simd, &total, target);
}

/// The sum of a run of products, each of a column of rows and a row of vectors.
#[inline(always)]
fn sum_run<T: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    a: &[[T; ROWS]],
    b: &[[T::Vector<S>; VECTORS]],
) -> [[T::Vector<S>; VECTORS]; ROWS] {
    let mut sums = [[T::splat(simd, T::default()); VECTORS]; ROWS];
    for (a, b) in a.iter().zip(b) {
        for row in 0..ROWS {
            let x = T::splat(simd, a[row]);
            for vector in 0..VECTORS {
                sums[row][vector] = T::mul_add(simd, x, b[vector], sums[row][vector]);
            }
        }
    }
    sums
}

#[inline(always)]
fn store_tile<T: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: &[[T::Vector<S>; VECTORS]; ROWS],
    target: TileTarget<'_, T>,
) {
    let TileTarget { data, row_stride, rows, columns, add } = target;
    let width = VECTORS * T::lanes::<S>();
    if columns == width && rows == ROWS {
        let mut rest = data;
        for (row, sums) in sums.iter().enumerate() {
            if row > 0 {
                rest = &mut rest[row_stride..];
            }
            let line = T::vectors_mut::<S>(&mut rest[..width]);
            for (element, &sum) in line.iter_mut().zip(sums) {
                *element = if add { T::add(simd, *element, sum) } else { sum };
            }
        }
        return;
    }
    // At an edge: by way of a whole row.
    let mut line = [T::default(); 64];
    for (row, sums) in sums.iter().enumerate().take(rows) {
        for (element, &sum) in T::vectors_mut::<S>(&mut line[..width]).iter_mut().zip(sums) {
            *element = sum;
        }
        let start = row * row_stride;
        for (element, &sum) in data[start..start + columns].iter_mut().zip(&line) {
            *element = if add { T::plus(*element, sum) } else { sum };
        }
    }
}
