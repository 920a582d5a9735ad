//! Multiplications and additions of registers and nothing else: what a processor can do at most, which the time of a kernel is held
//! against.

use std::hint::black_box;

use pulp::{Simd, WithSimd};

use super::processor::detect;

/// Sums that do not wait for one another: enough for two additions a cycle that each take four, few enough for sixteen registers.
const CHAINS: usize = 12;

/// Does `rounds` rounds of f32 multiply-adds in the widest vectors of this processor on the calling thread, and returns how many
/// floating-point operations that was, two for each.
pub fn multiply_adds(rounds: usize) -> usize {
    detect().dispatch(MultiplyAdds { rounds })
}

struct MultiplyAdds {
    rounds: usize,
}

impl WithSimd for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // Unknown to the compiler, and such that the sums stay near 2.
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        let mut chains = [simd.splat_f32s(0.0); CHAINS];
        for _ in 0..self.rounds {
            for chain in &mut chains {
                *chain = simd.mul_add_e_f32s(*chain, factor, term);
            }
        }
        black_box(chains);
        self.rounds.saturating_mul(2 * CHAINS * S::F32_LANES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_by_vectors() {
        let once = multiply_adds(1);
        assert!(once >= 2 * CHAINS && once.is_multiple_of(2 * CHAINS), "{once}");
        assert_eq!(multiply_adds(1000), 1000 * once);
    }
}
