//! Elementwise functions of f32 as branch-free scalar code that the compiler vectorises over a block; those of f64 stand in [`super::double`].
//!
//! Each function reduces its argument and evaluates a polynomial fitted for this module by Remez exchange; the
//! errors that `tests/cpu_functions.rs` holds them to are about 2 units in the last place. With `FUSED` a multiplication
//! and addition is one instruction; without it, on processors that lack it, two.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

/// `e^x`.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    let (n, em1) = reduced_expm1::<FUSED>(limit(x, -104.0, 89.0));
    // Two factors: the first keeps the product normal, the second rounds into a subnormal or overflows.
    let half = n >> 1;
    (em1 + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `e^x` for `x` below 88; 0 where that is no normal number, for arithmetic of such is slow on many processors.
#[inline(always)]
pub(super) fn exp_normal<const FUSED: bool>(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    let (n, em1) = reduced_expm1::<FUSED>(limit(x, LEAST, 88.0));
    let value = (em1 + 1.0) * power_of_two(n);
    if x < LEAST { 0.0 } else { value }
}

/// `e^x - 1`.
#[inline(always)]
pub(super) fn expm1<const FUSED: bool>(x: f32) -> f32 {
    let (n, em1) = reduced_expm1::<FUSED>(limit(x, -18.0, 89.0));
    // At half scale, for 2^128 is past the largest float.
    let scale = power_of_two(n.wrapping_sub(1));
    let value = 2.0 * fma::<FUSED>(scale, em1, scale - 0.5);
    let value = if x.abs() < 1e-7 { x } else { value };
    value.copysign(x)
}

/// The natural logarithm.
#[inline(always)]
pub(super) fn log<const FUSED: bool>(x: f32) -> f32 {
    let (e, f) = split_exponent(x);
    let tail = fma::<FUSED>(e, LN_2_LOW, reduced_log1p_tail::<FUSED>(f));
    special_logarithms(x, fma::<FUSED>(e, LN_2_HIGH, f + tail))
}

/// `ln(1 + x)`.
#[inline(always)]
pub(super) fn log1p<const FUSED: bool>(x: f32) -> f32 {
    let sum = 1.0 + x;
    let (e, f) = split_exponent(sum);
    // Where the sum keeps the exponent of 1 its fraction is the argument itself, free of the addition's rounding;
    // elsewhere the rounding is corrected to first order.
    let lost = if sum > 1.0 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
    let correction = if e == 0.0 { 0.0 } else { lost / sum };
    let f = if e == 0.0 { x } else { f };
    let tail = fma::<FUSED>(e, LN_2_LOW, reduced_log1p_tail::<FUSED>(f) + correction);
    let value = fma::<FUSED>(e, LN_2_HIGH, f + tail);
    let value = if x == f32::INFINITY { f32::INFINITY } else { value };
    let value = if x == -1.0 { f32::NEG_INFINITY } else { value };
    let value = if x.abs() < 1e-8 { x } else { value };
    if x >= -1.0 { value } else { f32::NAN }
}

/// The logarithm to base 2.
#[inline(always)]
pub(super) fn log2<const FUSED: bool>(x: f32) -> f32 {
    let (e, f) = split_exponent(x);
    let (upper, lower) = scaled_log1p::<FUSED>(f, LOG2_E_HIGH, LOG2_E_LOW);
    special_logarithms(x, (e + upper) + lower)
}

/// The logarithm to base 10, exact at powers of 10.
#[inline(always)]
pub(super) fn log10<const FUSED: bool>(x: f32) -> f32 {
    let (e, f) = split_exponent(x);
    let (upper, lower) = scaled_log1p::<FUSED>(f, LOG10_E_HIGH, LOG10_E_LOW);
    // The product is exact, and what its sum with the upper part loses is kept: powers of 10 have whole logarithms.
    let whole = e * LOG10_2_HIGH;
    let sum = whole + upper;
    let lost = (whole - sum) + upper;
    special_logarithms(x, sum + (fma::<FUSED>(e, LOG10_2_LOW, lower) + lost))
}

/// `2^x`.
#[inline(always)]
pub(super) fn exp2<const FUSED: bool>(x: f32) -> f32 {
    let x = limit(x, -152.0, 129.0);
    let shifted = x + ROUNDER;
    let n = shifted.to_bits().wrapping_sub(ROUNDER.to_bits()) as i32;
    let r = x - (shifted - ROUNDER);
    let p = polynomial::<FUSED, 7>(
        r,
        [
            std::f32::consts::LN_2,
            0.240_226_511,
            0.055_504_103_7,
            0.009_618_038_13,
            0.001_333_393_51,
            0.000_154_667_563,
            1.519_615_58e-5,
        ],
    );
    let half = n >> 1;
    fma::<FUSED>(r, p, 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    // tanh(|x|) = expm1(2|x|) / (expm1(2|x|) + 2), which is 1 in f32 from 9.02 on.
    let (n, em1) = reduced_expm1::<FUSED>(limit(2.0 * x.abs(), 0.0, 20.0));
    let scale = power_of_two(n);
    let t = fma::<FUSED>(scale, em1, scale - 1.0);
    let value = t / (t + 2.0);
    let value = if x.abs() < 1e-7 { x } else { value };
    value.copysign(x)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    let e = exp::<FUSED>(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// The error function.
#[inline(always)]
pub(super) fn erf<const FUSED: bool>(x: f32) -> f32 {
    let magnitude = x.abs();
    let square = magnitude * magnitude;
    let small = polynomial::<FUSED, 7>(square, ERF_SMALL);
    let small = fma::<FUSED>(magnitude, small, magnitude);
    // erfc(t) = exp(-t - t G(t)); from t = 4 on erf is 1 in f32.
    let t = limit(magnitude, 0.0, 4.0);
    let g = polynomial::<FUSED, 7>(t, ERF_LARGE);
    let large = 1.0 - exp::<FUSED>(fma::<FUSED>(-t, g, -t));
    let value = if magnitude < 0.9375 { small } else { large };
    value.copysign(x)
}

/// The angle of a tangent.
#[inline(always)]
pub(super) fn atan<const FUSED: bool>(x: f32) -> f32 {
    atan2::<FUSED>(x, 1.0)
}

/// The angle of the point `(x, y)`.
#[inline(always)]
pub(super) fn atan2<const FUSED: bool>(y: f32, x: f32) -> f32 {
    let (side, other) = (x.abs(), y.abs());
    let (short, long) = if other < side { (other, side) } else { (side, other) };
    // Of two zeros the quotient counts as 0, of two infinities as 1.
    let t = if short == long { 1.0 } else { short / long };
    let t = if long == 0.0 { 0.0 } else { t };
    // atan t = pi/4 + atan((t - 1) / (t + 1)), which leaves quotients up to 0.66.
    let is_steep = t > 0.66;
    let u = if is_steep { (t - 1.0) / (t + 1.0) } else { t };
    let z = u * u;
    let p = polynomial::<FUSED, 7>(
        z,
        [
            -0.333_333_22,
            0.199_993_11,
            -0.142_714_476,
            0.109_686_277,
            -0.083_059_006_7,
            0.051_630_444_2,
            -0.017_820_920_4,
        ],
    );
    let angle = fma::<FUSED>(u * z, p, u);
    let angle = if is_steep { std::f32::consts::FRAC_PI_4 + (angle + 0.5 * HALF_PI_LOW) } else { angle };
    let angle = if other < side { angle } else { (std::f32::consts::FRAC_PI_2 - angle) + HALF_PI_LOW };
    let angle = if long == 0.0 { 0.0 } else { angle };
    let is_behind = x.to_bits() >> 31 == 1;
    let angle = if is_behind { (std::f32::consts::PI - angle) + 2.0 * HALF_PI_LOW } else { angle };
    // NaN is neither smaller nor equal, so either may have been lost.
    let angle = if y.is_nan() | x.is_nan() { f32::NAN } else { angle };
    angle.copysign(y)
}

/// The length of the vector of both, in f64, where no square overflows.
#[inline(always)]
pub(super) fn hypot(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x), f64::from(y));
    let length = (a * a + b * b).sqrt() as f32;
    // An infinity counts also beside NaN.
    if (x.abs() == f32::INFINITY) | (y.abs() == f32::INFINITY) { f32::INFINITY } else { length }
}

/// Right for arguments that [`in_trigonometric_range`] accepts.
#[inline(always)]
pub(super) fn sin<const FUSED: bool>(x: f32) -> f32 {
    let (n, r) = quadrant::<FUSED>(x);
    // The reduction makes a positive zero of a negative one.
    if x == 0.0 { x } else { sin_in_quadrant::<FUSED>(n, r) }
}

/// Right for arguments that [`in_trigonometric_range`] accepts.
#[inline(always)]
pub(super) fn cos<const FUSED: bool>(x: f32) -> f32 {
    let (n, r) = quadrant::<FUSED>(x);
    sin_in_quadrant::<FUSED>(n.wrapping_add(1), r)
}

#[inline(always)]
pub(super) fn in_trigonometric_range(x: f32) -> bool {
    x.abs() <= 1e6
}

/// Right for arguments that [`in_pow_range`] accepts:
/// `2^(exponent log2 |base|)` in f64, with the sign that an odd integer exponent gives a negative base.
#[inline(always)]
pub(super) fn pow<const FUSED: bool>(x: f32, exponent: f32) -> f32 {
    let y = f64::from(exponent);
    // log2 |base| = e + 2 / ln 2 artanh((m - 1) / (m + 1)); |base| is a normal f64 even where it is a subnormal f32.
    let bits = f64::from(x.abs()).to_bits();
    let offset = bits.wrapping_add(0x3FF0_0000_0000_0000 - 0x3FE6_A09E_667F_3BCD);
    let e = ((offset >> 52) as i32).wrapping_sub(1023);
    let m = f64::from_bits((offset & 0x000F_FFFF_FFFF_FFFF).wrapping_add(0x3FE6_A09E_667F_3BCD));
    let s = (m - 1.0) / (m + 1.0);
    let series = polynomial64::<FUSED, 8>(
        s * s,
        [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0],
    );
    let log2 = fma64::<FUSED>(2.0 * std::f64::consts::LOG2_E * s, series, f64::from(e));
    let power = y * log2;
    let power = if power < -200.0 { -200.0 } else { power };
    let power = if power > 200.0 { 200.0 } else { power };
    let shifted = power + ROUNDER64;
    let n = shifted.to_bits() as i32;
    let r = (power - (shifted - ROUNDER64)) * std::f64::consts::LN_2;
    let exp = polynomial64::<FUSED, 10>(
        r,
        [
            1.0,
            1.0,
            1.0 / 2.0,
            1.0 / 6.0,
            1.0 / 24.0,
            1.0 / 120.0,
            1.0 / 720.0,
            1.0 / 5040.0,
            1.0 / 40_320.0,
            1.0 / 362_880.0,
        ],
    );
    let magnitude = (exp * f64::from_bits(u64::from(n.wrapping_add(1023) as u32) << 52)) as f32;
    let half = 0.5 * exponent;
    let is_odd = exponent == exponent.trunc() && half != half.trunc();
    let is_integer = exponent == exponent.trunc();
    let value = if x < 0.0 && is_odd { -magnitude } else { magnitude };
    if x < 0.0 && !is_integer { f32::NAN } else { value }
}

#[inline(always)]
pub(super) fn in_pow_range(x: f32, exponent: f32) -> bool {
    (x != 0.0) & (x.abs() < f32::INFINITY) & (exponent.abs() < f32::INFINITY)
}

#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
pub(super) fn fma64<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The value at `x` of the polynomial with these coefficients, lowest first.
#[inline(always)]
pub(super) fn polynomial<const FUSED: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        value = fma::<FUSED>(value, x, coefficients[i]);
    }
    value
}

