//! Ops that only say where elements stand: reshape, permute, broadcast, slice, flip, windows. A planner can make them cost nothing.
//!
//! | op | y | gradient |
//! |---|---|---|
//! | reshape | the same elements, row-major | reshaped back |
//! | permute | `y[c] = x[c]` with axis `i` of y being axis `axes[i]` of x | permuted back |
//! | broadcast | x repeated | summed over the repeated axes |
//! | slice | `y[j] = x[start + j step]` | in its place among those of other slices of x, with zeros where there is none |
//! | flip | `y[j] = x[n - 1 - j]` | flipped back |
//! | windows | `y[j.., i..] = x[j step + i dilation]` | to each element the sum over the windows that it is in |

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{Arrangement, Extents, Op, ReduceFunction};
use crate::ops::windows;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::{AxisSet, Shape};

pub(crate) fn infer(
    rule: &Rule<'_>,
    operand: NodeId,
    arrangement: &Arrangement,
    shape: Option<&Shape>,
) -> Result<(Shape, DType), GraphError> {
    match arrangement {
        Arrangement::Reshape => infer_reshape(rule, operand, shape),
        Arrangement::Permute { axes } => infer_permute(rule, operand, axes),
        Arrangement::Broadcast => infer_broadcast(rule, operand, shape),
        Arrangement::Slice { starts, steps } => infer_slice(rule, operand, starts, steps, shape),
        Arrangement::Flip { axes } => infer_flip(rule, operand, *axes),
        Arrangement::Windows(windows) => windows::infer(rule, operand, windows),
    }
}

pub(crate) fn vjp<'g>(
    operand: NodeId,
    arrangement: &Arrangement,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    match arrangement {
        Arrangement::Reshape => vjp_reshape(operand, node, give),
        Arrangement::Permute { axes } => vjp_permute(operand, axes, node, give),
        Arrangement::Broadcast => vjp_broadcast(operand, node, give),
        // What reaches a part of the operand is put together with what reaches its other parts, by `autodiff::shares`. A slice
        // that gets here has no elements.
        Arrangement::Slice { .. } => {}
        Arrangement::Flip { axes } => {
            if (node.wants)(operand) {
                give(operand, node.upstream.flip_node(*axes, node.origin));
            }
        }
        Arrangement::Windows(windows) => windows::vjp(operand, windows, node, give),
    }
}

/// A view of the tangent is the tangent of the view: the same op, over the operand's tangent.
pub(crate) fn jvp<'g>(op: &Op, operand: NodeId, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let tangent = (node.tangent)(operand)?;
    let view = || tangent.raw().map(|tangent| op.map_operands(|_| tangent));
    Some(node.insert(view, Some(node.shape)))
}

/// `upstream`, of shape `from`, summed to `to`, which broadcasts to `from`.
pub(crate) fn sum_to<'g>(upstream: Expr<'g>, from: &Shape, to: &Shape, node: &Differentiated<'g, '_>) -> Expr<'g> {
    let axes = from.broadcast_axes(to);
    upstream.reduce_node(ReduceFunction::Sum, axes, node.origin).reshape_node(to, node.origin)
}

fn infer_reshape(rule: &Rule<'_>, operand: NodeId, shape: Option<&Shape>) -> Result<(Shape, DType), GraphError> {
    let node = rule.node(operand);
    let shape = shape.unwrap_or(&node.shape);
    if shape.checked_elements() != node.shape.checked_elements() {
        return Err(GraphError::Reshape {
            origin: rule.origin,
            op: rule.op,
            operand: rule.describe(operand),
            from: node.shape.clone(),
            from_elements: node.shape.elements(),
            to: shape.clone(),
            to_elements: shape.elements(),
        });
    }
    Ok((shape.clone(), node.dtype))
}

fn infer_permute(rule: &Rule<'_>, operand: NodeId, axes: &Extents) -> Result<(Shape, DType), GraphError> {
    let node = rule.node(operand);
    rule.rank(operand, axes.len())?;
    let mut seen = AxisSet::empty();
    for &axis in axes {
        rule.axis(operand, axis)?;
        if seen.contains(axis) {
            return Err(GraphError::RepeatedAxis { origin: rule.origin, op: rule.op, axis });
        }
        seen.insert(axis);
    }
    Ok((axes.iter().map(|&axis| node.shape[axis]).collect(), node.dtype))
}

fn infer_broadcast(rule: &Rule<'_>, operand: NodeId, shape: Option<&Shape>) -> Result<(Shape, DType), GraphError> {
    let node = rule.node(operand);
    let shape = shape.unwrap_or(&node.shape);
    if node.shape.broadcast(shape).as_ref() != Ok(shape) {
        return Err(GraphError::BroadcastTo {
            origin: rule.origin,
            op: rule.op,
            operand: rule.describe(operand),
            from: node.shape.clone(),
            to: shape.clone(),
        });
    }
    Ok((shape.clone(), node.dtype))
}

fn infer_slice(
    rule: &Rule<'_>,
    operand: NodeId,
    starts: &Extents,
    steps: &Extents,
    shape: Option<&Shape>,
) -> Result<(Shape, DType), GraphError> {
    let node = rule.node(operand);
    let shape = shape.unwrap_or(&node.shape);
    rule.rank(operand, shape.rank())?;
    rule.rank(operand, starts.len())?;
    rule.rank(operand, steps.len())?;
    for axis in 0..shape.rank() {
        let last = match shape[axis] {
            0 => Some(starts[axis]),
            n => (n - 1).checked_mul(steps[axis]).and_then(|span| span.checked_add(starts[axis])?.checked_add(1)),
        };
        if steps[axis] == 0 || last.is_none_or(|last| last > node.shape[axis]) {
            return Err(GraphError::Range {
                origin: rule.origin,
                op: rule.op,
                operand: rule.describe(operand),
                shape: node.shape.clone(),
                axis,
                extent: node.shape[axis],
                start: starts[axis],
                end: last.unwrap_or(usize::MAX),
            });
        }
    }
    Ok((shape.clone(), node.dtype))
}

fn infer_flip(rule: &Rule<'_>, operand: NodeId, axes: AxisSet) -> Result<(Shape, DType), GraphError> {
    axes.iter().try_for_each(|axis| rule.axis(operand, axis))?;
    let node = rule.node(operand);
    Ok((node.shape.clone(), node.dtype))
}

fn vjp_reshape<'g>(operand: NodeId, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    if (node.wants)(operand) {
        give(operand, node.upstream.reshape_node(&node.shape_of(operand), node.origin));
    }
}

fn vjp_permute<'g>(
    operand: NodeId,
    axes: &Extents,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if (node.wants)(operand) {
        let mut inverse = vec![0isize; axes.len()];
        for (position, &axis) in axes.iter().enumerate() {
            inverse[axis] = position as isize;
        }
        give(operand, node.upstream.permute(inverse));
    }
}

fn vjp_broadcast<'g>(operand: NodeId, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    if (node.wants)(operand) {
        let source = node.shape_of(operand);
        give(operand, sum_to(node.upstream, node.shape, &source, node));
    }
}
