//! Elementwise functions of f64 as branch-free scalar code that the compiler vectorises over a block, as those of f32 in
//! [`super::functions`] are.
//!
//! Each reduces its argument and evaluates a polynomial fitted for it by Remez exchange. Sums whose rounding would be felt carry what was rounded away as
//! a second, low part, so that errors stay about 1 unit in the last place; `tests/cpu_double.rs` holds the functions to theirs. No integer is converted and
//! none is shifted with its sign, for AVX2 has no instruction for either: integers are read from the lowest bits of floats that rounded to them.

mod division;
mod error_functions;
mod exponentials;
mod logarithms;
mod power;
#[cfg(test)]
mod tests;
mod trigonometry;

pub(super) use division::{floor_divide, fmod, in_division_range, remainder};
pub(super) use error_functions::{erf, erfc, erfcx, erfinv};
pub(super) use exponentials::{cosh, exp, exp2, expm1, sigmoid, sinh, tanh};
pub(super) use logarithms::{acosh, asinh, atanh, log, log1p, log2, log10};
pub(super) use power::{hypot, in_pow_range, pow};
pub(super) use trigonometry::{acos, asin, atan, atan2, cos, in_trigonometric_range, sin};

/// `low` or `high` outside the interval; NaN stays NaN.
#[inline(always)]
fn limit(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// The leading 26 bits of a number.
#[inline(always)]
fn leading_half(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xFFFF_FFFF_F800_0000)
}

/// A product, and what is to be added to it for its rounding.
#[inline(always)]
fn two_product<const FUSED: bool>(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    if FUSED {
        return (product, a.mul_add(b, -product));
    }
    // Products of halves are exact, but for that of the lower ones, of which some parts in 2^106 are lost.
    let (a_high, b_high) = (leading_half(a), leading_half(b));
    let (a_low, b_low) = (a - a_high, b - b_high);
    let rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, rest)
}

/// A sum, and what is to be added to it for its rounding; `a` is 0 or not the smaller one.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, (a - sum) + b)
}
