//! The choice of instruction set, made once a process and carried out at the entry of each hot loop.
//!
//! Code under `dispatch` is compiled once for each of AVX-512, AVX2 with FMA and the baseline (elsewhere: NEON), so it
//! must be `#[inline(always)]` down to the loops that are to be vectorised.

use pulp::{Arch, Simd, WithSimd};

/// Work that is compiled for each instruction set.
pub(super) trait Vectorise {
    /// What the work gives.
    type Output;
    /// Does the work. `FUSED`: the processor multiplies and adds in one instruction. `WIDE`: it has 32 registers of 16
    /// f32 lanes. Implementations are `#[inline(always)]`.
    fn run<const FUSED: bool, const WIDE: bool>(self) -> Self::Output;
}

struct Bridge<W>(W);

impl<W: Vectorise> WithSimd for Bridge<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        if S::IS_SCALAR {
            self.0.run::<false, false>()
        } else if S::F32_LANES >= 16 {
            self.0.run::<true, true>()
        } else {
            self.0.run::<true, false>()
        }
    }
}

/// Does `work` with the widest instruction set that the processor has.
#[inline(always)]
pub(super) fn dispatch<W: Vectorise>(arch: Arch, work: W) -> W::Output {
    arch.dispatch(Bridge(work))
}
