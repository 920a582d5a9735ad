//! Logarithms, and the inverse hyperbolic functions, which are logarithms.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use std::f64::consts::LN_2;

use super::super::functions::{fma64, polynomial64};
use super::exponentials::{LN_2_HIGH, LN_2_LOW};
use super::{leading_half, two_sum};

/// Logarithms of `e` in two parts, the first of 26 bits.
const LOG2_E_HIGH: f64 = 1.442_695_021_629_333_5;
const LOG2_E_LOW: f64 = 1.925_962_991_126_617_5e-8;
const LOG10_E_HIGH: f64 = 0.434_294_477_105_140_7;
const LOG10_E_LOW: f64 = 4.798_111_141_615_973e-9;
/// Of 2 in two parts, the first of 42 bits.
const LOG10_2_HIGH: f64 = 0.301_029_995_663_952_83;
const LOG10_2_LOW: f64 = 2.836_339_455_104_496_4e-14;

/// The natural logarithm.
#[inline(always)]
pub(in super::super) fn log<const FUSED: bool>(x: f64) -> f64 {
    let (e, f) = split_exponent(x);
    let (sum, rest) = two_sum(e * LN_2_HIGH, f);
    special_logarithms(x, sum + (rest + fma64::<FUSED>(e, LN_2_LOW, reduced_log1p_tail::<FUSED>(f))))
}

/// `ln(1 + x)`.
#[inline(always)]
pub(in super::super) fn log1p<const FUSED: bool>(x: f64) -> f64 {
    let value = log1p_of_sum::<FUSED>(x, 0.0);
    let value = if x == f64::INFINITY { f64::INFINITY } else { value };
    let value = if x == -1.0 { f64::NEG_INFINITY } else { value };
    let value = if x.abs() < 1e-17 { x } else { value };
    if x >= -1.0 { value } else { f64::NAN }
}

/// The logarithm to base 2.
#[inline(always)]
pub(in super::super) fn log2<const FUSED: bool>(x: f64) -> f64 {
    let (e, f) = split_exponent(x);
    let (upper, lower) = scaled_log1p::<FUSED>(f, LOG2_E_HIGH, LOG2_E_LOW);
    let (sum, rest) = two_sum(e, upper);
    special_logarithms(x, sum + (rest + lower))
}

/// The logarithm to base 10.
#[inline(always)]
pub(in super::super) fn log10<const FUSED: bool>(x: f64) -> f64 {
    let (e, f) = split_exponent(x);
    let (upper, lower) = scaled_log1p::<FUSED>(f, LOG10_E_HIGH, LOG10_E_LOW);
    let (sum, rest) = two_sum(e * LOG10_2_HIGH, upper);
    special_logarithms(x, sum + (rest + fma64::<FUSED>(e, LOG10_2_LOW, lower)))
}

/// The inverse of the hyperbolic sine.
#[inline(always)]
pub(in super::super) fn asinh<const FUSED: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    let square = magnitude * magnitude;
    // x + sqrt(1 + x^2) - 1; of a huge one the logarithm of twice the number.
    let is_huge = magnitude > 1e18;
    let (sum, rest) = two_sum(magnitude, square / (1.0 + (1.0 + square).sqrt()));
    let (sum, rest) = if is_huge { (magnitude, 0.0) } else { (sum, rest) };
    let value = log1p_of_sum::<FUSED>(sum, rest) + if is_huge { LN_2 } else { 0.0 };
    let value = if magnitude < 1e-17 { magnitude } else { value };
    let value = if magnitude == f64::INFINITY { magnitude } else { value };
    value.copysign(x)
}

/// The inverse of the hyperbolic cosine.
#[inline(always)]
pub(in super::super) fn acosh<const FUSED: bool>(x: f64) -> f64 {
    let is_huge = x > 1e18;
    let t = x - 1.0;
    let root = (t * (x + 1.0)).sqrt();
    // The root is the larger one.
    let (sum, rest) = two_sum(root, t);
    let (sum, rest) = if is_huge { (x, 0.0) } else { (sum, rest) };
    let value = log1p_of_sum::<FUSED>(sum, rest) + if is_huge { LN_2 } else { 0.0 };
    let value = if x == 1.0 { 0.0 } else { value };
    let value = if x == f64::INFINITY { x } else { value };
    if x >= 1.0 { value } else { f64::NAN }
}

