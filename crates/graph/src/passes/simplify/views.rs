//! Rules for ops that move elements, and for the matrix product's transpositions.

use crate::node::NodeId;
use crate::op::{Arrangement, Assembly, Extents, Leaf, Op, Windows};
use crate::ops::matmul::matrix;
use crate::passes::rebuild::{Rebuild, Rewrite};
use crate::shape::{AxisSet, Shape};

pub(super) fn reshape(operand: NodeId, shape: &Shape, graph: &Rebuild) -> Rewrite {
    if graph.shape(operand) == *shape {
        return Rewrite::Existing(operand);
    }
    let inner = graph.op(operand);
    if let Op::Leaf(Leaf::Constant { value }) = inner {
        Rewrite::constant(value)
    } else if let Op::View { operand, arrangement: Arrangement::Reshape } = inner {
        Rewrite::Op(Op::View { operand, arrangement: Arrangement::Reshape })
    } else if let Op::Leaf(Leaf::Iota { axis }) = inner
        && let Some(axis) = same_axis(axis, &graph.shape(operand), shape)
    {
        Rewrite::Op(Op::Leaf(Leaf::Iota { axis }))
    } else {
        Rewrite::Keep
    }
}

pub(super) fn permute(operand: NodeId, axes: &Extents, graph: &Rebuild) -> Rewrite {
    if axes.iter().enumerate().all(|(position, &axis)| position == axis) {
        return Rewrite::Existing(operand);
    }
    let inner = graph.op(operand);
    if let Op::Leaf(Leaf::Constant { value }) = inner {
        Rewrite::constant(value)
    } else if let Op::View { operand, arrangement: Arrangement::Permute { axes: inner } } = inner {
        // Axis i of the result is axis axes[i] of the inner result, which is axis inner[axes[i]] of its operand.
        Rewrite::Op(Op::View {
            operand,
            arrangement: Arrangement::Permute { axes: axes.iter().map(|&axis| inner[axis]).collect() },
        })
    } else if let Op::Leaf(Leaf::Iota { axis: inner }) = inner
        && let Some(axis) = axes.iter().position(|&axis| axis == inner)
    {
        Rewrite::Op(Op::Leaf(Leaf::Iota { axis }))
    } else {
        Rewrite::Keep
    }
}

pub(super) fn broadcast(operand: NodeId, shape: &Shape, graph: &Rebuild) -> Rewrite {
    if graph.shape(operand) == *shape {
        return Rewrite::Existing(operand);
    }
    let inner = graph.op(operand);
    if let Op::Leaf(Leaf::Constant { value }) = inner {
        Rewrite::constant(value)
    } else if let Op::View { operand, arrangement: Arrangement::Broadcast } = inner {
        Rewrite::Op(Op::View { operand, arrangement: Arrangement::Broadcast })
    } else if let Op::Leaf(Leaf::Iota { axis }) = inner {
        // An axis of one coordinate would be a constant, so this one is not repeated.
        Rewrite::Op(Op::Leaf(Leaf::Iota { axis: axis + shape.rank() - graph.shape(operand).rank() }))
    } else {
        Rewrite::Keep
    }
}

pub(super) fn flip(operand: NodeId, axes: AxisSet, graph: &Rebuild) -> Rewrite {
    let shape = graph.shape(operand);
    if axes.iter().all(|axis| shape[axis] == 1) {
        return Rewrite::Existing(operand);
    }
    let inner = graph.op(operand);
    if let Op::Leaf(Leaf::Constant { value }) = inner {
        Rewrite::constant(value)
    } else if let Op::View { operand, arrangement: Arrangement::Flip { axes: inner } } = inner {
        // An axis that is flipped twice is as it was.
        let axes = (0..shape.rank()).filter(|&axis| axes.contains(axis) != inner.contains(axis)).collect();
        Rewrite::Op(Op::View { operand, arrangement: Arrangement::Flip { axes } })
    } else {
        Rewrite::Keep
    }
}

pub(super) fn windows(operand: NodeId, windows: &Windows, graph: &Rebuild) -> Rewrite {
    if windows.extents.iter().chain(&windows.steps).all(|&number| number == 1) {
        return Rewrite::Op(Op::View { operand, arrangement: Arrangement::Reshape });
    }
    graph.constant(operand).map_or(Rewrite::Keep, Rewrite::constant)
}

pub(super) fn pad(operand: NodeId, value: f64, shape: &Shape, graph: &Rebuild) -> Rewrite {
    let source = graph.shape(operand);
    if source == *shape {
        return Rewrite::Existing(operand);
    }
    if source.contains(&0) {
        return Rewrite::constant(value);
    }
    match graph.constant(operand) {
        Some(constant) if constant.to_bits() == value.to_bits() => Rewrite::constant(value),
        Some(_) | None => Rewrite::Keep,
    }
}

pub(super) fn concat(operands: &[NodeId], axis: usize, graph: &Rebuild) -> Rewrite {
    if let [only] = operands {
        return Rewrite::Existing(*only);
    }
    let filled: Vec<NodeId> = operands.iter().copied().filter(|&id| graph.shape(id)[axis] > 0).collect();
    if filled.len() < operands.len() && !filled.is_empty() {
        return Rewrite::Op(Op::Assembly(Assembly::Concat { operands: filled.into(), axis }));
    }
    Rewrite::Keep
}

/// A transposition of an operand's last two axes becomes a flag of the product, which costs nothing.
pub(super) fn matmul(lhs: NodeId, rhs: NodeId, transpose_lhs: bool, transpose_rhs: bool, graph: &Rebuild) -> Rewrite {
    // A sum over no products is 0.
    if matrix(&graph.shape(lhs), transpose_lhs).1 == 0 {
        return Rewrite::constant(0.0);
    }
    match (transposed(lhs, graph), transposed(rhs, graph)) {
        (None, None) => Rewrite::Keep,
        (Some(lhs), _) => Rewrite::Op(Op::MatMul { lhs, rhs, transpose_lhs: !transpose_lhs, transpose_rhs }),
        (None, Some(rhs)) => Rewrite::Op(Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs: !transpose_rhs }),
    }
}

/// The matrix of which this is the transposition, if it is one.
fn transposed(id: NodeId, graph: &Rebuild) -> Option<NodeId> {
    let (operand, axes) = graph.permuted(id)?;
    let rank = axes.len();
    let exchanged = |position| match rank - position {
        1 => rank - 2,
        2 => rank - 1,
        _ => position,
    };
    (rank >= 2 && (0..rank).all(|position| axes[position] == exchanged(position))).then_some(operand)
}

/// The axis of `to` that is axis `axis` of `from`, where the two differ by axes of one element.
fn same_axis(axis: usize, from: &Shape, to: &Shape) -> Option<usize> {
    let long = |shape: &Shape| shape.iter().copied().filter(|&extent| extent != 1).collect::<Extents>();
    let rank = from[..axis].iter().filter(|&&extent| extent != 1).count();
    let mut places = (0..to.rank()).filter(|&place| to[place] != 1);
    (long(from) == long(to)).then(|| places.nth(rank)).flatten()
}
