//! Which of several equal forms a person would write: the shortest of those that are tried.
//!
//! Tried are: what all entries of a sum have in common before a parenthesis, products multiplied out, and fractions over
//! their common denominator, with what then cancels. Each is bounded by the number of entries that it may have, and all
//! together by the fuel of [`Terms`]; a term for which there is none left stays as it is.

use std::collections::BTreeMap;

use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// Sums with more entries are not rewritten.
pub(super) const MOST_ENTRIES: usize = 64;
/// Products are not multiplied out into more entries.
const MOST_EXPANDED: usize = 256;
/// How often the sum in a parenthesis that was just found is looked at again.
const ROUNDS: u32 = 3;

impl Terms {
    /// The shortest form of a term whose parts are in theirs.
    pub(super) fn shortest(&mut self, term: Term) -> Term {
        self.shortest_of(term, ROUNDS)
    }

    pub(super) fn shortest_of(&mut self, term: Term, rounds: u32) -> Term {
        if rounds == 0 || self.fuel == 0 {
            return term;
        }
        match self.kind(term) {
            Kind::Sum(entries) if entries.len() <= MOST_ENTRIES => self.shortest_sum(term, rounds),
            Kind::Product(_, factors) if factors.len() <= MOST_ENTRIES => self.shortest_product(term, rounds),
            Kind::Sum(_)
            | Kind::Product(..)
            | Kind::Number(_)
            | Kind::Pi
            | Kind::Euler
            | Kind::Symbol(_)
            | Kind::Call(..) => term,
        }
    }

    fn shortest_sum(&mut self, term: Term, rounds: u32) -> Term {
        let factored = self.attempt(term, |terms| terms.factored(term, rounds));
        // Polynomials are usually written out, other sums with what they have in common in front.
        let mut best = match factored {
            Some(factored) if self.cost(factored) == self.cost(term) && !self.is_polynomial(term) => factored,
            Some(factored) => self.shorter(factored, term),
            None => term,
        };
        let expanded = self.attempt(term, |terms| terms.expanded(term));
        let candidates = [
            expanded,
            expanded.and_then(|expanded| self.attempt(term, |terms| terms.factored(expanded, rounds))),
            self.attempt(term, |terms| terms.over_common_denominator(term, rounds)),
            self.attempt(term, |terms| terms.in_tangents(term, rounds)),
            self.attempt(term, |terms| terms.regrouped(term, rounds)),
            self.attempt(term, |terms| terms.collected(term, rounds)),
            expanded.and_then(|expanded| self.attempt(term, |terms| terms.collected(expanded, rounds))),
            expanded.and_then(|expanded| self.attempt(term, |terms| terms.with_secants_outside(expanded, rounds))),
        ];
        for candidate in candidates.into_iter().flatten() {
            best = self.shorter(candidate, best);
        }
        if matches!(self.kind(best), Kind::Product(..)) { self.shortest_of(best, rounds - 1) } else { best }
    }

    fn shortest_product(&mut self, term: Term, rounds: u32) -> Term {
        let mut best = term;
        let rewrites =
            [Terms::without_inner_fractions, Terms::with_factored_sums, Terms::with_cancelled_sums, Terms::in_tangents];
        for rewrite in rewrites {
            if let Some(candidate) = self.attempt(best, |terms| rewrite(terms, best, rounds)) {
                best = self.shorter(candidate, best);
            }
        }
        // A product is what somebody wrote, or what is left of a chain rule: it is multiplied out only where much is gained.
        let (_, factors) = self.factors(best);
        if factors.iter().any(|&(base, _)| matches!(self.kind(base), Kind::Sum(_)))
            && let Some(candidate) = self.attempt(best, |terms| terms.expanded(best))
            && self.cost(candidate).saturating_mul(5) < self.cost(best).saturating_mul(3)
        {
            best = candidate;
        }
        best
    }

    /// Another form of a term, unless it lost digits of numbers that the term has all of.
    fn attempt(&mut self, term: Term, rewrite: impl FnOnce(&mut Terms) -> Option<Term>) -> Option<Term> {
        let losses = self.losses;
        let candidate = rewrite(self)?;
        (self.losses == losses || self.is_rounded(term)).then_some(candidate)
    }

    fn shorter(&self, candidate: Term, present: Term) -> Term {
        if self.cost(candidate) < self.cost(present) { candidate } else { present }
    }

