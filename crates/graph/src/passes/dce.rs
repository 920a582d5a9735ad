//! Removal of what a rewrite left without users.

use crate::arena::Graph;
use crate::node::NodeId;
use crate::op::{Leaf, Op};

impl Graph {
    /// Removes every node that no output needs, declarations excepted, and closes the gaps in the ordinals. Only for a
    /// graph that nobody else holds expressions or marks of.
    pub(crate) fn prune(&self, outputs: &[NodeId]) {
        let mut arena = self.arena_mut();
        let arena = &mut *arena;
        let mut is_output = vec![false; arena.order.len()];
        for output in outputs {
            is_output[arena.nodes[output.key].ordinal as usize] = true;
        }
        // Users stand after their operands: in descending order, whoever has no users has none left to come.
        for place in (0..arena.order.len()).rev() {
            let key = arena.order[place];
            let Some(node) = arena.nodes.get(key) else { continue };
            let is_declaration = matches!(node.op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. }));
            if node.users == 0 && !is_declaration && !is_output[node.ordinal as usize] {
                arena.discard(key);
            }
        }
        let nodes = &mut arena.nodes;
        arena.order.retain(|&key| nodes.contains_key(key));
        for (ordinal, &key) in arena.order.iter().enumerate() {
            nodes[key].ordinal = ordinal as u32;
        }
    }
}
