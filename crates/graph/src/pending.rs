//! What is left to compute when the values of some nodes are known.
//!
//! Whoever keeps values of nodes asks this before and after a run: what has to be computed, and which of it is worth keeping because
//! something else needs it. The cost is that of the answer, however large the graph is.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Leaf, Op};

/// A node whose value is not known and is needed. See [`Graph::pending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The node.
    pub node: NodeId,
    /// Whether a derivative of it flows on into a known node that carries one.
    pub carries_gradient: bool,
    /// Whether a node uses it that is not itself among what is left to compute.
    pub is_used_beside: bool,
}

impl Graph {
    /// What is left to compute for `outputs`, in insertion order. `known` says of a node that its value is known with `Some`, and
    /// whether derivatives that reach it are of use. Errors: an output that is stale or of another graph.
    ///
    /// ```
    /// let g = arenagrad_graph::Graph::new();
    /// let x = g.input("x", [2]);
    /// let y = x.exp();
    /// let z = y.sin();
    /// let known = |id| (id == x.id().unwrap()).then_some(true);
    /// let pending = g.pending(&[y.id()?], known)?;
    /// assert_eq!((pending.len(), pending[0].carries_gradient, pending[0].is_used_beside), (1, true, true));
    /// # let _ = z;
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pending(
        &self,
        outputs: &[NodeId],
        known: impl Fn(NodeId) -> Option<bool>,
    ) -> Result<Vec<Pending>, GraphError> {
        let nodes = self.needed_until(outputs, &|id| known(id).is_some(), "pending")?;
        let arena = self.arena();
        let mut pending: Vec<Pending> = Vec::with_capacity(nodes.len());
        let mut uses: Vec<u32> = Vec::with_capacity(nodes.len());
        // What a function's own gradient is written over stands for nothing that could be computed.
        let mut is_template: Vec<bool> = Vec::with_capacity(nodes.len());
        self.with_places(|places| {
            for id in nodes.into_iter().filter(|id| known(*id).is_none()) {
                let node = &arena.nodes[id.key];
                let place_of =
                    |operand: NodeId| places.get(arena.nodes[operand.key].ordinal).map(|place| place as usize);
                let mut over_template = matches!(node.op, Op::Leaf(Leaf::Placeholder));
                node.op.for_each_operand(|operand| {
                    if let Some(place) = place_of(operand) {
                        uses[place] += 1;
                        over_template |= is_template[place];
                    }
                });
                is_template.push(over_template && !matches!(node.op, Op::CustomGradient { .. }));
                let mut carries_gradient = false;
                if node.dtype.is_float() {
                    node.op.for_each_differentiated(|operand| {
                        carries_gradient |= match place_of(operand) {
                            Some(place) => pending[place].carries_gradient,
                            None => known(operand) == Some(true) && arena.nodes[operand.key].dtype.is_float(),
                        };
                    });
                }
                places.insert(node.ordinal, pending.len() as u32);
                pending.push(Pending { node: id, carries_gradient, is_used_beside: false });
                uses.push(0);
            }
        });
        for (pending, uses) in pending.iter_mut().zip(uses) {
            pending.is_used_beside = arena.nodes[pending.node.key].users > uses;
        }
        let computed = pending.into_iter().zip(is_template).filter(|(_, template)| !template);
        Ok(computed.map(|(pending, _)| pending).collect())
    }

    /// The nodes that `outputs` are computed from, themselves included, in insertion order, but nothing that only nodes at which
    /// `known` holds are computed from. Errors: an output that is stale or of another graph, told as a mistake of `op`.
    #[track_caller]
    pub(crate) fn needed_until(
        &self,
        outputs: &[NodeId],
        known: &dyn Fn(NodeId) -> bool,
        op: &'static str,
    ) -> Result<Vec<NodeId>, GraphError> {
        self.require_nodes(outputs, op)?;
        let arena = self.arena();
        let mut nodes: Vec<NodeId> = Vec::new();
        self.with_places(|places| {
            let mut reach = |id: NodeId, nodes: &mut Vec<NodeId>| {
                if places.insert(arena.nodes[id.key].ordinal, 0) {
                    nodes.push(id);
                }
            };
            outputs.iter().for_each(|output| reach(*output, &mut nodes));
            let mut visited = 0;
            while let Some(&id) = nodes.get(visited) {
                visited += 1;
                if !known(id) {
                    arena.nodes[id.key].op.for_each_operand(|operand| reach(operand, &mut nodes));
                }
            }
        });
        nodes.sort_unstable_by_key(|id| arena.nodes[id.key].ordinal);
        Ok(nodes)
    }
}
