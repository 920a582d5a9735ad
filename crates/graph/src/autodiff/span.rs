//! The stretch of a graph between what is differentiated and what it is differentiated with respect to, as a dense table.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::shape::Shape;

/// The live nodes from the first of some nodes to the last of others. A node's *place* is its ordinal, counted from the
/// first node's.
pub(crate) struct Span {
    nodes: Vec<NodeId>,
    first: usize,
    len: usize,
}

impl Span {
    /// The nodes from the earliest of `starts` to the latest of `ends`; none if those stand before it.
    pub(crate) fn between(graph: &Graph, starts: &[NodeId], ends: &[NodeId]) -> Span {
        let arena = graph.arena();
        let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal as usize;
        let first = starts.iter().map(ordinal).min().unwrap_or(0);
        let end = ends.iter().map(ordinal).max().map_or(0, |last| last + 1);
        let nodes = arena.alive(first.min(end)..end).map(|key| NodeId { key, graph: graph.tag() }).collect();
        Span { nodes, first, len: end.saturating_sub(first) }
    }

    /// The number of places.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The live nodes, in insertion order.
    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// The place of an ordinal, if it is in the span.
    pub(crate) fn place_of(&self, ordinal: u32) -> Option<usize> {
        (ordinal as usize).checked_sub(self.first).filter(|&place| place < self.len)
    }

    /// The place of a live node, if it is in the span.
    pub(crate) fn place(&self, graph: &Graph, id: NodeId) -> Option<usize> {
        self.place_of(graph.arena().nodes[id.key].ordinal)
    }

    /// For each place: whether the node is one of `inputs`, or differentiably depends on one.
    pub(crate) fn differentiable_from(&self, graph: &Graph, inputs: &[NodeId]) -> Vec<bool> {
        let arena = graph.arena();
        let mut depends = vec![false; self.len];
        for input in inputs {
            if let Some(place) = self.place_of(arena.nodes[input.key].ordinal) {
                depends[place] = true;
            }
        }
        for id in &self.nodes {
            let node = &arena.nodes[id.key];
            let Some(place) = self.place_of(node.ordinal) else { continue };
            if depends[place] || !node.dtype.is_float() {
                continue;
            }
            let mut found = false;
            node.op.for_each_differentiated(|operand| {
                found |= self.place_of(arena.nodes[operand.key].ordinal).is_some_and(|place| depends[place]);
            });
            depends[place] = found;
        }
        depends
    }

    /// For each place: whether the node lies on a differentiable way from one of `inputs` to one of `targets`.
    pub(crate) fn differentiable_way(&self, graph: &Graph, inputs: &[NodeId], targets: &[NodeId]) -> Vec<bool> {
        let mut way = self.differentiable_from(graph, inputs);
        let arena = graph.arena();
        let mut needed = vec![false; self.len];
        for target in targets {
            if let Some(place) = self.place_of(arena.nodes[target.key].ordinal) {
                needed[place] = true;
            }
        }
        for id in self.nodes.iter().rev() {
            let node = &arena.nodes[id.key];
            let Some(place) = self.place_of(node.ordinal) else { continue };
            way[place] &= needed[place];
            if way[place] {
                node.op.for_each_differentiated(|operand| {
                    if let Some(place) = self.place_of(arena.nodes[operand.key].ordinal) {
                        needed[place] = true;
                    }
                });
            }
        }
        way
    }
}

impl Graph {
    /// The id, shape and ordinal of an expression that must be alive, of this graph, and a float.
    pub(crate) fn float_node(
        &self,
        expr: Expr<'_>,
        op: &'static str,
        origin: Origin,
    ) -> Result<(NodeId, Shape, u32), GraphError> {
        let id = expr.id()?;
        if expr.graph().tag() != self.tag() {
            return Err(GraphError::ForeignNode { origin, op });
        }
        let arena = self.arena();
        let node = &arena.nodes[id.key];
        if !node.dtype.is_float() {
            return Err(GraphError::NotDifferentiable { origin, op, operand: arena.describe(id), dtype: node.dtype });
        }
        Ok((id, node.shape.clone(), node.ordinal))
    }

    /// The id of a float expression, and the certainty that `beside`, its upstream gradient or tangent, has its shape and
    /// dtype. `what` says in errors what the two are.
    pub(crate) fn matching_node(
        &self,
        expr: Expr<'_>,
        beside: Expr<'_>,
        what: [&str; 2],
        op: &'static str,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let (id, lhs_shape, _) = self.float_node(expr, op, origin)?;
        let (_, rhs_shape, _) = self.float_node(beside, op, origin)?;
        let describe = || (format!("{} {}", what[0], expr.describe()), format!("{} {}", what[1], beside.describe()));
        if lhs_shape != rhs_shape {
            let (lhs, rhs) = describe();
            return Err(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        let (left, right) = (expr.dtype()?, beside.dtype()?);
        if left != right {
            let (lhs, rhs) = describe();
            return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right });
        }
        Ok(id)
    }
}
