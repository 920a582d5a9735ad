//! The choice of instruction set, made once a process and carried out at the entry of each hot loop.
//!
//! Code under `dispatch` is compiled once for each of AVX-512, AVX2 with FMA and the baseline (elsewhere: NEON), so it
//! must be `#[inline(always)]` down to the loops that are to be vectorised, or to work that is passed to `in_own_function`. Each instance takes time to build: work that is
//! seldom a program's hot loop does without the one for AVX-512 ([`Vectorise::WIDEST`]).

use std::sync::OnceLock;

#[cfg(not(target_family = "wasm"))]
pub(super) use pulp::Arch;
use pulp::{Simd, WithSimd};

#[cfg(target_family = "wasm")]
pub(super) use super::wasm::Arch;

/// The widest instruction set that the processor has.
pub(super) fn detect() -> Arch {
    static DETECTED: OnceLock<Arch> = OnceLock::new();
    *DETECTED.get_or_init(Arch::new)
}

/// Work that is compiled for each instruction set.
pub(super) trait Vectorise {
    /// What the work gives.
    type Output;
    /// Whether AVX-512 has an instance of its own. Without one its processors run that for AVX2, whose vectors are half as
    /// long. Both fuse multiplication and addition, so the results are the same.
    const WIDEST: bool = true;
    /// Does the work. `FUSED`: the processor multiplies and adds in one instruction. Implementations are
    /// `#[inline(always)]`.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

struct Bridge<W>(W);

impl<W: Vectorise> WithSimd for Bridge<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        if S::IS_SCALAR || cfg!(target_family = "wasm") { self.0.run::<false>() } else { self.0.run::<true>() }
    }
}

/// Does `work` with the instruction set `arch`.
///
/// It is never inlined, for the baseline's instance would then be compiled anew for each caller.
#[inline(never)]
pub(super) fn dispatch<W: Vectorise>(arch: Arch, work: W) -> W::Output {
    if W::WIDEST { arch.dispatch(Bridge(work)) } else { dispatch_without_widest(arch, work) }
}

/// Does `work` with the instruction set of `simd` in a function of its own: there is one for each kind of work and each instruction set, from however
/// many places it is called.
///
/// This function is compiled for no instruction set in particular, and the one that it calls is: so neither can become part of its caller.
#[inline(never)]
pub(super) fn in_own_function<S: Simd, W: WithSimd>(simd: S, work: W) -> W::Output {
    simd.vectorize(work)
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[inline(always)]
fn dispatch_without_widest<W: Vectorise>(arch: Arch, work: W) -> W::Output {
    // An AVX-512 processor has AVX2 too, and its token dereferences to that for AVX2.
    if let Arch::V4(simd) = arch {
        return Simd::vectorize(*simd, Bridge(work));
    }
    if let Arch::V3(simd) = arch {
        return Simd::vectorize(simd, Bridge(work));
    }
    Simd::vectorize(pulp::Scalar, Bridge(work))
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
#[inline(always)]
fn dispatch_without_widest<W: Vectorise>(arch: Arch, work: W) -> W::Output {
    arch.dispatch(Bridge(work))
}
