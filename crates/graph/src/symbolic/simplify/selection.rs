//! Selections: a product with `step(c)` is 0 where `c` is not above 0, whatever its other factors are there.
//!
//! So a step is no factor like others. It goes out of a product only where all that is left has a value on its other side,
//! and what stands beside it may be rewritten as holds on its own side alone.

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::product::Powers;
use crate::symbolic::simplify::term::{Kind, Sign, Term, Terms};

impl Terms {
    /// The condition, if the term is a step.
    pub(super) fn condition(&self, term: Term) -> Option<Term> {
        self.argument(FormulaFunction::Step, term)
    }

    /// The steps that select a term.
    pub(super) fn selections(&self, term: Term) -> Vec<Term> {
        match self.kind(term) {
            Kind::Product(_, factors) => {
                let selects =
                    |&&(base, exponent): &&(Term, Term)| exponent == Terms::ONE && self.condition(base).is_some();
                factors.iter().filter(selects).map(|&(base, _)| base).collect()
            }
            Kind::Call(FormulaFunction::Step, _) => vec![term],
            Kind::Number(_) | Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_) => Vec::new(),
        }
    }

    /// The selections that all entries of a sum have, and the entries without them.
    pub(super) fn without_common_selections(&mut self, entries: &[(Term, Number)]) -> (Vec<Term>, Vec<(Term, Number)>) {
        let mut common: Option<Vec<Term>> = None;
        for &(entry, _) in entries {
            let own = self.selections(entry);
            common = Some(match common {
                None => own,
                Some(mut common) => {
                    common.retain(|step| own.contains(step));
                    common
                }
            });
            if common.as_ref().is_some_and(Vec::is_empty) {
                return (Vec::new(), entries.to_vec());
            }
        }
        let common = common.unwrap_or_default();
        let mut rest = Vec::with_capacity(entries.len());
        for &(entry, by) in entries {
            let (coefficient, factors) = self.factors(entry);
            let factors: Vec<_> = factors.iter().copied().filter(|(base, _)| !common.contains(base)).collect();
            rest.push((self.product_of(coefficient, factors.into()), by));
        }
        (common, rest)
    }

    /// Whether each entry of a sum is selected by something: then none of them tells where the others have no value.
    pub(super) fn all_selected(&self, entries: &[(Term, Number)]) -> bool {
        entries.iter().all(|&(entry, _)| !self.selections(entry).is_empty())
    }

    /// The bases below a fraction bar in entries of a sum that nothing selects: where the sum is a number they are not 0.
    pub(super) fn nonzero_beside(&self, entries: &[(Term, Number)]) -> Vec<Term> {
        let mut nonzero = Vec::new();
        for &(entry, _) in entries.iter().filter(|(entry, _)| self.selections(*entry).is_empty()) {
            for &(base, exponent) in self.factors(entry).1.iter() {
                if self.as_number(exponent).is_some_and(Number::is_negative) && !nonzero.contains(&base) {
                    nonzero.push(base);
                }
            }
        }
        nonzero
    }

    /// Brings the steps of a product and what stands beside them to their normal form.
    pub(super) fn settle_selections(&mut self, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let steps: Vec<Term> = product
            .exponents
            .iter()
            .filter(|&(&base, &exponent)| exponent == Terms::ONE && self.condition(base).is_some())
            .map(|(&base, _)| base)
            .collect();
        if steps.is_empty() {
            return;
        }
        for &step in &steps {
            let Some(condition) = self.condition(step) else { continue };
            self.settle_distance(step, condition, product, waiting);
            if !waiting.is_empty() {
                return;
            }
        }
        let mut partial: Vec<Term> = Vec::new();
        for (&base, &exponent) in &product.exponents {
            if !self.is_total_power(base, exponent) {
                partial.push(base);
            }
        }
        for &step in &steps {
            let Some(condition) = self.condition(step).filter(|_| product.exponents.contains_key(&step)) else {
                continue;
            };
            let calls = [FormulaFunction::Abs, FormulaFunction::Sign, FormulaFunction::Relu].map(|function| {
                self.made(&Kind::Call(function, condition)).filter(|call| product.exponents.contains_key(call))
            });
            let [abs, sign, relu] = calls;
            if let Some(sign) = sign {
                product.exponents.remove(&sign);
            }
            let is_alone = |kept: Term| partial.iter().all(|&base| base == kept);
            if let Some(abs) = abs {
                if product.exponents.get(&abs) == Some(&Terms::ONE) && is_alone(abs) {
                    // |x| step(x) = relu(x), which is never a zero below 0.
                    product.exponents.remove(&step);
                    product.exponents.remove(&abs);
                    let relu = self.call(FormulaFunction::Relu, condition);
                    waiting.push((relu, Terms::ONE));
                    // What is a number everywhere does not keep the other steps from being settled beside it: there may be thousands.
                    if self.is_total(condition) {
                        continue;
                    }
                    return;
                }
                let exponent = product.exponents.remove(&abs);
                waiting.extend(exponent.map(|exponent| (condition, exponent)));
                return;
            }
            if let Some(relu) = relu {
                let is_positive = |exponent: &Term| self.as_number(*exponent).is_some_and(Number::is_positive);
                if product.exponents.get(&relu).is_some_and(is_positive) && is_alone(relu) {
                    // relu(x) step(x) = relu(x)
                    product.exponents.remove(&step);
                    continue;
                }
                let exponent = product.exponents.remove(&relu);
                waiting.extend(exponent.map(|exponent| (condition, exponent)));
                return;
            }
            let itself = product.exponents.get(&condition).and_then(|&exponent| self.as_integer(exponent)).unwrap_or(0);
            if itself >= 1 && is_alone(condition) {
                // x step(x) = relu(x)
                product.exponents.remove(&step);
                let relu = self.call(FormulaFunction::Relu, condition);
                waiting.extend([(condition, Terms::MINUS_ONE), (relu, Terms::ONE)]);
                if self.is_total(condition) {
                    continue;
                }
                return;
            }
            // x step(|x|) = x
            if let Some(inner) = self.argument(FormulaFunction::Abs, condition) {
                let inner = self.mul(&[inner, Terms::ONE]);
                let (_, inner) = self.split(inner);
                let itself = product.exponents.get(&inner).and_then(|&exponent| self.as_number(exponent));
                if itself.is_some_and(Number::is_positive) && is_alone(inner) {
                    product.exponents.remove(&step);
                }
            }
        }
    }

    /// A step of a sum of distances from 0 is that of one of them where another factor says so.
    fn settle_distance(&mut self, step: Term, condition: Term, product: &mut Powers, waiting: &mut Vec<(Term, Term)>) {
        let present = |terms: &mut Terms, condition: Term| {
            let step = terms.made(&Kind::Call(FormulaFunction::Step, condition));
            step.is_some_and(|step| product.exponents.get(&step) == Some(&Terms::ONE))
        };
        if let Some(inner) = self.argument(FormulaFunction::Abs, condition) {
            let opposite = self.scale(inner, Number::MINUS_ONE);
            if present(self, inner) || present(self, opposite) {
                product.exponents.remove(&step);
            }
            return;
        }
        let Some(entries) = self.entries(condition) else { return };
        if self.sign(condition) == Sign::Unknown {
            return;
        }
        for &(entry, _) in entries.iter() {
            if present(self, entry) {
                product.exponents.remove(&step);
                return;
            }
        }
        for &(entry, _) in entries.iter() {
            let Some(inner) = self.argument(FormulaFunction::Abs, entry) else { continue };
            let inner = self.mul(&[inner, Terms::ONE]);
            let (_, factors) = self.factors(inner);
            let is_factor = !factors.is_empty()
                && factors.iter().all(|&(base, _)| {
                    let exponent = product.exponents.get(&base).and_then(|&exponent| self.as_number(exponent));
                    exponent.is_some_and(Number::is_positive)
                });
            // Where the logarithm of 0 is a factor the product is infinite, if it has not been made 0.
            let logarithms: Vec<Term> = product
                .exponents
                .iter()
                .filter(|&(_, &exponent)| self.as_number(exponent).is_some_and(Number::is_positive))
                .filter_map(|(&base, _)| self.argument(FormulaFunction::Log, base))
                .collect();
            let has_logarithm = logarithms.into_iter().any(|argument| {
                let distance = self.call(FormulaFunction::Abs, argument);
                self.split(distance).1 == entry
            });
            if is_factor || has_logarithm {
                product.exponents.remove(&step);
                let distance = self.call(FormulaFunction::Step, entry);
                waiting.push((distance, Terms::ONE));
                return;
            }
        }
    }
}
