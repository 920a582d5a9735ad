//! The terms of the normal form, each kept once: equal terms have equal numbers.
//!
//! Invariants. A product's factors have distinct bases, in ascending order, and its coefficient is not 0; it has two parts at
//! least, counting a coefficient or an exponent other than 1. A sum's entries have distinct terms without coefficient, in
//! ascending order, and it has two at least; [`Terms::ONE`] stands for its constant. Operands are older than what they are
//! operands of, so whatever is computed from them is computed once, when a term is made, and nothing recurses.

use std::collections::HashMap;
use std::rc::Rc;

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;

/// The number of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Term(u32);

/// What a term is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Number(Number),
    Pi,
    /// The base of the natural logarithm: `exp(x)` is a power of it.
    Euler,
    /// By the number of its declaration.
    Symbol(u32),
    Call(FormulaFunction, Term),
    /// A coefficient and powers: bases with their exponents.
    Product(Number, Rc<[(Term, Term)]>),
    /// Terms and their coefficients.
    Sum(Rc<[(Term, Number)]>),
}

/// What is known of the values of a term wherever it is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Unknown,
    /// Never below 0.
    NotNegative,
    /// Above 0.
    Positive,
}

/// All terms of one simplification.
pub(super) struct Terms {
    kinds: Vec<Kind>,
    signs: Vec<Sign>,
    costs: Vec<u64>,
    rounded: Vec<bool>,
    totals: Vec<bool>,
    poles: Vec<bool>,
    /// Whether what is rewritten now may be infinite where the formula that it is part of is finite.
    pub(super) exposed: bool,
    numbers: HashMap<Kind, Term>,
    /// How often a number lost digits.
    pub(super) losses: u64,
    /// How much work may still go into looking for shorter forms.
    pub(super) fuel: u64,
}

impl Terms {
    pub(super) const ZERO: Term = Term(0);
    pub(super) const ONE: Term = Term(1);
    pub(super) const MINUS_ONE: Term = Term(2);
    pub(super) const EULER: Term = Term(3);
    pub(super) const PI: Term = Term(4);

    pub(super) fn new(fuel: u64) -> Self {
        let mut terms = Terms {
            kinds: Vec::new(),
            signs: Vec::new(),
            costs: Vec::new(),
            rounded: Vec::new(),
            totals: Vec::new(),
            poles: Vec::new(),
            exposed: false,
            numbers: HashMap::new(),
            losses: 0,
            fuel,
        };
        // In the order of the constants above.
        let first = [Number::ZERO, Number::ONE, Number::MINUS_ONE].map(Kind::Number);
        for kind in first.into_iter().chain([Kind::Euler, Kind::Pi]) {
            terms.intern(kind);
        }
        terms
    }

    pub(super) fn kind(&self, term: Term) -> &Kind {
        &self.kinds[term.index()]
    }

    pub(super) fn sign(&self, term: Term) -> Sign {
        self.signs[term.index()]
    }

    /// About how many characters the term is written with, not counting spaces.
    pub(super) fn cost(&self, term: Term) -> u64 {
        self.costs[term.index()]
    }

    /// Whether the term is a number wherever its symbols are: nothing in it has a pole or an edge.
    pub(super) fn is_total(&self, term: Term) -> bool {
        self.totals[term.index()]
    }

    /// Whether the term is infinite or no number whatever its symbols are, as `1/0` is.
    pub(super) fn is_pole(&self, term: Term) -> bool {
        self.poles[term.index()]
    }

    /// Whether a number somewhere in the term lost digits.
    pub(super) fn is_rounded(&self, term: Term) -> bool {
        self.rounded[term.index()]
    }

    /// The term of that kind, which must keep the invariants.
    pub(super) fn intern(&mut self, kind: Kind) -> Term {
        if let Some(&term) = self.numbers.get(&kind) {
            self.losses += u64::from(self.is_rounded(term));
            return term;
        }
        let term = Term(self.kinds.len() as u32);
        self.signs.push(self.sign_of(&kind));
        self.costs.push(self.cost_of(&kind));
        self.totals.push(self.total_of(&kind));
        self.poles.push(self.pole_of(&kind));
        let rounded = self.rounded_of(&kind);
        self.losses += u64::from(rounded);
        self.rounded.push(rounded);
        self.kinds.push(kind.clone());
        self.numbers.insert(kind, term);
        term
    }

    /// The term of that kind, if there is one.
    pub(super) fn made(&self, kind: &Kind) -> Option<Term> {
        self.numbers.get(kind).copied()
    }

    pub(super) fn number(&mut self, value: Number) -> Term {
        self.intern(Kind::Number(value))
    }

    /// The number that a term is.
    pub(super) fn as_number(&self, term: Term) -> Option<Number> {
        if let Kind::Number(value) = self.kind(term) { Some(*value) } else { None }
    }

    /// The whole number that a term is.
    pub(super) fn as_integer(&self, term: Term) -> Option<i64> {
        self.as_number(term).and_then(Number::as_integer)
    }

    /// The argument, if the term is a call of that function.
    pub(super) fn argument(&self, function: FormulaFunction, term: Term) -> Option<Term> {
        if let Kind::Call(called, argument) = self.kind(term) {
            (*called == function).then_some(*argument)
        } else {
            None
        }
    }

