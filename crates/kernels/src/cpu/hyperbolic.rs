//! Inverse trigonometric functions, hyperbolic functions and their inverses of f32: branch-free like those of [`super::functions`],
//! with polynomials fitted alike.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use std::f32::consts::{FRAC_PI_2, LN_2, PI};

use super::functions::{HALF_PI_LOW, fma, limit, log, log1p, polynomial, power_of_two, reduced_expm1};

/// The angle of a sine.
#[inline(always)]
pub(super) fn asin<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let (is_steep, angle) = reduced_asin::<FUSED>(magnitude);
    let steep = (FRAC_PI_2 - 2.0 * angle) + HALF_PI_LOW;
    (if is_steep { steep } else { angle }).copysign(x)
}

/// The angle of a cosine.
#[inline(always)]
pub(super) fn acos<const FUSED: bool>(x: f32) -> f32 {
    let (is_steep, angle) = reduced_asin::<FUSED>(x.abs());
    let behind = (PI - 2.0 * angle) + 2.0 * HALF_PI_LOW;
    let steep = if x < 0.0 { behind } else { 2.0 * angle };
    let flat = (FRAC_PI_2 - angle.copysign(x)) + HALF_PI_LOW;
    if is_steep { steep } else { flat }
}

/// The hyperbolic sine.
#[inline(always)]
pub(super) fn sinh<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = magnitude * magnitude;
    let small = polynomial::<FUSED, 4>(z, [0.166_666_665, 0.008_333_350_06, 0.000_198_361_598, 2.816_951_24e-6]);
    let small = fma::<FUSED>(magnitude * z, small, magnitude);
    let half = half_exp::<FUSED>(magnitude);
    let large = half - 0.25 / half;
    (if magnitude < 1.0 { small } else { large }).copysign(x)
}

/// The hyperbolic cosine.
#[inline(always)]
pub(super) fn cosh<const FUSED: bool>(x: f32) -> f32 {
    let half = half_exp::<FUSED>(x.abs());
    half + 0.25 / half
}

/// The inverse of the hyperbolic sine.
#[inline(always)]
pub(super) fn asinh<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = magnitude * magnitude;
    let small = polynomial::<FUSED, 8>(
        z,
        [
            -0.166_666_655,
            0.074_999_286_1,
            -0.044_628_086_5,
            0.030_232_113_4,
            -0.021_511_191_4,
            0.014_342_805_7,
            -0.007_313_211_57,
            0.001_951_220_47,
        ],
    );
    let small = fma::<FUSED>(magnitude * z, small, magnitude);
    // Of a large one the root is the number itself, and the sum twice that.
    let is_huge = magnitude > 2048.0;
    let sum = magnitude + fma::<FUSED>(magnitude, magnitude, 1.0).sqrt();
    let large = log::<FUSED>(if is_huge { magnitude } else { sum }) + if is_huge { LN_2 } else { 0.0 };
    (if magnitude < 0.75 { small } else { large }).copysign(x)
}

/// The inverse of the hyperbolic cosine.
#[inline(always)]
pub(super) fn acosh<const FUSED: bool>(x: f32) -> f32 {
    let t = x - 1.0;
    let root = (2.0 * t).sqrt();
    let small = polynomial::<FUSED, 7>(
        t,
        [
            -0.083_333_307_3,
            0.018_749_306_5,
            -0.005_574_054_69,
            0.001_871_236_92,
            -0.000_632_169_428,
            0.000_175_846_992,
            -2.699_981_03e-5,
        ],
    );
    let small = fma::<FUSED>(root * t, small, root);
    let is_huge = x > 2048.0;
    let sum = x + (t * (x + 1.0)).sqrt();
    let large = log::<FUSED>(if is_huge { x } else { sum }) + if is_huge { LN_2 } else { 0.0 };
    if t < 1.0 { small } else { large }
}

/// The inverse of the hyperbolic tangent.
#[inline(always)]
pub(super) fn atanh<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = magnitude * magnitude;
    let small = polynomial::<FUSED, 7>(
        z,
        [0.333_333_361, 0.199_997_275, 0.142_948_53, 0.109_671_82, 0.102_826_893, 0.024_521_929_8, 0.175_942_53],
    );
    let small = fma::<FUSED>(magnitude * z, small, magnitude);
    let large = 0.5 * log1p::<FUSED>(2.0 * magnitude / (1.0 - magnitude));
    (if magnitude < 0.5 { small } else { large }).copysign(x)
}

/// Whether a magnitude is past 1/2, and the angle whose sine it is; past 1/2 half of what that is short of a quarter turn, which
/// keeps its digits next to 1.
#[inline(always)]
fn reduced_asin<const FUSED: bool>(magnitude: f32) -> (bool, f32) {
    let is_steep = magnitude > 0.5;
    let z = if is_steep { 0.5 * (1.0 - magnitude) } else { magnitude * magnitude };
    let t = if is_steep { z.sqrt() } else { magnitude };
    let p = polynomial::<FUSED, 6>(
        z,
        [0.166_666_6, 0.075_005_041_9, 0.044_516_954_8, 0.031_807_722_5, 0.014_438_587_9, 0.037_516_475_3],
    );
    (is_steep, fma::<FUSED>(t * z, p, t))
}

/// `e^x / 2` for `x` of 0 and above, which overflows where half the exponential does.
#[inline(always)]
fn half_exp<const FUSED: bool>(x: f32) -> f32 {
    let (n, em1) = reduced_expm1::<FUSED>(limit(x, 0.0, 90.0));
    let half = n >> 1;
    (em1 + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half).wrapping_sub(1))
}
