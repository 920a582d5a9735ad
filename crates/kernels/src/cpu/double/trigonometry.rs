//! Trigonometric functions and their inverses.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, PI};

use super::super::functions::{ROUNDER64, fma64, polynomial64};
use super::two_sum;

/// What the nearest f64 to pi/2 is short of it.
const HALF_PI_LOW: f64 = 6.123_233_995_736_766e-17;

/// Right for arguments that [`in_trigonometric_range`] accepts.
#[inline(always)]
pub(in super::super) fn sin<const FUSED: bool>(x: f64) -> f64 {
    let (n, r, rest) = quadrant::<FUSED>(x);
    // The reduction makes a positive zero of a negative one.
    if x == 0.0 { x } else { sin_in_quadrant::<FUSED>(n, r, rest) }
}

/// Right for arguments that [`in_trigonometric_range`] accepts.
#[inline(always)]
pub(in super::super) fn cos<const FUSED: bool>(x: f64) -> f64 {
    let (n, r, rest) = quadrant::<FUSED>(x);
    sin_in_quadrant::<FUSED>(n.wrapping_add(1), r, rest)
}

/// Up to here the number of a quadrant has 17 bits.
#[inline(always)]
pub(in super::super) fn in_trigonometric_range(x: f64) -> bool {
    x.abs() <= 2e5
}

/// The angle of a tangent.
#[inline(always)]
pub(in super::super) fn atan<const FUSED: bool>(x: f64) -> f64 {
    atan2::<FUSED>(x, 1.0)
}

/// The angle of the point `(x, y)`.
#[inline(always)]
pub(in super::super) fn atan2<const FUSED: bool>(y: f64, x: f64) -> f64 {
    let (side, other) = (x.abs(), y.abs());
    let (short, long) = if other < side { (other, side) } else { (side, other) };
    // Their sum is not to overflow, and the product below is to keep its digits.
    let scale = if long > 1e300 { 0.25 } else { 1.0 };
    let scale = if long < 1e-290 { 1_152_921_504_606_846_976.0 } else { scale };
    let (short, long) = (short * scale, long * scale);
    // atan t = pi/4 + atan((t - 1) / (t + 1)), which leaves quotients up to tan(pi/8).
    // Of two infinities the quotient counts as 1.
    let is_steep = (short == long) | (short > 0.414_213_562_373_095_1 * long);
    let numerator = if is_steep { short - long } else { short };
    let divisor = if is_steep { short + long } else { long };
    let numerator = if short == long { 0.0 } else { numerator };
    let u = numerator / divisor;
    let z = u * u;
    let p = polynomial64::<FUSED, 11>(
        z,
        [
            -0.333_333_333_333_333_3,
            0.199_999_999_999_957_63,
            -0.142_857_142_847_125_42,
            0.111_111_110_186_456_93,
            -0.090_909_047_050_356,
            0.076_921_859_217_684_44,
            -0.066_645_472_371_839_26,
            0.058_584_392_964_062_204,
            -0.050_868_738_663_851_09,
            0.039_270_334_012_199_6,
            -0.019_221_533_641_406_365,
        ],
    );
    // The multiple of a quarter turn that the angle of the quotient is added to or taken from, in two parts.
    let is_upright = other >= side;
    let is_behind = x.to_bits() >> 63 == 1;
    let eighth = if is_steep { FRAC_PI_4 } else { 0.0 };
    let base = if is_upright { FRAC_PI_2 - eighth } else { eighth };
    let base = if is_behind { PI - base } else { base };
    let angle = u * z * p;
    let is_taken = is_upright != is_behind;
    let (u, angle) = if is_taken { (-u, -angle) } else { (u, angle) };
    let (sum, rest) = two_sum(base, u);
    let angle = sum + (rest + fma64::<FUSED>(base, HALF_PI_LOW / FRAC_PI_2, angle));
    // Of two zeros the angle is that of the axis.
    let angle = if long == 0.0 { if is_behind { PI } else { 0.0 } } else { angle };
    // NaN is neither smaller nor equal, so either may have been lost.
    let angle = if y.is_nan() | x.is_nan() { f64::NAN } else { angle };
    angle.copysign(y)
}