#[inline(always)]
pub(super) fn polynomial64<const FUSED: bool, const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut value = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        value = fma64::<FUSED>(value, x, coefficients[i]);
    }
    value
}

/// `low` or `high` outside the interval; NaN stays NaN.
#[inline(always)]
pub(super) fn limit(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// Coefficients of `(expm1(r) - r) / r^2`.
pub(super) const EXPM1: [f32; 6] = [
    0.500_000_004_667,
    0.166_666_668_178,
    0.041_666_353_532_4,
    0.008_333_272_840_11,
    0.001_394_110_270_22,
    0.000_199_143_016_601,
];

/// Coefficients of `(log1p(f) - f + f^2 / 2) / f^3`.
pub(super) const LOG1P: [f32; 9] = [
    0.333_333_101_713,
    -0.249_999_858_154,
    0.200_022_475_917,
    -0.166_693_098_239,
    0.142_182_291_645,
    -0.123_830_023_09,
    0.118_751_028_45,
    -0.117_991_350_089,
    0.069_216_729_454_6,
];

/// Coefficients of `erf(t) / t - 1`, of the square of `t`.
pub(super) const ERF_SMALL: [f32; 7] = [
    0.128_379_166_591,
    -0.376_126_332_034,
    0.112_836_863_519,
    -0.026_858_851_228_3,
    0.005_199_599_841_01,
    -0.000_812_580_615_204,
    8.296_607_823_14e-5,
];

/// Coefficients of `G(t)`.
pub(super) const ERF_LARGE: [f32; 7] = [
    0.128_648_493_322,
    0.635_151_302_575,
    0.106_236_902_912,
    -0.023_762_086_860_6,
    0.003_642_471_457_04,
    -0.000_322_807_213_055,
    1.123_167_526_63e-5,
];

/// Adding and subtracting this rounds a small float to the nearest integer; the sum's bits hold that integer.
pub(super) const ROUNDER: f32 = 12_582_912.0;
pub(super) const ROUNDER64: f64 = 6_755_399_441_055_744.0;
/// What the nearest f32 to pi/2 is short of it.
pub(super) const HALF_PI_LOW: f32 = -4.371_139e-8;
pub(super) const LN_2_HIGH: f32 = 0.693_359_375;
pub(super) const LN_2_LOW: f32 = -2.121_944_400_547e-4;

/// `2^n` for `n` in `-126..=127`.
#[inline(always)]
pub(super) fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// Logarithms of `e` and of 2 in two parts, the first of 12 bits.
const LOG2_E_HIGH: f32 = 1.442_382_812_5;
const LOG2_E_LOW: f32 = 3.122_283_960_69e-4;
const LOG10_E_HIGH: f32 = 0.434_204_101_562_5;
const LOG10_E_LOW: f32 = 9.038_033_749_68e-5;
const LOG10_2_HIGH: f32 = 0.301_025_390_625;
const LOG10_2_LOW: f32 = 4.605_038_981_2e-6;

/// `n` and `expm1(x - n ln 2)`, the remainder within `ln 2 / 2`.
#[inline(always)]
pub(super) fn reduced_expm1<const FUSED: bool>(x: f32) -> (i32, f32) {
    let shifted = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted.to_bits().wrapping_sub(ROUNDER.to_bits()) as i32;
    let rounded = shifted - ROUNDER;
    let r = fma::<FUSED>(rounded, -LN_2_HIGH, x);
    let r = fma::<FUSED>(rounded, -LN_2_LOW, r);
    let p = polynomial::<FUSED, 6>(r, EXPM1);
    (n, fma::<FUSED>(r * r, p, r))
}

/// `log1p(f) - f` for `1 + f` in `[sqrt(1/2), sqrt(2)]`.
#[inline(always)]
fn reduced_log1p_tail<const FUSED: bool>(f: f32) -> f32 {
    let q = polynomial::<FUSED, 9>(f, LOG1P);
    let square = f * f;
    fma::<FUSED>(square * f, q, -0.5 * square)
}

/// `log1p(f)` for `1 + f` in `[sqrt(1/2), sqrt(2)]` times a factor that is given in two parts, the first of 12 bits; itself in two
/// parts, the first of which is exact.
#[inline(always)]
fn scaled_log1p<const FUSED: bool>(f: f32, high: f32, low: f32) -> (f32, f32) {
    let upper = f32::from_bits(f.to_bits() & 0xFFFF_F000);
    let lower = (f - upper) + reduced_log1p_tail::<FUSED>(f);
    (upper * high, fma::<FUSED>(lower, high, (upper + lower) * low))
}

/// The logarithm that was found, but for the arguments that have none or no finite one.
#[inline(always)]
fn special_logarithms(x: f32, value: f32) -> f32 {
    let value = if x == f32::INFINITY { f32::INFINITY } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    if x >= 0.0 { value } else { f32::NAN }
}

/// `e` and `f` with `x = 2^e (1 + f)` and `1 + f` in `[sqrt(1/2), sqrt(2))`, for positive finite `x`.
#[inline(always)]
fn split_exponent(x: f32) -> (f32, f32) {
    let is_subnormal = x < f32::MIN_POSITIVE;
    let x = if is_subnormal { x * 8_388_608.0 } else { x };
    let bias = if is_subnormal { 23.0 } else { 0.0 };
    // The offset carries into the exponent exactly where the mantissa reaches sqrt(2).
    let offset = x.to_bits().wrapping_add(0x3F80_0000 - 0x3F35_04F3);
    let exponent = ((offset >> 23) as i32).wrapping_sub(127);
    let mantissa = f32::from_bits((offset & 0x007F_FFFF).wrapping_add(0x3F35_04F3));
    (exponent as f32 - bias, mantissa - 1.0)
}

/// The quadrant of `x` and its distance from the quadrant's middle, for `|x|` within 1e6. Two parts of pi/2, the first
/// short enough for its multiples to be exact, keep the distance right to the last bit even beside a multiple.
#[inline(always)]
fn quadrant<const FUSED: bool>(x: f32) -> (i32, f32) {
    const HALF_PI_HIGH: f64 = 1.570_796_326_734_125_6;
    const HALF_PI_LOW: f64 = 6.077_100_506_506_192e-11;
    let x = f64::from(x);
    let shifted = fma64::<FUSED>(x, std::f64::consts::FRAC_2_PI, ROUNDER64);
    let n = shifted.to_bits() as i32;
    let rounded = shifted - ROUNDER64;
    let r = fma64::<FUSED>(rounded, -HALF_PI_HIGH, x);
    (n, fma64::<FUSED>(rounded, -HALF_PI_LOW, r) as f32)
}

/// `sin` of the quadrant `n` and distance `r`.
#[inline(always)]
fn sin_in_quadrant<const FUSED: bool>(n: i32, r: f32) -> f32 {
    let z = r * r;
    let sin = polynomial::<FUSED, 4>(
        z,
        [-0.166_666_666_414, 0.008_333_329_362_3, -0.000_198_393_271_385, 2.718_237_270_28e-6],
    );
    let sin = fma::<FUSED>(z * r, sin, r);
    let cos = polynomial::<FUSED, 4>(
        z,
        [0.041_666_666_622_5, -0.001_388_888_372_27, 2.479_951_177_98e-5, -2.720_954_898_47e-7],
    );
    let cos = fma::<FUSED>(z * z, cos, fma::<FUSED>(z, -0.5, 1.0));
    let value = if n & 1 == 0 { sin } else { cos };
    f32::from_bits(value.to_bits() ^ (((n & 2) as u32) << 30))
}
