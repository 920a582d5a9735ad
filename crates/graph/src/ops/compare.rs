//! Comparisons, selection and casts.
//!
//! | op | y | derivative |
//! |---|---|---|
//! | less, less_equal, greater, greater_equal, equal, not_equal | bool | none |
//! | where | `t` where `c`, else `f` | to the operand that was taken |
//! | cast | x in another dtype | cast back, between floats alone |
//!
//! A comparison with NaN is false, except `not_equal`. Through `where` the operand that was not taken gets a gradient of 0, not
//! none: where a function that made it has an infinite derivative, 0 times that is NaN. [`Expr::where_`] shows how a caller
//! keeps out of this.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::CompareFunction;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    function: CompareFunction,
    lhs: NodeId,
    rhs: NodeId,
) -> Result<(Shape, DType), GraphError> {
    rule.same_dtype(lhs, rhs)?;
    rule.defined_for(lhs, function.row().dtypes)?;
    Ok((rule.same_shape(lhs, rhs)?.clone(), DType::Bool))
}

pub(crate) fn infer_where(
    rule: &Rule<'_>,
    condition: NodeId,
    on_true: NodeId,
    on_false: NodeId,
) -> Result<(Shape, DType), GraphError> {
    rule.dtype_in(condition, &[DType::Bool], "bool")?;
    let dtype = rule.same_dtype(on_true, on_false)?;
    rule.same_shape(condition, on_true)?;
    Ok((rule.same_shape(on_true, on_false)?.clone(), dtype))
}

pub(crate) fn vjp_where<'g>(
    condition: NodeId,
    on_true: NodeId,
    on_false: NodeId,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let zero = || node.upstream.constant_beside(0.0, node.origin);
    if (node.wants)(on_true) {
        give(on_true, node.expr(condition).where_(node.upstream, zero()));
    }
    if (node.wants)(on_false) {
        give(on_false, node.expr(condition).where_(zero(), node.upstream));
    }
}

pub(crate) fn vjp_cast<'g>(operand: NodeId, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    let dtype = node.output.graph().arena().nodes[operand.key].dtype;
    if (node.wants)(operand) && dtype.is_float() {
        give(operand, node.upstream.cast(dtype));
    }
}

pub(crate) fn jvp_where<'g>(
    condition: NodeId,
    on_true: NodeId,
    on_false: NodeId,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let condition = node.expr(condition);
    Some(match ((node.tangent)(on_true), (node.tangent)(on_false)) {
        (Some(on_true), Some(on_false)) => condition.where_(on_true, on_false),
        (Some(on_true), None) => condition.where_(on_true, 0.0),
        (None, Some(on_false)) => condition.where_(0.0, on_false),
        (None, None) => return None,
    })
}

pub(crate) fn jvp_cast<'g>(operand: NodeId, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let dtype = node.dtype();
    (node.tangent)(operand).filter(|_| dtype.is_float()).map(|tangent| tangent.cast(dtype))
}
