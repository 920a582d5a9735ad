//! Division with a remainder: what the table of `arenagrad-graph` says of `fmod`, `remainder` and `floor_divide`, to the last bit.

use super::super::functions::ROUNDER64;
use super::leading_half;

/// Right for operands that [`in_division_range`] accepts: the remainder with the sign of `a`, exact.
#[inline(always)]
pub(in super::super) fn fmod<const FUSED: bool>(a: f64, b: f64) -> f64 {
    let (dividend, divisor) = (a.abs(), b.abs());
    // The nearest integer or a neighbour of it. What it leaves of the dividend is at most the divisor, and a multiple of its last place: an f64.
    let n = (dividend / divisor + ROUNDER64) - ROUNDER64;
    let rest = if FUSED {
        (-n).mul_add(divisor, dividend)
    } else {
        // Products with halves of the divisor are exact, for n has at most 24 bits.
        let upper = leading_half(divisor);
        (dividend - n * upper) - n * (divisor - upper)
    };
    let rest = if rest < 0.0 { rest + divisor } else { rest };
    rest.copysign(a)
}

/// Right for operands that [`in_division_range`] accepts: the remainder with the sign of `b`.
#[inline(always)]
pub(in super::super) fn remainder<const FUSED: bool>(a: f64, b: f64) -> f64 {
    let rest = fmod::<FUSED>(a, b);
    if (rest != 0.0) & ((rest < 0.0) != (b < 0.0)) { rest + b } else { rest }
}

/// Right for operands that [`in_division_range`] accepts: the quotient rounded down.
#[inline(always)]
pub(in super::super) fn floor_divide<const FUSED: bool>(a: f64, b: f64) -> f64 {
    let rest = fmod::<FUSED>(a, b);
    let whole = (a - rest) / b;
    let whole = if (rest != 0.0) & ((rest < 0.0) != (b < 0.0)) { whole - 1.0 } else { whole };
    // An integer but for the rounding of the division.
    let nearest = (whole + ROUNDER64) - ROUNDER64;
    if whole == 0.0 { 0f64.copysign(a / b) } else { nearest }
}

/// Whether the quotient is small enough for the product with it to be exact.
#[inline(always)]
pub(in super::super) fn in_division_range<const FUSED: bool>(a: f64, b: f64) -> bool {
    let most = if FUSED { 1_125_899_906_842_624.0 } else { 16_777_216.0 };
    // Of the largest dividends the product might overflow.
    ((a / b).abs() < most) & (a.abs() < 1e308) & (b.abs() < f64::INFINITY)
}
