//! Special functions in f64: those that no library of the tables has. Errors are a few units of the last place, next to a zero
//! of a function a few of the terms that cancel there.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// `e^(x^2) erfc(x)`.
pub(super) fn erfcx(x: f64) -> f64 {
    if x < -27.0 {
        return f64::INFINITY;
    }
    if x < 25.0 {
        // Two factors, of which the first has an exponent without rounding: an error of x^2 would be one of the result.
        let upper = f64::from_bits(x.to_bits() & !0x07FF_FFFF);
        return (upper * upper).exp() * ((x - upper) * (x + upper)).exp() * libm::erfc(x);
    }
    // The asymptotic series; erfc itself is soon no number any more. NaN takes this way too.
    let inverse = 1.0 / x;
    let v = 0.5 * inverse * inverse;
    let series = 1.0 - v * (1.0 - v * (3.0 - v * (15.0 - v * (105.0 - v * (945.0 - v * 10395.0)))));
    0.5 * FRAC_2_SQRT_PI * inverse * series
}

/// The `y` with `erf(y) = x`.
pub(super) fn erfinv(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude == 1.0 {
        return f64::INFINITY.copysign(x);
    }
    if magnitude.is_nan() || magnitude > 1.0 {
        return f64::NAN;
    }
    let is_central = magnitude < 0.5;
    let rest = 1.0 - magnitude;
    let mut y = if is_central {
        magnitude * (0.886_227 + 0.232 * magnitude * magnitude)
    } else {
        // erfc(y) is about e^(-y^2) / (y sqrt(pi)): solved for the y of the power, twice.
        let logarithm = -rest.ln();
        let first = (logarithm - (logarithm.sqrt() * PI.sqrt()).ln()).max(0.2).sqrt();
        (logarithm - (first * PI.sqrt()).ln()).max(0.2).sqrt()
    };
    // Steps of Halley's, each of which has three times the digits of the one before.
    for _ in 0..4 {
        // Past the middle by what is left to 1, which keeps its digits.
        let error = if is_central { libm::erf(y) - magnitude } else { rest - libm::erfc(y) };
        let step = error / (FRAC_2_SQRT_PI * (-y * y).exp());
        y -= step / (1.0 + y * step);
        // After a step of so few of the digits the next would be one of rounding errors.
        if step.abs() < 1e-7 * y {
            break;
        }
    }
    y.copysign(x)
}

/// The derivative of the logarithm of the gamma function. At 0 it is infinite, and at the negative integers, where it has
/// another infinity at each side, NaN.
pub(super) fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 {
        let from_integer = x - x.round();
        if from_integer == 0.0 || x.is_infinite() {
            return f64::NAN;
        }
        return digamma(1.0 - x) - PI / (PI * from_integer).tan();
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let v = 1.0 / (x * x);
    let series = v
        * (1.0 / 12.0
            - v * (1.0 / 120.0
                - v * (1.0 / 252.0 - v * (1.0 / 240.0 - v * (1.0 / 132.0 - v * (691.0 / 32760.0 - v / 12.0))))));
    sum + (x.ln() - 0.5 / x - series)
}

