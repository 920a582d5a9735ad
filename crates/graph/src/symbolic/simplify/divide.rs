//! Exact division of one sum by another, as polynomials in whatever they are made of.

use std::collections::BTreeMap;

use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// Sums with more entries or more variables are not divided, and no quotient with more entries is looked for.
const MOST_ENTRIES: usize = 64;
const MOST_VARIABLES: usize = 12;

/// Coefficients by exponents, one for each variable: the largest in lexicographic order is the leading monomial.
type Polynomial = BTreeMap<Vec<i64>, Number>;

impl Terms {
    /// The quotient of two sums, if nothing remains.
    pub(super) fn exact_quotient(&mut self, dividend: Term, divisor: Term) -> Option<Term> {
        let (above, below) = (self.entries(dividend)?, self.entries(divisor)?);
        let rounded = self.is_rounded(dividend) || self.is_rounded(divisor);
        if above.len() > MOST_ENTRIES || below.len() > MOST_ENTRIES || rounded {
            return None;
        }
        let mut variables: Vec<Term> = Vec::new();
        for &(term, _) in above.iter().chain(below.iter()) {
            for (base, _) in self.monomial(term) {
                if !variables.contains(&base) {
                    variables.push(base);
                }
            }
        }
        if variables.len() > MOST_VARIABLES {
            return None;
        }
        let mut remainder = self.polynomial(&above, &variables)?;
        let divisor = self.polynomial(&below, &variables)?;
        let (leading, coefficient) = divisor.last_key_value()?;
        let inverse = coefficient.reciprocal()?;
        let mut quotient = Vec::new();
        while let Some((monomial, coefficient)) = remainder.pop_last() {
            if quotient.len() >= MOST_ENTRIES || self.fuel == 0 {
                return None;
            }
            let exponents: Vec<i64> = monomial.iter().zip(leading).map(|(a, b)| a - b).collect();
            if exponents.iter().any(|&exponent| exponent < 0) {
                return None;
            }
            let factor = coefficient.mul(inverse);
            for (other, by) in divisor.iter().filter(|(other, _)| *other != leading) {
                self.fuel = self.fuel.saturating_sub(1);
                let place: Vec<i64> = other.iter().zip(&exponents).map(|(a, b)| a + b).collect();
                let entry = remainder.entry(place.clone()).or_insert(Number::ZERO);
                *entry = entry.add(factor.mul(*by).neg());
                if entry.is_rounded() {
                    return None;
                }
                if entry.is_zero() {
                    remainder.remove(&place);
                }
            }
            quotient.push((exponents, factor));
        }
        let mut parts = Vec::with_capacity(quotient.len());
        for (exponents, factor) in quotient {
            let mut powers = Vec::new();
            for (&base, &exponent) in variables.iter().zip(&exponents) {
                powers.push((base, self.number(Number::integer(exponent))));
            }
            parts.push((self.product(Number::ONE, &powers), factor));
        }
        Some(self.add(&parts))
    }

    fn polynomial(&mut self, entries: &[(Term, Number)], variables: &[Term]) -> Option<Polynomial> {
        let mut polynomial = Polynomial::new();
        for &(term, coefficient) in entries {
            let mut exponents = vec![0; variables.len()];
            for (base, exponent) in self.monomial(term) {
                let place = variables.iter().position(|&variable| variable == base)?;
                exponents[place] = exponent;
            }
            if exponents.iter().any(|&exponent| exponent < 0) {
                return None;
            }
            polynomial.insert(exponents, coefficient);
        }
        Some(polynomial)
    }

    /// The factors of a term as variables to whole powers. A power that is not whole is a variable of its own.
    fn monomial(&mut self, term: Term) -> Vec<(Term, i64)> {
        if term == Terms::ONE {
            return Vec::new();
        }
        let (_, factors) = self.factors(term);
        let mut monomial = Vec::with_capacity(factors.len());
        for &(base, exponent) in factors.iter() {
            match self.as_integer(exponent) {
                Some(times) if base != Terms::EULER => monomial.push((base, times)),
                _ => {
                    let power = self.intern(Kind::Product(Number::ONE, [(base, exponent)].into()));
                    monomial.push((power, 1));
                }
            }
        }
        monomial
    }
}
