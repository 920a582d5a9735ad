//! What is computed in parts: work of elements of which only slices are wanted, and together few elements, is done for each
//! slice by itself, sums and products of matrices included, and of literals only the elements that are wanted are kept.
//!
//! One sweep from the outputs back says of each node whether all of it is wanted, or which regions. A node that is built costs
//! a plan about as much as some thousand elements that are computed, so parts are worth their nodes only where they leave out
//! more than that.

use std::collections::{HashMap, HashSet};

use crate::arena::Arena;
use crate::elements::Elements;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Leaf, Op};
use crate::passes::simplify::before;
use crate::region::Region;
use crate::shape::Shape;

/// How many elements a node may compute in vain before another node is worth its cost.
const ELEMENTS_OF_A_NODE: usize = 4096;

/// The regions that are wanted of nodes of which nothing else is, by ordinal.
pub(super) type Regions = HashMap<u32, Vec<Region>>;

/// The regions of all nodes among `needed`, which `outputs` need, that are better computed in parts. `see_through` says that
/// `stop_gradient` and gradients of a function's own are taken out.
pub(super) fn regions(arena: &Arena, needed: &[NodeId], outputs: &[NodeId], see_through: bool) -> Regions {
    let mut narrow = Regions::new();
    let node = |id: &NodeId| &arena.nodes[id.key];
    if !needed.iter().any(|id| matches!(node(id).op, Op::View { arrangement: Arrangement::Slice { .. }, .. })) {
        return narrow;
    }
    let efforts = efforts(arena, needed, see_through);
    let mut is_whole = vec![false; arena.order.len()];
    outputs.iter().for_each(|id| is_whole[node(id).ordinal as usize] = true);
    let mut wanted = Wanted::default();
    for id in needed.iter().rev() {
        let node = node(id);
        let ordinal = node.ordinal;
        let regions = wanted.take(ordinal);
        let mut operands = Vec::new();
        for_each_computed(&node.op, see_through, |operand| operands.push(operand));
        // What is computed anyway is no effort.
        let is_computed = |operand: &NodeId| is_whole[arena.nodes[operand.key].ordinal as usize];
        let is_light = matches!(node.op, Op::Elementwise(_) | Op::View { .. }) && operands.iter().all(is_computed);
        let effort = if is_light { 1 } else { efforts[ordinal as usize] };
        let parts: Option<Vec<Vec<Region>>> = (!is_whole[ordinal as usize] && is_less(&regions, node, effort))
            .then(|| regions.iter().map(|region| of_operands(arena, node, region, see_through)).collect())
            .flatten();
        if let Some(parts) = parts {
            for part in parts {
                for (operand, region) in operands.iter().zip(part) {
                    wanted.add(arena.nodes[operand.key].ordinal, region);
                }
            }
            narrow.insert(ordinal, regions);
            continue;
        }
        if let Op::View { operand, arrangement: Arrangement::Slice { starts, steps } } = &node.op {
            // One of no elements becomes a constant.
            if node.shape.contains(&0) {
                continue;
            }
            wanted.add(arena.nodes[operand.key].ordinal, Region::of_slice(starts, steps, &node.shape));
            continue;
        }
        for operand in operands {
            is_whole[arena.nodes[operand.key].ordinal as usize] = true;
        }
    }
    narrow
}

/// Calls `visit` with the operands that an op's value is computed from.
pub(super) fn for_each_computed(op: &Op, see_through: bool, mut visit: impl FnMut(NodeId)) {
    if let (Op::CustomGradient { value, .. }, true) = (op, see_through) {
        visit(*value);
    } else {
        op.for_each_operand(visit);
    }
}

/// Whether regions are few enough elements of a node, each of which takes that effort.
fn is_less(regions: &[Region], node: &Node, effort: usize) -> bool {
    let of = |elements: usize| elements.saturating_mul(effort);
    let cost = |region: &Region| of(region.shape().elements()).saturating_add(ELEMENTS_OF_A_NODE);
    let parts = regions.iter().fold(0usize, |sum, region| sum.saturating_add(cost(region)));
    // One long sum or product, and what comes of it, is worth several short ones that do somewhat less together.
    let share = if effort > 1 { 2 } else { 1 };
    !regions.is_empty() && parts <= of(node.shape.elements()) / share
}

