//! From terms to nodes, in the order in which people write.
//!
//! What has a negative number as exponent goes below a fraction bar, square roots and tangents get their names back, and minus
//! signs go where they are fewest.

use std::collections::HashMap;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::symbolic::form::FormulaFunction;
use crate::symbolic::implied;
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::order::Order;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// Appends the nodes of a term, and returns that of its value; none if a number in it is too large for a float.
pub(super) fn emit(terms: &mut Terms, graph: &Graph, term: Term) -> Option<NodeId> {
    let needed = needed(terms, term);
    let overflowed = |value: Number| !value.to_f64().is_finite();
    if needed.iter().any(|&term| match terms.kind(term) {
        Kind::Number(value) | Kind::Product(value, _) => overflowed(*value),
        Kind::Sum(entries) => entries.iter().any(|&(_, coefficient)| overflowed(coefficient)),
        Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) => false,
    }) {
        return None;
    }
    let mut order = Order::default();
    {
        let arena = graph.arena();
        needed.iter().for_each(|&term| order.learn(terms, &arena, term));
    }
    let mut emitter = Emitter {
        terms,
        graph,
        order,
        nodes: vec![None; term.index() + 1],
        numbers: HashMap::new(),
        looks: vec![Look::default(); term.index() + 1],
        flipped: HashMap::new(),
    };
    for &term in &needed {
        if let Some(entries) = emitter.terms.entries(term) {
            emitter.looks[term.index()] = emitter.look_at(&entries);
        }
        let node = emitter.term(term);
        emitter.nodes[term.index()] = Some(node);
    }
    emitter.node(term).id().ok()
}

/// The terms that a term is made of, itself included, parts first.
fn needed(terms: &Terms, term: Term) -> Vec<Term> {
    let mut found = vec![false; term.index() + 1];
    let mut waiting = vec![term];
    let mut needed = Vec::new();
    while let Some(term) = waiting.pop() {
        if std::mem::replace(&mut found[term.index()], true) {
            continue;
        }
        needed.push(term);
        match terms.kind(term) {
            Kind::Number(_) | Kind::Pi | Kind::Euler | Kind::Symbol(_) => {}
            Kind::Call(_, argument) => waiting.push(*argument),
            Kind::Product(_, factors) => waiting.extend(factors.iter().flat_map(|&(base, exponent)| [base, exponent])),
            Kind::Sum(entries) => waiting.extend(entries.iter().map(|&(term, _)| term)),
        }
    }
    needed.sort_unstable();
    needed
}

/// How a sum is written as a factor.
#[derive(Clone, Copy, Default)]
struct Look {
    /// Better with all its signs changed, as far as it alone is concerned.
    flipped: bool,
    /// Something in it is added and something subtracted, so that it can take a minus.
    mixed: bool,
}

struct Emitter<'t, 'g> {
    terms: &'t Terms,
    graph: &'g Graph,
    order: Order,
    nodes: Vec<Option<Expr<'g>>>,
    numbers: HashMap<u64, Expr<'g>>,
    looks: Vec<Look>,
    /// Sums with all signs changed.
    flipped: HashMap<Term, Expr<'g>>,
}

