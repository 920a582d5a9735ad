//! From nodes to terms, in insertion order.
//!
//! A chain of additions, or of products and quotients, is read as one sum or product of many parts: were each step a term of
//! its own, a chain of a million would have terms of a million million parts in all.

use crate::arena::{Arena, Graph};
use crate::node::NodeId;
use crate::symbolic::form::{Edge, Form, FormulaFunction, Side};
use crate::symbolic::simplify::number::Number;
use crate::symbolic::simplify::term::{Kind, Term, Terms};

/// The term of a node, in its shortest form.
pub(super) fn term_of(terms: &mut Terms, graph: &Graph, output: NodeId) -> Term {
    let arena = graph.arena();
    let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
    let nodes = graph.needed(&[output]).unwrap_or_default();
    let places = ordinal(output) + 1;
    let (uses, exposed, inverted) = (vec![Use::None; places], vec![false; places], vec![false; places]);
    let mut reader = Reader { arena: &arena, uses, exposed, inverted, terms: Vec::new() };
    reader.uses[ordinal(output)] = Use::Kept;
    for &id in nodes.iter().rev() {
        reader.count(id);
    }
    reader.terms.resize(places, None);
    for &id in &nodes {
        if reader.uses[ordinal(id)] == Use::Kept {
            terms.exposed = reader.exposed[ordinal(id)];
            let term = reader.read(terms, id);
            reader.terms[ordinal(id)] = Some(term);
        }
    }
    reader.terms[ordinal(output)].unwrap_or(Terms::ZERO)
}

/// How a node is used by those that a formula's value needs on paper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// By none: a condition at the edge of a domain.
    None,
    /// By one, which takes its operands in its place.
    Absorbed,
    /// As a term.
    Kept,
}

struct Reader<'a> {
    arena: &'a Arena,
    uses: Vec<Use>,
    /// Whether a node may be infinite where the formula is finite: it stands in an exponential, below a fraction bar, ..
    exposed: Vec<bool>,
    /// Whether an absorbed node divides in the product that takes its operands.
    inverted: Vec<bool>,
    terms: Vec<Option<Term>>,
}

/// Forms that are read together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    Sum,
    Product,
}

