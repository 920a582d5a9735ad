//! Which nodes a set of outputs needs.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::{NodeId, Origin};

impl Graph {
    /// The nodes that derivatives of `output` may flow into, itself included, latest first: what is behind a
    /// `stop_gradient`, an integer or a truth value is not among them, nor is what a function with gradients of its own does
    /// inside. Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn differentiated(&self, output: NodeId) -> Result<Vec<NodeId>, GraphError> {
        let last = self.ordinal(output)?;
        let arena = self.arena();
        let mut reached = vec![false; last + 1];
        reached[last] = true;
        let (mut waiting, mut found) = (1, Vec::new());
        let end = arena.order.partition_point(|&key| arena.nodes[key].ordinal as usize <= last);
        for &key in arena.order[..end].iter().rev() {
            if waiting == 0 {
                break;
            }
            let node = &arena.nodes[key];
            if !reached[node.ordinal as usize] {
                continue;
            }
            waiting -= 1;
            found.push(NodeId { key, graph: self.tag() });
            node.op.for_each_differentiated(|operand| {
                let operand = &arena.nodes[operand.key];
                if operand.dtype.is_float() && !reached[operand.ordinal as usize] {
                    reached[operand.ordinal as usize] = true;
                    waiting += 1;
                }
            });
        }
        Ok(found)
    }

    /// The nodes that `outputs` are computed from, themselves included, in insertion order. Errors: an output that is stale
    /// or of another graph.
    #[track_caller]
    pub fn needed(&self, outputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        let origin = Origin::here();
        let arena = self.arena();
        let mut wanted = vec![false; self.ordinal_bound()];
        let (mut first, mut last) = (usize::MAX, 0);
        for output in outputs {
            if output.graph != self.tag() {
                return Err(GraphError::ForeignNode { origin, op: "needed" });
            }
            let Some(node) = arena.nodes.get(output.key) else {
                return Err(GraphError::StaleNode { origin, op: "needed" });
            };
            let ordinal = node.ordinal as usize;
            wanted[ordinal] = true;
            (first, last) = (first.min(ordinal), last.max(ordinal));
        }
        if outputs.is_empty() {
            return Ok(Vec::new());
        }
        // Operands stand before their users, so one descending sweep reaches everything.
        let end = arena.order.partition_point(|&key| arena.nodes[key].ordinal as usize <= last);
        let mut needed = Vec::new();
        for &key in arena.order[..end].iter().rev() {
            let node = &arena.nodes[key];
            let ordinal = node.ordinal as usize;
            if ordinal < first {
                break;
            }
            if wanted[ordinal] {
                needed.push(NodeId { key, graph: self.tag() });
                node.op.for_each_operand(|operand| {
                    let ordinal = arena.nodes[operand.key].ordinal as usize;
                    wanted[ordinal] = true;
                    first = first.min(ordinal);
                });
            }
        }
        needed.reverse();
        Ok(needed)
    }
}
