//! Which nodes a set of outputs needs.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::NodeId;

impl Graph {
    /// The nodes on the ways that derivatives of `output` take to nodes at which `ends` holds, both included, latest first;
    /// `output` is always among them. No way leads through a `stop_gradient`, an integer or a truth value, nor through what a
    /// function with gradients of its own does inside. The cost is that of what is differentiated, however large the graph is. Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn differentiated(&self, output: NodeId, ends: impl Fn(NodeId) -> bool) -> Result<Vec<NodeId>, GraphError> {
        self.require_nodes(&[output], "differentiated")?;
        let arena = self.arena();
        let mut found = vec![output];
        self.with_places(|places| {
            places.insert(arena.nodes[output.key].ordinal, 0);
            let mut visited = 0;
            while let Some(id) = found.get(visited) {
                visited += 1;
                arena.nodes[id.key].op.for_each_differentiated(|operand| {
                    let node = &arena.nodes[operand.key];
                    if node.dtype.is_float() && places.insert(node.ordinal, 0) {
                        found.push(operand);
                    }
                });
            }
        });
        found.sort_unstable_by_key(|id| arena.nodes[id.key].ordinal);
        // Operands first: which of them lead to an end.
        let mut leads: Vec<bool> = Vec::with_capacity(found.len());
        self.with_places(|places| {
            for (id, place) in found.iter().zip(0..) {
                let node = &arena.nodes[id.key];
                let mut leads_on = *id == output || ends(*id);
                node.op.for_each_differentiated(|operand| {
                    leads_on |= places.get(arena.nodes[operand.key].ordinal).is_some_and(|place| leads[place as usize]);
                });
                places.insert(node.ordinal, place);
                leads.push(leads_on);
            }
        });
        let reached = found.into_iter().zip(leads).filter(|(_, leads)| *leads);
        let mut reached: Vec<NodeId> = reached.map(|(id, _)| id).collect();
        reached.reverse();
        Ok(reached)
    }

    /// The nodes that `outputs` are computed from, themselves included, in insertion order. Errors: an output that is stale
    /// or of another graph.
    #[track_caller]
    pub fn needed(&self, outputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        self.require_nodes(outputs, "needed")?;
        let arena = self.arena();
        let mut wanted = vec![false; self.ordinal_bound()];
        let (mut first, mut last) = (usize::MAX, 0);
        for output in outputs {
            let ordinal = arena.nodes[output.key].ordinal as usize;
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
