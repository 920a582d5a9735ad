//! What a graph knows of its inputs and parameters beyond their nodes: names, first values, and what runs must fulfil.
//!
//! A node that indexes an axis, or compares labels with classes, requires something of its indices. The requirement belongs to
//! that node: it goes when the node goes, and counts only where the node is needed.

use std::collections::HashSet;

use crate::arena::{Arena, Graph};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{NodeId, NodeKey, Origin};
use crate::op::{Arrangement, Indexing, Leaf, Op};
use crate::shape::Shape;
use crate::storage::StorageType;

/// What the graph knows of an input or parameter beyond its node.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The name by which runs, sessions and files refer to it; unique in the graph.
    pub name: String,
    /// The node.
    pub node: NodeId,
    /// The shape of the node.
    pub shape: Shape,
    /// The dtype of the node.
    pub dtype: DType,
    /// In what a buffer holds its elements: values of the dtype, perhaps narrower.
    pub storage: StorageType,
    /// The caller's file and line.
    pub origin: Origin,
    /// Input or parameter.
    pub kind: DeclarationKind,
}

impl Declaration {
    /// Whether this is the state that [`crate::Graph::step`] declares: an i32 scalar named `step`.
    pub fn counts_steps(&self) -> bool {
        let is_state = matches!(self.kind, DeclarationKind::Parameter { .. });
        self.name == "step" && is_state && self.dtype == DType::I32 && self.shape.rank() == 0
    }
}

/// The two kinds of declared tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum DeclarationKind {
    /// Given at each run.
    Input,
    /// Kept on the device between runs.
    Parameter {
        /// Its elements when a session starts.
        init: Init,
        /// Whether optimisers update it; state that a plan updates itself is not trainable.
        trainable: bool,
    },
}

/// How a parameter's elements are made when a session starts. Random ones are a function of the session's seed and the
/// parameter's name: the same on every device, in whatever order a graph declares its parameters, and whichever others it
/// has.
///
/// Every number must be one that the parameter's dtype holds, rounded for floats. What a trainable parameter starts with is
/// finite; state may start at an infinity, as a running maximum does. NaN is refused. Mistakes are kept as the graph's
/// first error, with the place of the declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Every element is the value.
    Constant(f64),
    /// Uniform in `[low, high)`; every element is `low` if they are equal.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound, not below `low`.
        high: f64,
    },
    /// Normal with that mean and standard deviation.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation, 0 or more. Six of them on either side of the mean must be within the dtype's range.
        deviation: f64,
    },
    /// Uniform in `±sqrt(6 / fan_in)`, where `[fan_in, fan_out]` are the last two extents, or of one axis `[fan_in]` (He et
    /// al. 2015): keeps the variance through ReLU layers.
    KaimingUniform,
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010): for tanh and sigmoid layers.
    XavierUniform,
    /// These elements, row-major; their number must fit the shape, and each the dtype.
    Values(Vec<f64>),
}

/// A promise that the graph needs of an input's i32 elements: they index an axis of extent `bound`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexBound {
    /// The input.
    pub node: NodeId,
    /// Elements must be in `0..bound`.
    pub bound: usize,
    /// One value that is allowed besides, such as the ignored label of a loss.
    pub except: Option<i32>,
    /// The operation that needs it.
    pub origin: Origin,
}

/// What a node requires of the indices that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    /// The indices: an input, or a view of one that shows its elements and no others.
    pub(crate) indices: NodeId,
    /// Elements must be in `0..bound`.
    pub(crate) bound: usize,
    /// One value that is allowed besides.
    pub(crate) except: Option<i32>,
}

impl Graph {
    /// Declares an input or a parameter, which only the owner of the graph may do.
    pub(crate) fn declare(
        &self,
        name: String,
        shape: Shape,
        storage: StorageType,
        kind: DeclarationKind,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        if let Some(owner) = self.owner() {
            let op = match kind {
                DeclarationKind::Input => "input",
                DeclarationKind::Parameter { .. } => "parameter",
            };
            return Err(GraphError::Owned { origin, op, owner });
        }
        self.declare_unasked(name, shape, storage, kind, origin)
    }

    /// Declares without asking whose the graph is.
    pub(crate) fn declare_unasked(
        &self,
        name: String,
        shape: Shape,
        storage: StorageType,
        kind: DeclarationKind,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let dtype = storage.value();
        let declaration = {
            let arena = self.arena();
            if let Some(&first) = arena.names.get(&name) {
                let first = arena.declarations[first as usize].origin;
                return Err(GraphError::DuplicateName { origin, name, first });
            }
            arena.declarations.len() as u32
        };
        let op = match kind {
            DeclarationKind::Input => Op::Leaf(Leaf::Input { declaration }),
            DeclarationKind::Parameter { .. } => Op::Leaf(Leaf::Parameter { declaration }),
        };
        let node = self.insert_node(op, Some(&shape), Some(dtype), origin)?;
        let mut arena = self.arena_mut();
        arena.names.insert(name.clone(), declaration);
        arena.declarations.push(Declaration { name, node, shape, dtype, storage, origin, kind });
        Ok(node)
    }
}

/// The operand of an op that shows all its elements, in whatever order and however often, and computes nothing.
pub(crate) fn viewed(op: &Op) -> Option<NodeId> {
    let (Op::Reshape { operand }
    | Op::Broadcast { operand }
    | Op::Permute { operand, .. }
    | Op::StopGradient { operand }) = op
    else {
        return None;
    };
    Some(*operand)
}

impl Arena {
    /// The input of which a node shows exactly the elements, if it is one or a view of one. A slice would be checked outside its
    /// range too; what is computed cannot be checked on the host.
    pub(crate) fn viewed_input(&self, mut id: NodeId) -> Option<NodeId> {
        loop {
            match &self.nodes.get(id.key)?.op {
                Op::Leaf(Leaf::Input { .. }) => return Some(id),
                Op::View {
                    operand,
                    arrangement: Arrangement::Reshape | Arrangement::Broadcast | Arrangement::Permute { .. },
                }
                | Op::StopGradient { operand } => id = *operand,
                _ => return None,
            }
        }
    }

    /// Notes that a node requires that about its indices. Says whether they come from an input, and so will be checked.
    pub(crate) fn require(&mut self, owner: NodeId, requirement: Requirement) -> bool {
        let is_checked = self.viewed_input(requirement.indices).is_some();
        if is_checked {
            self.requirements.entry(owner.key).or_default().push(requirement);
        }
        is_checked
    }

    /// Notes what an op that indexes an axis requires.
    pub(crate) fn require_of_indices(&mut self, id: NodeId) {
        let Op::Indexing(
            Indexing::Gather { operand, indices, axis } | Indexing::ScatterAdd { operand, indices, axis, .. },
        ) = &self.nodes[id.key].op
        else {
            return;
        };
        let requirement = Requirement { indices: *indices, bound: self.nodes[operand.key].shape[*axis], except: None };
        self.require(id, requirement);
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
                let Requirement { indices, bound, except } = *requirement;
                if let Some(node) = self.viewed_input(indices)
                    && known.insert((node, bound, except))
                {
                    bounds.push(IndexBound { node, bound, except, origin: self.nodes[key].origin });
                }
            }
        }
        bounds
    }
}
