//! Factors that the entries of a sum have in common.

use std::collections::BTreeMap;

use crate::symbolic::simplify::choose::MOST_ENTRIES;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// So many different factors of a sum are tried on the rest of it.
const MOST_REGROUPED: usize = 4;

impl Terms {
    /// What all entries of a sum have in common, before the sum of what is left.
    pub(super) fn factored(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(term).filter(|entries| entries.len() <= MOST_ENTRIES)?;
        let (selections, entries) = self.without_common_selections(&entries);
        let mut common: Option<BTreeMap<(Term, Term), Number>> = None;
        let mut differing: BTreeMap<(Term, Term), Number> = BTreeMap::new();
        for &(entry, _) in entries.iter() {
            let mut own: BTreeMap<(Term, Term), Number> = BTreeMap::new();
            let (_, factors) = self.factors(entry);
            for &(base, exponent) in factors.iter().filter(|_| entry != Terms::ONE) {
                // An exponential is the product of that of a number and of another. No more is taken apart: of two factors one
                // may be too large for a float where the other is too small.
                if base == Terms::EULER {
                    let (rest, number) = self.parted(exponent);
                    if !number.is_zero() {
                        own.insert((base, Terms::ONE), number);
                    }
                    if rest != Terms::ZERO {
                        let (by, term) = self.split(rest);
                        own.insert((base, term), by);
                    }
                    continue;
                }
                let (symbolic, number) = self.parted(exponent);
                own.insert((base, symbolic), number);
            }
            self.fuel = self.fuel.saturating_sub(own.len() as u64 + 1);
            common = Some(match common {
                None => own,
                Some(mut so_far) => {
                    let none = Number::ZERO;
                    let absent: Vec<_> = own.keys().filter(|key| !so_far.contains_key(key)).copied().collect();
                    for key in absent.into_iter().filter(|key| key.1 == Terms::ZERO) {
                        so_far.insert(key, none);
                    }
                    so_far.retain(|key, least| {
                        let other = own.get(key).copied().or((key.1 == Terms::ZERO).then_some(none));
                        // Of exponentials the smaller power is common, and nothing if one grows where another falls.
                        let exponential = key.0 == Terms::EULER;
                        other.filter(|other| !exponential || other.is_negative() == least.is_negative()).is_some_and(
                            |other| {
                                let size = |number: Number| if exponential { number.abs() } else { number }.to_f64();
                                if size(other) != size(*least) {
                                    let most = if size(other) > size(*least) { other } else { *least };
                                    let so_far = differing.entry(*key).or_insert(most);
                                    if size(most) > size(*so_far) {
                                        *so_far = most;
                                    }
                                }
                                if size(other) < size(*least) {
                                    *least = other;
                                }
                                true
                            },
                        )
                    });
                    so_far
                }
            });
        }
        let nonzero = self.nonzero_beside(&entries);
        let all_selected = self.all_selected(&entries);
        let mut powers = Vec::new();
        for ((base, symbolic), mut number) in common.unwrap_or_default() {
            // What is infinite has no smaller power.
            if let Some(&most) = differing.get(&(base, symbolic))
                && base != Terms::EULER
                && !self.is_finite_beside(base, &entries, &nonzero)
            {
                if symbolic != Terms::ZERO || !most.is_negative() {
                    continue;
                }
                number = most;
            }
            if symbolic == Terms::ZERO && number.is_zero() {
                continue;
            }
            // A power that an entry lacks must have a value even where the entries that have it are selected away.
            if base != Terms::EULER && differing.contains_key(&(base, symbolic)) {
                let power = self.number(number);
                let is_total = symbolic == Terms::ZERO && self.is_total_power(base, power);
                if !is_total && !self.has_alone(&entries, base, symbolic, number) {
                    continue;
                }
            }
            let exponent = if base == Terms::EULER {
                self.scale(symbolic, number)
            } else {
                let number = self.number(number);
                self.add(&[(symbolic, Number::ONE), (number, Number::ONE)])
            };
            // Where every entry is selected away, so must be what stands before them.
            if !all_selected || self.is_total_power(base, exponent) {
                powers.push((base, exponent));
            }
        }
        let content = self.content(&entries).abs();
        if powers.is_empty() && selections.is_empty() && content == Number::ONE {
            return None;
        }
        let mut inverse = Vec::with_capacity(powers.len());
        for &(base, exponent) in &powers {
            inverse.push((base, self.scale(exponent, Number::MINUS_ONE)));
        }
        let by = content.reciprocal()?;
        let mut parts = Vec::with_capacity(entries.len());
        for &(entry, coefficient) in entries.iter() {
            let mut quotient = inverse.clone();
            quotient.push((entry, Terms::ONE));
            parts.push((self.opened_product(Number::ONE, &quotient), coefficient.mul(by)));
        }
        let rest = self.add(&parts);
        let rest = self.shortest_of(rest, rounds - 1);
        powers.push((rest, Terms::ONE));
        powers.extend(selections.into_iter().map(|step| (step, Terms::ONE)));
        let product = self.opened_product(content, &powers);
        self.cancelled(product).or(Some(product))
    }

    /// Whether an entry that nothing selects has a base to that power.
    fn has_alone(&mut self, entries: &[(Term, Number)], base: Term, symbolic: Term, number: Number) -> bool {
        entries.iter().any(|&(entry, _)| {
            if !self.selections(entry).is_empty() {
                return false;
            }
            let (_, factors) = self.factors(entry);
            let exponent = factors.iter().find(|&&(own, _)| own == base).map(|&(_, exponent)| exponent);
            exponent.is_some_and(|exponent| self.parted(exponent) == (symbolic, number))
        })
    }

