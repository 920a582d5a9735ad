//! The choice of instruction set, made once a process and carried out at the entry of each hot loop.
//!
//! Code under `dispatch` is compiled once for each of AVX-512, AVX2 with FMA and the baseline (elsewhere: NEON), so it
//! must be `#[inline(always)]` down to the loops that are to be vectorised.

use pulp::{Arch, Simd, WithSimd};

/// The widest instruction set that the processor has.
pub(super) fn detect() -> Arch {
    Arch::new()
}

/// Work that is compiled for each instruction set.
pub(super) trait Vectorise {
    /// What the work gives.
    type Output;
    /// Does the work. `FUSED`: the processor multiplies and adds in one instruction. Implementations are
    /// `#[inline(always)]`.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

struct Bridge<W>(W);

impl<W: Vectorise> WithSimd for Bridge<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        if S::IS_SCALAR { self.0.run::<false>() } else { self.0.run::<true>() }
    }
}

/// Does `work` with the instruction set `arch`.
#[inline(always)]
pub(super) fn dispatch<W: Vectorise>(arch: Arch, work: W) -> W::Output {
    arch.dispatch(Bridge(work))
}