impl Reader<'_> {
    /// Notes what the node uses, if it is used itself. Users come before what they use.
    fn count(&mut self, id: NodeId) {
        if self.uses[self.ordinal(id)] == Use::None {
            return;
        }
        let form = Form::of(self.arena, id);
        for operand in form.operands() {
            let place = self.ordinal(operand);
            self.exposed[place] |= self.exposed[self.ordinal(id)] || self.bounds(form, operand);
            // A condition is the argument of a step, and no factor.
            let is_condition = match form {
                Form::Masked(_, condition) => condition == operand,
                Form::Guarded(_, edge) => edge.base == operand || edge.exponent == operand,
                Form::Number(_)
                | Form::Symbol(_)
                | Form::Negation(_)
                | Form::Sum(..)
                | Form::Difference(..)
                | Form::Product(..)
                | Form::Quotient(..)
                | Form::Power(..)
                | Form::Call(..)
                | Form::Same(_)
                | Form::Foreign => false,
            };
            let same_chain = chain(form).is_some_and(|own| chain(Form::of(self.arena, operand)) == Some(own));
            let divides = matches!(form, Form::Quotient(_, below) if below == operand);
            let inverted = self.inverted[self.ordinal(id)] != divides;
            // One over what a selection makes 0 is infinite: it does not come apart.
            let is_selection = matches!(Form::of(self.arena, operand), Form::Masked(..) | Form::Guarded(..));
            let same_chain = same_chain && !is_condition && !(inverted && is_selection);
            self.inverted[place] = same_chain && inverted;
            self.uses[place] = match self.uses[place] {
                Use::None if same_chain => Use::Absorbed,
                Use::None | Use::Absorbed | Use::Kept => Use::Kept,
            };
        }
    }

    fn read(&self, terms: &mut Terms, id: NodeId) -> Term {
        let result = match Form::of(self.arena, id) {
            Form::Number(value) if value == std::f64::consts::PI => Terms::PI,
            Form::Number(value) => terms.number(Number::of_f64(value)),
            Form::Symbol(declaration) => terms.intern(Kind::Symbol(declaration)),
            Form::Negation(_) | Form::Sum(..) | Form::Difference(..) => {
                let parts = self.summands(id);
                terms.add(&parts)
            }
            Form::Product(..) | Form::Quotient(..) | Form::Masked(..) | Form::Guarded(..) => {
                let (above, below) = self.factors(terms, id);
                let below = terms.mul(&below);
                let inverse = terms.pow(below, Terms::MINUS_ONE);
                let mut factors = above;
                factors.push(inverse);
                terms.mul(&factors)
            }
            Form::Power(base, exponent) => terms.pow(self.term(base), self.term(exponent)),
            Form::Call(function, argument) => terms.call(function, self.term(argument)),
            Form::Same(inner) => return self.term(inner),
            Form::Foreign => terms.number(Number::float(f64::NAN)),
        };
        terms.shortest(result)
    }

    /// What a chain of sums, differences and negations adds up, each with its sign.
    fn summands(&self, id: NodeId) -> Vec<(Term, Number)> {
        let mut parts = Vec::new();
        let mut waiting = vec![(id, Number::ONE, true)];
        while let Some((id, sign, opened)) = waiting.pop() {
            if !opened && self.uses[self.ordinal(id)] != Use::Absorbed {
                parts.push((self.term(id), sign));
                continue;
            }
            if let Form::Sum(a, b) = Form::of(self.arena, id) {
                waiting.extend([(b, sign, false), (a, sign, false)]);
            } else if let Form::Difference(a, b) = Form::of(self.arena, id) {
                waiting.extend([(b, sign.neg(), false), (a, sign, false)]);
            } else if let Form::Negation(x) = Form::of(self.arena, id) {
                waiting.push((x, sign.neg(), false));
            }
        }
        parts
    }

    /// What a chain of products and quotients multiplies, and what it divides by.
    fn factors(&self, terms: &mut Terms, id: NodeId) -> (Vec<Term>, Vec<Term>) {
        let (mut above, mut below) = (Vec::new(), Vec::new());
        let mut waiting = vec![(id, true, true)];
        while let Some((id, numerator, opened)) = waiting.pop() {
            if !opened && self.uses[self.ordinal(id)] != Use::Absorbed {
                if numerator { &mut above } else { &mut below }.push(self.term(id));
                continue;
            }
            if let Form::Product(a, b) = Form::of(self.arena, id) {
                waiting.extend([(b, numerator, false), (a, numerator, false)]);
            } else if let Form::Quotient(a, b) = Form::of(self.arena, id) {
                waiting.extend([(b, !numerator, false), (a, numerator, false)]);
            } else if let Form::Masked(value, condition) = Form::of(self.arena, id) {
                let step = terms.call(FormulaFunction::Step, self.term(condition));
                if numerator { &mut above } else { &mut below }.push(step);
                waiting.push((value, numerator, false));
            } else if let Form::Guarded(value, edge) = Form::of(self.arena, id) {
                let step = self.inside(terms, edge);
                if numerator { &mut above } else { &mut below }.push(step);
                waiting.push((value, numerator, false));
            }
        }
        (above, below)
    }

    /// What is 0 at an edge of a power's domain, and 1 elsewhere.
    fn inside(&self, terms: &mut Terms, edge: Edge) -> Term {
        let exponent = self.term(edge.exponent);
        let base = terms.call(FormulaFunction::Abs, self.term(edge.base));
        let exponent = match edge.side {
            Side::Zero => terms.call(FormulaFunction::Abs, exponent),
            Side::NotNegative => {
                let negated = terms.scale(exponent, Number::MINUS_ONE);
                terms.call(FormulaFunction::Relu, negated)
            }
        };
        let distance = terms.add(&[(base, Number::ONE), (exponent, Number::ONE)]);
        terms.call(FormulaFunction::Step, distance)
    }

    /// Whether a form may be finite where that operand is infinite.
    fn bounds(&self, form: Form, operand: NodeId) -> bool {
        match form {
            Form::Call(function, _) => match function {
                FormulaFunction::Exp
                | FormulaFunction::Tanh
                | FormulaFunction::Sigmoid
                | FormulaFunction::Relu
                | FormulaFunction::Sign
                | FormulaFunction::Step => true,
                FormulaFunction::Log
                | FormulaFunction::Sqrt
                | FormulaFunction::Sin
                | FormulaFunction::Cos
                | FormulaFunction::Tan
                | FormulaFunction::Abs => false,
            },
            Form::Quotient(_, below) => below == operand,
            Form::Power(_, exponent) => {
                let is_positive = matches!(Form::resolved(self.arena, exponent), Form::Number(number) if number > 0.0);
                exponent == operand || !is_positive
            }
            Form::Masked(_, condition) => condition == operand,
            Form::Guarded(_, edge) => edge.base == operand || edge.exponent == operand,
            Form::Number(_)
            | Form::Symbol(_)
            | Form::Negation(_)
            | Form::Sum(..)
            | Form::Difference(..)
            | Form::Product(..)
            | Form::Same(_)
            | Form::Foreign => false,
        }
    }

    fn term(&self, id: NodeId) -> Term {
        // Operands come before their users, so that their terms are there.
        debug_assert!(self.terms[self.ordinal(id)].is_some(), "node {} has no term", self.ordinal(id));
        self.terms[self.ordinal(id)].unwrap_or(Terms::ZERO)
    }

    fn ordinal(&self, id: NodeId) -> usize {
        self.arena.nodes[id.key].ordinal as usize
    }
}

fn chain(form: Form) -> Option<Chain> {
    match form {
        Form::Negation(_) | Form::Sum(..) | Form::Difference(..) => Some(Chain::Sum),
        Form::Product(..) | Form::Quotient(..) | Form::Masked(..) | Form::Guarded(..) => Some(Chain::Product),
        Form::Number(_) | Form::Symbol(_) | Form::Power(..) | Form::Call(..) | Form::Same(_) | Form::Foreign => None,
    }
}
