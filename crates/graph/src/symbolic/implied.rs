//! Selections that the text form leaves out: a product says by its own factors where it is 0.
//!
//! A factor `step(c)` makes a product 0 where `c` is not above 0, whatever the other factors are there: `step(x)/sqrt(x)` is 0
//! below 0, although the root is no number. So it is in the derivatives of `relu`.
//!
//! The derivatives of `a^b` are 0 at edges where their formulas would multiply 0 by an infinity: `b*a^(b - 1)` where both
//! are 0, and `a^b*log(a)` where `a` is 0. Written with its selection each would be twice as long. So a product with a power
//! whose exponent has symbols is 0 where
//!
//! * a factor is 0 that is larger than the exponent by a whole number: `y*x^(y - 1)` is 0 where `y` is;
//! * the base is 0 and another factor holds its logarithm: `x^y*log(x)` is 0 where `x` is.
//!
//! The parser puts these selections in, and [`complete`] those by steps where a derivative has made new products; printing leaves out what the
//! parser would put in. Nothing else knows of them.
//!
//! [`complete`]: crate::symbolic::complete

use std::collections::HashSet;

use crate::arena::{Arena, Graph};
use crate::expr::Expr;
use crate::node::NodeId;
use crate::symbolic::form::{Edge, Form, FormulaFunction, Side};

/// A summand's products with more factors are not looked through for a logarithm.
const MOST_FACTORS: usize = 32;
/// Of products with more pairs of a power and another factor only the steps imply something.
const MOST_PAIRS: usize = 1 << 22;
/// So many nodes are looked at to find a logarithm, or to compare two operands.
const MOST_NODES: usize = 64;

/// A product or quotient with the selections that it implies, where it could be something else than 0 without them.
pub(super) fn inserted(graph: &Graph, product: NodeId) -> Expr<'_> {
    let (zeros, conditions) = {
        let arena = graph.arena();
        let factors = factors(&arena, product, usize::MAX).unwrap_or_default();
        let mut conditions: Vec<NodeId> = Vec::new();
        if factors.iter().any(|&factor| is_step(&arena, factor)) && !is_plain(&arena, product) {
            conditions.extend(factors.iter().filter_map(|&factor| condition(&arena, factor)));
        }
        (zeros(&arena, &factors), conditions)
    };
    let mut value = graph.expr(product);
    for zero in zeros {
        value = value.relu_backward(graph.expr(zero).abs());
    }
    conditions.into_iter().fold(value, |value, condition| value.relu_backward(graph.expr(condition)))
}

/// Whether a product implies what `step` of a condition selects by other factors than steps.
pub(super) fn is_implied(product: Expr<'_>, condition: Expr<'_>) -> bool {
    let (Ok(product_id), Ok(condition)) = (product.id(), condition.id()) else { return false };
    let arena = product.graph().arena();
    let Form::Call(FormulaFunction::Abs, node) = Form::resolved(&arena, condition) else { return false };
    let node = unscaled(&arena, node);
    let factors = factors(&arena, product_id, usize::MAX).unwrap_or_default();
    zeros(&arena, &factors).into_iter().any(|zero| same(&arena, unscaled(&arena, zero), node))
}

/// The nodes at whose zeros the product of these factors is 0.
fn zeros(arena: &Arena, factors: &[NodeId]) -> Vec<NodeId> {
    let mut zeros: Vec<NodeId> = Vec::new();
    let power = |(place, &factor): (usize, &NodeId)| Some((place, varying_power(arena, factor)?));
    let powers: Vec<(usize, (NodeId, NodeId))> = factors.iter().enumerate().filter_map(power).collect();
    if powers.len().saturating_mul(factors.len()) > MOST_PAIRS {
        return zeros;
    }
    let mut add = |node: NodeId| {
        if !zeros.iter().any(|&zero| same(arena, zero, node)) {
            zeros.push(node);
        }
    };
    for (place, (base, exponent)) in powers {
        for (_, &other) in factors.iter().enumerate().filter(|&(other, _)| other != place) {
            if is_larger(arena, other, exponent) {
                add(other);
            }
            if holds_logarithm(arena, other, base) {
                add(base);
            }
        }
    }
    zeros
}

/// Whether a node is finite wherever its symbols are, as far as that is seen.
pub(super) fn is_plain(arena: &Arena, node: NodeId) -> bool {
    let (mut waiting, mut seen) = (vec![node], 0);
    while let Some(id) = waiting.pop() {
        seen += 1;
        let form = Form::of(arena, id);
        match form {
            Form::Number(_) | Form::Symbol(_) | Form::Call(FormulaFunction::Step, _) => {}
            Form::Negation(_) | Form::Sum(..) | Form::Difference(..) | Form::Product(..) => {
                waiting.extend(form.operands())
            }
            Form::Call(FormulaFunction::Relu | FormulaFunction::Abs | FormulaFunction::Sign, x)
            | Form::Masked(x, _) => {
                waiting.push(x);
            }
            Form::Call(..)
            | Form::Quotient(..)
            | Form::Power(..)
            | Form::Guarded(..)
            | Form::Same(_)
            | Form::Foreign => return false,
        }
        if seen > MOST_NODES {
            return false;
        }
    }
    true
}

