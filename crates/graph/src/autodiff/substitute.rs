//! Substitution: a part of a graph once more, over other nodes in the place of some.
//!
//! Only what depends on a replaced node is built anew; the rest is shared. New nodes carry the origins of those that they
//! repeat. The sweep is iterative.

use crate::arena::Graph;
use crate::autodiff::span::Span;
use crate::error::GraphError;
use crate::node::NodeId;

impl Graph {
    /// `outputs` as they would be if each first node of `replaced` were the second, which has its shape and dtype.
    pub(crate) fn substitute(
        &self,
        outputs: &[NodeId],
        replaced: &[(NodeId, NodeId)],
    ) -> Result<Vec<NodeId>, GraphError> {
        let starts: Vec<NodeId> = replaced.iter().map(|(from, _)| *from).collect();
        let span = Span::between(self, &starts, outputs);
        let affected = span.affected(self, &starts, outputs);
        let mut replacements: Vec<Option<NodeId>> = vec![None; span.len()];
        for (from, to) in replaced {
            if let Some(place) = span.place(self, *from) {
                replacements[place] = Some(*to);
            }
        }
        for &id in span.nodes() {
            let Some(place) = span.place(self, id).filter(|&place| affected[place]) else { continue };
            if replacements[place].is_some() {
                continue;
            }
            let node = self.node(id)?;
            let replacement = |id: NodeId| span.place(self, id).and_then(|place| replacements[place]).unwrap_or(id);
            let op = node.op.map_operands(replacement);
            replacements[place] = Some(self.insert_node(op, Some(&node.shape), Some(node.dtype), node.origin)?);
        }
        Ok(outputs
            .iter()
            .map(|id| span.place(self, *id).and_then(|place| replacements[place]).unwrap_or(*id))
            .collect())
    }
}

impl Span {
    /// For each place: whether the node is one of `starts` or depends on one, differentiably or not, and one of `outputs`
    /// needs it.
    pub(crate) fn affected(&self, graph: &Graph, starts: &[NodeId], outputs: &[NodeId]) -> Vec<bool> {
        let arena = graph.arena();
        let place = |id: &NodeId| self.place_of(arena.nodes[id.key].ordinal);
        let (mut affected, mut needed) = (vec![false; self.len()], vec![false; self.len()]);
        starts.iter().filter_map(place).for_each(|start| affected[start] = true);
        outputs.iter().filter_map(place).for_each(|output| needed[output] = true);
        for id in self.nodes() {
            let Some(own) = place(id).filter(|&own| !affected[own]) else { continue };
            let mut found = false;
            arena.nodes[id.key].op.for_each_operand(|operand| found |= place(&operand).is_some_and(|p| affected[p]));
            affected[own] = found;
        }
        for id in self.nodes().iter().rev() {
            let Some(own) = place(id) else { continue };
            affected[own] &= needed[own];
            if affected[own] {
                arena.nodes[id.key].op.for_each_operand(|operand| {
                    if let Some(place) = place(&operand) {
                        needed[place] = true;
                    }
                });
            }
        }
        affected
    }
}
