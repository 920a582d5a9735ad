//! The error function's complement, its scaled form and its inverse, of f32: branch-free like those of [`super::functions`], with
//! polynomials fitted alike.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use super::functions::{erf, exp, fma, limit, log, polynomial};

/// `1 - erf(x)`.
#[inline(always)]
pub(super) fn erfc<const FUSED: bool>(x: f32) -> f32 {
    let near = 1.0 - erf::<FUSED>(x);
    // Past 12 the power is 0.
    let t = limit(x.abs(), 0.0, 12.0);
    let (power, correction) = exp_of_square::<FUSED>(t, -1.0);
    let far = scaled_complement::<FUSED>(t) * fma::<FUSED>(power, correction, power);
    let far = if x < 0.0 { 2.0 - far } else { far };
    if x.abs() < 0.47 { near } else { far }
}

/// `e^(x^2) erfc(x)`.
#[inline(always)]
pub(super) fn erfcx<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let right = scaled_complement::<FUSED>(magnitude);
    // From 9.5 on the power is infinite.
    let (power, correction) = exp_of_square::<FUSED>(limit(magnitude, 0.0, 12.0), 1.0);
    let left = 2.0 * (power * (1.0 + correction)) - right;
    if x < 0.0 { left } else { right }
}

/// The `y` with `erf(y) = x`.
#[inline(always)]
pub(super) fn erfinv<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = magnitude * magnitude;
    let central = polynomial::<FUSED, 10>(
        z,
        [
            0.886_226_924,
            0.232_014_055,
            0.127_531_631,
            0.087_150_241_6,
            0.057_624_855,
            0.102_683_135,
            -0.167_932_338,
            0.555_961_57,
            -0.686_061_621,
            0.478_842_366,
        ],
    );
    // Outside as functions of the root of -ln(1 - x^2).
    let root = (-log::<FUSED>((1.0 - magnitude) * (1.0 + magnitude))).sqrt();
    let outer = polynomial::<FUSED, 8>(
        root - 1.4,
        [
            1.267_276_07,
            0.939_497_031,
            0.030_981_919_2,
            9.767_184_04e-5,
            -0.003_868_918_5,
            6.595_894_79e-5,
            0.000_512_377_643,
            5.700_382_61e-5,
        ],
    );
    let outermost = polynomial::<FUSED, 9>(
        root - 3.0,
        [
            2.832_802,
            1.002_662_42,
            0.006_843_080_31,
            -0.003_445_520_32,
            0.001_146_464_43,
            -0.000_219_835_729,
            -4.617_855_55e-5,
            5.568_385_99e-5,
            -1.454_874_71e-5,
        ],
    );
    let value = if root < 2.0 { outer } else { outermost };
    let value = if z < 0.5 { magnitude * central } else { value };
    let value = if magnitude == 1.0 { f32::INFINITY } else { value };
    let value = if magnitude > 1.0 { f32::NAN } else { value };
    value.copysign(x)
}

/// `e^(t^2) erfc(t)` for `t` of 0 and above: `(1 + 2 t)` times it is a polynomial in `(t - 2) / (t + 2)`.
#[inline(always)]
fn scaled_complement<const FUSED: bool>(t: f32) -> f32 {
    let bounded = limit(t, 0.0, 1e18);
    let p = polynomial::<FUSED, 12>(
        (bounded - 2.0) / (bounded + 2.0),
        [
            1.276_978_39,
            -0.092_763_716_2,
            -0.166_031_048,
            0.164_048_535,
            -0.054_212_321_6,
            -0.008_013_869_11,
            0.008_690_137_58,
            0.001_205_871_77,
            -0.001_396_791_03,
            -0.000_346_467_791,
            0.000_161_226_704,
            5.923_097_65e-5,
        ],
    );
    // Half of both, so that the divisor does not overflow.
    0.5 * p / (0.5 + t)
}

/// `e^(sign t^2)` as a power of the rounded square, and what is to be added to 1 for its rounding.
#[inline(always)]
fn exp_of_square<const FUSED: bool>(t: f32, sign: f32) -> (f32, f32) {
    let square = t * t;
    // The upper half's square is exact, and so is what is left of the difference.
    let upper = f32::from_bits(t.to_bits() & 0xFFFF_F000);
    let rest = (upper * upper - square) + (t - upper) * (t + upper);
    (exp::<FUSED>(sign * square), sign * rest)
}
