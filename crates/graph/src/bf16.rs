//! The brain floating point of 16 bits as a storage type: the upper half of an f32, which has its range and 8 of its significant bits.

use std::fmt;

use crate::storage::{Stores, rounded_to_odd};

/// An element that is the upper half of an f32. It is compared, printed and computed with as the f32 that it holds.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct Bf16(u16);

impl Bf16 {
    /// The element of these bits.
    pub const fn from_bits(bits: u16) -> Self {
        Bf16(bits)
    }

    /// The bits.
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The nearest element, of two the even one; infinity past the largest; NaN for NaN, with the upper bits of its payload.
    #[inline(always)]
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let is_odd = (bits >> 16) & 1;
        // Half of the last bit less one, and one more where that is odd: what is carried is the rounding.
        let rounded = bits.wrapping_add(0x7FFF + is_odd) >> 16;
        let nan = (bits >> 16) | 0x0040;
        Bf16((if bits & 0x7FFF_FFFF > 0x7F80_0000 { nan } else { rounded }) as u16)
    }

    /// The nearest element to a number of f64, rounded once.
    pub fn from_f64(value: f64) -> Self {
        Bf16::from_f32(rounded_to_odd(value))
    }

    /// The value, exactly.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

impl Stores<f32> for Bf16 {
    #[inline(always)]
    fn load(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn store(value: f32) -> Self {
        Bf16::from_f32(value)
    }
}

impl From<Bf16> for f32 {
    fn from(element: Bf16) -> f32 {
        element.to_f32()
    }
}

impl From<Bf16> for f64 {
    fn from(element: Bf16) -> f64 {
        f64::from(element.to_f32())
    }
}

impl PartialEq for Bf16 {
    fn eq(&self, other: &Bf16) -> bool {
        self.to_f32() == other.to_f32()
    }
}

impl fmt::Debug for Bf16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_f32(), f)
    }
}

impl fmt::Display for Bf16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_f32(), f)
    }
}
