//! Parts of one tensor along one axis, and what they are together.

use crate::arena::Arena;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Arrangement, Op};
use crate::passes::rebuild::Rebuild;
use crate::shape::Shape;

/// Neighbouring elements of a tensor along one axis, and all along the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) source: Source,
    pub(super) start: usize,
    pub(super) extent: usize,
}

/// Of what, and how, something is a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub(super) tensor: NodeId,
    pub(super) axis: usize,
    /// Whether the part is one element along the axis and lacks the axis.
    pub(super) is_dropped: bool,
}

impl Part {
    /// The part of another tensor that a node is, if it is one and no more than that.
    pub(super) fn of(arena: &Arena, id: NodeId) -> Option<Part> {
        let node = &arena.nodes[id.key];
        let Op::View { operand, arrangement: Arrangement::Reshape } = &node.op else {
            return Part::of_slice(arena, id);
        };
        let slice = &arena.nodes[operand.key].shape;
        let part = Part::of_slice(arena, *operand).filter(|part| part.extent == 1)?;
        let axis = part.source.axis;
        let kept = (0..slice.rank()).filter(|&other| other != axis).map(|other| slice[other]);
        let is_dropped = kept.eq(node.shape.iter().copied());
        is_dropped.then_some(Part { source: Source { is_dropped, ..part.source }, ..part })
    }

    fn of_slice(arena: &Arena, id: NodeId) -> Option<Part> {
        let node = &arena.nodes[id.key];
        let Op::View { operand, arrangement: Arrangement::Slice { starts, steps } } = &node.op else { return None };
        let whole = &arena.nodes[operand.key].shape;
        let mut cut = (0..whole.rank()).filter(|&axis| whole[axis] != node.shape[axis]);
        let axis = cut.next()?;
        let extent = node.shape[axis];
        let is_part = cut.next().is_none() && extent > 0 && (extent == 1 || steps[axis] == 1);
        let source = Source { tensor: *operand, axis, is_dropped: false };
        is_part.then_some(Part { source, start: starts[axis], extent })
    }

    /// Where the part ends.
    pub(super) fn end(&self) -> usize {
        self.start + self.extent
    }
}

/// Elements `start..end` of the tensor of a source, along its axis, in the new graph.
pub(super) fn range(
    rebuild: &mut Rebuild,
    source: Source,
    tensor: NodeId,
    [start, end]: [usize; 2],
) -> Result<NodeId, GraphError> {
    let whole = rebuild.shape(tensor);
    let dtype = rebuild.dtype(tensor);
    let mut starts = thin_vec::thin_vec![0; whole.rank()];
    starts[source.axis] = start;
    let shape = whole.with_extent(source.axis, end - start);
    let steps = thin_vec::thin_vec![1; whole.rank()];
    rebuild.node(Op::View { operand: tensor, arrangement: Arrangement::Slice { starts, steps } }, &shape, dtype)
}

/// Operands, in order, that one after the other along an axis are a range of one tensor, which costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) source: Source,
    pub(super) ends: [usize; 2],
}

impl Range {
    /// The range that `operands`, concatenated along `axis` in some order, are; and the order, as places among them. `None` if they are
    /// none.
    pub(super) fn of(arena: &Arena, operands: &[NodeId], axis: usize) -> Option<(Range, Vec<usize>)> {
        let parts: Option<Vec<Part>> = operands.iter().map(|&operand| Part::of(arena, operand)).collect();
        let parts = parts?;
        let source = parts.first()?.source;
        // A dropped axis in front of the one that grows becomes one with it.
        if source.axis != axis || parts.iter().any(|part| part.source != source) {
            return None;
        }
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|&place| parts[place].start);
        let is_run = order.windows(2).all(|pair| parts[pair[0]].end() == parts[pair[1]].start);
        let ends = [parts[order[0]].start, parts[order[order.len() - 1]].end()];
        is_run.then_some((Range { source, ends }, order))
    }

    /// The range as one tensor of the new graph, of the operands' rank.
    pub(super) fn build(&self, rebuild: &mut Rebuild, tensor: NodeId) -> Result<NodeId, GraphError> {
        let range = range(rebuild, self.source, tensor, self.ends)?;
        if !self.source.is_dropped {
            return Ok(range);
        }
        let (stacked, dtype, axis) = (rebuild.shape(range), rebuild.dtype(range), self.source.axis);
        let joined: Shape = stacked[..axis]
            .iter()
            .copied()
            .chain([stacked[axis] * stacked[axis + 1]])
            .chain(stacked[axis + 2..].iter().copied())
            .collect();
        rebuild.node(Op::View { operand: range, arrangement: Arrangement::Reshape }, &joined, dtype)
    }
}
