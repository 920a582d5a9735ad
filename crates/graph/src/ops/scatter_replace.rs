//! Scatters along one axis that replace: the last update of a place stands there.
//!
//! | op | y | derivative in x | derivative in u |
//! |---|---|---|---|
//! | scatter_replace | x with the last `u[.., j, ..]` of each place `[.., i[.., j, ..], ..]` in the place of its element | 1 where no update goes, else 0 | 1 for the last update of its place, else 0 |
//!
//! It is linear in both, so tangents are scattered as the values were. What flows back to x is the upstream gradient with zeros scattered to
//! the places of the updates, which costs no more than they do where the upstream gradient is needed no more. Any dtype; indices are i32 and
//! carry no gradient. An index that was computed may be out of range: its update goes nowhere, and has a derivative of 0.
//!
//! **Which update is the last** needs no answer where each place has one at most: along an axis of one update, and at literal indices
//! that differ. Else each place is given the number of its last update, and each update looks whether that is its own. Indices that are repeated
//! over other axes are asked once: one number a row, not one an element.

use std::collections::HashSet;

use crate::dtype::DType;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, Indexing, Leaf, Op, ScatterFunction};
use crate::ops::indexing::zero_out_of_range;
use crate::ops::{Differentiated, Pushed};

pub(crate) fn vjp<'g>(
    [operand, indices, updates]: [NodeId; 3],
    axis: usize,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let (upstream, origin) = (node.upstream, node.origin);
    let of_indices = node.expr(indices);
    if (node.wants)(operand) {
        let dtype = upstream.read("scatter_replace", origin, |_, node| node.dtype).unwrap_or(DType::F32);
        let zeros = upstream.graph().zeros(node.shape_of(updates), dtype);
        give(operand, upstream.with_replaced(of_indices, zeros, axis, origin));
    }
    if let (true, Some(source)) = ((node.wants)(updates), upstream.raw()) {
        let op = Op::Indexing(Indexing::Gather { operand: source, indices, axis });
        let gathered = upstream.insert(op, None, None, origin);
        let gathered = zero_out_of_range(gathered, of_indices, node.shape[axis]);
        let is_last = is_last(of_indices, axis, node.shape[axis], origin);
        give(updates, is_last.map_or(gathered, |is_last| is_last.where_(gathered, 0.0)));
    }
}

pub(crate) fn jvp<'g>(
    [operand, indices, updates]: [NodeId; 3],
    axis: usize,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    if (node.tangent)(operand).is_none() && (node.tangent)(updates).is_none() {
        return None;
    }
    let [base, updated] = [operand, updates].map(|id| node.tangent_or_zeros(id));
    Some(base.with_replaced(node.expr(indices), updated, axis, node.origin))
}

impl<'g> Expr<'g> {
    /// This with the last of the updates that go to each place along `axis` in the place of its element.
    pub(crate) fn with_replaced(self, indices: Expr<'g>, updates: Expr<'g>, axis: usize, origin: Origin) -> Expr<'g> {
        match (self.raw(), indices.raw(), updates.raw()) {
            (Some(operand), Some(indices), Some(updates)) => {
                let function = ScatterFunction::Replace;
                let op = Indexing::ScatterReduce { function, operand, indices, updates, axis };
                self.insert(Op::Indexing(op), None, None, origin)
            }
            _ => Expr::poisoned(self.graph()),
        }
    }
}

/// bool, of the shape of the indices or one that broadcasts to it: whether no later update goes to the same place. None if that holds of all.
fn is_last<'g>(indices: Expr<'g>, axis: usize, extent: usize, origin: Origin) -> Option<Expr<'g>> {
    let indices = unrepeated(indices, axis);
    let shape = indices.read("scatter_replace", origin, |_, node| node.shape.clone())?;
    if shape[axis] <= 1 || differ(indices, shape.elements()) {
        return None;
    }
    let graph = indices.graph();
    let number = graph.iota(&shape, axis);
    let none = graph.full(shape.with_extent(axis, extent), -1.0, DType::I32);
    let last = none.with_replaced(indices, number, axis, origin);
    Some(number.equal(last.gather(axis as isize, indices)))
}

/// The indices before they were repeated over other axes than `axis`.
fn unrepeated(indices: Expr<'_>, axis: usize) -> Expr<'_> {
    let Some(mut id) = indices.raw() else { return indices };
    let arena = indices.graph().arena();
    loop {
        let node = &arena.nodes[id.key];
        let Op::View { operand, arrangement: Arrangement::Broadcast } = node.op else { break };
        let before = &arena.nodes[operand.key].shape;
        if before.rank() != node.shape.rank() || before[axis] != node.shape[axis] {
            break;
        }
        id = operand;
    }
    drop(arena);
    Expr::from_id(indices.graph(), id)
}

/// Whether these are `count` indices that stand in the graph, no two of which are the same.
fn differ(indices: Expr<'_>, count: usize) -> bool {
    let Some((_, Op::Leaf(Leaf::Literal { data }))) = indices.source() else { return false };
    let Some(elements) = data.as_slice::<i32>().filter(|elements| elements.len() == count) else { return false };
    let mut seen = HashSet::with_capacity(count);
    elements.iter().all(|&index| seen.insert(index))
}
