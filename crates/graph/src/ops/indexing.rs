//! Gather and scatter_add along one axis.
//!
//! | op | y | gradient |
//! |---|---|---|
//! | gather | `y[.., j, ..] = x[.., i[.., j, ..], ..]` | scatter_add of the upstream into the sum of what else reaches x, or into zeros |
//! | scatter_add | x with `u[.., j, ..]` added at `[.., i[.., j, ..], ..]` | the upstream to x, gathered to u |
//!
//! Indices are i32 and carry no gradient. Repeated indices add up, in ascending order of `j`: same device, same bits.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::Op;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer_gather(
    rule: &Rule<'_>,
    operand: NodeId,
    indices: NodeId,
    axis: usize,
) -> Result<(Shape, DType), GraphError> {
    rule.dtype_in(indices, &[DType::I32], "i32")?;
    aligned(rule, operand, indices, axis)?;
    Ok((rule.node(indices).shape.clone(), rule.node(operand).dtype))
}

pub(crate) fn infer_scatter_add(
    rule: &Rule<'_>,
    operand: NodeId,
    indices: NodeId,
    updates: NodeId,
    axis: usize,
) -> Result<(Shape, DType), GraphError> {
    rule.number(operand)?;
    rule.dtype_in(indices, &[DType::I32], "i32")?;
    rule.same_dtype(operand, updates)?;
    rule.same_shape(indices, updates)?;
    aligned(rule, operand, indices, axis)?;
    Ok((rule.node(operand).shape.clone(), rule.node(operand).dtype))
}

pub(crate) fn vjp_scatter_add<'g>(
    operand: NodeId,
    indices: NodeId,
    updates: NodeId,
    axis: usize,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if (node.wants)(operand) {
        give(operand, node.upstream);
    }
    if let (true, Some(upstream)) = ((node.wants)(updates), node.upstream.raw()) {
        let op = Op::Gather { operand: upstream, indices, axis };
        give(updates, node.upstream.insert(op, None, None, node.origin));
    }
}

pub(crate) fn jvp_gather<'g>(operand: NodeId, indices: NodeId, axis: usize, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let tangent = (node.tangent)(operand)?;
    Some(node.insert(|| Some(Op::Gather { operand: tangent.raw()?, indices, axis }), None))
}

pub(crate) fn jvp_scatter_add<'g>(
    operand: NodeId,
    indices: NodeId,
    updates: NodeId,
    axis: usize,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let updated = (node.tangent)(updates);
    let Some(updated) = updated else { return (node.tangent)(operand) };
    let base = node.tangent_or_zeros(operand);
    let op = || Some(Op::ScatterAdd { operand: base.raw()?, indices, updates: updated.raw()?, axis });
    Some(node.insert(op, None))
}

/// Checks that indices have the operand's rank and no larger extent along any axis but the indexed one.
fn aligned(rule: &Rule<'_>, operand: NodeId, indices: NodeId, axis: usize) -> Result<(), GraphError> {
    rule.axis(operand, axis)?;
    let (data, index) = (&rule.node(operand).shape, &rule.node(indices).shape);
    rule.rank(indices, data.rank())?;
    for other in 0..data.rank() {
        if other != axis && index[other] > data[other] {
            return Err(GraphError::Extent {
                origin: rule.origin,
                op: rule.op,
                axis: other,
                lhs: rule.describe(operand),
                lhs_shape: data.clone(),
                rhs: rule.describe(indices),
                rhs_shape: index.clone(),
                left: data[other],
                right: index[other],
            });
        }
    }
    Ok(())
}
