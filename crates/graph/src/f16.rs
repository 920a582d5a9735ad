//! IEEE 754 half precision as a storage type: a sign, 5 bits of exponent, 10 of fraction.
//!
//! Both conversions are plain arithmetic on bits without a branch, so that a loop of them becomes vector instructions.

use std::fmt;

use crate::storage::{Stores, rounded_to_odd};

/// An element in IEEE 754 half precision. It is compared, printed and computed with as the f32 that it holds.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct F16(u16);

/// The sign of a half.
const SIGN: u32 = 0x8000;

/// How far the exponent's bits of an f32 stand above those of a half.
const SHIFT: u32 = 13;

/// 2^112 as an f32, by which the biases of the two exponents differ.
const BIAS: f32 = f32::from_bits((127 + 112) << 23);

/// 2^16, the first power of two that a half does not reach, and infinity: the bits of f32.
const TOO_LARGE: u32 = (127 + 16) << 23;
const INFINITY: u32 = 255 << 23;

/// 2^-14, the least half that is not subnormal: the bits of an f32.
const LEAST_NORMAL: u32 = (127 - 14) << 23;

/// The f32 whose last bit is worth that of a subnormal half: adding it to one rounds it there.
const ROUNDS_SUBNORMALS: f32 = 0.5;

impl F16 {
    /// The element of these bits.
    pub const fn from_bits(bits: u16) -> Self {
        F16(bits)
    }

    /// The bits.
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The nearest element, of two the even one; infinity from 65,520 on; NaN for NaN, with the upper bits of its payload.
    #[inline(always)]
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = (bits >> 16) & SIGN;
        let magnitude = bits & 0x7FFF_FFFF;
        let is_odd = (magnitude >> SHIFT) & 1;
        // Half of the last bit less one, and one more where that is odd: what is carried is the rounding. Exponents that the half does
        // not have are sorted out below.
        let normal = magnitude.wrapping_sub((127 - 15) << 23).wrapping_add((1 << (SHIFT - 1)) - 1 + is_odd) >> SHIFT;
        let subnormal =
            (f32::from_bits(magnitude) + ROUNDS_SUBNORMALS).to_bits().wrapping_sub(ROUNDS_SUBNORMALS.to_bits());
        let nan = 0x7E00 | ((magnitude >> SHIFT) & 0x03FF);
        let rounded = if magnitude < LEAST_NORMAL { subnormal } else { normal };
        let finite = if magnitude >= TOO_LARGE { 0x7C00 } else { rounded };
        let rounded = if magnitude > INFINITY { nan } else { finite };
        F16((sign | rounded) as u16)
    }

    /// The nearest element to a number of f64, rounded once.
    pub fn from_f64(value: f64) -> Self {
        F16::from_f32(rounded_to_odd(value))
    }

    /// The value, exactly.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        let bits = u32::from(self.0);
        // Multiplication by a power of two is exact, and makes normal numbers of subnormal ones.
        let magnitude = (f32::from_bits((bits & 0x7FFF) << SHIFT) * BIAS).to_bits();
        // What has the largest exponent of a half comes to 2^16 and more, and has the largest exponent of an f32.
        let magnitude = if magnitude >= TOO_LARGE { magnitude | INFINITY } else { magnitude };
        f32::from_bits(magnitude | ((bits & SIGN) << 16))
    }
}

impl Stores<f32> for F16 {
    #[inline(always)]
    fn load(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn store(value: f32) -> Self {
        F16::from_f32(value)
    }
}

impl From<F16> for f32 {
    fn from(element: F16) -> f32 {
        element.to_f32()
    }
}

impl From<F16> for f64 {
    fn from(element: F16) -> f64 {
        f64::from(element.to_f32())
    }
}

impl PartialEq for F16 {
    fn eq(&self, other: &F16) -> bool {
        self.to_f32() == other.to_f32()
    }
}

impl fmt::Debug for F16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_f32(), f)
    }
}

impl fmt::Display for F16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_f32(), f)
    }
}
