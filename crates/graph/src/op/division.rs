//! Division with a remainder, of floats and of i32: the values of `fmod`, `remainder` and `floor_divide`.
//!
//! All three agree on one quotient and one remainder: `a` is `b` times the quotient plus the remainder. Those of `fmod` come from
//! rounding the quotient towards zero, those of `remainder` and `floor_divide` from rounding it down. Of i32 nothing panics: where
//! the divisor is 0 the quotient is 0 and the remainder `a`, so that the sentence above holds there too, and the one quotient that
//! i32 does not hold, of the least integer by -1, wraps.

/// The remainder with the sign of `a`, exact.
pub(super) fn fmod(a: f64, b: f64) -> f64 {
    a % b
}

/// The remainder with the sign of `b`.
pub(super) fn remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

/// The quotient rounded down. It is made of the exact remainder: the rounded quotient may be an integer that the true one
/// does not reach.
pub(super) fn floor_divide(a: f64, b: f64) -> f64 {
    if b == 0.0 {
        return a / b;
    }
    let rest = a % b;
    let whole = (a - rest) / b;
    let whole = if rest != 0.0 && (rest < 0.0) != (b < 0.0) { whole - 1.0 } else { whole };
    if whole == 0.0 {
        return 0f64.copysign(a / b);
    }
    let below = whole.floor();
    if whole - below > 0.5 { below + 1.0 } else { below }
}

pub(super) fn fmod_integer(a: i32, b: i32) -> i32 {
    if b == 0 { a } else { a.wrapping_rem(b) }
}

pub(super) fn remainder_integer(a: i32, b: i32) -> i32 {
    let rest = fmod_integer(a, b);
    if b != 0 && rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

pub(super) fn floor_divide_integer(a: i32, b: i32) -> i32 {
    if b == 0 {
        return 0;
    }
    let rest = fmod_integer(a, b);
    a.wrapping_div(b) - i32::from(rest != 0 && (rest < 0) != (b < 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_those_of_the_dividend_or_of_the_divisor() {
        for (a, b) in [(7.0, 3.0), (-7.0, 3.0), (7.0, -3.0), (-7.0, -3.0), (6.0, 3.0), (-6.0, 3.0), (0.5, 0.1)] {
            let (rest, modulo, quotient) = (fmod(a, b), remainder(a, b), floor_divide(a, b));
            assert!(rest == 0.0 || (rest < 0.0) == (a < 0.0), "{a} {b}");
            assert!(modulo == 0.0 || (modulo < 0.0) == (b < 0.0), "{a} {b}");
            assert!((b * quotient + modulo - a).abs() <= 1e-15 * a.abs(), "{a} {b}");
            let (whole_a, whole_b) = (a as i32, b as i32);
            if a == f64::from(whole_a) {
                assert_eq!(f64::from(fmod_integer(whole_a, whole_b)), rest);
                assert_eq!(f64::from(remainder_integer(whole_a, whole_b)), modulo);
                assert_eq!(f64::from(floor_divide_integer(whole_a, whole_b)), quotient);
            }
        }
        // 1 / 0.1 rounds to 10, but 0.1 is a little more than a tenth.
        assert_eq!((floor_divide(1.0, 0.1), floor_divide(-1.0, f64::INFINITY)), (9.0, -1.0));
        assert_eq!((remainder(-1.0, f64::INFINITY), fmod(-1.0, f64::INFINITY)), (f64::INFINITY, -1.0));
        assert!(fmod(1.0, 0.0).is_nan() && remainder(1.0, 0.0).is_nan());
        assert_eq!((floor_divide(1.0, 0.0), floor_divide(-1.0, 0.0)), (f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn integers_never_panic() {
        for a in [0, 1, -1, 5, i32::MIN, i32::MAX] {
            assert_eq!((fmod_integer(a, 0), remainder_integer(a, 0), floor_divide_integer(a, 0)), (a, a, 0));
            for b in [1, -1, 2, -3, i32::MIN, i32::MAX] {
                let back = floor_divide_integer(a, b).wrapping_mul(b).wrapping_add(remainder_integer(a, b));
                assert_eq!(back, a, "{a} {b}");
            }
        }
        assert_eq!(floor_divide_integer(i32::MIN, -1), i32::MIN);
    }
}
