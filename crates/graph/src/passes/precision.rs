//! Mixed precision: the same graph, in which what matrix products read, and what waits for the backward pass, is rounded to 16 bits.
//!
//! Two kinds of f32 values are rounded, and nothing else:
//!
//! * **Operands** of matrix products, convolutions and attention, forward and backward. Sums go on in f32, and the results are f32. A mask
//!   of attention and its numbers a row stay as they are.
//! * **What waits**: values of the forward pass that the backward pass reads, of which a plan keeps the rounded ones. The forward pass goes
//!   on with what it computed, except where the backward pass compares the value with another (a maximum, a pooling): then both see the
//!   rounded one, so that what was equal is equal.
//!
//! What is a cheap function of values that wait does not wait itself: the backward pass computes it again from them, as they were rounded.
//!
//! What waits stays f32 if it is a leaf, a reduction, an exponential, a logarithm or a power; if the backward pass only repeats it over
//! more elements, as the statistics of a norm; or if it leads to no product, as all that stands behind the last one: losses and metrics.
//! Behind the backward pass, in the update, nothing is rounded, so parameters and all that an optimiser keeps are f32.
//!
//! A rounding is put beneath views, so that products read elements where they stand, and beside the value that it rounds: it has its
//! origin, layer and name, and takes its place in the order. That of a leaf stands before the first product that reads it: a graph may
//! declare all its parameters first, and their roundings would be held from then on. In loops the operands of products are rounded.
//!
//! What this does not know: names, layers and policies. The caller says which nodes keep f32.

mod loops;
mod rules;

use std::collections::HashMap;

use crate::arena::{Arena, Graph};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Elementwise, Half, Leaf, Op, OpKind};
use crate::passes::Optimised;
use crate::passes::rebuild::{Rebuild, Rewrites};
use crate::passes::sweep::sweep_rounded;
use crate::shape::Shape;
use rules::{base, has_products, is_cheap, is_rounded_operand, is_seen_through, may_wait_rounded, seen};

/// What is rounded of a graph: see [`mixed_precision`].
#[derive(Clone, Copy)]
pub struct MixedPrecision<'a> {
    /// To what it is rounded.
    pub half: Half,
    /// The ordinal of the first node of the backward pass; [`Graph::ordinal_bound`] where there is none.
    pub backward: usize,
    /// The ordinal of the first node behind the backward pass, from which on nothing is rounded.
    pub update: usize,
    /// Whether the node of an ordinal is left as it is: its operands, and itself where it waits.
    pub keeps_f32: &'a dyn Fn(usize) -> bool,
    /// Whether operations of a kind are left as they are in the bodies of loops, whose nodes have no ordinals in the graph.
    pub keeps_f32_in_loops: &'a dyn Fn(OpKind) -> bool,
}

/// The same graph, in which operands of products and values that wait for the backward pass are rounded, as this module
/// says. Nodes that only derivatives heed are kept. Errors as [`super::optimise`].
///
/// ```
/// use arenagrad_graph::passes::{self, MixedPrecision};
/// use arenagrad_graph::{Graph, Half, Init};
///
/// let g = Graph::new();
/// let (x, w) = (g.input("x", [8, 4]), g.parameter("w", [4, 3], Init::KaimingUniform));
/// let y = x.matmul(w);
/// let end = g.ordinal_bound();
/// let precision = MixedPrecision {
///     half: Half::Bf16,
///     backward: end,
///     update: end,
///     keeps_f32: &|_| false,
///     keeps_f32_in_loops: &|_| false,
/// };
/// let mixed = passes::mixed_precision(&g, &[y.id()?], &precision)?;
/// assert_eq!(mixed.graph.to_string().matches("round_to_bf16").count(), 2);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[track_caller]
pub fn mixed_precision(
    graph: &Graph,
    outputs: &[NodeId],
    precision: &MixedPrecision<'_>,
) -> Result<Optimised, GraphError> {
    super::require(graph, outputs, "mixed_precision")?;
    let needed = graph.needed(outputs)?;
    let roundings = Roundings::find(graph, &needed, precision);
    let rewrites = Rewrites::none();
    sweep_rounded(graph, outputs, rewrites, roundings)
}