fn edge(arena: &Arena, guarded: NodeId) -> Option<Edge> {
    if let Form::Guarded(_, edge) = Form::of(arena, guarded) { Some(edge) } else { None }
}

fn condition(arena: &Arena, factor: NodeId) -> Option<NodeId> {
    if let Form::Call(FormulaFunction::Step, condition) = Form::resolved(arena, factor) {
        Some(condition)
    } else {
        None
    }
}

fn is_step(arena: &Arena, factor: NodeId) -> bool {
    condition(arena, factor).is_some()
}

/// A value, and what makes it 0 whatever it is.
pub(super) struct Selected {
    pub(super) value: NodeId,
    /// Without those that the value implies, in the order in which they are written.
    pub(super) selections: Vec<Selection>,
}

/// What makes a value 0.
#[derive(Clone, Copy)]
pub(super) enum Selection {
    /// A condition that is not above 0.
    Step(NodeId),
    /// An edge of a power's domain.
    Edge(Edge),
}

/// What a selection of selections selects.
pub(super) fn selected(arena: &Arena, mut id: NodeId) -> Selected {
    let mut selections = Vec::new();
    let value = loop {
        let form = Form::of(arena, id);
        if let Form::Masked(value, condition) = form {
            selections.push(Selection::Step(condition));
            id = value;
        } else if let Form::Guarded(value, edge) = form {
            selections.push(Selection::Edge(edge));
            id = value;
        } else if let Form::Same(inner) = form {
            id = inner;
        } else {
            break id;
        }
    };
    selections.reverse();
    if selections.is_empty() {
        return Selected { value, selections };
    }
    let Gathered { factors, conditions, guarded } = gathered(arena, value, usize::MAX).unwrap_or_default();
    // Selections of factors are written with these.
    let mut written: HashSet<NodeId> = conditions.into_iter().collect();
    written.extend(factors.iter().filter_map(|&factor| condition(arena, factor)));
    let edges: Vec<Edge> = guarded.into_iter().filter_map(|guarded| edge(arena, guarded)).collect();
    let zeros: Vec<NodeId> = zeros(arena, &factors).into_iter().map(|zero| unscaled(arena, zero)).collect();
    let implied = |node: NodeId| {
        let node = unscaled(arena, node);
        zeros.iter().any(|&zero| same(arena, zero, node))
    };
    selections.retain(|selection| match *selection {
        Selection::Step(condition) if written.contains(&condition) => false,
        Selection::Step(condition) => {
            let is_implied = if let Form::Call(FormulaFunction::Abs, node) = Form::resolved(arena, condition) {
                implied(node)
            } else {
                false
            };
            !is_implied
        }
        Selection::Edge(edge) if edges.contains(&edge) => false,
        Selection::Edge(Edge { base, exponent, side }) => match side {
            Side::Zero => !implied(exponent),
            Side::NotNegative => !implied(base),
        },
    });
    Selected { value, selections }
}

/// The factors of a product that are not below a fraction bar, past its selections; none if they are too many.
fn factors(arena: &Arena, product: NodeId, most: usize) -> Option<Vec<NodeId>> {
    gathered(arena, product, most).map(|gathered| gathered.factors)
}

/// What a product is made of, but for what stands below a fraction bar.
#[derive(Default)]
struct Gathered {
    factors: Vec<NodeId>,
    /// The conditions of factors that are selected: where one is not above 0, the product is written as 0.
    conditions: Vec<NodeId>,
    /// Factors that are 0 at edges of a power's domain.
    guarded: Vec<NodeId>,
}

/// The parts of a product; none if the factors are too many.
fn gathered(arena: &Arena, product: NodeId, most: usize) -> Option<Gathered> {
    let (mut gathered, mut waiting) = (Gathered::default(), vec![product]);
    while let Some(id) = waiting.pop() {
        match Form::of(arena, id) {
            Form::Product(a, b) => waiting.extend([b, a]),
            Form::Quotient(a, _) => waiting.push(a),
            Form::Negation(x) | Form::Same(x) => waiting.push(x),
            Form::Masked(x, condition) => {
                waiting.push(x);
                gathered.conditions.push(condition);
            }
            Form::Guarded(x, _) => {
                waiting.push(x);
                gathered.guarded.push(id);
            }
            Form::Number(_)
            | Form::Symbol(_)
            | Form::Sum(..)
            | Form::Difference(..)
            | Form::Power(..)
            | Form::Call(..)
            | Form::Foreign => gathered.factors.push(id),
        }
        if gathered.factors.len() + waiting.len() > most {
            return None;
        }
    }
    Some(gathered)
}

