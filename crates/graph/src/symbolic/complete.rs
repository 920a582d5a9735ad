//! A derivative with the selections that its products imply, as its text is read.
//!
//! Reverse mode multiplies what comes from above by the other factors of a product, and what was selected with the whole product is then
//! selected in one factor alone: of `step(x)*sqrt(x)` it makes `step(x)*step(x)/(2*sqrt(x))`, which is no number below 0. On paper the step makes
//! the whole product 0, and so it does here: each product is 0 where one of its factors above the fraction bar is selected away. So is a factor
//! that is a sum whose summands all are, or a function that is 0 at 0 of one: gradients from several sides are added before what they have in
//! common divides them.
//!
//! What each node is selected by is known from what it is made of. The work is bounded; a formula with more selections than that is left as it is.

use std::rc::Rc;

use crate::arena::{Arena, Graph};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{Elementwise, Op};
use crate::symbolic::form::{Form, FormulaFunction};
use crate::symbolic::{implied, own};

/// So many selections are written down in all.
const MOST_SELECTIONS: usize = 1 << 22;

/// What makes a value 0. The nodes are of the copy.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Selection {
    /// A condition that is not above 0.
    Step(NodeId),
    /// The condition of an edge of a power's domain, and the 0 that the value is there.
    Edge(NodeId, NodeId),
}

/// A formula whose products are selected as wholes, in a graph of its own.
pub(super) fn complete(graph: Graph, output: NodeId) -> Result<(Graph, NodeId), GraphError> {
    let needed = graph.needed(&[output])?;
    let is_selected = {
        let arena = graph.arena();
        let selects =
            |form| matches!(form, Form::Masked(..) | Form::Guarded(..) | Form::Call(FormulaFunction::Step, _));
        needed.iter().any(|&id| selects(Form::of(&arena, id)))
    };
    if !is_selected {
        return Ok((graph, output));
    }
    let nothing: Rc<[Selection]> = Rc::new([]);
    let mut copy = Copy {
        graph: own::with_symbols_of(&graph, needed.len())?,
        bare: vec![None; graph.ordinal_bound()],
        whole: vec![None; graph.ordinal_bound()],
        selections: vec![Rc::clone(&nothing); graph.ordinal_bound()],
        nothing,
        left: MOST_SELECTIONS,
    };
    for &id in &needed {
        copy.add(&graph, id)?;
    }
    let output = copy.whole(&graph, output)?;
    own::extract(&copy.graph, output)
}

/// A copy in the making. Nodes are found by the ordinals that they have in the source.
struct Copy {
    graph: Graph,
    /// As a factor of another product: what a product selects is not put in.
    bare: Vec<Option<NodeId>>,
    /// With it, once that is asked for.
    whole: Vec<Option<NodeId>>,
    /// What makes each node 0, where it is whole.
    selections: Vec<Rc<[Selection]>>,
    nothing: Rc<[Selection]>,
    /// How many selections may still be written down.
    left: usize,
}

impl Copy {
    /// Copies a node. What it is made of is copied.
    fn add(&mut self, source: &Graph, id: NodeId) -> Result<(), GraphError> {
        let (node, ordinal) = (source.node(id)?, source.ordinal(id)?);
        let form = Form::of(&source.arena(), id);
        let copy = if let Form::Symbol(declaration) = form {
            self.graph.arena().declarations[declaration as usize].node
        } else {
            let mut operands = Vec::new();
            for operand in node.op.operands() {
                let is_factor = is_factor(form, operands.len());
                operands.push(if is_factor { self.bare(source, operand)? } else { self.whole(source, operand)? });
            }
            let mut operands = operands.into_iter();
            let op = node.op.map_operands(|operand| operands.next().unwrap_or(operand));
            self.graph.insert_node(op, Some(&node.shape), Some(node.dtype), node.origin)?
        };
        self.bare[ordinal] = Some(copy);
        self.selections[ordinal] = self.selections_of(source, form, copy)?;
        Ok(())
    }

    fn bare(&self, source: &Graph, id: NodeId) -> Result<NodeId, GraphError> {
        // Operands stand before their users, so they have been copied.
        Ok(self.bare[source.ordinal(id)?].unwrap_or(id))
    }

