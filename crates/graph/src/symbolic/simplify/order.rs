//! The order in which people write summands and factors.
//!
//! Summands: descending degree in the symbols, a constant after what else has degree 0, then by name. Factors: numbers,
//! symbols by name, roots and powers with symbols in the exponent, polynomials, functions in the order of their
//! declaration, other sums.

use std::cmp::Ordering;

use crate::arena::Arena;
use crate::symbolic::form::FormulaFunction;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// Longer names of terms are cut off: what agrees that far is told apart by age.
const LONGEST_NAME: usize = 64;

/// What terms are ordered by.
#[derive(Default)]
pub(super) struct Order {
    places: Vec<Option<Place>>,
}

#[derive(Clone, Debug)]
struct Place {
    /// In the symbols.
    degree: f64,
    /// In functions.
    call_degree: f64,
    /// Sorts like the text, but for exponents, of which the larger comes first.
    name: String,
}

impl Order {
    /// Learns the place of a term, whose parts it knows already.
    pub(super) fn learn(&mut self, terms: &Terms, arena: &Arena, term: Term) {
        let mut place = self.place(terms, arena, term);
        let end = place.name.char_indices().map(|(at, _)| at).find(|&at| at >= LONGEST_NAME);
        place.name.truncate(end.unwrap_or(place.name.len()));
        if self.places.len() <= term.index() {
            self.places.resize(term.index() + 1, None);
        }
        self.places[term.index()] = Some(place);
    }

    /// The entries of a sum as they would be written, were there no signs.
    pub(super) fn summands(&self, entries: &[(Term, Number)]) -> Vec<(Term, Number)> {
        let mut entries = entries.to_vec();
        entries.sort_by(|&(a, _), &(b, _)| self.compare_summands(a, b));
        entries
    }

    /// The entry of the highest degree in the symbols, which is best added: `x - 1` is better than `1 - x`. None if no symbol
    /// stands outside functions: `1 - tanh(x)` is as good as `tanh(x) - 1`.
    pub(super) fn leading(&self, entries: &[(Term, Number)]) -> Option<(Term, Number)> {
        let first = entries.iter().min_by(|(a, _), (b, _)| self.compare_summands(*a, *b))?;
        self.get(first.0).is_some_and(|place| place.degree > 0.0).then_some(*first)
    }

    /// The factors of a product as they are written.
    pub(super) fn factors(&self, terms: &Terms, factors: &[(Term, Term)]) -> Vec<(Term, Term)> {
        let mut factors = factors.to_vec();
        factors.sort_by(|&a, &b| {
            let place = |(base, exponent)| {
                let group = self.group(terms, base, exponent);
                let is_sum = matches!(group, Group::Polynomial | Group::Sum);
                (group, if is_sum { terms.cost(base) } else { 0 }, self.factor_name((base, exponent)))
            };
            place(a).cmp(&place(b)).then(a.cmp(&b))
        });
        factors
    }

    fn group(&self, terms: &Terms, base: Term, exponent: Term) -> Group {
        match terms.kind(base) {
            Kind::Pi => Group::Pi,
            Kind::Number(_) => Group::Number,
            Kind::Symbol(_) if terms.as_integer(exponent).is_some() => Group::Symbol,
            Kind::Symbol(_) => Group::SymbolToAny,
            Kind::Call(..) | Kind::Euler | Kind::Product(..) => Group::FormulaFunction,
            Kind::Sum(_) => match self.get(base) {
                Some(place) if place.degree > 0.0 && place.call_degree <= 0.0 => Group::Polynomial,
                Some(_) | None => Group::Sum,
            },
        }
    }

    fn factor_name(&self, (base, exponent): (Term, Term)) -> String {
        let name_of = |term| self.get(term).map_or("", |place| place.name.as_str());
        if base == Terms::EULER { call_name(FormulaFunction::Exp, name_of(exponent)) } else { name_of(base).to_owned() }
    }

    fn compare_summands(&self, a: Term, b: Term) -> Ordering {
        let (Some(left), Some(right)) = (self.get(a), self.get(b)) else { return a.cmp(&b) };
        let constant = |term: Term| term == Terms::ONE;
        let degree = right.degree.total_cmp(&left.degree);
        let calls = right.call_degree.total_cmp(&left.call_degree);
        degree.then(constant(a).cmp(&constant(b))).then(calls).then_with(|| left.name.cmp(&right.name)).then(a.cmp(&b))
    }

