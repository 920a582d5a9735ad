//! Which of several equal forms a person would write: the shortest of those that are tried.
//!
//! Tried are: what all entries of a sum have in common before a parenthesis, products multiplied out, and fractions over
//! their common denominator, with what then cancels. Each is bounded by the number of entries that it may have, and all
//! together by the fuel of [`Terms`]; a term for which there is none left stays as it is.

use std::collections::BTreeMap;

use crate::symbolic::form::Function;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// Sums with more entries are not rewritten.
const MOST_ENTRIES: usize = 64;
/// Products are not multiplied out into more entries.
const MOST_EXPANDED: usize = 256;
/// So many different factors of a sum are tried on the rest of it.
const MOST_REGROUPED: usize = 4;
/// How often the sum in a parenthesis that was just found is looked at again.
const ROUNDS: u32 = 3;

impl Terms {
    /// The shortest form of a term whose parts are in theirs.
    pub(super) fn shortest(&mut self, term: Term) -> Term {
        self.shortest_of(term, ROUNDS)
    }

    fn shortest_of(&mut self, term: Term, rounds: u32) -> Term {
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
        ];
        for candidate in candidates.into_iter().flatten() {
            best = self.shorter(candidate, best);
        }
        best
    }

    fn shortest_product(&mut self, term: Term, rounds: u32) -> Term {
        let mut best = term;
        for rewrite in [Terms::without_inner_fractions, Terms::cancelled_once, Terms::in_tangents] {
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
        for (base, exponent) in &mut powers {
            if self.as_integer(*exponent).is_some()
                && let Some(whole) = self.over_common_denominator(*base, rounds - 1)
            {
                *base = whole;
            }
        }
        (powers != *factors).then(|| self.product(coefficient, &powers))
    }

    fn cancelled_once(&mut self, term: Term, _rounds: u32) -> Option<Term> {
        self.cancelled(term)
    }

    /// A sum in which some entries share a factor that is a sum itself, and the others are a multiple of it that was multiplied
    /// out: `b (1 - a) + 1 - a` is `(1 - a) (b + 1)`.
    fn regrouped(&mut self, term: Term, rounds: u32) -> Option<Term> {
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
        for shared in tried {
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

    /// Whether a sum is of whole powers of symbols alone.
    fn is_polynomial(&self, term: Term) -> bool {
        let is_power = |&(base, exponent): &(Term, Term)| {
            matches!(self.kind(base), Kind::Symbol(_)) && self.as_integer(exponent).is_some_and(|times| times > 0)
        };
        self.entries(term).is_some_and(|entries| {
            entries.iter().all(|&(entry, _)| entry == Terms::ONE || self.factors(entry).1.iter().all(is_power))
        })
    }

    /// A term multiplied out, with tangents for sines over cosines: `sin^a/cos^b` is `tan^a (tan^2 + 1)^((b - a)/2)`.
    fn in_tangents(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let has_secant =
            |terms: &Terms, entry: Term| terms.factors(entry).1.iter().any(|&power| terms.secant(power).is_some());
        let entries = self.entries(term).unwrap_or_else(|| [(term, Number::ONE)].into());
        if !entries.iter().any(|&(entry, _)| has_secant(self, entry)) {
            return None;
        }
        let expanded = self.expanded(term).unwrap_or(term);
        let entries = self.entries(expanded).unwrap_or_else(|| [(expanded, Number::ONE)].into());
        let mut parts = Vec::with_capacity(entries.len());
        for &(entry, outer) in entries.iter() {
            let (coefficient, factors) = self.factors(entry);
            let mut powers = factors.to_vec();
            for &power in factors.iter() {
                let Some((argument, below)) = self.secant(power) else { continue };
                let sin = self.call(Function::Sin, argument);
                let above = factors.iter().find(|&&(base, _)| base == sin);
                let Some(above) = above.map_or(Some(0), |&(_, exponent)| self.as_integer(exponent)) else { continue };
                if above < 0 || above >= below || (below - above) % 2 != 0 {
                    continue;
                }
                let tan = self.call(Function::Tan, argument);
                let [two, above, times] =
                    [2, above, (below - above) / 2].map(|exponent| self.number(Number::integer(exponent)));
                let square = self.pow(tan, two);
                let sum = self.add(&[(square, Number::ONE), (Terms::ONE, Number::ONE)]);
                powers.retain(|&(base, _)| base != sin && base != power.0);
                powers.extend([(tan, above), (sum, times)]);
            }
            parts.push((self.opened_product(coefficient, &powers), outer));
        }
        let sum = self.add(&parts);
        self.factored(sum, rounds).or(Some(sum))
    }

    /// The argument and the size of the exponent, if a power is of a cosine, whole and below 0.
    fn secant(&self, (base, exponent): (Term, Term)) -> Option<(Term, i64)> {
        let argument = self.argument(Function::Cos, base)?;
        let below = self.as_integer(exponent)?.checked_neg()?;
        (below > 0).then_some((argument, below))
    }

    /// What all entries of a sum have in common, before the sum of what is left.
    fn factored(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(term).filter(|entries| entries.len() <= MOST_ENTRIES)?;
        let mut common: Option<BTreeMap<(Term, Term), Number>> = None;
        for &(entry, _) in entries.iter() {
            let mut own: BTreeMap<(Term, Term), Number> = BTreeMap::new();
            let (_, factors) = self.factors(entry);
            for &(base, exponent) in factors.iter().filter(|_| entry != Terms::ONE) {
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
                        other.is_some_and(|other| {
                            if other.to_f64() < least.to_f64() {
                                *least = other;
                            }
                            true
                        })
                    });
                    so_far
                }
            });
        }
        let mut powers = Vec::new();
        for ((base, symbolic), number) in common.unwrap_or_default() {
            if symbolic == Terms::ZERO && number.is_zero() {
                continue;
            }
            let number = self.number(number);
            powers.push((base, self.add(&[(symbolic, Number::ONE), (number, Number::ONE)])));
        }
        let content = self.content(&entries).abs();
        if powers.is_empty() && content == Number::ONE {
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
        let product = self.opened_product(content, &powers);
        self.cancelled(product).or(Some(product))
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

    /// A term with all products multiplied out; none if there is nothing to multiply, or too much.
    fn expanded(&mut self, term: Term) -> Option<Term> {
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

    /// Whether a sum is `tan^2 + 1`.
    fn is_secant_square(&self, sum: Term) -> bool {
        let Some(entries) = self.entries(sum) else { return false };
        let [(Terms::ONE, one), (square, other)] = *entries else { return false };
        let (_, factors) = self.factors(square);
        let [(base, exponent)] = *factors else { return false };
        one == Number::ONE
            && other == Number::ONE
            && self.as_integer(exponent) == Some(2)
            && matches!(self.kind(base), Kind::Call(Function::Tan, _))
    }

    /// A sum as one fraction, its numerator multiplied out and what then cancels taken away.
    fn over_common_denominator(&mut self, term: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(term).filter(|entries| entries.len() <= MOST_ENTRIES)?;
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
        if denominator.is_empty() {
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
        let fraction = self.opened_product(Number::ONE, &fraction);
        self.cancelled(fraction).or(Some(fraction))
    }

    /// A product in which sums are divided by sums below them, where nothing remains.
    fn cancelled(&mut self, term: Term) -> Option<Term> {
        let (coefficient, factors) = self.factors(term);
        let is_sum = |terms: &Terms, base| matches!(terms.kind(base), Kind::Sum(_));
        for &(below, below_exponent) in factors.iter() {
            if !is_sum(self, below) || self.as_integer(below_exponent).is_none_or(|times| times >= 0) {
                continue;
            }
            for &(above, above_exponent) in factors.iter() {
                if !is_sum(self, above) || self.as_integer(above_exponent).is_none_or(|times| times < 1) {
                    continue;
                }
                if let Some(quotient) = self.exact_quotient(above, below) {
                    let mut powers = factors.to_vec();
                    powers.extend([(above, Terms::MINUS_ONE), (below, Terms::ONE), (quotient, Terms::ONE)]);
                    let product = self.opened_product(coefficient, &powers);
                    return self.cancelled(product).or(Some(product));
                }
            }
        }
        None
    }

    /// A product of powers whose bases may be products, each of which is opened.
    fn opened_product(&mut self, coefficient: Number, powers: &[(Term, Term)]) -> Term {
        self.fuel = self.fuel.saturating_sub(powers.len() as u64);
        self.product(coefficient, powers)
    }
}