    /// The copy of a node to which nothing is multiplied any more.
    fn whole(&mut self, source: &Graph, id: NodeId) -> Result<NodeId, GraphError> {
        let ordinal = source.ordinal(id)?;
        if let Some(whole) = self.whole[ordinal] {
            return Ok(whole);
        }
        let bare = self.bare(source, id)?;
        let missing = self.missing(bare, &self.selections[ordinal]);
        let value = missing.into_iter().fold(self.graph.expr(bare), |value: Expr<'_>, selection| match selection {
            Selection::Step(condition) => value.relu_backward(self.graph.expr(condition)),
            Selection::Edge(edge, zero) => self.graph.expr(edge).where_(self.graph.expr(zero), value),
        });
        let whole = value.id()?;
        self.whole[ordinal] = Some(whole);
        Ok(whole)
    }

    /// Those of its selections that a product lacks around it, if it could be something else than 0 without them.
    fn missing(&self, product: NodeId, selections: &[Selection]) -> Vec<Selection> {
        let arena = self.graph.arena();
        let (mut id, mut around) = (product, Vec::new());
        if selections.is_empty() || !is_product(Form::of(&arena, product)) {
            return around;
        }
        loop {
            around.extend(selection(&arena, id));
            match Form::of(&arena, id) {
                Form::Masked(value, _) | Form::Guarded(value, _) | Form::Same(value) => id = value,
                Form::Number(_)
                | Form::Symbol(_)
                | Form::Negation(_)
                | Form::Sum(..)
                | Form::Difference(..)
                | Form::Product(..)
                | Form::Quotient(..)
                | Form::Power(..)
                | Form::Call(..)
                | Form::Foreign => break,
            }
        }
        if implied::is_plain(&arena, id) {
            return Vec::new();
        }
        selections.iter().copied().filter(|selection| !around.contains(selection)).collect()
    }

    /// What makes a node 0, from what it is made of.
    fn selections_of(&mut self, source: &Graph, form: Form, copy: NodeId) -> Result<Rc<[Selection]>, GraphError> {
        let of = |id: NodeId| Ok::<_, GraphError>(Rc::clone(&self.selections[source.ordinal(id)?]));
        let own = selection(&self.graph.arena(), copy);
        Ok(match form {
            Form::Number(_) | Form::Symbol(_) | Form::Power(..) | Form::Foreign => Rc::clone(&self.nothing),
            Form::Negation(x) | Form::Quotient(x, _) | Form::Same(x) => of(x)?,
            Form::Sum(a, b) | Form::Difference(a, b) => {
                let (a, b) = (of(a)?, of(b)?);
                if a == b { a } else { self.written(a.iter().copied().filter(|one| b.contains(one)).collect()) }
            }
            Form::Product(a, b) => {
                let (a, b) = (of(a)?, of(b)?);
                self.joined(a, b.iter().copied())
            }
            Form::Masked(x, _) | Form::Guarded(x, _) => {
                let x = of(x)?;
                self.joined(x, own.into_iter())
            }
            Form::Call(function, x) => match function {
                FormulaFunction::Sqrt
                | FormulaFunction::Sin
                | FormulaFunction::Tan
                | FormulaFunction::Tanh
                | FormulaFunction::Relu
                | FormulaFunction::Abs
                | FormulaFunction::Sign => of(x)?,
                FormulaFunction::Step => self.joined(Rc::clone(&self.nothing), own.into_iter()),
                FormulaFunction::Exp | FormulaFunction::Log | FormulaFunction::Cos | FormulaFunction::Sigmoid => {
                    Rc::clone(&self.nothing)
                }
            },
        })
    }

    fn joined(&mut self, first: Rc<[Selection]>, more: impl Iterator<Item = Selection>) -> Rc<[Selection]> {
        let more: Vec<Selection> = more.filter(|one| !first.contains(one)).collect();
        if more.is_empty() { first } else { self.written(first.iter().copied().chain(more).collect()) }
    }

    /// A list of selections; nothing where they are too many.
    fn written(&mut self, selections: Vec<Selection>) -> Rc<[Selection]> {
        // Lists are looked through for each of their entries.
        let work = selections.len().saturating_mul(selections.len());
        if work > self.left {
            self.left = 0;
            return Rc::clone(&self.nothing);
        }
        self.left -= work;
        selections.into()
    }
}

/// What a node of the copy selects by itself.
fn selection(arena: &Arena, id: NodeId) -> Option<Selection> {
    match Form::of(arena, id) {
        Form::Masked(_, condition) | Form::Call(FormulaFunction::Step, condition) => Some(Selection::Step(condition)),
        Form::Guarded(..) => {
            if let Op::Elementwise(Elementwise::Where { condition, on_true, .. }) = arena.nodes[id.key].op {
                Some(Selection::Edge(condition, on_true))
            } else {
                None
            }
        }
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
        | Form::Foreign => None,
    }
}

/// Whether an operand of a node, by its place, is written as a part of the same product.
fn is_factor(form: Form, place: usize) -> bool {
    match form {
        Form::Product(..) | Form::Negation(_) => true,
        Form::Quotient(..) | Form::Masked(..) => place == 0,
        // After the condition and what the node is there.
        Form::Guarded(..) | Form::Same(_) => place == 2,
        Form::Number(_)
        | Form::Symbol(_)
        | Form::Sum(..)
        | Form::Difference(..)
        | Form::Power(..)
        | Form::Call(..)
        | Form::Foreign => false,
    }
}

fn is_product(form: Form) -> bool {
    (0..3).any(|place| is_factor(form, place))
}
