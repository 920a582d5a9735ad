//! Reductions over a set of axes, which keep extent 1, and argmax.
//!
//! | op | y | gradient |
//! |---|---|---|
//! | sum | the sum; 0 over no elements | the upstream, repeated |
//! | prod | the product; 1 over no elements | the upstream times the product of all others: nothing is divided, so zeros are no matter |
//! | max, min | the largest, smallest; an empty axis is an error; NaN wins | shared evenly by the elements equal to y; NaN throughout where y is NaN |
//! | argmax | i32: the first index of the largest; NaN counts as the largest | none |

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::ReduceFunction;
use crate::ops::ordered::product_of_others;
use crate::ops::{Differentiated, Pushed, Rule};
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
            ReduceFunction::Sum | ReduceFunction::Product => {}
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
        ReduceFunction::Product => {
            let axes = source.broadcast_axes(node.shape);
            repeated(node.upstream) * product_of_others(node.expr(operand), axes, node.origin)
        }
        ReduceFunction::Max | ReduceFunction::Min => {
            let tied = Tied::new(node.expr(operand), node.output, &source, node.shape, node.origin);
            tied.chosen.where_(repeated(node.upstream / tied.count), tied.zero)
        }
    };
    give(operand, gradient);
}

pub(crate) fn jvp<'g>(
    function: ReduceFunction,
    operand: NodeId,
    axes: AxisSet,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let tangent = (node.tangent)(operand)?;
    let summed = |x: Expr<'g>| x.reduce_node(ReduceFunction::Sum, axes, node.origin);
    Some(match function {
        ReduceFunction::Sum => summed(tangent),
        ReduceFunction::Product => summed(tangent * product_of_others(node.expr(operand), axes, node.origin)),
        ReduceFunction::Max | ReduceFunction::Min => {
            let source = node.shape_of(operand);
            let tied = Tied::new(node.expr(operand), node.output, &source, node.shape, node.origin);
            summed(tied.chosen.where_(tangent, tied.zero)) / tied.count
        }
    })
}

/// The elements that are equal to a reduction's result. They share its derivative evenly. A NaN result is equal to none, and
/// says nothing of any: there every element is chosen and their number is NaN, so that the derivative is.
struct Tied<'g> {
    /// bool, of the operand's shape: whether the element is one of them.
    chosen: Expr<'g>,
    /// How many there are, of the result's shape.
    count: Expr<'g>,
    /// Zeros of the operand's shape.
    zero: Expr<'g>,
}

impl<'g> Tied<'g> {
    fn new(operand: Expr<'g>, output: Expr<'g>, source: &Shape, reduced: &Shape, origin: Origin) -> Self {
        let repeated = output.broadcast_node(source, origin);
        let equal = operand.equal(repeated);
        let one = operand.constant_beside(1.0, origin);
        let zero = operand.constant_beside(0.0, origin);
        let axes = source.broadcast_axes(reduced);
        let count = equal.where_(one, zero).reduce_node(ReduceFunction::Sum, axes, origin);
        // NaN alone differs from itself.
        Tied {
            chosen: equal | repeated.not_equal(repeated),
            count: output.not_equal(output).where_(f64::NAN, count),
            zero,
        }
    }
}

fn empty_axis(rule: &Rule<'_>, operand: NodeId, axis: usize) -> GraphError {
    GraphError::EmptyAxis {
        origin: rule.origin,
        op: rule.op,
        function: rule.op,
        operand: rule.describe(operand),
        shape: rule.node(operand).shape.clone(),
        axis,
    }
}