/// How many elements each element of a node is computed from, by ordinal: what is summed for it, and for views and elementwise work
/// whatever its operands take.
fn efforts(arena: &Arena, needed: &[NodeId], see_through: bool) -> Vec<usize> {
    let mut efforts = vec![1usize; arena.order.len()];
    for id in needed {
        let node = &arena.nodes[id.key];
        let mut most = 1;
        for_each_computed(&node.op, see_through, |operand| {
            most = most.max(efforts[arena.nodes[operand.key].ordinal as usize]);
        });
        let extent = |id: NodeId, axis: usize| arena.nodes[id.key].shape[axis];
        efforts[node.ordinal as usize] = match node.op {
            // What is repeated is computed once.
            Op::View { operand, arrangement: Arrangement::Broadcast } => {
                let from = arena.nodes[operand.key].shape.elements();
                (most.saturating_mul(from) / node.shape.elements().max(1)).max(1)
            }
            Op::Elementwise(_) | Op::View { .. } | Op::StopGradient { .. } | Op::CustomGradient { .. } => most,
            Op::Reduce { operand, axes, .. } => {
                axes.iter().fold(most, |effort, axis| effort.saturating_mul(extent(operand, axis)))
            }
            Op::MatMul { lhs, transpose_lhs, .. } => {
                let rank = arena.nodes[lhs.key].shape.rank();
                extent(lhs, rank - if transpose_lhs { 2 } else { 1 })
            }
            Op::Leaf(_)
            | Op::Uniform { .. }
            | Op::Assembly(_)
            | Op::ArgMax { .. }
            | Op::AllReduce { .. }
            | Op::Attention(_)
            | Op::Convolution { .. }
            | Op::Indexing(_)
            | Op::Scan { .. }
            | Op::LinearAlgebra { .. }
            | Op::Ordered(_) => 1,
        };
    }
    efforts
}

/// What a region of a node needs of each operand that its value is computed from; `None` if that is no region.
pub(super) fn of_operands(arena: &Arena, node: &Node, region: &Region, see_through: bool) -> Option<Vec<Region>> {
    match &node.op {
        Op::Elementwise(elementwise) => Some(elementwise.operands().iter().map(|_| region.clone()).collect()),
        Op::StopGradient { .. } | Op::CustomGradient { .. } => see_through.then(|| vec![region.clone()]),
        Op::View { operand, arrangement } => {
            before(arrangement, region, &arena.nodes[operand.key].shape, &node.shape).map(|region| vec![region])
        }
        Op::Leaf(Leaf::Literal { .. }) => Some(Vec::new()),
        Op::Reduce { operand, axes, .. } => Some(vec![region.before_reduce(*axes, &arena.nodes[operand.key].shape)]),
        Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
            // The result's rows are along the lhs' last axis but one, its columns along the rhs' last, unless they lie the other way round.
            let columns = node.shape.rank() - 1;
            let of = |id: NodeId, axis: usize, is_last: bool| {
                region.before_product(axis, is_last, &arena.nodes[id.key].shape)
            };
            Some(vec![of(*lhs, columns - 1, *transpose_lhs), of(*rhs, columns, !*transpose_rhs)])
        }
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::AllReduce { .. }
        | Op::Assembly(_)
        | Op::ArgMax { .. }
        | Op::Attention(_)
        | Op::Convolution { .. }
        | Op::Indexing(_)
        | Op::Scan { .. }
        | Op::LinearAlgebra { .. }
        | Op::Ordered(_) => None,
    }
}

/// The elements of a literal of that shape that a region takes.
pub(super) fn elements(data: &Elements, shape: &Shape, region: &Region) -> Elements {
    data.at(region.places(shape).into_iter())
}

/// The regions that users want, each once.
#[derive(Default)]
struct Wanted {
    regions: HashMap<u32, Vec<Region>>,
    known: HashSet<(u32, Region)>,
}

impl Wanted {
    fn add(&mut self, ordinal: u32, region: Region) {
        if self.known.insert((ordinal, region.clone())) {
            self.regions.entry(ordinal).or_default().push(region);
        }
    }

    fn take(&mut self, ordinal: u32) -> Vec<Region> {
        self.regions.remove(&ordinal).unwrap_or_default()
    }
}