    /// The entries, if the term is a sum.
    pub(super) fn entries(&self, term: Term) -> Option<Rc<[(Term, Number)]>> {
        if let Kind::Sum(entries) = self.kind(term) { Some(Rc::clone(entries)) } else { None }
    }

    /// The term as a coefficient and powers. A sum is one factor.
    pub(super) fn factors(&self, term: Term) -> (Number, Rc<[(Term, Term)]>) {
        match self.kind(term) {
            Kind::Number(value) => (*value, Rc::new([])),
            Kind::Product(coefficient, factors) => (*coefficient, Rc::clone(factors)),
            Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_) => {
                (Number::ONE, Rc::new([(term, Terms::ONE)]))
            }
        }
    }

    /// A coefficient and a term without one whose product the term is.
    pub(super) fn split(&mut self, term: Term) -> (Number, Term) {
        match self.kind(term) {
            Kind::Number(value) => (*value, Terms::ONE),
            Kind::Product(coefficient, _) if *coefficient == Number::ONE => (Number::ONE, term),
            Kind::Product(coefficient, factors) => {
                let (coefficient, factors) = (*coefficient, Rc::clone(factors));
                (coefficient, self.product_of(Number::ONE, factors))
            }
            Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_) => (Number::ONE, term),
        }
    }

    /// The product of a coefficient and factors that have distinct bases in ascending order, as the invariants want it.
    pub(super) fn product_of(&mut self, coefficient: Number, factors: Rc<[(Term, Term)]>) -> Term {
        if coefficient.is_zero() {
            return Terms::ZERO;
        }
        match &*factors {
            [] => self.number(coefficient),
            [(base, Terms::ONE)] if coefficient == Number::ONE => *base,
            _ => self.intern(Kind::Product(coefficient, factors)),
        }
    }

    fn sign_of(&self, kind: &Kind) -> Sign {
        match kind {
            Kind::Number(value) if value.is_positive() => Sign::Positive,
            Kind::Number(value) if value.is_zero() => Sign::NotNegative,
            Kind::Number(_) | Kind::Symbol(_) => Sign::Unknown,
            Kind::Pi | Kind::Euler => Sign::Positive,
            Kind::Call(function, argument) => match function {
                // They are 0 where their argument is minus infinity.
                FormulaFunction::Exp | FormulaFunction::Sigmoid if self.is_total(*argument) => Sign::Positive,
                FormulaFunction::Exp | FormulaFunction::Sigmoid => Sign::NotNegative,
                FormulaFunction::Abs => self.sign(*argument).max(Sign::NotNegative),
                FormulaFunction::Relu | FormulaFunction::Step | FormulaFunction::Sqrt => Sign::NotNegative,
                FormulaFunction::Log
                | FormulaFunction::Sin
                | FormulaFunction::Cos
                | FormulaFunction::Tan
                | FormulaFunction::Tanh
                | FormulaFunction::Sign => Sign::Unknown,
            },
            Kind::Product(coefficient, _) if !coefficient.is_positive() => Sign::Unknown,
            Kind::Product(_, factors) => factors
                .iter()
                .map(|&(base, exponent)| self.sign_of_power(base, exponent))
                .min()
                .unwrap_or(Sign::Unknown),
            Kind::Sum(entries) => {
                let signs = entries.iter().map(|&(term, coefficient)| match coefficient.is_positive() {
                    true => self.sign(term),
                    false => Sign::Unknown,
                });
                let (least, most) = signs
                    .fold((Sign::Positive, Sign::Unknown), |(least, most), sign| (least.min(sign), most.max(sign)));
                // One summand above 0 lifts others that are not below it.
                if least == Sign::Unknown { least } else { most }
            }
        }
    }

    fn rounded_of(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Number(value) => value.is_rounded(),
            Kind::Pi | Kind::Euler | Kind::Symbol(_) => false,
            Kind::Call(_, argument) => self.is_rounded(*argument),
            Kind::Product(coefficient, factors) => {
                let parts = factors.iter().any(|&(base, exponent)| self.is_rounded(base) || self.is_rounded(exponent));
                coefficient.is_rounded() || parts
            }
            Kind::Sum(entries) => {
                entries.iter().any(|&(term, coefficient)| self.is_rounded(term) || coefficient.is_rounded())
            }
        }
    }

    pub(super) fn sign_of_power(&self, base: Term, exponent: Term) -> Sign {
        if base == Terms::EULER && !self.is_total(exponent) {
            return Sign::NotNegative;
        }
        match (self.sign(base), self.as_number(exponent)) {
            (Sign::Positive, Some(exponent)) if exponent.is_positive() => Sign::Positive,
            (Sign::Positive, _) if self.is_total(base) && self.is_total(exponent) => Sign::Positive,
            (Sign::Positive, _) => Sign::NotNegative,
            (_, Some(exponent)) if exponent.as_integer().is_some_and(|exponent| exponent % 2 == 0) => Sign::NotNegative,
            // Such a power is defined where its base is not negative.
            (_, Some(exponent)) if exponent.is_broken() => Sign::NotNegative,
            (Sign::NotNegative, _) => Sign::NotNegative,
            (Sign::Unknown, _) => Sign::Unknown,
        }
    }
}

impl Term {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}