    /// A product whose factors are fractions themselves as one fraction.
    fn without_inner_fractions(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let (coefficient, factors) = self.factors(term);
        let mut powers = factors.to_vec();
        let exposed = self.exposed;
        for (base, exponent) in &mut powers {
            let Some(times) = self.as_integer(*exponent) else { continue };
            self.exposed = exposed || times < 0;
            if let Some(whole) = self.over_common_denominator(*base, rounds - 1) {
                *base = whole;
            }
        }
        self.exposed = exposed;
        (powers != *factors).then(|| self.product(coefficient, &powers))
    }

    /// A product with what the entries of each of its sums have in common as factors of its own.
    fn with_factored_sums(&mut self, term: Term, _rounds: u32) -> Option<Term> {
        let (coefficient, factors) = self.factors(term);
        let mut powers = factors.to_vec();
        for (base, exponent) in &mut powers {
            if self.as_integer(*exponent).is_some()
                && let Some(product) = self.factored(*base, 1)
            {
                *base = product;
            }
        }
        (powers != *factors).then(|| self.product(coefficient, &powers))
    }

    fn with_cancelled_sums(&mut self, term: Term, _rounds: u32) -> Option<Term> {
        self.cancelled(term)
    }

    /// Whether a sum is of whole powers of symbols, and of pi, alone.
    fn is_polynomial(&self, term: Term) -> bool {
        let is_power = |&(base, exponent): &(Term, Term)| {
            matches!(self.kind(base), Kind::Symbol(_) | Kind::Pi)
                && self.as_integer(exponent).is_some_and(|times| times > 0)
        };
        self.entries(term).is_some_and(|entries| {
            entries.iter().all(|&(entry, _)| entry == Terms::ONE || self.factors(entry).1.iter().all(is_power))
        })
    }

    /// A term with all products multiplied out; none if there is nothing to multiply, or too much.
    pub(super) fn expanded(&mut self, term: Term) -> Option<Term> {
        let entries: Vec<(Term, Number)> = match self.entries(term) {
            Some(entries) => entries.to_vec(),
            None => vec![(term, Number::ONE)],
        };
        let mut parts = Vec::new();
        let mut changed = false;
        let mut waiting = entries;
        while let Some((term, outer)) = waiting.pop() {
            if parts.len() + waiting.len() > MOST_EXPANDED || self.fuel == 0 {
                return None;
            }
            let (coefficient, factors) = self.factors(term);
            self.fuel = self.fuel.saturating_sub(factors.len() as u64 + 1);
            let is_open = |&(base, exponent): &(Term, Term)| {
                matches!(self.kind(base), Kind::Sum(_)) && self.as_integer(exponent).is_some_and(|times| times >= 1)
            };
            // tan^2 + 1 comes last, for it may meet a cosine first.
            let place = factors.iter().position(|power| is_open(power) && !self.is_secant_square(power.0));
            let place = place.or_else(|| factors.iter().position(is_open));
            let Some(place) = place else {
                parts.push((term, outer));
                continue;
            };
            // An infinity is no sum of infinities of both signs.
            let is_infinite = |&(base, exponent): &(Term, Term)| {
                self.condition(base).is_none() && self.may_be_infinite(base, exponent)
            };
            if self.exposed && factors.iter().enumerate().any(|(other, power)| other != place && is_infinite(power)) {
                return None;
            }
            changed = true;
            let (base, exponent) = factors[place];
            let mut others = factors.to_vec();
            others[place].1 = self.add(&[(exponent, Number::ONE), (Terms::MINUS_ONE, Number::ONE)]);
            let inner = self.entries(base).filter(|inner| inner.len() <= MOST_ENTRIES)?;
            for &(entry, by) in inner.iter() {
                let mut powers = others.clone();
                powers.push((entry, Terms::ONE));
                waiting.push((self.opened_product(coefficient, &powers), outer.mul(by)));
            }
        }
        changed.then(|| self.add(&parts))
    }

