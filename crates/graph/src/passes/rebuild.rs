//! The graph that a pass builds: how each node comes into it, and what rules may ask of it.
//!
//! It knows no rule: which one is applied to an operation, and whether equal nodes are shared, is said when it is made.

use std::collections::HashMap;
use std::rc::Rc;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, Assembly, Extents, Leaf, Op};
use crate::ops::{self, Rule};
use crate::passes::ConvolutionForms;
use crate::passes::cse::{self, Shared};
use crate::passes::simplify;
use crate::shape::Shape;

/// What a sweep does beside leaving out what is not needed.
#[derive(Clone, Copy)]
pub(super) struct Rewrites {
    /// The rule that simplifies, if any does.
    pub(super) simplify: Option<Simplify>,
    pub(super) share: bool,
    /// Whether what only derivatives heed stays: `stop_gradient` and gradients of a function's own.
    pub(super) keep_derivatives: bool,
    /// Whether f32 becomes f64.
    pub(super) widen: bool,
    /// What convolutions become, where they do not stay.
    pub(super) convolutions: ConvolutionForms,
}

impl Rewrites {
    /// Leaves out what is not needed, and nothing else.
    pub(super) fn none() -> Rewrites {
        let convolutions = ConvolutionForms::default();
        Rewrites { simplify: None, share: false, keep_derivatives: true, widen: false, convolutions }
    }

    /// Simplifies besides.
    pub(super) fn simplifying() -> Rewrites {
        Rewrites { simplify: Some(simplify::rewrite), ..Rewrites::none() }
    }
}

/// What simplifies an operation of that shape and dtype, whose operands have been simplified.
pub(super) type Simplify = fn(&Op, &Shape, DType, &mut Rebuild) -> Result<Rewrite, GraphError>;

/// What a rule says of an operation.
pub(super) enum Rewrite {
    /// No rule applies.
    Keep,
    /// This node has the same result.
    Existing(NodeId),
    /// This operation has the same result; rules may apply to it in turn.
    Op(Op),
}

/// The graph that is being built, and what a rule may ask of it.
pub(super) struct Rebuild {
    pub(super) graph: Graph,
    pub(super) rewrites: Rewrites,
    shared: Shared,
    /// For each concatenation that was looked into, where each operand ends.
    ends: HashMap<NodeId, Rc<[usize]>>,
    /// The origin of the node that is being rebuilt, which its replacements take.
    pub(super) origin: Origin,
}

impl Rewrite {
    /// Every element is that value, exact in the dtype.
    pub(super) fn constant(value: f64) -> Self {
        Rewrite::Op(Op::Leaf(Leaf::Constant { value }))
    }
}

impl Rebuild {
    /// An empty graph with room for that many nodes.
    pub(super) fn new(nodes: usize, rewrites: Rewrites, origin: Origin) -> Rebuild {
        let graph = Graph::with_capacity(nodes);
        Rebuild { graph, rewrites, shared: Shared::default(), ends: HashMap::new(), origin }
    }

    /// The node that computes `op` after all the rewrites that apply.
    pub(super) fn node(&mut self, mut op: Op, shape: &Shape, dtype: DType) -> Result<NodeId, GraphError> {
        if let (Op::StopGradient { operand: value } | Op::CustomGradient { value, .. }, false) =
            (&op, self.rewrites.keep_derivatives)
        {
            return Ok(*value);
        }
        while let Some(simplify) = self.rewrites.simplify {
            match simplify(&op, shape, dtype, self)? {
                Rewrite::Keep => break,
                Rewrite::Existing(id) => return Ok(id),
                Rewrite::Op(simpler) => op = simpler,
            }
        }
        self.unsimplified(op, shape, dtype)
    }

    /// [`Rebuild::node`] of an operation whose result's shape and dtype follow from its operands.
    pub(super) fn inferred(&mut self, op: Op) -> Result<NodeId, GraphError> {
        let inferred = {
            let arena = self.graph.arena();
            ops::infer(&Rule { arena: &arena, op: op.name(), origin: self.origin }, &op, None, None)
        };
        let (shape, dtype) = inferred?;
        self.node(op, &shape, dtype)
    }

    /// The node that computes `op` as it stands.
    pub(super) fn unsimplified(&mut self, op: Op, shape: &Shape, dtype: DType) -> Result<NodeId, GraphError> {
        let is_one_of_a_kind =
            matches!(op, Op::Leaf(Leaf::Input { .. }) | Op::Leaf(Leaf::Parameter { .. }) | Op::Leaf(Leaf::Placeholder));
        if !self.rewrites.share || is_one_of_a_kind {
            return self.graph.insert_unrequired(op, Some(shape), Some(dtype), self.origin);
        }
        let hash = cse::hash(&op, shape, dtype);
        if let Some(id) = self.shared.find(hash, &self.graph.arena(), &op, shape, dtype) {
            return Ok(id);
        }
        let id = self.graph.insert_unrequired(op, Some(shape), Some(dtype), self.origin)?;
        self.shared.add(hash, id);
        Ok(id)
    }

    /// The operand of a concatenation along `axis` that the places from `start` to `last` are of, and where it begins; `None` if
    /// they are of several.
    pub(super) fn concatenated(
        &mut self,
        id: NodeId,
        axis: usize,
        start: usize,
        last: usize,
    ) -> Option<(NodeId, usize)> {
        let arena = self.graph.arena();
        let Op::Assembly(Assembly::Concat { operands, .. }) = &arena.nodes[id.key].op else { return None };
        let ends = self.ends.entry(id).or_insert_with(|| {
            let extents = operands.iter().map(|operand| arena.nodes[operand.key].shape[axis]);
            extents.scan(0, |end, extent| Some(*end + extent).inspect(|next| *end = *next)).collect()
        });
        let place = ends.partition_point(|&end| end <= start);
        let first = place.checked_sub(1).map_or(0, |before| ends[before]);
        (last < *ends.get(place)?).then(|| (operands[place], first))
    }

    /// Reads a node of the new graph.
    pub(super) fn read<T>(&self, id: NodeId, read: impl FnOnce(&Op, &Shape, DType) -> T) -> T {
        let arena = self.graph.arena();
        let node = &arena.nodes[id.key];
        read(&node.op, &node.shape, node.dtype)
    }

    /// The op of a node of the new graph.
    pub(super) fn op(&self, id: NodeId) -> Op {
        self.read(id, |op, _, _| op.clone())
    }

    /// The value of every element, if that is one known now.
    pub(super) fn constant(&self, id: NodeId) -> Option<f64> {
        self.read(id, |op, _, _| if let Op::Leaf(Leaf::Constant { value }) = op { Some(*value) } else { None })
    }

    /// The shape of a node of the new graph.
    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.read(id, |_, shape, _| shape.clone())
    }

    /// The dtype of a node of the new graph.
    pub(super) fn dtype(&self, id: NodeId) -> DType {
        self.read(id, |_, _, dtype| dtype)
    }

    /// The operand and axes of a permutation.
    pub(super) fn permuted(&self, id: NodeId) -> Option<(NodeId, Extents)> {
        self.read(id, |op, _, _| {
            if let Op::View { operand, arrangement: Arrangement::Permute { axes } } = op {
                Some((*operand, axes.clone()))
            } else {
                None
            }
        })
    }
}
