//! What nodes require of indices that come from an input, which each run checks.
//!
//! A node that indexes an axis, or compares labels with classes, requires something of its indices. The requirement belongs to
//! that node: it goes when the node goes, and counts only where the node is needed.

use std::collections::HashSet;

use crate::arena::{Arena, Graph};
use crate::declaration::{IndexBound, Requirement};
use crate::error::GraphError;
use crate::node::{NodeId, NodeKey};
use crate::op::{Arrangement, Indexing, Leaf, Op};
use crate::views::Views;

impl Graph {
    /// What inputs of indices must fulfil at each run, each once, in the order of the operations that need it.
    pub fn index_bounds(&self) -> Vec<IndexBound> {
        let arena = self.arena();
        arena.index_bounds(arena.order.iter().copied())
    }

    /// As [`Graph::index_bounds`], of what `outputs` need alone, where nodes at which `known` holds are inputs, whatever they are computed
    /// from. Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn index_bounds_until(
        &self,
        outputs: &[NodeId],
        known: impl Fn(NodeId) -> bool,
    ) -> Result<Vec<IndexBound>, GraphError> {
        let needed = self.needed_until(outputs, &known, "index_bounds_until")?;
        Ok(self.arena().index_bounds(needed.iter().filter(|id| !known(**id)).map(|id| id.key)))
    }
}

/// The operand of an op that shows all its elements, in whatever order and however often, and computes nothing.
pub(crate) fn viewed(op: &Op) -> Option<NodeId> {
    let (Op::View { operand, arrangement: Arrangement::Reshape }
    | Op::View { operand, arrangement: Arrangement::Broadcast }
    | Op::View { operand, arrangement: Arrangement::Permute { .. } }
    | Op::View { operand, arrangement: Arrangement::Flip { .. } }
    | Op::StopGradient { operand }) = op
    else {
        return None;
    };
    Some(*operand)
}

/// What an op indexes, by which indices and along which axis, if it does.
pub(crate) fn indices_of(op: &Op) -> Option<(NodeId, NodeId, usize)> {
    let (Op::Indexing(Indexing::Gather { operand, indices, axis })
    | Op::Indexing(Indexing::ScatterAdd { operand, indices, axis, .. })
    | Op::Indexing(Indexing::ScatterReduce { operand, indices, axis, .. })) = op
    else {
        return None;
    };
    Some((*operand, *indices, *axis))
}

impl Arena {
    /// The input of which a node shows elements, all or some, if it is one or a view of one. What is computed cannot be checked on the
    /// host.
    pub(crate) fn shown_input(&self, id: NodeId) -> Option<(NodeId, Option<Views>)> {
        self.shown(id).filter(|(leaf, _)| matches!(self.nodes[leaf.key].op, Op::Leaf(Leaf::Input { .. })))
    }

    /// The input whose elements a requirement is about, and which of them, as far as it is one: where what an input was made of has been computed
    /// meanwhile, as a tape does, that is the input.
    pub(crate) fn required_input(&self, requirement: &Requirement) -> Option<(NodeId, Option<Views>)> {
        let Some(shown) = &requirement.shown else { return self.shown_input(requirement.indices) };
        let (leaf, views) = self.views_down_to_leaf(requirement.indices)?;
        let is_input = matches!(self.nodes[leaf.key].op, Op::Leaf(Leaf::Input { .. }));
        is_input.then(|| (leaf, Some(shown.clone().over(views))))
    }

    /// Notes that a node requires that about its indices. Says whether they come from an input, and so will be checked.
    pub(crate) fn require(&mut self, owner: NodeId, requirement: Requirement) -> bool {
        let is_checked = self.required_input(&requirement).is_some();
        if is_checked {
            self.requirements.entry(owner.key).or_default().push(requirement);
        }
        is_checked
    }

    /// Notes what an op that indexes an axis requires, and a loop that does so by what it captures. Elements of a loop's sequences are not
    /// asked about: each is met in a step of its own, which may well take no heed of what it read.
    pub(crate) fn require_of_indices(&mut self, id: NodeId) {
        let op = &self.nodes[id.key].op;
        let requirements: Vec<Requirement> = if let Op::Scan { body, operands, result } = op {
            let indexed = body.indexed(*result).into_iter();
            let required = |(number, bound, shown)| {
                let indices: NodeId = operands[number];
                Requirement { indices, shown, least: 0, bound, except: None }
            };
            indexed.map(required).collect()
        } else if let Some((operand, indices, axis)) = indices_of(op) {
            let bound = self.nodes[operand.key].shape[axis];
            vec![Requirement { indices, least: 0, bound, except: None, shown: None }]
        } else {
            return;
        };
        for requirement in requirements {
            self.require(id, requirement);
        }
    }

    /// Lets a node require what another one does, whose work it does.
    pub(crate) fn require_as(&mut self, original: NodeId, id: NodeId) {
        for requirement in self.requirements.get(&original.key).cloned().unwrap_or_default() {
            self.require(id, requirement);
        }
    }

    /// What inputs must fulfil for these nodes, each once, in their order.
    pub(crate) fn index_bounds(&self, nodes: impl Iterator<Item = NodeKey>) -> Vec<IndexBound> {
        let (mut bounds, mut known) = (Vec::new(), HashSet::new());
        if self.requirements.is_empty() {
            return bounds;
        }
        for key in nodes {
            let Some(requirements) = self.requirements.get(&key) else { continue };
            for requirement in requirements {
                let Requirement { least, bound, except, .. } = *requirement;
                let Some((node, shown)) = self.required_input(requirement) else { continue };
                let one = IndexBound { node, least, bound, except, origin: self.nodes[key].origin, shown };
                if known.insert((node, least, bound, except, one.shown.clone())) {
                    bounds.push(one);
                }
            }
        }
        bounds
    }
}
