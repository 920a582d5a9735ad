//! Powers of numbers: what is exact is computed, and squares leave their roots.

use num_rational::Ratio;

use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Term, Terms};

/// Divisors are sought up to here.
const LARGEST_DIVISOR: i128 = 1000;

impl Terms {
    /// A positive number to the power of a fraction, if that is a fraction too.
    pub(super) fn exact_power(&self, base: Number, exponent: Term) -> Option<Number> {
        let exponent = self.as_number(exponent)?.as_fraction()?;
        let (times, degree) = (i64::try_from(*exponent.numer()).ok()?, i64::try_from(*exponent.denom()).ok()?);
        base.root(degree)?.to_the(times)
    }

    /// Takes apart the power of a number that is not in its normal form, which is a whole number without divisors that
    /// could leave the root, to the power of a fraction below 1, or any number to the power of a term. Whether it was.
    pub(super) fn open_power_of_number(
        &mut self,
        base: Number,
        exponent: Term,
        coefficient: &mut Number,
        waiting: &mut Vec<(Term, Term)>,
    ) -> bool {
        if base == Number::ONE {
            return true;
        }
        let Some(number) = self.as_number(exponent) else { return false };
        if base.is_zero() {
            if number.is_positive() {
                *coefficient = Number::ZERO;
            }
            return number.is_positive();
        }
        if let Some(power) = number.as_integer().and_then(|times| base.to_the(times)) {
            *coefficient = coefficient.mul(power);
            return true;
        }
        if !base.is_positive() {
            return false;
        }
        let (Some(exact), Some(fraction)) = (base.as_fraction(), number.as_fraction()) else {
            *coefficient = coefficient.mul(Number::float(base.to_f64().powf(number.to_f64())));
            return true;
        };
        if let Some(power) = self.exact_power(base, exponent) {
            *coefficient = coefficient.mul(power);
            return true;
        }
        let whole = fraction.floor();
        if whole != Ratio::from_integer(0)
            && let Some(power) = i64::try_from(*whole.numer()).ok().and_then(|times| base.to_the(times))
        {
            *coefficient = coefficient.mul(power);
            return self.wait(base, fraction - whole, waiting);
        }
        if !exact.is_integer() {
            // (a/b)^(p/q) = (a b^(q-1))^(p/q) / b^p
            let outer = u32::try_from(*fraction.denom() - 1).ok();
            let radicand = outer.and_then(|times| exact.denom().checked_pow(times)?.checked_mul(*exact.numer()));
            let below = i64::try_from(*fraction.numer()).ok().and_then(|times| {
                Number::Exact { ratio: Ratio::from_integer(*exact.denom()), decimal: false }.to_the(-times)
            });
            let (Some(radicand), Some(below)) = (radicand, below) else { return false };
            *coefficient = coefficient.mul(below);
            let radicand = Number::Exact { ratio: Ratio::from_integer(radicand), decimal: false };
            return self.wait(radicand, fraction, waiting);
        }
        let Some((root, radicand)) = largest_root(*exact.numer(), *fraction.denom()) else { return false };
        let root = Number::Exact { ratio: Ratio::from_integer(root), decimal: false };
        let Some(power) = i64::try_from(*fraction.numer()).ok().and_then(|times| root.to_the(times)) else {
            return false;
        };
        *coefficient = coefficient.mul(power);
        let radicand = Number::Exact { ratio: Ratio::from_integer(radicand), decimal: false };
        self.wait(radicand, fraction, waiting)
    }

    fn wait(&mut self, base: Number, exponent: Ratio<i128>, waiting: &mut Vec<(Term, Term)>) -> bool {
        let base = self.number(base);
        let exponent = self.number(Number::Exact { ratio: exponent, decimal: false });
        waiting.push((base, exponent));
        true
    }
}

/// The largest number up to the limit whose power of that degree divides the radicand, and what is left of it.
fn largest_root(radicand: i128, degree: i128) -> Option<(i128, i128)> {
    let degree = u32::try_from(degree).ok()?;
    let candidates = (2..=LARGEST_DIVISOR).take_while(|root| root.checked_pow(degree).is_some_and(|p| p <= radicand));
    let root = candidates.filter(|root| radicand % root.pow(degree) == 0).last()?;
    Some((root, radicand / root.pow(degree)))
}