    fn get(&self, term: Term) -> Option<&Place> {
        self.places.get(term.index()).and_then(Option::as_ref)
    }

    fn place(&self, terms: &Terms, arena: &Arena, term: Term) -> Place {
        let plain = |degree: f64, name: &str| Place { degree, call_degree: 0.0, name: name.to_owned() };
        let name_of = |term: Term| self.get(term).map_or("", |place| place.name.as_str());
        match terms.kind(term) {
            Kind::Number(value) => plain(0.0, &format!("{}", value.to_f64())),
            Kind::Pi => plain(0.0, "pi"),
            Kind::Euler => plain(0.0, "exp"),
            Kind::Symbol(declaration) => {
                plain(1.0, arena.declarations.get(*declaration as usize).map_or("", |symbol| &symbol.name))
            }
            Kind::Call(function, argument) => {
                Place { degree: 0.0, call_degree: 1.0, name: call_name(*function, name_of(*argument)) }
            }
            Kind::Product(coefficient, factors) => {
                let mut place = plain(0.0, "");
                for (base, exponent) in self.factors(terms, factors) {
                    let inner = self.get(base);
                    match terms.as_number(exponent) {
                        Some(number) if base != Terms::EULER => {
                            let size = number.to_f64();
                            place.degree += inner.map_or(0.0, |place| place.degree) * size;
                            place.call_degree += inner.map_or(0.0, |place| place.call_degree) * size;
                            self.append(&mut place.name, &[name_of(base), &descending(size)]);
                        }
                        _ if base == Terms::EULER => {
                            place.call_degree += 1.0;
                            self.append(&mut place.name, &[&call_name(FormulaFunction::Exp, name_of(exponent))]);
                        }
                        _ => {
                            place.call_degree += 1.0;
                            self.append(&mut place.name, &[name_of(base), "~", name_of(exponent)]);
                        }
                    }
                }
                // exp(x) before exp(2*x), and that before exp(-x)
                if *coefficient != Number::ONE {
                    let sign = if coefficient.is_negative() { "~~" } else { "~" };
                    self.append(&mut place.name, &[sign, &descending(-coefficient.abs().to_f64())]);
                }
                place
            }
            Kind::Sum(entries) => {
                let mut place =
                    Place { degree: f64::NEG_INFINITY, call_degree: f64::NEG_INFINITY, name: String::new() };
                for &(term, _) in entries.iter() {
                    let Some(inner) = self.get(term) else { continue };
                    place.degree = place.degree.max(inner.degree);
                    place.call_degree = place.call_degree.max(inner.call_degree);
                }
                // Long sums would be sorted for a name of which little is kept.
                for (term, _) in self.summands(&entries[..entries.len().min(LONGEST_NAME)]) {
                    self.append(&mut place.name, &[name_of(term), "+"]);
                }
                place
            }
        }
    }

    fn append(&self, name: &mut String, parts: &[&str]) {
        if name.len() < LONGEST_NAME {
            parts.iter().for_each(|part| name.push_str(part));
        }
    }
}

/// Which factors come before which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Pi,
    Number,
    Symbol,
    SymbolToAny,
    /// Of symbols and numbers, the shorter ones first.
    Polynomial,
    FormulaFunction,
    /// Those with functions in them, the shorter ones first.
    Sum,
}

/// The name of a call: functions in the order in which they are declared, after all symbols.
fn call_name(function: FormulaFunction, argument: &str) -> String {
    let place = FormulaFunction::ALL.iter().position(|&known| known == function).unwrap_or_default();
    format!("\u{7f}{place:02}({argument})")
}

/// Digits that sort in descending order of an exponent. Those above 1 come before the name of another factor, those below
/// after it.
fn descending(value: f64) -> String {
    let bits = value.to_bits();
    let ascending = if value.is_sign_negative() { !bits } else { bits | 1 << 63 };
    match value {
        1.0 => String::new(),
        value => format!("{}{:016x}", if value > 1.0 { '\u{1}' } else { '~' }, !ascending),
    }
}
