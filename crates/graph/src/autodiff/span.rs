//! The part of a graph between what is differentiated and what it is differentiated with respect to, as a dense table.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::shape::Shape;

/// What some nodes need of the nodes from the first of others on. A node's *place* is its number among them.
pub(crate) struct Span {
    nodes: Vec<NodeId>,
    /// The ordinal of the first.
    first: usize,
    places: Places,
}

/// Where the places of ordinals are found: what little is differentiated of a large graph takes no table of all of it.
enum Places {
    /// By the distance from the first ordinal; `NONE` where the node is not needed.
    Table(Vec<u32>),
    /// The ordinals of the nodes, ascending.
    Sorted(Vec<u32>),
}

const NONE: u32 = u32::MAX;

/// How many ordinals there may be to a node for a table of them.
const SPARSE: usize = 8;

impl Span {
    /// The nodes from the earliest of `starts` on that `ends` need; none if those stand before it.
    pub(crate) fn between(graph: &Graph, starts: &[NodeId], ends: &[NodeId]) -> Span {
        let arena = graph.arena();
        let ordinal = |id: &NodeId| arena.nodes[id.key].ordinal;
        let earliest = starts.iter().map(ordinal).min().unwrap_or(0);
        // What is asked for is alive, so this cannot fail.
        let mut nodes = graph.needed_until(ends, &|id| ordinal(&id) < earliest, "gradients").unwrap_or_default();
        nodes.retain(|id| ordinal(id) >= earliest);
        let first = nodes.first().map_or(0, |id| ordinal(id) as usize);
        let len = nodes.last().map_or(0, |id| ordinal(id) as usize + 1 - first);
        let places = if len <= SPARSE * nodes.len() {
            let mut table = vec![NONE; len];
            nodes.iter().zip(0..).for_each(|(id, place)| table[ordinal(id) as usize - first] = place);
            Places::Table(table)
        } else {
            Places::Sorted(nodes.iter().map(ordinal).collect())
        };
        Span { nodes, first, places }
    }

    /// The number of places.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes, in insertion order.
    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// The place of an ordinal, if it is in the span.
    pub(crate) fn place_of(&self, ordinal: u32) -> Option<usize> {
        match &self.places {
            Places::Table(table) => {
                let place = *table.get((ordinal as usize).checked_sub(self.first)?)?;
                (place != NONE).then_some(place as usize)
            }
            Places::Sorted(ordinals) => ordinals.binary_search(&ordinal).ok(),
        }
    }

    /// The place of a live node, if it is in the span.
    pub(crate) fn place(&self, graph: &Graph, id: NodeId) -> Option<usize> {
        self.place_of(graph.arena().nodes[id.key].ordinal)
    }

    /// For each place: whether the node is one of `inputs`, or differentiably depends on one.
    pub(crate) fn differentiable_from(&self, graph: &Graph, inputs: &[NodeId]) -> Vec<bool> {
        let arena = graph.arena();
        let mut depends = vec![false; self.nodes.len()];
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
        let mut needed = vec![false; self.nodes.len()];
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
        let id = expr.id_in(self, op, origin)?;
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
