//! The error function, its complement, the scaled form of that, and the inverse.

#![allow(clippy::excessive_precision)] // The coefficients are printed as the fit gave them.

use std::f64::consts::FRAC_2_SQRT_PI;

use super::super::functions::{fma64, polynomial64};
use super::exponentials::Power;
use super::logarithms::log;
use super::{limit, two_product, two_sum};

/// Within this the error function is the argument times a polynomial in its square.
const NEAR: f64 = 0.75;

/// The error function.
#[inline(always)]
pub(in super::super) fn erf<const FUSED: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    let near = fma64::<FUSED>(magnitude, erf_excess::<FUSED>(magnitude), magnitude);
    // From 6 on it is 1 in f64.
    let t = limit(magnitude, NEAR, 6.0);
    let far = 1.0 - Power::of_e::<FUSED>(-(t * t), 0.0).times::<FUSED>(scaled_complement::<FUSED>(t));
    (if magnitude < NEAR { near } else { far }).copysign(x)
}

/// `1 - erf(x)`.
#[inline(always)]
pub(in super::super) fn erfc<const FUSED: bool>(x: f64) -> f64 {
    // Past 28 the power is 0.
    let t = limit(x.abs(), NEAR, 28.0);
    let (square, rest) = two_product::<FUSED>(t, t);
    let far = Power::of_e::<FUSED>(-square, -rest).times::<FUSED>(scaled_complement::<FUSED>(t));
    let far = if x < 0.0 { 2.0 - far } else { far };
    if x.abs() < NEAR { near_complement::<FUSED>(x) } else { far }
}

/// `e^(x^2) erfc(x)`.
#[inline(always)]
pub(in super::super) fn erfcx<const FUSED: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    // From 27 on the power is infinite.
    let (square, rest) = two_product::<FUSED>(limit(magnitude, 0.0, 28.0), limit(magnitude, 0.0, 28.0));
    let power = Power::of_e::<FUSED>(square, rest);
    let near = power.times::<FUSED>(near_complement::<FUSED>(x));
    // The asymptotic series, for what the polynomial is not fitted for.
    let inverse = 1.0 / magnitude;
    let series = polynomial64::<FUSED, 7>(-0.5 * inverse * inverse, [1.0, 1.0, 3.0, 15.0, 105.0, 945.0, 10395.0]);
    let right = if magnitude > 28.0 {
        0.5 * FRAC_2_SQRT_PI * inverse * series
    } else {
        scaled_complement::<FUSED>(limit(magnitude, NEAR, 28.0))
    };
    let far = if x < 0.0 { power.times::<FUSED>(2.0) - right } else { right };
    if magnitude < NEAR { near } else { far }
}

/// The `y` with `erf(y) = x`: a polynomial's, which has seven digits, and one step of Halley's, which makes three times as many of them.
#[inline(always)]
pub(in super::super) fn erfinv<const FUSED: bool>(x: f64) -> f64 {
    let magnitude = x.abs();
    let y = erfinv_start::<FUSED>(magnitude);
    let (square, rest) = two_product::<FUSED>(y, y);
    let power = Power::of_e::<FUSED>(-square, -rest);
    // By what the error function of y is too large, the smaller parts of which are left: near 0 what it exceeds y by, and far from there what
    // is left to 1, which is exact.
    let near = fma64::<FUSED>(y, erf_excess::<FUSED>(y), y - magnitude);
    let far = (1.0 - magnitude) - power.times::<FUSED>(scaled_complement::<FUSED>(limit(y, NEAR, 28.0)));
    let error = if y < NEAR { near } else { far };
    let step = error / (FRAC_2_SQRT_PI * power.times::<FUSED>(1.0));
    let value = y - step / fma64::<FUSED>(y, step, 1.0);
    let value = if magnitude == 1.0 { f64::INFINITY } else { value };
    (if magnitude <= 1.0 { value } else { f64::NAN }).copysign(x)
}

