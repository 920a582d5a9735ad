//! One step of a loop, as derivatives need it: what in it depends on what, over as many steps as there may be, and which of its values are
//! kept of every step.
//!
//! It knows the body alone. What the loop is given and which of its results are differentiated is the caller's.

use crate::arena::Graph;
use crate::autodiff::span::Span;
use crate::body::Body;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, Effort, Elementwise, Leaf, Op};

/// One step of a loop in a graph of its own, where it is differentiated.
pub(super) struct Step {
    pub(super) graph: Graph,
    /// The node of each place of the body.
    pub(super) ids: Vec<NodeId>,
    inputs: usize,
    /// The ordinals below are the body's.
    end: usize,
}

impl Step {
    pub(super) fn new(body: &Body) -> Result<Step, GraphError> {
        let (graph, ids) = body.alone()?;
        let end = graph.ordinal_bound();
        Ok(Step { graph, ids, inputs: body.inputs(), end })
    }

    pub(super) fn inputs(&self) -> &[NodeId] {
        &self.ids[..self.inputs]
    }

    pub(super) fn next(&self, body: &Body, carry: usize) -> NodeId {
        self.ids[body.next()[carry] as usize]
    }

    /// A placeholder of the shape and dtype of a node.
    pub(super) fn like(&self, id: NodeId, origin: Origin) -> Result<NodeId, GraphError> {
        let node = self.graph.node(id)?;
        Ok(self.graph.placeholder(&node.shape, node.dtype, origin)?.0)
    }

    pub(super) fn zeros_like(&self, input: usize) -> Result<Expr<'_>, GraphError> {
        let node = self.graph.node(self.ids[input])?;
        self.graph.zeros(node.shape, node.dtype).check()
    }

    /// For each place of the body whether it depends differentiably on an input for which that holds.
    pub(super) fn depends(&self, inputs: &[bool]) -> Vec<bool> {
        let starts: Vec<NodeId> = self.inputs().iter().zip(inputs).filter(|(_, is)| **is).map(|(id, _)| *id).collect();
        let span = Span::between(&self.graph, self.inputs(), &self.ids);
        let depends = span.differentiable_from(&self.graph, &starts);
        self.ids.iter().map(|id| span.place(&self.graph, *id).is_some_and(|place| depends[place])).collect()
    }

    /// Which inputs depend differentiably, in some step, on an operand for which `wanted` holds.
    pub(super) fn reached_from(&self, body: &Body, wanted: &dyn Fn(usize) -> bool) -> Vec<bool> {
        let is_float = |number: usize| body.node(number as u32).is_some_and(|(_, dtype)| dtype.is_float());
        let mut reached: Vec<bool> = (0..body.inputs()).map(|number| is_float(number) && wanted(number)).collect();
        loop {
            let depends = self.depends(&reached);
            let new = |carry: &usize| is_float(*carry) && !reached[*carry] && depends[body.next()[*carry] as usize];
            let new: Vec<usize> = (0..body.carries()).filter(new).collect();
            if new.is_empty() {
                return reached;
            }
            new.into_iter().for_each(|carry| reached[carry] = true);
        }
    }

    /// Which carries lead differentiably, in some step, to one of `targets`, or to the last value of a carry for which `wanted` holds.
    pub(super) fn leading_to(&self, body: &Body, targets: &[NodeId], wanted: &dyn Fn(usize) -> bool) -> Vec<bool> {
        let mut leads: Vec<bool> = (0..body.carries()).map(wanted).collect();
        let span = Span::between(&self.graph, self.inputs(), &self.ids);
        loop {
            let mut ends = targets.to_vec();
            ends.extend((0..body.carries()).filter(|&carry| leads[carry]).map(|carry| self.next(body, carry)));
            let carries = &self.inputs()[..body.carries()];
            let way = span.differentiable_way(&self.graph, carries, &ends);
            let is_on_the_way = |carry: usize| span.place(&self.graph, carries[carry]).is_some_and(|place| way[place]);
            let new: Vec<usize> = (0..body.carries()).filter(|&carry| !leads[carry] && is_on_the_way(carry)).collect();
            if new.is_empty() {
                return leads;
            }
            new.into_iter().for_each(|carry| leads[carry] = true);
        }
    }

    /// The places of the body whose values in every step must be there for `wanted` to be computed. Elements and what is captured are there anyway.
    pub(super) fn saved(&self, body: &Body, wanted: &[NodeId]) -> Result<Vec<u32>, GraphError> {
        let needed =
            self.graph.needed_until(wanted, &|id| self.graph.ordinal(id).is_ok_and(|o| o < self.end), "scan")?;
        let arena = self.graph.arena();
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let mut is_read = vec![false; self.end];
        for id in needed.iter().filter(|id| ordinal(**id) < self.end) {
            is_read[ordinal(*id)] = true;
        }
        // A view is read where its operand is.
        for id in self.ids.iter().rev().filter(|id| is_seen_through(&arena.nodes[id.key].op)) {
            if std::mem::take(&mut is_read[ordinal(*id)]) {
                arena.nodes[id.key].op.for_each_operand(|operand| is_read[ordinal(operand)] = true);
            }
        }
        let mut is_there = vec![false; self.end];
        let mut saved = Vec::new();
        for (place, id) in self.ids.iter().enumerate() {
            let (op, own) = (&arena.nodes[id.key].op, ordinal(*id));
            let is_input = (body.carries()..body.inputs()).contains(&place);
            let mut follows = place >= body.inputs() && (is_seen_through(op) || is_cheap(op));
            op.for_each_operand(|operand| follows &= is_there[ordinal(operand)]);
            is_there[own] = is_input || follows;
            if is_read[own] && !is_there[own] {
                saved.push(place as u32);
                is_there[own] = true;
            }
        }
        Ok(saved)
    }
}

/// Whether a node has the elements of its operand, and no fewer, or none of a tensor.
fn is_seen_through(op: &Op) -> bool {
    match op {
        Op::Leaf(Leaf::Constant { .. } | Leaf::Iota { .. }) | Op::StopGradient { .. } => true,
        Op::View { arrangement, .. } => !matches!(arrangement, Arrangement::Slice { .. }),
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::Elementwise(_)
        | Op::CustomGradient { .. }
        | Op::AllReduce { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::MatMul { .. }
        | Op::Indexing(_)
        | Op::Attention(_)
        | Op::LinearAlgebra { .. }
        | Op::Convolution { .. }
        | Op::Ordered(_)
        | Op::Scan { .. } => false,
    }
}

/// Whether to compute a node again costs no more than to load it.
fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Elementwise(elementwise) => match elementwise {
            Elementwise::Unary { function, .. } => function.row().effort == Effort::Simple,
            Elementwise::Binary { function, .. } => function.row().effort == Effort::Simple,
            Elementwise::Compare { .. }
            | Elementwise::Where { .. }
            | Elementwise::Cast { .. }
            | Elementwise::RoundTo { .. } => true,
        },
        Op::View { .. } => true,
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. }
        | Op::AllReduce { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::MatMul { .. }
        | Op::Indexing(_)
        | Op::Attention(_)
        | Op::LinearAlgebra { .. }
        | Op::Convolution { .. }
        | Op::Ordered(_)
        | Op::Scan { .. } => false,
    }
}
