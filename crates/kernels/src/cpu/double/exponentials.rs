//! Powers of `e` and 2, and the functions that are made of them.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use std::f64::consts::{LN_2, LOG2_E};

use super::super::functions::{fma64, polynomial64};
use super::{limit, two_sum};

/// Adding and subtracting this rounds to the nearest integer. The lowest 12 bits of the sum are that integer and 2048, which is positive for every exponent.
const BIASED_ROUNDER: f64 = 6_755_399_441_057_792.0;
/// The first part has 42 bits, so that its products with exponents are exact.
pub(super) const LN_2_HIGH: f64 = 0.693_147_180_559_890_3;
pub(super) const LN_2_LOW: f64 = 5.497_923_018_708_371e-14;

/// `2^n` times 1 and a number that is given in two parts.
pub(super) struct Power {
    /// Bits of which the lowest 12 are `n + 2048`.
    exponent: u64,
    upper: f64,
    lower: f64,
}

impl Power {
    /// `e^(x + low)` for `x` within 800 and a much smaller `low`.
    #[inline(always)]
    pub(super) fn of_e<const FUSED: bool>(x: f64, low: f64) -> Self {
        let shifted = fma64::<FUSED>(x, LOG2_E, BIASED_ROUNDER);
        let n = shifted - BIASED_ROUNDER;
        let (r, rest) = two_sum(fma64::<FUSED>(n, -LN_2_HIGH, x), fma64::<FUSED>(n, -LN_2_LOW, low));
        Power { exponent: shifted.to_bits(), upper: r, lower: expm1_tail::<FUSED>(r) + rest }
    }

    /// The power times a factor, which may be subnormal or overflow.
    #[inline(always)]
    pub(super) fn times<const FUSED: bool>(&self, factor: f64) -> f64 {
        let (sum, rest) = two_sum(1.0, self.upper);
        let value = fma64::<FUSED>(factor, sum, factor * (rest + self.lower));
        // Two powers of 2: the first keeps the product normal, the second rounds into a subnormal or overflows.
        let half = self.exponent >> 1;
        value * power_of_two(half.wrapping_sub(1)) * power_of_two(self.exponent.wrapping_sub(half).wrapping_sub(1))
    }

    /// The power less 1 in two parts, for exponents from -1000 on.
    #[inline(always)]
    fn less_one<const FUSED: bool>(&self) -> (f64, f64) {
        // At half scale, for 2^1024 is past the largest float.
        let scale = power_of_two(self.exponent.wrapping_sub(1026));
        let (sum, rest) = two_sum(scale - 0.5, scale * self.upper);
        (2.0 * sum, 2.0 * fma64::<FUSED>(scale, self.lower, rest))
    }
}

/// `e^x`.
#[inline(always)]
pub(in super::super) fn exp<const FUSED: bool>(x: f64) -> f64 {
    Power::of_e::<FUSED>(limit(x, -746.0, 710.0), 0.0).times::<FUSED>(1.0)
}

/// `2^x`.
#[inline(always)]
pub(in super::super) fn exp2<const FUSED: bool>(x: f64) -> f64 {
    let x = limit(x, -1076.0, 1025.0);
    let shifted = x + BIASED_ROUNDER;
    let upper = (x - (shifted - BIASED_ROUNDER)) * LN_2;
    Power { exponent: shifted.to_bits(), upper, lower: expm1_tail::<FUSED>(upper) }.times::<FUSED>(1.0)
}

/// `e^x - 1`.
#[inline(always)]
pub(in super::super) fn expm1<const FUSED: bool>(x: f64) -> f64 {
    let (upper, lower) = Power::of_e::<FUSED>(limit(x, -40.0, 710.0), 0.0).less_one::<FUSED>();
    let value = if x.abs() < 1e-17 { x } else { upper + lower };
    value.copysign(x)
}

/// The hyperbolic tangent.
#[inline(always)]
pub(in super::super) fn tanh<const FUSED: bool>(x: f64) -> f64 {
    // tanh(|x|) = expm1(2|x|) / (expm1(2|x|) + 2), which is 1 in f64 from 19.1 on.
    let (upper, lower) = Power::of_e::<FUSED>(limit(2.0 * x.abs(), 0.0, 40.0), 0.0).less_one::<FUSED>();
    let t = upper + lower;
    let value = t / (t + 2.0);
    let value = if x.abs() < 1e-17 { x } else { value };
    value.copysign(x)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(in super::super) fn sigmoid<const FUSED: bool>(x: f64) -> f64 {
    let power = exp::<FUSED>(-x.abs());
    let numerator = if x < 0.0 { power } else { 1.0 };
    numerator / (1.0 + power)
}

/// The hyperbolic sine.
#[inline(always)]
pub(in super::super) fn sinh<const FUSED: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    let z = magnitude * magnitude;
    let small = polynomial64::<FUSED, 7>(
        z,
        [
            0.166_666_666_666_666_66,
            0.008_333_333_333_333_299,
            0.000_198_412_698_413_242_4,
            2.755_731_919_136_364_3e-6,
            2.505_211_769_941_287e-8,
            1.605_767_931_222_304_2e-10,
            7.746_188_979_486_805e-13,
        ],
    );
    let small = fma64::<FUSED>(magnitude * z, small, magnitude);
    let half = half_exp::<FUSED>(magnitude);
    let large = half - 0.25 / half;
    (if magnitude < 1.0 { small } else { large }).copysign(x)
}

/// The hyperbolic cosine.
#[inline(always)]
pub(in super::super) fn cosh<const FUSED: bool>(x: f64) -> f64 {
    let half = half_exp::<FUSED>(x.abs());
    half + 0.25 / half
}

/// `e^x / 2` for `x` of 0 and above, which overflows where half the exponential does.
#[inline(always)]
fn half_exp<const FUSED: bool>(x: f64) -> f64 {
    let mut power = Power::of_e::<FUSED>(limit(x, 0.0, 711.0), 0.0);
    power.exponent = power.exponent.wrapping_sub(1);
    power.times::<FUSED>(1.0)
}

/// `2^n` of bits of which the lowest 11 are `n + 1023`.
#[inline(always)]
fn power_of_two(biased: u64) -> f64 {
    f64::from_bits(biased << 52)
}

/// `expm1(r) - r` for `r` within `ln 2 / 2`.
#[inline(always)]
fn expm1_tail<const FUSED: bool>(r: f64) -> f64 {
    let p = polynomial64::<FUSED, 11>(
        r,
        [
            0.5,
            0.166_666_666_666_666_69,
            0.041_666_666_666_666_67,
            0.008_333_333_333_330_046,
            0.001_388_888_888_888_090_8,
            0.000_198_412_698_631_285_6,
            2.480_158_733_406_072e-5,
            2.755_726_834_416_808_7e-6,
            2.755_726_419_264_946_7e-7,
            2.510_044_036_107_480_7e-8,
            2.091_818_401_185_715_7e-9,
        ],
    );
    r * r * p
}
