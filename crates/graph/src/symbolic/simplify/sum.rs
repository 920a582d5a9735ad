//! Sums: like terms are collected, and a squared sine finds its cosine.

use std::collections::HashMap;

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// A sum inside another is opened up to this many entries, so that sums that grow one by one cost no square.
const OPENED: usize = 1000;

impl Terms {
    /// The sum of terms, each times a coefficient.
    pub(super) fn add(&mut self, parts: &[(Term, Number)]) -> Term {
        if let [(term, coefficient)] = *parts {
            return self.scale(term, coefficient);
        }
        let mut sum: HashMap<Term, Number> = HashMap::with_capacity(parts.len());
        for &(term, coefficient) in parts {
            self.collect(term, coefficient, &mut sum);
        }
        self.losses += u64::from(sum.values().any(|coefficient| coefficient.is_rounded()));
        // An infinity less itself is no number.
        if sum.iter().any(|(&term, coefficient)| coefficient.is_zero() && self.is_pole(term)) {
            return self.number(Number::float(f64::NAN));
        }
        sum.retain(|_, coefficient| !coefficient.is_zero());
        self.pair_squares(&mut sum);
        let mut entries: Vec<(Term, Number)> = sum.into_iter().collect();
        entries.sort_unstable_by_key(|&(term, _)| term);
        self.sum_of(entries)
    }

