//! The instruction sets of WebAssembly.
//!
//! An engine refuses a module whole if it does not know one of its instructions, so none can be chosen at run time: vectors of 128 bits
//! are used where the compiler was allowed them for everything (`-C target-feature=+simd128`), and else nothing but scalars. Relaxed SIMD
//! is never used: not every engine has it, and the digits of its results are the engine's choice.

use pulp::{Simd, WithSimd};

/// The instruction set that this program was compiled for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arch {
    Scalar,
    #[cfg(target_feature = "simd128")]
    Simd128(pulp::wasm::Simd128),
}

impl Arch {
    pub(super) fn new() -> Self {
        #[cfg(target_feature = "simd128")]
        if let Some(simd) = pulp::wasm::Simd128::try_new() {
            return Arch::Simd128(simd);
        }
        Arch::Scalar
    }

    /// Does the work with this instruction set.
    #[inline(always)]
    pub(super) fn dispatch<W: WithSimd>(self, work: W) -> W::Output {
        match self {
            Arch::Scalar => Simd::vectorize(pulp::Scalar, work),
            #[cfg(target_feature = "simd128")]
            Arch::Simd128(simd) => Simd::vectorize(simd, work),
        }
    }
}
