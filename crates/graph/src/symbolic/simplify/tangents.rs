//! Forms with tangents: `tan^2 + 1` for `1/cos^2`, and as a factor.

use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// So many different tangents are tried as factors of a sum.
const MOST_TANGENTS: usize = 4;

impl Terms {
    /// A term multiplied out, with tangents for sines over cosines: `sin^a/cos^b` is `tan^a (tan^2 + 1)^((b - a)/2)`.
    pub(super) fn in_tangents(&mut self, term: Term, rounds: u32) -> Option<Term> {
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
                let sin = self.call(FormulaFunction::Sin, argument);
                let above = factors.iter().find(|&&(base, _)| base == sin);
                let Some(above) = above.map_or(Some(0), |&(_, exponent)| self.as_integer(exponent)) else { continue };
                if above < 0 || above >= below || (below - above) % 2 != 0 {
                    continue;
                }
                let tan = self.call(FormulaFunction::Tan, argument);
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

    /// A sum multiplied out as a product with `tan^2 + 1`, if it is a multiple of one.
    pub(super) fn with_secants_outside(&mut self, sum: Term, rounds: u32) -> Option<Term> {
        let entries = self.entries(sum)?;
        // Where all entries are selected away, a tangent before them may have no value.
        if self.all_selected(&entries) {
            return None;
        }
        let mut tangents: Vec<Term> = Vec::new();
        for &(entry, _) in entries.iter() {
            for &(base, exponent) in self.factors(entry).1.iter() {
                let is_tangent = matches!(self.kind(base), Kind::Call(FormulaFunction::Tan, _));
                let is_square = self.as_integer(exponent).is_some_and(|times| times >= 2);
                if is_tangent && is_square && !tangents.contains(&base) && tangents.len() < MOST_TANGENTS {
                    tangents.push(base);
                }
            }
        }
        let (mut rest, mut powers) = (sum, Vec::new());
        for tangent in tangents {
            let two = self.number(Number::integer(2));
            let square = self.pow(tangent, two);
            let secant = self.add(&[(square, Number::ONE), (Terms::ONE, Number::ONE)]);
            while let Some(quotient) = self.exact_quotient(rest, secant) {
                powers.push((secant, Terms::ONE));
                rest = quotient;
            }
        }
        if powers.is_empty() {
            return None;
        }
        let rest = self.factored(rest, rounds).unwrap_or(rest);
        powers.push((rest, Terms::ONE));
        Some(self.opened_product(Number::ONE, &powers))
    }

    /// Whether a sum is `tan^2 + 1`.
    pub(super) fn is_secant_square(&self, sum: Term) -> bool {
        let Some(entries) = self.entries(sum) else { return false };
        let [(Terms::ONE, one), (square, other)] = *entries else { return false };
        let (_, factors) = self.factors(square);
        let [(base, exponent)] = *factors else { return false };
        one == Number::ONE
            && other == Number::ONE
            && self.as_integer(exponent) == Some(2)
            && matches!(self.kind(base), Kind::Call(FormulaFunction::Tan, _))
    }

    /// The argument and the size of the exponent, if a power is of a cosine, whole and below 0.
    fn secant(&self, (base, exponent): (Term, Term)) -> Option<(Term, i64)> {
        let argument = self.argument(FormulaFunction::Cos, base)?;
        let below = self.as_integer(exponent)?.checked_neg()?;
        (below > 0).then_some((argument, below))
    }
}