/// [`erfinv`] of a magnitude to seven digits: of up to 0.7 as a polynomial in the square, and further out as polynomials in the root of
/// `-ln(1 - x^2)`.
#[inline(always)]
fn erfinv_start<const FUSED: bool>(magnitude: f64) -> f64 {
    let central = polynomial64::<FUSED, 9>(
        magnitude * magnitude,
        [
            0.886_226_933_059_919_2,
            0.232_011_334_069_310_9,
            0.127_673_287_857_431_37,
            0.084_306_337_886_803_33,
            0.086_260_300_527_386_76,
            -0.059_440_257_531_116_81,
            0.371_668_463_095_059_2,
            -0.491_417_408_179_701_8,
            0.410_820_476_186_532_56,
        ],
    );
    let root = (-log::<FUSED>((1.0 - magnitude) * (1.0 + magnitude))).sqrt();
    let outer = polynomial64::<FUSED, 8>(
        root - 1.8,
        [
            1.647_942_139_988_968,
            0.963_378_064_059_647_9,
            0.027_633_814_180_798_19,
            -0.005_243_182_587_224_726,
            -0.002_376_803_754_954_415,
            0.001_192_419_132_359_567_9,
            0.000_201_145_113_814_860_1,
            -0.000_153_608_238_803_504_27,
        ],
    );
    let outermost = polynomial64::<FUSED, 8>(
        root - 4.4,
        [
            4.243_734_106_236_110_5,
            1.010_153_837_375_656_4,
            0.000_467_282_320_225_276_27,
            -0.000_492_750_522_293_826_4,
            0.000_165_187_071_443_362_3,
            -4.644_322_540_606_205e-5,
            1.371_466_398_392_140_5e-5,
            -2.628_309_422_020_303e-6,
        ],
    );
    let far = if root < 2.7 { outer } else { outermost };
    if magnitude < 0.7 { magnitude * central } else { far }
}

/// `erfc(x)` for `x` within [`NEAR`]: as what 1 exceeds `x` by, which is exact in two parts, and something smaller.
#[inline(always)]
fn near_complement<const FUSED: bool>(x: f64) -> f64 {
    let (upper, rest) = two_sum(1.0, -x);
    upper + fma64::<FUSED>(-x, erf_excess::<FUSED>(x), rest)
}

/// `erf(x) / x - 1` for `x` within [`NEAR`].
#[inline(always)]
fn erf_excess<const FUSED: bool>(x: f64) -> f64 {
    polynomial64::<FUSED, 12>(
        x * x,
        [
            0.128_379_167_095_512_56,
            -0.376_126_389_031_835_5,
            0.112_837_916_709_452_53,
            -0.026_866_170_643_276_22,
            0.005_223_977_607_423_468,
            -0.000_854_832_598_969_675_8,
            0.000_120_552_953_204_942_94,
            -1.492_474_466_333_548_9e-5,
            1.644_751_767_787_187_3e-6,
            -1.620_917_591_174_869_6e-7,
            1.372_297_626_592_450_4e-8,
            -7.801_188_874_097_751e-10,
        ],
    )
}

/// `e^(t^2) erfc(t)` for `t` from 3/4 to 28: `t + 2` times it is a polynomial in the inverse of that, which is computed in two parts.
#[inline(always)]
fn scaled_complement<const FUSED: bool>(t: f64) -> f64 {
    let (divisor, divisor_rest) = two_sum(2.0, t);
    let inverse = 1.0 / divisor;
    let (product, product_rest) = two_product::<FUSED>(inverse, divisor);
    let rest = inverse * (((1.0 - product) - product_rest) - inverse * divisor_rest);
    let place = (8.0 * inverse - 1.5) + 8.0 * rest;
    let slope = polynomial64::<FUSED, 21>(
        place,
        [
            0.277_729_530_725_142_9,
            0.061_311_465_079_491_91,
            0.006_635_811_994_595_291,
            -0.000_696_332_541_194_043_5,
            -0.000_296_591_359_934_855_5,
            9.960_089_638_410_016e-6,
            1.401_980_457_561_446_3e-5,
            -5.961_596_696_195_409e-7,
            -7.750_939_522_334_919e-7,
            8.453_174_622_827_454e-8,
            4.365_392_547_117_173e-8,
            -1.069_148_267_139_609_9e-8,
            -1.819_391_076_914_249e-9,
            1.103_460_889_084_841e-9,
            -3.690_430_300_285_491e-11,
            -8.716_702_590_983_021e-11,
            1.896_300_295_319_384e-11,
            4.309_096_173_197_918e-12,
            -2.074_929_901_468_143_7e-12,
            -6.025_976_822_112_518e-14,
            9.103_248_941_437_652e-14,
        ],
    );
    let (p, p_rest) = two_sum(0.866_613_124_959_458_3, place * slope);
    fma64::<FUSED>(inverse, p, fma64::<FUSED>(rest, p, inverse * p_rest))
}
