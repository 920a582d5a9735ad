//! Powers with any exponent, and lengths: functions of two elements that are computed with about twice the digits of f64.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use super::super::functions::{fma64, polynomial64};
use super::exponentials::{LN_2_HIGH, LN_2_LOW, Power};
use super::logarithms::split_exponent;
use super::{limit, two_product, two_sum};

/// `2^52`: adding and subtracting it rounds a smaller positive number to an integer.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

/// Right for arguments that [`in_pow_range`] accepts:
/// `e^(exponent ln |base|)`, with the sign that an odd integer exponent gives a negative base.
#[inline(always)]
pub(in super::super) fn pow<const FUSED: bool>(x: f64, exponent: f64) -> f64 {
    let (upper, lower) = log_in_parts::<FUSED>(x.abs());
    // Past this every power but those of 1 is 0 or infinite.
    let y = limit(exponent, -1e20, 1e20);
    let (product, rest) = two_product::<FUSED>(y, upper);
    let rest = if product.abs() < 1000.0 { fma64::<FUSED>(y, lower, rest) } else { 0.0 };
    let magnitude = Power::of_e::<FUSED>(limit(product, -800.0, 800.0), rest).times::<FUSED>(1.0);
    // Half of an odd integer is none; from 2^53 on there are only even ones.
    let (size, half) = (exponent.abs(), 0.5 * exponent.abs());
    let is_integer = (size >= INTEGERS) | ((size + INTEGERS) - INTEGERS == size);
    let is_even = (half >= INTEGERS) | ((half + INTEGERS) - INTEGERS == half);
    let value = if (x < 0.0) & !is_even { -magnitude } else { magnitude };
    if (x < 0.0) & !is_integer { f64::NAN } else { value }
}

#[inline(always)]
pub(in super::super) fn in_pow_range(x: f64, exponent: f64) -> bool {
    (x != 0.0) & (x.abs() < f64::INFINITY) & (exponent.abs() < f64::INFINITY)
}

/// The length of the vector of both.
#[inline(always)]
pub(in super::super) fn hypot<const FUSED: bool>(x: f64, y: f64) -> f64 {
    let (x, y) = (x.abs(), y.abs());
    let (larger, smaller) = if x < y { (y, x) } else { (x, y) };
    // Powers of 2 that keep squares away from both ends of the range.
    let (scale, inverse) = if larger > 1e150 { (LEAST, MOST) } else { (1.0, 1.0) };
    let (scale, inverse) = if larger < 1e-130 { (MOST, LEAST) } else { (scale, inverse) };
    let (a, b) = (larger * scale, smaller * scale);
    let ((a_square, a_rest), (b_square, b_rest)) = (two_product::<FUSED>(a, a), two_product::<FUSED>(b, b));
    let (sum, rest) = two_sum(a_square, b_square);
    let root = sum.sqrt();
    let (square, square_rest) = two_product::<FUSED>(root, root);
    // A step of Newton's for the root of the sum with all its digits.
    let missing = ((sum - square) - square_rest) + ((a_rest + b_rest) + rest);
    let length = (root + 0.5 * missing / root) * inverse;
    let length = if larger == 0.0 { 0.0 } else { length };
    // Either may have been lost if it is NaN, but an infinity counts also beside it.
    let length = if x.is_nan() | y.is_nan() { f64::NAN } else { length };
    if (x == f64::INFINITY) | (y == f64::INFINITY) { f64::INFINITY } else { length }
}

/// `2^-600` and `2^600`.
const LEAST: f64 = f64::from_bits(0x1A70_0000_0000_0000);
const MOST: f64 = f64::from_bits(0x6570_0000_0000_0000);

/// The natural logarithm of a positive number in two parts, to some 65 bits, so that a product with an exponent is right to the last of its 53 places behind
/// the point.
#[inline(always)]
fn log_in_parts<const FUSED: bool>(x: f64) -> (f64, f64) {
    let (e, f) = split_exponent(x);
    // ln (1 + f) = 2 artanh(s) with s = f / (2 + f), all of it in two parts.
    let (divisor, divisor_rest) = two_sum(2.0, f);
    let inverse = 1.0 / divisor;
    let s = f * inverse;
    let (product, product_rest) = two_product::<FUSED>(s, divisor);
    let s_rest = (((f - product) - product_rest) - s * divisor_rest) * inverse;
    let (z, z_rest) = two_product::<FUSED>(s, s);
    let z_rest = fma64::<FUSED>(2.0 * s, s_rest, z_rest);
    // 2 artanh(s) = 2 s + s (2/3 z + 2/5 z^2 + ...), of which the first term needs both parts.
    let series = polynomial64::<FUSED, 8>(
        z,
        [
            0.4,
            0.285_714_285_714_293_75,
            0.222_222_222_216_501_65,
            0.181_818_183_365_856_67,
            0.153_845_948_441_491_44,
            0.133_348_107_197_581_1,
            0.117_060_843_079_263_54,
            0.117_246_847_450_710_04,
        ],
    );
    let (third, third_rest) = two_product::<FUSED>(z, TWO_THIRDS);
    let third_rest = fma64::<FUSED>(z, TWO_THIRDS_LOW, fma64::<FUSED>(z_rest, TWO_THIRDS, third_rest));
    let (t, t_rest) = two_sum(third, z * z * series);
    let t_rest = t_rest + third_rest;
    let (product, product_rest) = two_product::<FUSED>(s, t);
    let product_rest = fma64::<FUSED>(s, t_rest, fma64::<FUSED>(s_rest, t, product_rest));
    let (sum, sum_rest) = two_sum(2.0 * s, product);
    let (value, value_rest) = two_sum(e * LN_2_HIGH, sum);
    let lower = fma64::<FUSED>(e, LN_2_LOW, value_rest + (sum_rest + fma64::<FUSED>(2.0, s_rest, product_rest)));
    two_sum(value, lower)
}

const TWO_THIRDS: f64 = 2.0 / 3.0;
/// What the number above is short of it.
const TWO_THIRDS_LOW: f64 = 3.700_743_415_417_188e-17;
