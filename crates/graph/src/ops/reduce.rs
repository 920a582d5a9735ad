//! Reductions over a set of axes, which keep extent 1, and argmax.
//!
//! | op | y | gradient |
//! |---|---|---|
//! | sum | the sum; 0 over no elements | the upstream, repeated |
//! | max, min | the largest, smallest; an empty axis is an error; NaN wins | shared evenly by the elements equal to y |
//! | argmax | i32: the first index of the largest; NaN counts as the largest | none |

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::ReduceFunction;
use crate::ops::{Differentiated, Rule};
use crate::shape::{AxisSet, Shape};

pub(crate) fn infer(
    rule: &Rule<'_>,
    function: ReduceFunction,
    operand: NodeId,
    axes: AxisSet,
) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.number(operand)?;
    let node = rule.node(operand);
    for axis in axes.iter() {
        rule.axis(operand, axis)?;
        match function {
            ReduceFunction::Sum => {}
            // An empty axis has no largest element, unless the result is empty as well.
            ReduceFunction::Max | ReduceFunction::Min => {
                if node.shape[axis] == 0 && node.shape.reduced(axes).elements() > 0 {
                    return Err(empty_axis(rule, operand, axis));
                }
            }
        }
    }
    Ok((node.shape.reduced(axes), dtype))
}

pub(crate) fn infer_argmax(rule: &Rule<'_>, operand: NodeId, axis: usize) -> Result<(Shape, DType), GraphError> {
    rule.number(operand)?;
    rule.axis(operand, axis)?;
    let shape = &rule.node(operand).shape;
    let result = shape.with_extent(axis, 1);
    if shape[axis] == 0 && result.elements() > 0 {
        return Err(empty_axis(rule, operand, axis));
    }
    if i32::try_from(shape[axis]).is_err() {
        return Err(GraphError::TooManyElements { origin: rule.origin, op: rule.op, shape: shape.clone() });
    }
    Ok((result, DType::I32))
}

pub(crate) fn vjp<'g>(
    function: ReduceFunction,
    operand: NodeId,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if !(node.wants)(operand) {
        return;
    }
    let source = node.shape_of(operand);
    let repeated = |x: Expr<'g>| x.broadcast_node(&source, node.origin);
    let gradient = match function {
        ReduceFunction::Sum => repeated(node.upstream),
        ReduceFunction::Max | ReduceFunction::Min => {
            // The elements equal to the result share its gradient; a NaN result is equal to none, and gives none.
            let chosen = node.expr(operand).equal(repeated(node.output));
            let one = node.expr(operand).constant_beside(1.0, node.origin);
            let zero = node.expr(operand).constant_beside(0.0, node.origin);
            let axes = source.broadcast_axes(node.shape);
            let count = chosen.where_(one, zero).reduce_node(ReduceFunction::Sum, axes, node.origin);
            chosen.where_(repeated(node.upstream / count), zero)
        }
    };
    give(operand, gradient);
}

fn empty_axis(rule: &Rule<'_>, operand: NodeId, axis: usize) -> GraphError {
    GraphError::EmptyAxis {
        origin: rule.origin,
        op: rule.op,
        operand: rule.describe(operand),
        shape: rule.node(operand).shape.clone(),
        axis,
    }
}