    /// Whether a base is finite wherever the sum of the entries is.
    fn is_finite_beside(&self, base: Term, entries: &[(Term, Number)], nonzero: &[Term]) -> bool {
        let is_factor = |&(entry, _): &(Term, Number)| {
            let (_, factors) = self.factors(entry);
            let is_positive = |exponent| self.as_number(exponent).is_some_and(Number::is_positive);
            self.selections(entry).is_empty() && factors.iter().any(|&(own, by)| own == base && is_positive(by))
        };
        self.is_total_beside(base, nonzero) || entries.iter().any(is_factor)
    }

    /// A sum whose entries with the same functions are one each, with a polynomial as coefficient: `x sin(y) + x^2 sin(y) + 1` is
    /// `x (x + 1) sin(y) + 1`.
    pub(super) fn collected(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(term).filter(|entries| entries.len() <= MOST_ENTRIES)?;
        let mut groups: BTreeMap<Term, Vec<(Term, Number)>> = BTreeMap::new();
        for &(entry, coefficient) in entries.iter() {
            let (own, factors) = self.factors(entry);
            let (functions, polynomial): (Vec<_>, Vec<_>) = factors.iter().partition(|power| self.has_function(power));
            self.fuel = self.fuel.saturating_sub(factors.len() as u64 + 1);
            let functions = self.product_of(Number::ONE, functions.into());
            let polynomial = if entry == Terms::ONE { entry } else { self.product_of(own, polynomial.into()) };
            groups.entry(functions).or_default().push((polynomial, coefficient));
        }
        if groups.len() == entries.len() || groups.len() < 2 {
            return None;
        }
        let mut parts = Vec::with_capacity(groups.len());
        for (functions, coefficients) in groups {
            let sum = self.add(&coefficients);
            let sum = if coefficients.len() > 1 { self.shortest_of(sum, rounds - 1) } else { sum };
            parts.push((self.opened_product(Number::ONE, &[(functions, Terms::ONE), (sum, Terms::ONE)]), Number::ONE));
        }
        Some(self.add(&parts))
    }

    /// Whether a power has a function for its base, or is one: an exponential, or one with a symbol in its exponent.
    fn has_function(&self, &(base, exponent): &(Term, Term)) -> bool {
        match self.kind(base) {
            Kind::Call(..) | Kind::Euler => true,
            Kind::Number(_) | Kind::Pi | Kind::Symbol(_) | Kind::Product(..) => self.as_number(exponent).is_none(),
            // A sum counts by what its entries are made of.
            Kind::Sum(entries) => {
                self.as_number(exponent).is_none()
                    || entries.iter().any(|&(entry, _)| match self.kind(entry) {
                        Kind::Call(..) | Kind::Euler => true,
                        Kind::Number(_) | Kind::Pi | Kind::Symbol(_) | Kind::Sum(_) => false,
                        Kind::Product(_, factors) => factors.iter().any(|&(base, exponent)| {
                            let is_call = matches!(self.kind(base), Kind::Call(..) | Kind::Euler);
                            is_call || self.as_number(exponent).is_none()
                        }),
                    })
            }
        }
    }

    /// A sum in which some entries share a factor that is a sum itself, and the others are a multiple of it that was multiplied
    /// out: `b (1 - a) + 1 - a` is `(1 - a) (b + 1)`.
    pub(super) fn regrouped(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(term)?;
        let shares = |terms: &Terms, entry: Term, shared: Term| {
            let factors = terms.factors(entry).1;
            let is_power = |&(base, exponent): &(Term, Term)| {
                base == shared && terms.as_integer(exponent).is_some_and(|times| times >= 1)
            };
            entry != Terms::ONE && factors.iter().any(is_power)
        };
        let mut tried: Vec<Term> = Vec::new();
        for &(entry, _) in entries.iter() {
            let (_, factors) = self.factors(entry);
            for &(base, _) in factors.iter() {
                let is_sum = matches!(self.kind(base), Kind::Sum(_));
                if is_sum && tried.len() < MOST_REGROUPED && shares(self, entry, base) && !tried.contains(&base) {
                    tried.push(base);
                }
            }
        }
        let all_selected = self.all_selected(&entries);
        for shared in tried {
            if all_selected && !self.is_total(shared) {
                continue;
            }
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for &(entry, coefficient) in entries.iter() {
                if shares(self, entry, shared) {
                    let powers = [(entry, Terms::ONE), (shared, Terms::MINUS_ONE)];
                    with.push((self.opened_product(Number::ONE, &powers), coefficient));
                } else {
                    without.push((entry, coefficient));
                }
            }
            if without.len() < 2 {
                continue;
            }
            let rest = self.sum_of(without);
            if let Some(quotient) = self.exact_quotient(rest, shared) {
                with.push((quotient, Number::ONE));
                let sum = self.add(&with);
                let sum = self.shortest_of(sum, rounds - 1);
                return Some(self.opened_product(Number::ONE, &[(shared, Terms::ONE), (sum, Terms::ONE)]));
            }
        }
        None
    }

    /// An exponent as a sum of a term without number and a number.
    fn parted(&mut self, exponent: Term) -> (Term, Number) {
        if let Some(number) = self.as_number(exponent) {
            return (Terms::ZERO, number);
        }
        let Some(entries) = self.entries(exponent) else { return (exponent, Number::ZERO) };
        let number = entries.iter().find(|(term, _)| *term == Terms::ONE).map_or(Number::ZERO, |(_, number)| *number);
        let rest = entries.iter().copied().filter(|(term, _)| *term != Terms::ONE).collect();
        (self.sum_of(rest), number)
    }
}