/// The base and the exponent, if a factor is a power whose exponent is no number, or a root or another power of one.
fn varying_power(arena: &Arena, mut factor: NodeId) -> Option<(NodeId, NodeId)> {
    loop {
        let form = Form::resolved(arena, factor);
        if let Form::Power(base, exponent) = form {
            if !is_number(arena, exponent) {
                return Some((base, exponent));
            }
            factor = base;
        } else if let Form::Call(FormulaFunction::Sqrt, x) = form {
            factor = x;
        } else {
            return None;
        }
    }
}

/// Whether an exponent has no symbols, as far as that is seen.
fn is_number(arena: &Arena, exponent: NodeId) -> bool {
    let (mut waiting, mut seen) = (vec![exponent], 0);
    while let Some(id) = waiting.pop() {
        seen += 1;
        let form = Form::of(arena, id);
        if matches!(form, Form::Symbol(_)) || seen > MOST_NODES {
            return false;
        }
        waiting.extend(form.operands());
    }
    true
}

/// Whether a node is an exponent plus a whole number above 0.
fn is_larger(arena: &Arena, node: NodeId, exponent: NodeId) -> bool {
    let (rest, size) = parted(arena, node);
    let (exponent, less) = parted(arena, exponent);
    let by = size - less;
    by >= 1.0 && by.fract() == 0.0 && same(arena, rest, exponent)
}

/// A node as something and a number that is added to it.
fn parted(arena: &Arena, mut id: NodeId) -> (NodeId, f64) {
    let number = |id| if let Form::Number(number) = Form::resolved(arena, id) { Some(number) } else { None };
    let mut total = 0.0;
    loop {
        let form = Form::of(arena, id);
        if let Form::Same(x) = form {
            id = x;
        } else if let Form::Sum(a, b) = form
            && let Some(by) = number(b)
        {
            (id, total) = (a, total + by);
        } else if let Form::Difference(a, b) = form
            && let Some(by) = number(b)
        {
            (id, total) = (a, total - by);
        } else {
            return (id, total);
        }
    }
}

/// Whether the logarithm of a node, up to a number as factor, is a factor or part of a summand. A summand with a power of its own
/// does not count: its logarithm is selected away with it.
fn holds_logarithm(arena: &Arena, node: NodeId, of: NodeId) -> bool {
    let of = unscaled(arena, of);
    let (mut waiting, mut seen) = (vec![node], 0);
    while let Some(id) = waiting.pop() {
        seen += 1;
        match Form::of(arena, id) {
            Form::Call(FormulaFunction::Log, x) if same(arena, unscaled(arena, x), of) => return true,
            Form::Sum(a, b) | Form::Difference(a, b) => waiting.extend([b, a]),
            Form::Negation(a) | Form::Same(a) => waiting.push(a),
            Form::Product(..) | Form::Quotient(..) => {
                let factors = factors(arena, id, MOST_FACTORS).unwrap_or_default();
                if factors.iter().all(|&factor| varying_power(arena, factor).is_none()) {
                    waiting.extend(factors);
                }
            }
            Form::Power(a, exponent) => {
                if matches!(Form::resolved(arena, exponent), Form::Number(number) if number > 0.0) {
                    waiting.push(a);
                }
            }
            // What is selected itself may be finite where the logarithm is not.
            Form::Masked(..) | Form::Guarded(..) => {}
            Form::Call(..) | Form::Number(_) | Form::Symbol(_) | Form::Foreign => {}
        }
        if seen > MOST_NODES {
            return false;
        }
    }
    false
}

/// A node without numbers that it is multiplied with or divided by: it has the same zeros.
fn unscaled(arena: &Arena, mut id: NodeId) -> NodeId {
    let is_factor = |id| matches!(Form::resolved(arena, id), Form::Number(number) if number != 0.0);
    loop {
        let form = Form::of(arena, id);
        id = if let Form::Negation(x) | Form::Same(x) = form {
            x
        } else if let Form::Product(a, b) = form
            && is_factor(a)
        {
            b
        } else if let Form::Product(a, b) | Form::Quotient(a, b) = form
            && is_factor(b)
        {
            a
        } else {
            return id;
        }
    }
}

/// Whether two nodes are written the same, as far as that is seen.
fn same(arena: &Arena, a: NodeId, b: NodeId) -> bool {
    let (mut waiting, mut seen) = (vec![(a, b)], 0);
    while let Some((a, b)) = waiting.pop() {
        seen += 1;
        if seen > MOST_NODES {
            return false;
        }
        if a == b {
            continue;
        }
        let (left, right) = (Form::resolved(arena, a), Form::resolved(arena, b));
        let alike = if let (Form::Number(a), Form::Number(b)) = (left, right) {
            a == b
        } else if let (Form::Symbol(a), Form::Symbol(b)) = (left, right) {
            a == b
        } else if let (Form::Call(a, _), Form::Call(b, _)) = (left, right) {
            a == b
        } else {
            let is_known = !matches!(left, Form::Foreign | Form::Guarded(..));
            is_known && std::mem::discriminant(&left) == std::mem::discriminant(&right)
        };
        if !alike {
            return false;
        }
        waiting.extend(left.operands().zip(right.operands()));
    }
    true
}
