//! Ops that put results together from pieces: pad and concat.
//!
//! | op | y | gradient |
//! |---|---|---|
//! | pad | x with `low` values before, `interior` between neighbours and the rest after | sliced back |
//! | concat | the operands one after the other | sliced apart |

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{Arrangement, Assembly, Extents, Op};
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, assembly: &Assembly, shape: Option<&Shape>) -> Result<(Shape, DType), GraphError> {
    match assembly {
        Assembly::Pad { operand, lows, interiors, value } => {
            rule.held(*value, rule.node(*operand).dtype, || rule.describe(*operand))?;
            infer_pad(rule, *operand, lows, interiors, shape)
        }
        Assembly::Concat { operands, axis } => infer_concat(rule, operands, *axis),
    }
}

pub(crate) fn vjp<'g>(assembly: &Assembly, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    match assembly {
        Assembly::Pad { operand, lows, interiors, .. } => vjp_pad(*operand, lows, interiors, node, give),
        Assembly::Concat { operands, axis } => vjp_concat(operands, *axis, node, give),
    }
}

pub(crate) fn jvp<'g>(assembly: &Assembly, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    match assembly {
        Assembly::Pad { operand, lows, interiors, .. } => jvp_pad(*operand, lows, interiors, node),
        Assembly::Concat { operands, axis } => jvp_concat(operands, *axis, node),
    }
}

fn infer_pad(
    rule: &Rule<'_>,
    operand: NodeId,
    lows: &Extents,
    interiors: &Extents,
    shape: Option<&Shape>,
) -> Result<(Shape, DType), GraphError> {
    let node = rule.node(operand);
    let shape = shape.unwrap_or(&node.shape);
    rule.rank(operand, shape.rank())?;
    rule.rank(operand, lows.len())?;
    rule.rank(operand, interiors.len())?;
    for axis in 0..shape.rank() {
        let extent = node.shape[axis];
        let spread = match extent {
            0 => Some(0),
            n => (n - 1).checked_mul(interiors[axis].saturating_add(1)).and_then(|span| span.checked_add(1)),
        };
        let end = spread.and_then(|spread| spread.checked_add(lows[axis]));
        if end.is_none_or(|end| end > shape[axis]) {
            return Err(GraphError::Range {
                origin: rule.origin,
                op: rule.op,
                operand: rule.describe(operand),
                shape: shape.clone(),
                axis,
                extent: shape[axis],
                start: lows[axis],
                end: end.unwrap_or(usize::MAX),
            });
        }
    }
    Ok((shape.clone(), node.dtype))
}

fn infer_concat(rule: &Rule<'_>, operands: &[NodeId], axis: usize) -> Result<(Shape, DType), GraphError> {
    let Some(&first) = operands.first() else {
        return Err(GraphError::NoOperands { origin: rule.origin, op: rule.op });
    };
    rule.axis(first, axis)?;
    let (first_node, mut total) = (rule.node(first), 0usize);
    for &operand in operands {
        let node = rule.node(operand);
        rule.same_dtype(first, operand)?;
        rule.rank(operand, first_node.shape.rank())?;
        for other in 0..first_node.shape.rank() {
            if other != axis && node.shape[other] != first_node.shape[other] {
                return Err(GraphError::Extent {
                    origin: rule.origin,
                    op: rule.op,
                    axis: other,
                    lhs: rule.describe(first),
                    lhs_shape: first_node.shape.clone(),
                    rhs: rule.describe(operand),
                    rhs_shape: node.shape.clone(),
                    left: first_node.shape[other],
                    right: node.shape[other],
                });
            }
        }
        total = total.saturating_add(node.shape[axis]);
    }
    Ok((first_node.shape.with_extent(axis, total), first_node.dtype))
}

fn vjp_pad<'g>(
    operand: NodeId,
    lows: &Extents,
    interiors: &Extents,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if (node.wants)(operand) {
        let steps = interiors.iter().map(|interior| interior + 1).collect();
        give(operand, slice(node, operand, lows.clone(), steps));
    }
}

fn vjp_concat<'g>(
    operands: &[NodeId],
    axis: usize,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let mut start = 0;
    for &operand in operands {
        let extent = node.shape_of(operand)[axis];
        if (node.wants)(operand) {
            let mut starts: Extents = thin_vec::thin_vec![0; node.shape.rank()];
            starts[axis] = start;
            give(operand, slice(node, operand, starts, thin_vec::thin_vec![1; node.shape.rank()]));
        }
        start += extent;
    }
}

fn jvp_pad<'g>(operand: NodeId, lows: &Extents, interiors: &Extents, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let tangent = (node.tangent)(operand)?;
    Some(tangent.pad_node(lows.clone(), interiors.clone(), 0.0, node.shape, node.origin))
}

fn jvp_concat<'g>(operands: &[NodeId], axis: usize, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    if operands.iter().all(|&operand| (node.tangent)(operand).is_none()) {
        return None;
    }
    let pieces: Option<Box<[NodeId]>> = operands.iter().map(|&operand| node.tangent_or_zeros(operand).raw()).collect();
    Some(node.insert(|| Some(Op::Assembly(Assembly::Concat { operands: pieces?, axis })), None))
}

/// The part of the upstream gradient that belongs to `operand`, and has its shape.
fn slice<'g>(node: &Differentiated<'g, '_>, operand: NodeId, starts: Extents, steps: Extents) -> Expr<'g> {
    match node.upstream.raw() {
        Some(upstream) => {
            let op = Op::View { operand: upstream, arrangement: Arrangement::Slice { starts, steps } };
            node.upstream.insert(op, Some(&node.shape_of(operand)), None, node.origin)
        }
        None => node.upstream,
    }
}