    /// A number times a term.
    pub(super) fn scale(&mut self, term: Term, by: Number) -> Term {
        if by == Number::ONE {
            return term;
        }
        if by.is_zero() {
            return self.nothing_times(&[(term, Terms::ONE)]);
        }
        match self.kind(term) {
            Kind::Number(value) => {
                let value = value.mul(by);
                self.number(value)
            }
            Kind::Sum(entries) if by == Number::MINUS_ONE => {
                let entries = entries.iter().map(|&(term, coefficient)| (term, coefficient.neg())).collect();
                self.sum_of(entries)
            }
            Kind::Sum(_) => self.product(by, &[(term, Terms::ONE)]),
            Kind::Product(..) | Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) => {
                let (coefficient, factors) = self.factors(term);
                self.product_of(coefficient.mul(by), factors)
            }
        }
    }

    /// The sum of entries that keep the invariants but for their number.
    pub(super) fn sum_of(&mut self, entries: Vec<(Term, Number)>) -> Term {
        match *entries.as_slice() {
            [] => Terms::ZERO,
            [(term, coefficient)] => self.scale(term, coefficient),
            _ => self.intern(Kind::Sum(entries.into())),
        }
    }

    /// The number by which the entries of a sum can all be divided, leaving whole numbers without a common divisor; with the
    /// sign of the first entry. 1 where a number is written with a point.
    pub(super) fn content(&self, entries: &[(Term, Number)]) -> Number {
        let mut content: Option<num_rational::Ratio<i128>> = None;
        for (_, coefficient) in entries {
            let Some(fraction) = coefficient.as_fraction() else { return sign_of_first(entries) };
            content = match content {
                None => Some(if fraction < 0.into() { -fraction } else { fraction }),
                Some(so_far) => {
                    let numerator = greatest_common_divisor(*so_far.numer(), *fraction.numer());
                    let shared = greatest_common_divisor(*so_far.denom(), *fraction.denom());
                    let Some(denominator) = (so_far.denom() / shared).checked_mul(*fraction.denom()) else {
                        return sign_of_first(entries);
                    };
                    Some(num_rational::Ratio::new(numerator, denominator))
                }
            };
        }
        let size = content.map_or(Number::ONE, |ratio| Number::Exact { ratio, decimal: false });
        size.mul(sign_of_first(entries))
    }

    /// Every entry of a sum divided by a number.
    pub(super) fn divided(&mut self, entries: &[(Term, Number)], by: Number) -> Term {
        let Some(factor) = by.reciprocal() else { return Terms::ZERO };
        let entries = entries.iter().map(|&(term, coefficient)| (term, coefficient.mul(factor))).collect();
        self.sum_of(entries)
    }

    fn collect(&mut self, term: Term, coefficient: Number, sum: &mut HashMap<Term, Number>) {
        let (inner, rest) = self.split(term);
        let coefficient = coefficient.mul(inner);
        if let Some(entries) = self.entries(rest).filter(|entries| entries.len() <= OPENED) {
            for &(term, inner) in entries.iter() {
                tally(sum, term, coefficient.mul(inner));
            }
        } else {
            tally(sum, rest, coefficient);
        }
    }

    /// `sin^2 + cos^2 = 1`, times whatever both stand beside, and `1 - sin^2 = cos^2`.
    fn pair_squares(&mut self, sum: &mut HashMap<Term, Number>) {
        let mut terms: Vec<Term> = sum.keys().copied().collect();
        terms.sort_unstable();
        for term in terms {
            if let Some(&coefficient) = sum.get(&term) {
                self.pair_cotangent(term, coefficient, sum);
            }
        }
        let mut candidates: Vec<Term> =
            sum.keys().copied().filter(|&term| self.squares(term).next().is_some()).collect();
        candidates.sort_unstable();
        while let Some(term) = candidates.pop() {
            let Some(&coefficient) = sum.get(&term) else { continue };
            let squares: Vec<(Term, FormulaFunction, Term)> = self.squares(term).collect();
            for (base, other, argument) in squares {
                let bare = self.product_with(term, base, -2);
                let twin = self.call(other, argument);
                let twin = self.product_with(bare, twin, 2);
                let (bare_coefficient, bare) = self.split(bare);
                if sum.get(&twin) == Some(&coefficient) {
                    sum.remove(&term);
                    sum.remove(&twin);
                    tally(sum, bare, coefficient.mul(bare_coefficient));
                    candidates.push(bare);
                    break;
                }
                if bare_coefficient == Number::ONE && sum.get(&bare) == Some(&coefficient.neg()) {
                    sum.remove(&term);
                    sum.remove(&bare);
                    tally(sum, twin, coefficient.neg());
                    candidates.push(twin);
                    break;
                }
            }
        }
        sum.retain(|_, coefficient| !coefficient.is_zero());
    }

    /// `1/tan^2 + 1 = 1/sin^2`, times whatever both stand beside.
    fn pair_cotangent(&mut self, term: Term, coefficient: Number, sum: &mut HashMap<Term, Number>) {
        let (_, factors) = self.factors(term);
        for &(base, exponent) in factors.iter() {
            let Some(argument) = self.argument(FormulaFunction::Tan, base) else { continue };
            if self.as_integer(exponent).is_none_or(|times| times > -2) {
                continue;
            }
            let bare = self.product_with(term, base, 2);
            if sum.get(&bare) == Some(&coefficient) {
                let sin = self.call(FormulaFunction::Sin, argument);
                let cosecant = self.product_with(bare, sin, -2);
                sum.remove(&term);
                sum.remove(&bare);
                let (own, rest) = self.split(cosecant);
                tally(sum, rest, coefficient.mul(own));
                return;
            }
        }
    }

    /// The sines and cosines in a term whose power is 2 or more, each with the other function and the argument.
    fn squares(&self, term: Term) -> impl Iterator<Item = (Term, FormulaFunction, Term)> + '_ {
        let factors = if let Kind::Product(_, factors) = self.kind(term) { &**factors } else { &[] };
        factors.iter().filter_map(|&(base, exponent)| {
            let sine = self.argument(FormulaFunction::Sin, base).map(|argument| (FormulaFunction::Cos, argument));
            let cosine = || self.argument(FormulaFunction::Cos, base).map(|argument| (FormulaFunction::Sin, argument));
            let other = sine.or_else(cosine)?;
            (self.as_integer(exponent)? >= 2).then_some((base, other.0, other.1))
        })
    }

    /// A term times a whole power of another.
    fn product_with(&mut self, term: Term, base: Term, exponent: i64) -> Term {
        let exponent = self.number(Number::integer(exponent));
        let (coefficient, factors) = self.factors(term);
        let mut factors = factors.to_vec();
        factors.push((base, exponent));
        self.product(coefficient, &factors)
    }
}

fn tally(sum: &mut HashMap<Term, Number>, term: Term, coefficient: Number) {
    let total = sum.entry(term).or_insert(Number::ZERO);
    *total = total.add(coefficient);
}

fn sign_of_first(entries: &[(Term, Number)]) -> Number {
    match entries.first() {
        Some((_, coefficient)) if coefficient.is_negative() => Number::MINUS_ONE,
        Some(_) | None => Number::ONE,
    }
}

fn greatest_common_divisor(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
