//! Where terms have values: what may have a pole or an edge, and what is finite beside what.

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Sign, Term, Terms};

/// How deep a term is looked into.
const DEEPEST: u32 = 6;

impl Terms {
    /// See [`Terms::is_total`]. An exponential is none, for it grows beyond all floats soon.
    pub(super) fn total_of(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Number(_) | Kind::Pi | Kind::Euler | Kind::Symbol(_) => true,
            Kind::Call(function, argument) => match function {
                FormulaFunction::Step => true,
                FormulaFunction::Sin
                | FormulaFunction::Cos
                | FormulaFunction::Tanh
                | FormulaFunction::Sigmoid
                | FormulaFunction::Relu
                | FormulaFunction::Abs
                | FormulaFunction::Sign => self.is_total(*argument),
                FormulaFunction::Log => self.is_total(*argument) && self.is_far_from_zero(*argument),
                FormulaFunction::Exp | FormulaFunction::Sqrt | FormulaFunction::Tan => false,
            },
            Kind::Product(_, factors) => factors.iter().all(|&(base, exponent)| self.is_total_power(base, exponent)),
            Kind::Sum(entries) => entries.iter().all(|&(term, _)| self.is_total(term)),
        }
    }

    /// See [`Terms::is_pole`]. What a step may select away makes no pole of a product.
    pub(super) fn pole_of(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Number(value) => !value.to_f64().is_finite(),
            Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) => false,
            Kind::Product(_, factors) => self.is_pole_of(factors),
            Kind::Sum(entries) => entries.iter().any(|&(term, _)| self.is_pole(term)),
        }
    }

    /// Whether a product of powers has a pole, whatever its symbols are.
    fn is_pole_of(&self, powers: &[(Term, Term)]) -> bool {
        let is_pole = |&(base, exponent): &(Term, Term)| match self.as_number(exponent) {
            Some(exponent) if exponent.is_negative() => self.as_number(base).is_some_and(Number::is_zero),
            Some(_) => self.is_pole(base),
            None => false,
        };
        powers.iter().any(is_pole) && !powers.iter().any(|&(base, _)| self.condition(base).is_some())
    }

    /// 0 times a product of powers. 0 times a pole is no number, which 0 would hide.
    pub(super) fn nothing_times(&mut self, powers: &[(Term, Term)]) -> Term {
        if self.is_pole_of(powers) { self.number(Number::float(f64::NAN)) } else { Terms::ZERO }
    }

    /// Whether a power is a number wherever its symbols are.
    pub(super) fn is_total_power(&self, base: Term, exponent: Term) -> bool {
        if exponent == Terms::ONE {
            return self.is_total(base);
        }
        let Some(number) = self.as_number(exponent) else { return false };
        if base == Terms::EULER {
            return true;
        }
        let is_root = number.as_integer().is_none();
        self.is_total(base)
            && (!is_root || self.sign(base) != Sign::Unknown)
            && (!number.is_negative() || self.is_far_from_zero(base))
    }

    /// Whether a term that is a number wherever its symbols are is never near 0.
    fn is_far_from_zero(&self, term: Term) -> bool {
        let is_positive_number = |term: Term| self.as_number(term).is_some_and(Number::is_positive);
        match self.kind(term) {
            Kind::Number(value) => !value.is_zero(),
            Kind::Pi | Kind::Euler => true,
            Kind::Symbol(_) | Kind::Call(..) => false,
            Kind::Product(_, factors) => {
                factors.iter().all(|&(base, exponent)| is_positive_number(exponent) && self.is_bounded_below(base))
            }
            Kind::Sum(_) => self.is_bounded_below(term),
        }
    }

    /// Whether a term is a sum of a number above 0 and what is never below 0.
    fn is_bounded_below(&self, term: Term) -> bool {
        match self.kind(term) {
            Kind::Number(value) => value.is_positive(),
            Kind::Pi | Kind::Euler => true,
            Kind::Sum(entries) => {
                let has_number = entries.iter().any(|&(term, by)| term == Terms::ONE && by.is_positive());
                has_number && self.sign(term) != Sign::Unknown
            }
            Kind::Symbol(_) | Kind::Call(..) | Kind::Product(..) => false,
        }
    }

    /// Whether a power may be infinite with a sign that is certain. One over a term of either sign has no value where that is 0.
    pub(super) fn may_be_infinite(&self, base: Term, exponent: Term) -> bool {
        let is_odd = self.as_integer(exponent).is_some_and(|times| times % 2 != 0);
        let has_two_sides = is_odd && self.is_total(base) && self.sign(base) == Sign::Unknown;
        !has_two_sides && !self.is_total_power(base, exponent)
    }

    /// Whether a term is a number wherever its symbols are, and `nonzero` are not 0.
    pub(super) fn is_total_beside(&self, term: Term, nonzero: &[Term]) -> bool {
        self.is_total_to_depth(term, nonzero, DEEPEST)
    }

    fn is_total_to_depth(&self, term: Term, nonzero: &[Term], depth: u32) -> bool {
        if self.is_total(term) || depth == 0 {
            return self.is_total(term);
        }
        let inner = |term: Term| self.is_total_to_depth(term, nonzero, depth - 1);
        match self.kind(term) {
            Kind::Number(_) | Kind::Pi | Kind::Euler | Kind::Symbol(_) => true,
            // A logarithm of what is below 0 is no number, and neither is what it is part of.
            Kind::Call(FormulaFunction::Log, argument) => self.is_nonzero(*argument, nonzero) && inner(*argument),
            Kind::Call(_, argument) => inner(*argument),
            Kind::Product(_, factors) => factors.iter().all(|&(base, exponent)| {
                // How far an exponential grows is not looked at here.
                if base == Terms::EULER {
                    return inner(exponent);
                }
                let Some(number) = self.as_number(exponent) else { return false };
                inner(base) && (!number.is_negative() || self.is_nonzero(base, nonzero))
            }),
            Kind::Sum(entries) => entries.iter().all(|&(term, _)| inner(term)),
        }
    }

    fn is_nonzero(&self, term: Term, nonzero: &[Term]) -> bool {
        let (_, factors) = self.factors(term);
        self.is_far_from_zero(term)
            || nonzero.contains(&term)
            || !factors.is_empty() && factors.iter().all(|(base, _)| nonzero.contains(base))
    }
}
