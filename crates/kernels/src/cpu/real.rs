//! The element types of matrix products, and what is done with their vectors under each instruction set.

use pulp::Simd;

use super::narrow::PackNarrow;
use super::registers::Lane;
use super::total::Summable;

/// The most elements that [`Real::PIECE`] is.
pub(super) const MOST_PIECE: usize = 4;

/// An element type of matrix products, with its vectors under each instruction set.
pub(super) trait Real: Lane + PartialOrd + Summable + PackNarrow {
    type Vector<S: Simd>: Copy;
    /// The elements of 16 bytes: within them alone every instruction set exchanges elements of vectors, however long these are.
    const PIECE: usize = 16 / size_of::<Self>();
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
    /// Exchanges rows and columns of each square of the first [`PIECE`](Real::PIECE) vectors: lane `q * PIECE + i` of vector `j` is then what lane
    /// `q * PIECE + j` of vector `i` was.
    fn transpose_pieces<S: Simd>(simd: S, vectors: [Self::Vector<S>; MOST_PIECE]) -> [Self::Vector<S>; MOST_PIECE];
}

macro_rules! real {
    ($(
        $float:ty, $vector:ident, $lanes:ident, $splat:ident, $mul_add:ident, $add:ident, $sum:ident, $of:ident, $of_mut:ident,
        $deinterleave:ident;)*) => {$(
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

            #[inline(always)]
            fn transpose_pieces<S: Simd>(simd: S, vectors: [S::$vector; MOST_PIECE]) -> [S::$vector; MOST_PIECE] {
                // Told to take as many vectors apart as a piece has elements, pulp exchanges within pieces. It promises no order: the test below holds it to this one.
                let mut transposed = vectors;
                let (pieces, _) = vectors.as_chunks::<{ <$float>::PIECE }>();
                for (transposed, &pieces) in transposed.chunks_exact_mut(<$float>::PIECE).zip(pieces) {
                    transposed.copy_from_slice(&simd.$deinterleave(pieces));
                }
                transposed
            }
        }
    )*};
}
real! {
    f32, f32s, F32_LANES, splat_f32s, mul_add_e_f32s, add_f32s, reduce_sum_f32s, as_simd_f32s, as_mut_simd_f32s,
        deinterleave_shfl_f32s;
    f64, f64s, F64_LANES, splat_f64s, mul_add_e_f64s, add_f64s, reduce_sum_f64s, as_simd_f64s, as_mut_simd_f64s,
        deinterleave_shfl_f64s;
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::cpu::processor::Arch;

    /// Which lane of which vector each lane of transposed vectors was, told by the elements.
    struct Transposed<T>(Vec<T>);

    impl<T: Real + From<u8> + std::fmt::Debug> WithSimd for &mut Transposed<T> {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> usize {
            let lanes = T::lanes::<S>();
            let mut vectors = [T::splat(simd, T::default()); MOST_PIECE];
            for (i, vector) in vectors.iter_mut().enumerate().take(T::PIECE) {
                let elements: Vec<T> = (0..lanes).map(|lane| T::from((i * lanes + lane) as u8)).collect();
                *vector = T::vectors::<S>(&elements)[0];
            }
            for vector in &T::transpose_pieces(simd, vectors)[..T::PIECE] {
                let mut elements = vec![T::default(); lanes];
                T::vectors_mut::<S>(&mut elements)[0] = *vector;
                self.0.extend(elements);
            }
            lanes
        }
    }

    fn check<T: Real + From<u8> + std::fmt::Debug>(arch: Arch) {
        let mut transposed = Transposed::<T>(Vec::new());
        let lanes = arch.dispatch(&mut transposed);
        // Without vectors there are no pieces.
        if lanes > 1 {
            let was = |j: usize, lane: usize| {
                let (q, i) = (lane / T::PIECE, lane % T::PIECE);
                T::from((i * lanes + q * T::PIECE + j) as u8)
            };
            let expected: Vec<T> = (0..T::PIECE).flat_map(|j| (0..lanes).map(move |lane| was(j, lane))).collect();
            assert_eq!(transposed.0, expected, "{arch:?}");
        }
    }

    #[test]
    fn pieces_are_transposed_under_every_instruction_set() {
        let mut archs = vec![Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        for arch in archs {
            check::<f32>(arch);
            check::<f64>(arch);
        }
    }
}