/// How a value of the forward pass waits for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    /// As it is, or not at all.
    Unrounded,
    /// Not at all: the backward pass computes it again from what waits.
    Recomputed,
    /// Rounded, for the backward pass alone.
    ForBackward,
    /// Rounded, and the forward pass reads the rounded value too.
    Everywhere,
}

/// What is rounded, by ordinals of the old graph, and what has been so far, by nodes of the new one.
pub(super) struct Roundings<'a> {
    half: Half,
    backward: usize,
    update: usize,
    /// Whether operations of a kind are left as they are in loops.
    keeps_f32_in_loops: &'a dyn Fn(OpKind) -> bool,
    /// Whether the operands of a node are rounded.
    is_product: Vec<bool>,
    waiting: Vec<Waiting>,
    /// Whether a node is rounded as soon as it is built.
    is_rounded_at_once: Vec<bool>,
    rounded: HashMap<NodeId, NodeId>,
    /// What the backward pass computes again, by the ordinal of the old node.
    recomputed: HashMap<usize, NodeId>,
}

impl<'a> Roundings<'a> {
    fn find(graph: &Graph, needed: &[NodeId], precision: &MixedPrecision<'a>) -> Roundings<'a> {
        let MixedPrecision { half, backward, update, keeps_f32, keeps_f32_in_loops } = *precision;
        let arena = graph.arena();
        let bound = arena.nodes.values().map(|node| node.ordinal as usize + 1).max().unwrap_or(0);
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let keeps_f32 = |id: NodeId| keeps_f32(ordinal(id)) || arena.full_precision.contains(&id.key);
        let mut is_product = vec![false; bound];
        for &id in needed {
            let place = ordinal(id);
            is_product[place] =
                place < update && !keeps_f32(id) && has_products(&arena.nodes[id.key].op, keeps_f32_in_loops);
        }
        // Which values of the forward pass lead to a product in it.
        let mut leads = vec![false; bound];
        for &id in needed.iter().rev() {
            let place = ordinal(id);
            if place < backward && (is_product[place] || leads[place]) {
                arena.nodes[id.key].op.for_each_operand(|operand| leads[ordinal(operand)] = true);
            }
        }
        let mut waiting = vec![Waiting::Unrounded; bound];
        let mut is_operand = vec![false; bound];
        let mut is_rounded_at_once = vec![false; bound];
        for &id in needed {
            let reader = &arena.nodes[id.key];
            let place = ordinal(id);
            if is_product[place] {
                let mut position = 0;
                reader.op.for_each_operand(|operand| {
                    if is_rounded_operand(&reader.op, position) {
                        let base = base(&arena, operand);
                        is_operand[ordinal(base)] = true;
                        is_rounded_at_once[ordinal(base)] = true;
                        is_rounded_at_once[ordinal(operand)] = true;
                    }
                    position += 1;
                });
            }
            if place < backward || place >= update || is_seen_through(&reader.op) {
                continue;
            }
            let how = match reader.op {
                Op::Elementwise(Elementwise::Compare { .. }) => Waiting::Everywhere,
                Op::Leaf(_)
                | Op::Uniform { .. }
                | Op::Elementwise(_)
                | Op::StopGradient { .. }
                | Op::CustomGradient { .. }
                | Op::View { .. }
                | Op::Assembly(_)
                | Op::Reduce { .. }
                | Op::ArgMax { .. }
                | Op::AllReduce { .. }
                | Op::MatMul { .. }
                | Op::Attention(_)
                | Op::Convolution { .. }
                | Op::Indexing(_)
                | Op::Scan { .. }
                | Op::LinearAlgebra { .. }
                | Op::Ordered(_) => Waiting::ForBackward,
            };
            let mut position = 0;
            reader.op.for_each_operand(|operand| {
                let is_rounded = is_product[place] && is_rounded_operand(&reader.op, position);
                position += 1;
                let Some(shown) = seen(&arena, operand).filter(|_| !is_rounded) else { return };
                let own = ordinal(shown);
                let node = &arena.nodes[shown.key];
                if own < backward && leads[own] && !keeps_f32(shown) && may_wait_rounded(&arena, node) {
                    waiting[own] = waiting[own].max(how);
                }
            });
        }
        // What stands in 16 bits for a product anyway is read there.
        for &id in needed {
            let (node, place) = (&arena.nodes[id.key], ordinal(id));
            if waiting[place] != Waiting::ForBackward || is_operand[place] || !is_cheap(&node.op) {
                continue;
            }
            let mut is_known = true;
            node.op.for_each_operand(|operand| {
                let shown = base(&arena, operand);
                let is_leaf = matches!(arena.nodes[shown.key].op, Op::Leaf(_));
                is_known &= is_leaf || waiting[ordinal(shown)] != Waiting::Unrounded;
            });
            if is_known {
                waiting[place] = Waiting::Recomputed;
            }
        }
        for &id in needed {
            let place = ordinal(id);
            is_rounded_at_once[place] |= waiting[place] == Waiting::ForBackward;
            is_rounded_at_once[place] &= !matches!(arena.nodes[base(&arena, id).key].op, Op::Leaf(_));
        }
        let (rounded, recomputed) = (HashMap::new(), HashMap::new());
        Roundings {
            half,
            backward,
            update,
            keeps_f32_in_loops,
            is_product,
            waiting,
            is_rounded_at_once,
            rounded,
            recomputed,
        }
    }

    /// The node that takes the place of an old one, built over its operands' replacements.
    pub(super) fn replace(
        &mut self,
        rebuild: &mut Rebuild,
        arena: &Arena,
        node: &Node,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<NodeId, GraphError> {
        let place = node.ordinal as usize;
        let is_backward = (self.backward..self.update).contains(&place);
        let mut operands = Vec::new();
        node.op.for_each_operand(|operand| operands.push(operand));
        let mut new = Vec::with_capacity(operands.len());
        for (position, &operand) in operands.iter().enumerate() {
            new.push(if self.is_product[place] && is_rounded_operand(&node.op, position) {
                self.rounded(rebuild, replacement(operand))?
            } else if is_backward {
                self.for_backward(rebuild, arena, operand, replacement)?
            } else {
                replacement(operand)
            });
        }
        let mut new = new.into_iter();
        let op = node.op.map_operands(|operand| new.next().unwrap_or(operand));
        let op = if let Op::Scan { body, operands, result } = &op
            && self.is_product[place]
        {
            loops::scan(self.half, self.keeps_f32_in_loops, body, operands.clone(), *result)?
        } else {
            op
        };
        let declared = if let Op::Leaf(Leaf::Input { declaration } | Leaf::Parameter { declaration }) = &op {
            Some(*declaration)
        } else {
            None
        };
        let built = rebuild.node(op, &node.shape, node.dtype)?;
        if declared.is_some_and(|number| arena.declarations[number as usize].storage == self.half.storage()) {
            // It holds nothing that is not rounded.
            self.rounded.insert(built, built);
        }
        if self.is_rounded_at_once[place] {
            // Not when its first reader is built: what a plan knows of the rounding, from the layer to the place in the order, is that of
            // the node that it is built for.
            self.rounded(rebuild, built)?;
        }
        match self.waiting[place] {
            Waiting::Unrounded | Waiting::ForBackward => Ok(built),
            Waiting::Everywhere => self.rounded(rebuild, built),
            Waiting::Recomputed => {
                let mut again = Vec::with_capacity(operands.len());
                for &operand in &operands {
                    again.push(self.for_backward(rebuild, arena, operand, replacement)?);
                }
                let mut again = again.into_iter();
                let op = node.op.map_operands(|operand| again.next().unwrap_or(operand));
                let twin = rebuild.node(op, &node.shape, node.dtype)?;
                self.recomputed.insert(place, twin);
                Ok(built)
            }
        }
    }

    /// The rounding of a node of the new graph, if it has been built.
    pub(super) fn rounding_of(&self, id: NodeId) -> Option<NodeId> {
        self.rounded.get(&id).copied()
    }

    /// What the backward pass reads in the place of an old node: itself, unless that or what it shows waits.
    fn for_backward(
        &mut self,
        rebuild: &mut Rebuild,
        arena: &Arena,
        operand: NodeId,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<NodeId, GraphError> {
        let shown = base(arena, operand);
        let place = arena.nodes[shown.key].ordinal as usize;
        match self.waiting[place] {
            // What waits for both is rounded already.
            Waiting::Unrounded | Waiting::Everywhere => Ok(replacement(operand)),
            Waiting::ForBackward => self.rounded(rebuild, replacement(operand)),
            Waiting::Recomputed => {
                let mut views: Vec<&Node> = Vec::new();
                let mut id = operand;
                while id != shown {
                    let node = &arena.nodes[id.key];
                    id = match &node.op {
                        Op::View { operand, .. } => {
                            views.push(node);
                            *operand
                        }
                        Op::StopGradient { operand } => *operand,
                        Op::CustomGradient { value, .. } => *value,
                        Op::Leaf(_)
                        | Op::Uniform { .. }
                        | Op::Elementwise(_)
                        | Op::Assembly(_)
                        | Op::Reduce { .. }
                        | Op::ArgMax { .. }
                        | Op::AllReduce { .. }
                        | Op::MatMul { .. }
                        | Op::Attention(_)
                        | Op::Convolution { .. }
                        | Op::Indexing(_)
                        | Op::Scan { .. }
                        | Op::LinearAlgebra { .. }
                        | Op::Ordered(_) => shown,
                    };
                }
                let mut twin = self.recomputed.get(&place).copied().unwrap_or_else(|| replacement(shown));
                for view in views.into_iter().rev() {
                    let op = view.op.map_operands(|_| twin);
                    twin = rebuild.node(op, &view.shape, view.dtype)?;
                }
                Ok(twin)
            }
        }
    }

    /// A node of the new graph, rounded beneath the views that it is made of. What holds no f32 stays as it is.
    fn rounded(&mut self, rebuild: &mut Rebuild, id: NodeId) -> Result<NodeId, GraphError> {
        if rebuild.dtype(id) != DType::F32 {
            return Ok(id);
        }
        let mut views: Vec<(NodeId, Arrangement, Shape)> = Vec::new();
        let mut base = id;
        let mut rounded = loop {
            if let Some(&known) = self.rounded.get(&base) {
                break known;
            }
            let view = rebuild.read(base, |op, shape, _| {
                let Op::View { operand, arrangement } = op else { return None };
                Some((*operand, arrangement.clone(), shape.clone()))
            });
            let Some((operand, arrangement, shape)) = view else {
                let (half, shape) = (self.half, rebuild.shape(base));
                let op = Op::Elementwise(Elementwise::RoundTo { half, operand: base });
                let rounded = rebuild.node(op, &shape, DType::F32)?;
                self.rounded.insert(base, rounded);
                // What is rounded once is so for ever.
                self.rounded.insert(rounded, rounded);
                break rounded;
            };
            views.push((base, arrangement, shape));
            base = operand;
        };
        for (view, arrangement, shape) in views.into_iter().rev() {
            rounded = rebuild.node(Op::View { operand: rounded, arrangement }, &shape, DType::F32)?;
            self.rounded.insert(view, rounded);
        }
        Ok(rounded)
    }
}
