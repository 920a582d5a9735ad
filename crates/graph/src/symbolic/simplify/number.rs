//! The numbers of a normal form: exact fractions while they fit, floats beyond.
//!
//! A number that was written with a point is the fraction that its digits say, so that 0.1 + 0.2 is 0.3, and it is written
//! with a point again while its digits end.

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedMul, ToPrimitive};

/// A real number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Number {
    Exact {
        ratio: Ratio<i128>,
        /// Whether it is written with a point rather than as a quotient; false for whole numbers.
        decimal: bool,
    },
    /// The bits of a float that no fraction of this size is equal to.
    Float(u64),
}

/// Floats hold all whole numbers up to here.
const LARGEST_EXACT: u128 = 1 << f64::MANTISSA_DIGITS;

impl Number {
    pub(super) const ZERO: Number = Number::integer(0);
    pub(super) const ONE: Number = Number::integer(1);
    pub(super) const MINUS_ONE: Number = Number::integer(-1);
    pub(super) const HALF: Number = Number::Exact { ratio: Ratio::new_raw(1, 2), decimal: false };

    pub(super) const fn integer(value: i64) -> Number {
        Number::Exact { ratio: Ratio::new_raw(value as i128, 1), decimal: false }
    }

    /// The fraction that the shortest digits of a float say.
    pub(super) fn of_f64(value: f64) -> Number {
        let text = format!("{value:e}");
        let exact = text.split_once('e').and_then(|(digits, exponent)| {
            let exponent: i32 = exponent.parse().ok()?;
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
            let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
            let scale = 10i128.checked_pow(exponent.unsigned_abs())?;
            let ratio = if exponent < 0 {
                Ratio::new(mantissa, scale)
            } else {
                Ratio::from_integer(mantissa.checked_mul(scale)?)
            };
            Some(Number::exact(ratio, true))
        });
        exact.unwrap_or(Number::Float(value.to_bits()))
    }