impl<'g> Emitter<'_, 'g> {
    fn term(&mut self, term: Term) -> Expr<'g> {
        match self.terms.kind(term) {
            Kind::Number(value) => self.number(*value),
            Kind::Pi => self.constant(std::f64::consts::PI),
            Kind::Euler => self.constant(1.0).exp(),
            Kind::Symbol(declaration) => {
                let node = self.graph.arena().declarations.get(*declaration as usize).map(|symbol| symbol.node);
                node.map_or(Expr::poisoned(self.graph), |node| self.graph.expr(node))
            }
            Kind::Call(function, argument) => function.of(self.node(*argument)),
            Kind::Product(coefficient, factors) => {
                let (coefficient, factors) = (*coefficient, factors.clone());
                self.product(coefficient, &factors)
            }
            Kind::Sum(entries) => {
                let entries = entries.clone();
                self.sum(&entries)
            }
        }
    }

    fn sum(&mut self, entries: &[(Term, Number)]) -> Expr<'g> {
        let mut summands: Vec<(Expr<'g>, bool)> = Vec::with_capacity(entries.len());
        for (term, coefficient) in self.order.summands(entries) {
            summands.push(match self.terms.kind(term) {
                Kind::Number(_) | Kind::Product(..) => {
                    let (own, factors) = self.terms.factors(term);
                    self.signed_product(own.mul(coefficient), &factors, true)
                }
                Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_)
                    if coefficient.abs() == Number::ONE =>
                {
                    (self.node(term), coefficient.is_negative())
                }
                Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_) => {
                    self.signed_product(coefficient, &[(term, Terms::ONE)], true)
                }
            });
        }
        // What is subtracted does not come first if something is added.
        if let Some(first) = summands.iter().position(|(_, negative)| !negative) {
            summands[..=first].rotate_right(1);
        }
        let sum = summands.into_iter().reduce(|(sum, negative), (summand, subtracted)| {
            let sum = if negative { -sum } else { sum };
            (if subtracted { sum - summand } else { sum + summand }, false)
        });
        match sum {
            Some((sum, true)) => -sum,
            Some((sum, false)) => sum,
            None => self.constant(0.0),
        }
    }

    fn product(&mut self, coefficient: Number, factors: &[(Term, Term)]) -> Expr<'g> {
        let (size, negative) = self.signed_product(coefficient, factors, false);
        if negative { -size } else { size }
    }

    /// The size of a product, and whether a minus belongs before it. In a sum that costs nothing; elsewhere it goes into a
    /// factor if there is one that takes it.
    fn signed_product(&mut self, coefficient: Number, factors: &[(Term, Term)], in_sum: bool) -> (Expr<'g>, bool) {
        // Only whole powers of a sum forget or give away its sign.
        let is_whole = |exponent| self.terms.as_integer(exponent).is_some();
        let flipped = factors.iter().filter(|&&(base, exponent)| is_whole(exponent) && self.look(base).flipped);
        let mut flips: Vec<Term> = flipped.map(|&(base, _)| base).collect();
        let mut negative = self.is_subtracted(coefficient, factors);
        // A sum that begins with a minus is better than a minus before everything.
        if negative && !in_sum {
            let is_odd = |exponent| self.terms.as_integer(exponent).is_some_and(|times| times % 2 != 0);
            let able = factors.iter().filter(|&&(base, exponent)| self.look(base).mixed && is_odd(exponent));
            if let Some(&(last, _)) = able.max_by_key(|&&(base, _)| self.look(base).flipped) {
                if flips.contains(&last) {
                    flips.retain(|&flip| flip != last)
                } else {
                    flips.push(last)
                }
                negative = false;
            }
        }
        (self.magnitude(coefficient.abs(), factors, &flips), negative)
    }

    /// Whether a product is written with a minus before it, its sums each with the signs that are best for it.
    fn is_subtracted(&self, coefficient: Number, factors: &[(Term, Term)]) -> bool {
        let flipped = factors.iter().filter(|&&(base, exponent)| {
            self.look(base).flipped && self.terms.as_integer(exponent).is_some_and(|times| times % 2 != 0)
        });
        coefficient.is_negative() != (flipped.count() % 2 == 1)
    }

    /// How a sum looks with its signs and with all of them changed. Its parts were looked at before.
    fn look_at(&self, entries: &[(Term, Number)]) -> Look {
        let is_subtracted = |&(term, coefficient): &(Term, Number)| {
            let (own, factors) = self.terms.factors(term);
            match self.terms.kind(term) {
                Kind::Number(_) | Kind::Product(..) => self.is_subtracted(own.mul(coefficient), &factors),
                Kind::Pi | Kind::Euler | Kind::Symbol(_) | Kind::Call(..) | Kind::Sum(_) => {
                    self.is_subtracted(coefficient, &[(term, Terms::ONE)])
                }
            }
        };
        let subtracted = entries.iter().filter(|entry| is_subtracted(entry)).count();
        let mixed = subtracted > 0 && subtracted < entries.len();
        let leads = || self.order.leading(entries).is_some_and(|leading| is_subtracted(&leading));
        Look { flipped: subtracted == entries.len() || mixed && leads(), mixed }
    }

    fn look(&self, term: Term) -> Look {
        self.looks[term.index()]
    }

    /// The product of a positive number and powers, as a fraction where some have negative exponents. The bases among `flips`
    /// are written with all their signs changed.
    fn magnitude(&mut self, coefficient: Number, factors: &[(Term, Term)], flips: &[Term]) -> Expr<'g> {
        let mut factors = self.order.factors(self.terms, factors);
        let condition =
            |terms: &Terms, (base, exponent): (Term, Term)| terms.condition(base).filter(|_| exponent == Terms::ONE);
        if factors.iter().all(|&power| condition(self.terms, power).is_none()) {
            return self.fraction(coefficient, &factors, flips);
        }
        // A step selects the whole product where another factor may have no value, and is not written if the others say the same.
        let is_partial = |&(base, exponent): &(Term, Term)| !self.terms.is_total_power(base, exponent);
        let partial = factors.iter().any(is_partial);
        let mut conditions = Vec::new();
        if partial {
            let others: Vec<_> =
                factors.iter().copied().filter(|&power| condition(self.terms, power).is_none()).collect();
            let bare = self.fraction(coefficient, &others, flips);
            factors.retain(|&power| {
                let Some(condition) = condition(self.terms, power) else { return true };
                let condition = self.node(condition);
                conditions.push(condition);
                !implied::is_implied(bare, condition)
            });
        }
        let value = self.fraction(coefficient, &factors, flips);
        conditions.into_iter().fold(value, |value, condition| value.relu_backward(condition))
    }

    fn fraction(&mut self, coefficient: Number, factors: &[(Term, Term)], flips: &[Term]) -> Expr<'g> {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        match coefficient.as_fraction() {
            Some(fraction) => {
                let parts = [(*fraction.numer(), &mut above), (*fraction.denom(), &mut below)];
                for (part, side) in parts.into_iter().filter(|(part, _)| *part != 1) {
                    side.push(self.constant(part as f64));
                }
            }
            None => above.push(self.number(coefficient)),
        }
        for &(base, exponent) in factors {
            let number = self.terms.as_number(exponent).filter(|_| base != Terms::EULER);
            let side = if number.is_some_and(Number::is_negative) { &mut below } else { &mut above };
            let power = self.power(base, exponent, number.map(Number::abs), flips.contains(&base));
            side.push(power);
        }
        let above = above.into_iter().reduce(|product, factor| product * factor);
        let below = below.into_iter().reduce(|product, factor| product * factor);
        let above = above.unwrap_or_else(|| self.constant(1.0));
        match below {
            Some(below) => above / below,
            None => above,
        }
    }

    /// A power, with `size` instead of its exponent where that is a number.
    fn power(&mut self, base: Term, exponent: Term, size: Option<Number>, flip: bool) -> Expr<'g> {
        if base == Terms::EULER {
            return self.node(exponent).exp();
        }
        let node = if flip { self.flipped(base) } else { self.node(base) };
        match size {
            Some(size) if size == Number::ONE => node,
            Some(size) if size == Number::HALF => FormulaFunction::Sqrt.of(node),
            Some(size) => {
                let exponent = self.number(size);
                node.pow(exponent)
            }
            None => node.pow(self.node(exponent)),
        }
    }

    fn flipped(&mut self, base: Term) -> Expr<'g> {
        if let Some(&node) = self.flipped.get(&base) {
            return node;
        }
        let entries = self.terms.entries(base).unwrap_or_default();
        let negated: Vec<(Term, Number)> = entries.iter().map(|&(term, by)| (term, by.neg())).collect();
        let node = self.sum(&negated);
        self.flipped.insert(base, node);
        node
    }

    fn number(&mut self, value: Number) -> Expr<'g> {
        let size = match value.abs().as_fraction() {
            Some(fraction) if !fraction.is_integer() => {
                self.constant(*fraction.numer() as f64) / self.constant(*fraction.denom() as f64)
            }
            Some(_) | None => self.constant(value.abs().to_f64()),
        };
        if value.is_negative() { -size } else { size }
    }

    fn constant(&mut self, value: f64) -> Expr<'g> {
        let graph = self.graph;
        *self.numbers.entry(value.to_bits()).or_insert_with(|| graph.full([], value, DType::F64))
    }

    fn node(&self, term: Term) -> Expr<'g> {
        // Parts come before what is made of them, so that their nodes are there.
        debug_assert!(self.nodes[term.index()].is_some(), "term {} has no node", term.index());
        self.nodes[term.index()].unwrap_or(Expr::poisoned(self.graph))
    }
}
