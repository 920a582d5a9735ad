//! Which nodes a set of outputs needs.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::{NodeId, Origin};

impl Graph {
    /// The nodes on the ways that derivatives of `output` take to nodes at which `ends` holds, both included, latest first;
    /// `output` is always among them. No way leads through a `stop_gradient`, an integer or a truth value, nor through what a
    /// function with gradients of its own does inside. Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn differentiated(&self, output: NodeId, ends: impl Fn(NodeId) -> bool) -> Result<Vec<NodeId>, GraphError> {
        let last = self.ordinal(output)?;
        let arena = self.arena();
        let mut reached = vec![false; last + 1];
        reached[last] = true;
        let (mut waiting, mut found) = (1, Vec::new());
        for key in arena.alive(..=last).rev() {
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
        // Back up, operands first: `reached` now says what leads to an end.
        for id in found.iter().rev() {
            let node = &arena.nodes[id.key];
            let mut leads = *id == output || ends(*id);
            node.op.for_each_differentiated(|operand| {
                let operand = &arena.nodes[operand.key];
                leads |= operand.dtype.is_float() && reached[operand.ordinal as usize];
            });
            reached[node.ordinal as usize] = leads;
        }
        found.retain(|id| reached[arena.nodes[id.key].ordinal as usize]);
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
        let mut needed = Vec::new();
        for key in arena.alive(..=last).rev() {
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