    pub(super) fn to_f64(self) -> f64 {
        match self {
            Number::Exact { ratio, .. } => {
                // Parts that a float holds have a quotient that is rounded once; longer decimals are read as such.
                let quotient = ratio.numer().to_f64().unwrap_or(f64::NAN) / ratio.denom().to_f64().unwrap_or(f64::NAN);
                if ratio.denom().unsigned_abs() <= LARGEST_EXACT && ratio.numer().unsigned_abs() <= LARGEST_EXACT {
                    return quotient;
                }
                decimal_digits(ratio).and_then(|digits| digits.parse().ok()).unwrap_or(quotient)
            }
            Number::Float(bits) => f64::from_bits(bits),
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self == Number::ZERO || self.to_f64() == 0.0
    }

    pub(super) fn is_negative(self) -> bool {
        self.to_f64() < 0.0
    }

    pub(super) fn is_positive(self) -> bool {
        self.to_f64() > 0.0
    }

    /// Whether digits were lost: the number is not exactly what the formula says.
    pub(super) fn is_rounded(self) -> bool {
        matches!(self, Number::Float(_))
    }

    /// Whether the number is a fraction that is written as one, or whole.
    pub(super) fn as_fraction(self) -> Option<Ratio<i128>> {
        match self {
            Number::Exact { ratio, decimal: false } => Some(ratio),
            Number::Exact { decimal: true, .. } | Number::Float(_) => None,
        }
    }

    /// The value, if it is a whole number of moderate size.
    pub(super) fn as_integer(self) -> Option<i64> {
        self.as_fraction().filter(Ratio::is_integer).and_then(|ratio| i64::try_from(*ratio.numer()).ok())
    }

    /// Whether it is certainly no whole number: what lost its digits may have been one.
    pub(super) fn is_broken(self) -> bool {
        match self {
            Number::Exact { ratio, .. } => !ratio.is_integer(),
            Number::Float(_) => false,
        }
    }

    pub(super) fn add(self, other: Number) -> Number {
        self.combine(other, |a, b| a.checked_add(&b), |a, b| a + b)
    }

    pub(super) fn mul(self, other: Number) -> Number {
        self.combine(other, |a, b| a.checked_mul(&b), |a, b| a * b)
    }

    pub(super) fn neg(self) -> Number {
        self.mul(Number::MINUS_ONE)
    }

    pub(super) fn abs(self) -> Number {
        if self.is_negative() { self.neg() } else { self }
    }

    /// One over the number; none of zero.
    pub(super) fn reciprocal(self) -> Option<Number> {
        match self {
            _ if self.is_zero() => None,
            Number::Exact { ratio, decimal } => Some(Number::exact(ratio.recip(), decimal)),
            Number::Float(_) => Some(Number::float(1.0 / self.to_f64())),
        }
    }

    /// The number to a whole power; none for a negative power of zero.
    pub(super) fn to_the(self, exponent: i64) -> Option<Number> {
        let base = if exponent < 0 { self.reciprocal()? } else { self };
        let mut result = Number::ONE;
        if let Number::Exact { ratio, decimal } = base {
            let times = u32::try_from(exponent.unsigned_abs()).ok();
            let power = times.and_then(|times| {
                Some(Ratio::new_raw(ratio.numer().checked_pow(times)?, ratio.denom().checked_pow(times)?))
            });
            result = match power {
                Some(ratio) => Number::exact(ratio, decimal),
                None => Number::float(base.to_f64().powf(exponent.unsigned_abs() as f64)),
            };
        } else if exponent != 0 {
            result = Number::float(base.to_f64().powf(exponent.unsigned_abs() as f64));
        }
        Some(result)
    }

    /// The exact `degree`-th root of a positive fraction, if it has one.
    pub(super) fn root(self, degree: i64) -> Option<Number> {
        let degree = u32::try_from(degree).ok().filter(|&degree| degree > 0)?;
        let Number::Exact { ratio, decimal } = self else { return None };
        let root = |value: i128| {
            let guess = value.to_f64()?.powf(1.0 / f64::from(degree)).round() as i128;
            (value > 0 && guess.checked_pow(degree) == Some(value)).then_some(guess)
        };
        Some(Number::exact(Ratio::new(root(*ratio.numer())?, root(*ratio.denom())?), decimal))
    }

    /// A fraction, or the float nearest to it if that is all that a constant of a graph could hold of it.
    fn exact(ratio: Ratio<i128>, decimal: bool) -> Number {
        // Digits that never end are no way to write a number.
        let decimal = decimal && !ratio.is_integer() && decimal_digits(ratio).is_some();
        let number = Number::Exact { ratio, decimal };
        let fits = |part: &i128| part.unsigned_abs() <= LARGEST_EXACT;
        if decimal || fits(ratio.numer()) && fits(ratio.denom()) { number } else { Number::float(number.to_f64()) }
    }

    pub(super) fn float(value: f64) -> Number {
        Number::Float(value.to_bits())
    }

    pub(super) fn combine(
        self,
        other: Number,
        exact: impl Fn(Ratio<i128>, Ratio<i128>) -> Option<Ratio<i128>>,
        float: impl Fn(f64, f64) -> f64,
    ) -> Number {
        if let (Number::Exact { ratio: a, decimal: pointed }, Number::Exact { ratio: b, decimal: also }) = (self, other)
            && let Some(ratio) = exact(a, b)
        {
            return Number::exact(ratio, pointed || also);
        }
        Number::float(float(self.to_f64(), other.to_f64()))
    }
}

/// The digits of a fraction whose denominator divides a power of ten.
fn decimal_digits(ratio: Ratio<i128>) -> Option<String> {
    (0..=38u32).find_map(|places| {
        let scale = 10i128.checked_pow(places)?;
        (scale % ratio.denom() == 0).then_some(())?;
        Some(format!("{}e-{places}", ratio.numer().checked_mul(&(scale / ratio.denom()))?))
    })
}