/// The angle of a sine.
#[inline(always)]
pub(in super::super) fn asin<const FUSED: bool>(x: f64) -> f64 {
    let (is_steep, t, tail) = reduced_asin::<FUSED>(x.abs());
    let (sum, rest) = two_sum(FRAC_PI_2, -2.0 * t);
    let steep = sum + (rest + (HALF_PI_LOW - 2.0 * tail));
    (if is_steep { steep } else { t + tail }).copysign(x)
}

/// The angle of a cosine.
#[inline(always)]
pub(in super::super) fn acos<const FUSED: bool>(x: f64) -> f64 {
    let (is_steep, t, tail) = reduced_asin::<FUSED>(x.abs());
    // Taken from a half turn or a quarter turn, or added to nothing.
    let factor = if is_steep { 2.0 } else { 1.0 };
    let factor = if is_steep == (x < 0.0) { factor } else { -factor };
    let base = if is_steep { if x < 0.0 { PI } else { 0.0 } } else { FRAC_PI_2 };
    let (sum, rest) = two_sum(base, -factor * t);
    sum + (rest + fma64::<FUSED>(-factor, tail, base * (HALF_PI_LOW / FRAC_PI_2)))
}

/// Whether a magnitude is past 1/2, and the angle whose sine it is, in two parts; past 1/2 half of what that is short of a quarter turn, which
/// keeps its digits next to 1.
#[inline(always)]
fn reduced_asin<const FUSED: bool>(magnitude: f64) -> (bool, f64, f64) {
    let is_steep = magnitude > 0.5;
    let z = if is_steep { 0.5 * (1.0 - magnitude) } else { magnitude * magnitude };
    let t = if is_steep { z.sqrt() } else { magnitude };
    let p = polynomial64::<FUSED, 13>(
        z,
        [
            0.166_666_666_666_666_69,
            0.074_999_999_999_982_46,
            0.044_642_857_146_715_02,
            0.030_381_944_111_486_255,
            0.022_372_173_991_937_087,
            0.017_352_368_698_808_223,
            0.013_971_561_192_651_324,
            0.011_475_856_595_829_429,
            0.010_343_929_955_748_742,
            0.005_368_862_248_790_659,
            0.017_636_788_516_383_315,
            -0.015_212_438_127_253_425,
            0.028_998_874_125_483_222,
        ],
    );
    (is_steep, t, t * z * p)
}

/// The quadrant of `x` and its distance from the quadrant's middle, in two parts. The multiples of the first two parts of pi/2, of 36 bits, are exact,
/// and the three together keep the distance right to the last bit even beside a multiple.
#[inline(always)]
fn quadrant<const FUSED: bool>(x: f64) -> (u64, f64, f64) {
    const FIRST: f64 = 1.570_796_326_792_333_3;
    const SECOND: f64 = 2.563_344_151_583_955_8e-12;
    const THIRD: f64 = 1.056_299_906_698_742_8e-23;
    let shifted = fma64::<FUSED>(x, FRAC_2_PI, ROUNDER64);
    let n = shifted - ROUNDER64;
    let (upper, rest) = two_sum(x - n * FIRST, -(n * SECOND));
    let (r, rest) = two_sum(upper, fma64::<FUSED>(n, -THIRD, rest));
    (shifted.to_bits(), r, rest)
}

/// `sin` of the quadrant `n` and the distance `r + rest`.
#[inline(always)]
fn sin_in_quadrant<const FUSED: bool>(n: u64, r: f64, rest: f64) -> f64 {
    let z = r * r;
    let half_square = 0.5 * z;
    let sin = polynomial64::<FUSED, 6>(
        z,
        [
            -0.166_666_666_666_666_57,
            0.008_333_333_333_327_166,
            -0.000_198_412_698_329_024_95,
            2.755_731_460_605_787_7e-6,
            -2.505_088_364_087_313_5e-8,
            1.590_330_957_841_012_3e-10,
        ],
    );
    let sin = r + fma64::<FUSED>(z * r, sin, fma64::<FUSED>(-half_square, rest, rest));
    let cos = polynomial64::<FUSED, 6>(
        z,
        [
            0.041_666_666_666_666_64,
            -0.001_388_888_888_888_003_4,
            2.480_158_729_271_896e-5,
            -2.755_731_519_044_369e-7,
            2.087_582_699_083_643_5e-9,
            -1.136_459_481_497_488_2e-11,
        ],
    );
    let (upper, lost) = two_sum(1.0, -half_square);
    let cos = upper + (lost + fma64::<FUSED>(z * z, cos, -(r * rest)));
    let value = if n & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ ((n & 2) << 62))
}