/// The derivative of [`digamma`]: infinite at 0 and the negative integers.
pub(super) fn trigamma(x: f64) -> f64 {
    if x < 0.0 {
        let from_integer = x - x.round();
        if from_integer == 0.0 {
            return f64::INFINITY;
        }
        let slope = PI / (PI * from_integer).sin();
        return slope * slope - trigamma(1.0 - x);
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < 10.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let v = inverse * inverse;
    let series = 1.0 / 6.0
        - v * (1.0 / 30.0
            - v * (1.0 / 42.0 - v * (1.0 / 30.0 - v * (5.0 / 66.0 - v * (691.0 / 2730.0 - v * (7.0 / 6.0))))));
    sum + (inverse + 0.5 * v + v * inverse * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance * expected.abs(), "{found:e}, not {expected:e}");
    }

    /// Values from tables of forty digits.
    #[test]
    fn values_that_are_known() {
        assert_near(erfcx(-5.3), 3.164_914_574_749_34e12, 2e-15);
        assert_near(erfcx(-1.0), 5.008_980_080_762_283, 2e-15);
        assert_near(erfcx(0.0), 1.0, 2e-15);
        assert_near(erfcx(0.7), 0.525_930_337_349_441, 2e-15);
        assert_near(erfcx(3.0), 0.17900115118138995, 2e-15);
        assert_near(erfcx(24.9), 0.022639987776049506, 2e-15);
        assert_near(erfcx(25.0), 0.022_549_572_432_641_36, 2e-15);
        assert_near(erfcx(100.0), 0.005_641_613_782_989_433, 2e-15);
        assert_near(erfcx(10000000000.0), 5.641_895_835_477_563e-11, 2e-15);
        assert_near(erfinv(1e-300), 8.862_269_254_527_58e-301, 1e-15);
        assert_near(erfinv(-0.3), -0.272_462_714_726_754_4, 1e-15);
        assert_near(erfinv(0.4999), 0.4768250236254278, 1e-15);
        assert_near(erfinv(0.5), 0.476_936_276_204_469_9, 1e-15);
        assert_near(erfinv(0.9), 1.1630871536766742, 1e-15);
        assert_near(erfinv(-0.999999), -3.458_910_737_275_499, 1e-15);
        assert_near(erfinv(0.9999999999999999), 5.8635847487551679, 1e-15);
        assert_near(digamma(1e-08), -1.0000000057721565e8, 5e-15);
        assert_near(digamma(0.5), -1.9635100260214235, 5e-15);
        assert_near(digamma(1.0), -0.577_215_664_901_532_9, 5e-15);
        assert_near(digamma(3.3), 1.0348224890596217, 5e-15);
        assert_near(digamma(9.99), 2.250_700_372_831_201, 5e-15);
        assert_near(digamma(100000.0), 11.512920464961895, 5e-15);
        assert_near(digamma(-0.25), 2.9141391202135278, 5e-15);
        assert_near(digamma(-3.7), -0.845_076_858_870_419_4, 5e-15);
        assert_near(digamma(-100.5), 4.6151246013380641, 5e-15);
        assert_near(trigamma(1e-08), 1e16, 5e-15);
        assert_near(trigamma(0.5), 4.934_802_200_544_679, 5e-15);
        assert_near(trigamma(1.0), 1.6449340668482264, 5e-15);
        assert_near(trigamma(3.3), 0.353_501_541_841_061_8, 5e-15);
        assert_near(trigamma(9.99), 0.10527695014824178, 5e-15);
        assert_near(trigamma(100000.0), 1.0000050000166667e-5, 5e-15);
        assert_near(trigamma(-0.25), 18.541879647671606, 5e-15);
        assert_near(trigamma(-3.7), 14.84242186412428, 5e-15);
        assert_near(trigamma(-100.5), 9.859_703_491_870_086, 5e-15);
        assert!(digamma(0.0) == f64::NEG_INFINITY && digamma(-0.0) == f64::INFINITY && digamma(-2.0).is_nan());
        assert!(digamma(f64::INFINITY) == f64::INFINITY && digamma(f64::NEG_INFINITY).is_nan());
        assert!(trigamma(0.0) == f64::INFINITY && trigamma(-2.0) == f64::INFINITY && trigamma(f64::INFINITY) == 0.0);
        assert!(
            erfcx(-30.0) == f64::INFINITY && erfcx(f64::NEG_INFINITY) == f64::INFINITY && erfcx(f64::INFINITY) == 0.0
        );
        assert!(erfinv(1.0) == f64::INFINITY && erfinv(-1.0) == f64::NEG_INFINITY && erfinv(1.1).is_nan());
        for function in [erfcx, erfinv, digamma, trigamma] {
            assert!(function(f64::NAN).is_nan());
        }
    }
}
