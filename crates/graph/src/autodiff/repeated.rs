//! Work that is written again for each part of it, as `x.tanh().select_index(0, i)` in a loop is: found, so that reverse mode takes it for
//! one, and what the parts pass back is put together once.
//!
//! Two nodes are the same if they compute the same from the same, as [`crate::passes::cse`] has it, to which equal nodes become one
//! when the graph is planned. Their gradients would not: each is a whole tensor with one part that is not 0, and goes its own way back.
//! So the earlier of the two receives the gradients of both.
//!
//! A node whose gradient is wanted is like no other, for it must receive its own gradient and none beside. So are loops and functions
//! with gradients of their own, whose ways back are told apart by more than what they compute, and literals, which are long to compare.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::arena::Graph;
use crate::autodiff::span::Span;
use crate::dtype::DType;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Indexing, Leaf, Op};
use crate::passes::cse;
use crate::shape::Shape;

/// For each place of a span the place of the first node that computes the same; `None` where nothing is taken in parts, so that what is
/// repeated costs no more than it says.
pub(crate) fn firsts(graph: &Graph, span: &Span, wanted: &[NodeId], on_the_way: &[bool]) -> Option<Vec<usize>> {
    let arena = graph.arena();
    let place = |id: NodeId| span.place_of(arena.nodes[id.key].ordinal);
    let is_taken_in_parts = |id: &NodeId| {
        let node = &arena.nodes[id.key];
        span.place_of(node.ordinal).is_some_and(|place| on_the_way[place]) && takes_parts(&node.op)
    };
    // One part alone is of one piece of work.
    span.nodes().iter().filter(|id| is_taken_in_parts(id)).nth(1)?;
    let mut firsts: Vec<usize> = (0..span.len()).collect();
    let mut is_wanted = vec![false; span.len()];
    wanted.iter().filter_map(|id| place(*id)).for_each(|place| is_wanted[place] = true);
    let mut ids: Vec<Option<NodeId>> = vec![None; span.len()];
    let mut known = Known::default();
    for &id in span.nodes() {
        let node = &arena.nodes[id.key];
        let Some(own) = span.place_of(node.ordinal) else { continue };
        ids[own] = Some(id);
        if is_wanted[own] || is_like_no_other(&node.op) {
            continue;
        }
        let op = node.op.map_operands(|operand| {
            let first = place(operand).and_then(|place| ids[firsts[place]]);
            first.unwrap_or(operand)
        });
        firsts[own] = known.first(node, op, on_the_way[own], own);
    }
    Some(firsts)
}

fn takes_parts(op: &Op) -> bool {
    matches!(op, Op::View { arrangement: Arrangement::Slice { .. }, .. } | Op::Indexing(Indexing::Gather { .. }))
}

fn is_like_no_other(op: &Op) -> bool {
    matches!(
        op,
        Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Placeholder | Leaf::Literal { .. })
            | Op::Scan { .. }
            | Op::CustomGradient { .. }
            | Op::AllReduce { .. }
    )
}

/// The nodes so far, over the first of their operands each.
#[derive(Default)]
struct Known {
    nodes: Vec<KnownNode>,
    by_hash: HashMap<u64, SmallVec<[usize; 1]>>,
}

struct KnownNode {
    op: Op,
    shape: Shape,
    dtype: DType,
    place: usize,
    /// Whether gradients pass it. What they do not pass is not the first of what they do.
    is_on_the_way: bool,
}

impl Known {
    /// The place of the first node that computes what this one does, which is its own if there is none before.
    fn first(&mut self, node: &Node, op: Op, is_on_the_way: bool, own: usize) -> usize {
        let hash = cse::hash(&op, &node.shape, node.dtype);
        let known = self.by_hash.entry(hash).or_default();
        let same = known.iter().map(|&number| &self.nodes[number]).find(|known| {
            known.is_on_the_way == is_on_the_way
                && (known.dtype, &known.shape) == (node.dtype, &node.shape)
                && cse::same_op(&known.op, &op)
        });
        if let Some(same) = same {
            return same.place;
        }
        known.push(self.nodes.len());
        self.nodes.push(KnownNode { op, shape: node.shape.clone(), dtype: node.dtype, place: own, is_on_the_way });
        own
    }
}