    /// A sum as one fraction, its numerator multiplied out and what then cancels taken away.
    fn over_common_denominator(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(term).filter(|entries| entries.len() <= MOST_ENTRIES)?;
        let (selections, entries) = self.without_common_selections(&entries);
        let nonzero = self.nonzero_beside(&entries);
        let mut denominator: BTreeMap<Term, Number> = BTreeMap::new();
        for &(entry, _) in entries.iter() {
            let (_, factors) = self.factors(entry);
            self.fuel = self.fuel.saturating_sub(factors.len() as u64 + 1);
            for &(base, exponent) in factors.iter().filter(|(base, _)| *base != Terms::EULER) {
                if let Some(size) = self.as_number(exponent).filter(|number| number.is_negative()).map(Number::abs) {
                    let most = denominator.entry(base).or_insert(size);
                    if size.to_f64() > most.to_f64() {
                        *most = size;
                    }
                }
            }
        }
        // Where the denominator is 0 or infinite the fraction has no value, so there the sum must have none.
        let is_safe = |&base: &Term| {
            let is_known = nonzero.contains(&base) || self.is_total_power(base, Terms::MINUS_ONE);
            is_known && self.is_total_beside(base, &nonzero)
        };
        if denominator.is_empty() || !denominator.keys().all(is_safe) {
            return None;
        }
        if self.exposed && self.has_several_infinities(&entries, &denominator) {
            return None;
        }
        let mut powers = Vec::with_capacity(denominator.len());
        for (base, most) in denominator {
            powers.push((base, self.number(most)));
        }
        let mut parts = Vec::with_capacity(entries.len());
        for &(entry, coefficient) in entries.iter() {
            let mut numerator = powers.clone();
            numerator.push((entry, Terms::ONE));
            parts.push((self.opened_product(Number::ONE, &numerator), coefficient));
        }
        let numerator = self.add(&parts);
        let numerator = self.expanded(numerator).unwrap_or(numerator);
        let numerator = match rounds {
            0 => numerator,
            _ => self.factored(numerator, rounds).unwrap_or(numerator),
        };
        let mut fraction = vec![(numerator, Terms::ONE)];
        for (base, most) in powers {
            fraction.push((base, self.scale(most, Number::MINUS_ONE)));
        }
        fraction.extend(selections.into_iter().map(|step| (step, Terms::ONE)));
        let fraction = self.opened_product(Number::ONE, &fraction);
        self.cancelled(fraction).or(Some(fraction))
    }

    /// Whether a sum may be infinite for more than one reason: both at once are no fraction of finite parts.
    fn has_several_infinities(&self, entries: &[(Term, Number)], denominator: &BTreeMap<Term, Number>) -> bool {
        let is_below = |base: Term, exponent: Term| {
            denominator.contains_key(&base) && self.as_number(exponent).is_some_and(Number::is_negative)
        };
        let mut certain: Vec<Term> = Vec::new();
        let mut others = false;
        for &(entry, _) in entries {
            for &(base, exponent) in self.factors(entry).1.iter() {
                if !self.may_be_infinite(base, exponent) {
                    continue;
                }
                if !is_below(base, exponent) {
                    others = true;
                } else if !certain.contains(&base) {
                    certain.push(base);
                }
            }
        }
        certain.len() + usize::from(others && !certain.is_empty()) > 1
    }

    /// A product in which sums are divided by sums below them, where nothing remains.
    pub(super) fn cancelled(&mut self, term: Term) -> Option<Term> {
        let mut product = self.cancelled_once(term)?;
        while let Some(next) = self.cancelled_once(product) {
            product = next;
        }
        Some(product)
    }

    /// The product in which the first sum that another divides is divided by it, as often as both are factors.
    fn cancelled_once(&mut self, term: Term) -> Option<Term> {
        let (coefficient, factors) = self.factors(term);
        let times_of = |terms: &Terms, &(base, exponent): &(Term, Term)| {
            terms.as_integer(exponent).filter(|_| matches!(terms.kind(base), Kind::Sum(_)))
        };
        for below in factors.iter() {
            let Some(fewer) = times_of(self, below).and_then(i64::checked_neg).filter(|&times| times > 0) else {
                continue;
            };
            for above in factors.iter() {
                let Some(more) = times_of(self, above).filter(|&times| times > 0) else { continue };
                if let Some(quotient) = self.exact_quotient(above.0, below.0) {
                    let times = Number::integer(fewer.min(more));
                    let (times, less) = (self.number(times), self.number(times.neg()));
                    let mut powers = factors.to_vec();
                    powers.extend([(above.0, less), (below.0, times), (quotient, times)]);
                    return Some(self.opened_product(coefficient, &powers));
                }
            }
        }
        None
    }

    /// A product of powers whose bases may be products, each of which is opened.
    pub(super) fn opened_product(&mut self, coefficient: Number, powers: &[(Term, Term)]) -> Term {
        self.fuel = self.fuel.saturating_sub(powers.len() as u64);
        self.product(coefficient, powers)
    }
}
