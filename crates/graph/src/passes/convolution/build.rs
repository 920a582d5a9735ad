//! Nodes of the graph that a pass builds, each in a line.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Arrangement, Assembly, BinaryFunction, Extents, Op};
use crate::passes::rebuild::Rebuild;
use crate::shape::{AxisSet, Shape};

/// Adds nodes of one dtype, each simplified as it comes in.
pub(super) struct Build<'a> {
    pub(super) graph: &'a mut Rebuild,
    pub(super) dtype: DType,
}

impl Build<'_> {
    pub(super) fn shape(&self, id: NodeId) -> Shape {
        self.graph.shape(id)
    }

    pub(super) fn constant(&mut self, value: f64, shape: &Shape) -> Result<NodeId, GraphError> {
        self.graph.node(Op::constant(value), shape, self.dtype)
    }

    pub(super) fn reshape(&mut self, operand: NodeId, shape: &Shape) -> Result<NodeId, GraphError> {
        self.view(operand, Arrangement::Reshape, shape)
    }

    pub(super) fn permute(&mut self, operand: NodeId, axes: Extents) -> Result<NodeId, GraphError> {
        self.inferred_view(operand, Arrangement::Permute { axes })
    }

    pub(super) fn flip(&mut self, operand: NodeId, axes: AxisSet) -> Result<NodeId, GraphError> {
        self.inferred_view(operand, Arrangement::Flip { axes })
    }

    pub(super) fn broadcast(&mut self, operand: NodeId, shape: &Shape) -> Result<NodeId, GraphError> {
        self.view(operand, Arrangement::Broadcast, shape)
    }

    pub(super) fn slice(
        &mut self,
        operand: NodeId,
        starts: Extents,
        steps: Extents,
        shape: &Shape,
    ) -> Result<NodeId, GraphError> {
        self.view(operand, Arrangement::Slice { starts, steps }, shape)
    }

    /// Every `step`-th of an axis from `start` on, so many.
    pub(super) fn along(
        &mut self,
        operand: NodeId,
        axis: usize,
        [start, step, extent]: [usize; 3],
    ) -> Result<NodeId, GraphError> {
        let shape = self.shape(operand);
        if (start, extent) == (0, shape[axis]) {
            return Ok(operand);
        }
        let mut starts: Extents = thin_vec::thin_vec![0; shape.rank()];
        let mut steps: Extents = thin_vec::thin_vec![1; shape.rank()];
        // A single element has no neighbour that a step could lead to.
        (starts[axis], steps[axis]) = (start, if extent == 1 { 1 } else { step });
        self.slice(operand, starts, steps, &shape.with_extent(axis, extent))
    }

    /// Coordinates `start..start + extent` of an axis, zeros where it has no elements.
    pub(super) fn fitted(
        &mut self,
        operand: NodeId,
        axis: usize,
        start: isize,
        extent: usize,
    ) -> Result<NodeId, GraphError> {
        let shape = self.shape(operand);
        let elements = shape[axis] as isize;
        let (first, end) = (start.clamp(0, elements), (start + extent as isize).clamp(0, elements));
        if first >= end {
            return self.constant(0.0, &shape.with_extent(axis, extent));
        }
        let part = self.along(operand, axis, [first as usize, 1, (end - first) as usize])?;
        self.padded(part, axis, (first - start) as usize, 0, extent)
    }

    /// An axis with zeros: `low` before the first element, `interior` between neighbours, and the rest of `extent` behind the last.
    pub(super) fn padded(
        &mut self,
        operand: NodeId,
        axis: usize,
        low: usize,
        interior: usize,
        extent: usize,
    ) -> Result<NodeId, GraphError> {
        let shape = self.shape(operand);
        if shape[axis] == extent {
            return Ok(operand);
        }
        // Axes of one tensor are padded at once: one copy, not one for each.
        let inner = self.graph.op(operand);
        let none = || thin_vec::thin_vec![0; shape.rank()];
        let (operand, mut lows, mut interiors): (_, Extents, Extents) =
            if let Op::Assembly(Assembly::Pad { operand: inner, lows, interiors, value }) = inner
                && value.to_bits() == 0
                && self.shape(inner)[axis] == shape[axis]
            {
                (inner, lows, interiors)
            } else {
                (operand, none(), none())
            };
        (lows[axis], interiors[axis]) = (low, interior);
        let op = Op::Assembly(Assembly::Pad { operand, lows, interiors, value: 0.0 });
        self.graph.node(op, &shape.with_extent(axis, extent), self.dtype)
    }

    pub(super) fn concat(&mut self, operands: Vec<NodeId>, axis: usize) -> Result<NodeId, GraphError> {
        self.graph.inferred(Op::Assembly(Assembly::Concat { operands: operands.into(), axis }))
    }

    pub(super) fn binary(&mut self, function: BinaryFunction, lhs: NodeId, rhs: NodeId) -> Result<NodeId, GraphError> {
        self.graph.inferred(Op::binary(function, lhs, rhs))
    }

    pub(super) fn product(&mut self, lhs: NodeId, rhs: NodeId, transpose_rhs: bool) -> Result<NodeId, GraphError> {
        self.graph.inferred(Op::MatMul { lhs, rhs, transpose_lhs: false, transpose_rhs })
    }

    /// A view whose shape follows from its operand's.
    pub(super) fn inferred_view(&mut self, operand: NodeId, arrangement: Arrangement) -> Result<NodeId, GraphError> {
        self.graph.inferred(Op::View { operand, arrangement })
    }

    fn view(&mut self, operand: NodeId, arrangement: Arrangement, shape: &Shape) -> Result<NodeId, GraphError> {
        self.graph.node(Op::View { operand, arrangement }, shape, self.dtype)
    }
}