/// The inverse of the hyperbolic tangent.
#[inline(always)]
pub(in super::super) fn atanh<const FUSED: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    // 2 x / (1 - x), of which what exceeds 2 x is the smaller part for x up to 1/2.
    let twice = 2.0 * magnitude;
    let excess = twice * magnitude / (1.0 - magnitude);
    let (larger, smaller) = if magnitude < 0.5 { (twice, excess) } else { (excess, twice) };
    let (sum, rest) = two_sum(larger, smaller);
    let value = 0.5 * log1p_of_sum::<FUSED>(sum, rest);
    let value = if magnitude < 1e-17 { magnitude } else { value };
    let value = if magnitude == 1.0 { f64::INFINITY } else { value };
    (if magnitude <= 1.0 { value } else { f64::NAN }).copysign(x)
}

/// `ln(1 + x + low)` for `x` above -1 and finite, and a much smaller `low`.
#[inline(always)]
fn log1p_of_sum<const FUSED: bool>(x: f64, low: f64) -> f64 {
    let (larger, smaller) = if x > 1.0 { (x, 1.0) } else { (1.0, x) };
    let (sum, lost) = two_sum(larger, smaller);
    let (e, f) = split_normal(sum, NO_EXPONENT);
    // Where the sum keeps the exponent of 1 its fraction is the argument itself, free of the addition's rounding;
    // elsewhere the rounding is corrected to first order.
    let correction = if e == 0.0 { low } else { lost + low } / sum;
    let f = if e == 0.0 { x } else { f };
    let (sum, rest) = two_sum(e * LN_2_HIGH, f);
    sum + (rest + (fma64::<FUSED>(e, LN_2_LOW, reduced_log1p_tail::<FUSED>(f)) + correction))
}

/// `log1p(f) - f` for `1 + f` in `[sqrt(1/2), sqrt(2)]`: with `s = f / (2 + f)` the logarithm is `2 artanh(s)`, and `2 s = f - f^2 / 2 + s f^2 / 2`.
#[inline(always)]
fn reduced_log1p_tail<const FUSED: bool>(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let p = polynomial64::<FUSED, 7>(
        z,
        [
            0.666_666_666_666_667,
            0.399_999_999_998_982_4,
            0.285_714_286_264_920_85,
            0.222_222_110_576_809_24,
            0.181_828_943_229_864_37,
            0.153_315_602_740_005_33,
            0.146_183_258_372_580_95,
        ],
    );
    let half_square = 0.5 * f * f;
    fma64::<FUSED>(s, fma64::<FUSED>(z, p, half_square), -half_square)
}

/// `log1p(f)` for `1 + f` in `[sqrt(1/2), sqrt(2)]` times a factor that is given in two parts, the first of 26 bits; itself in two
/// parts, the first of which is exact.
#[inline(always)]
fn scaled_log1p<const FUSED: bool>(f: f64, high: f64, low: f64) -> (f64, f64) {
    let upper = leading_half(f);
    let lower = (f - upper) + reduced_log1p_tail::<FUSED>(f);
    (upper * high, fma64::<FUSED>(lower, high, (upper + lower) * low))
}

/// The logarithm that was found, but for the arguments that have none or no finite one.
#[inline(always)]
fn special_logarithms(x: f64, value: f64) -> f64 {
    let value = if x == f64::INFINITY { f64::INFINITY } else { value };
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    if x >= 0.0 { value } else { f64::NAN }
}

/// `2^52`, whose lowest bits are an exponent's, and the bias of that.
const NO_EXPONENT: f64 = 4_503_599_627_370_496.0 + 1023.0;

/// `e` and `f` with `x = 2^e (1 + f)` and `1 + f` in `[sqrt(1/2), sqrt(2))`, for positive finite `x`.
#[inline(always)]
pub(super) fn split_exponent(x: f64) -> (f64, f64) {
    let is_subnormal = x < f64::MIN_POSITIVE;
    let x = if is_subnormal { x * 18_014_398_509_481_984.0 } else { x };
    split_normal(x, if is_subnormal { NO_EXPONENT + 54.0 } else { NO_EXPONENT })
}

/// [`split_exponent`] of a normal number, with what counts as the exponent 0.
#[inline(always)]
fn split_normal(x: f64, zero: f64) -> (f64, f64) {
    const ROOT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    // The offset carries into the exponent exactly where the mantissa reaches sqrt(2).
    let offset = x.to_bits().wrapping_add(0x3FF0_0000_0000_0000 - ROOT_HALF);
    let exponent = f64::from_bits((offset >> 52) | 0x4330_0000_0000_0000);
    let mantissa = f64::from_bits((offset & 0x000F_FFFF_FFFF_FFFF).wrapping_add(ROOT_HALF));
    (exponent - zero, mantissa - 1.0)
}
