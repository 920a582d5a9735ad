//! Gather and scatter_add along one axis. Scatters by other functions: [`crate::ops::scatter_reduce`], and those that replace:
//! [`crate::ops::scatter_replace`].
//!
//! | op | y | gradient |
//! |---|---|---|
//! | gather | `y[.., j, ..] = x[.., i[.., j, ..], ..]` | scatter_add of the upstream into the sum of what else reaches x, or into zeros |
//! | scatter_add | x with `u[.., j, ..]` added at `[.., i[.., j, ..], ..]` | the upstream to x, gathered to u |
//!
//! Indices are i32 and carry no gradient. Repeated indices add up, in ascending order of `j`: same device, same bits.
//!
//! An index that was computed may be out of range. Gather gives NaN there, which depends on no element of x, and scatter_add
//! adds nothing: both have derivatives of 0 there, in either mode and of any order. Each is the other's derivative, but that
//! a gather within a derivative gives 0 out of range, not NaN.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{Indexing, Op, ScatterFunction};
use crate::ops::{Differentiated, Pushed, Rule, scatter_reduce, scatter_replace};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, indexing: Indexing) -> Result<(Shape, DType), GraphError> {
    match indexing {
        Indexing::Gather { operand, indices, axis } => infer_gather(rule, operand, indices, axis),
        Indexing::ScatterAdd { operand, indices, updates, axis } => {
            rule.number(operand)?;
            infer_scatter(rule, operand, indices, updates, axis)
        }
        Indexing::ScatterReduce { function, operand, indices, updates, axis } => {
            if !function.takes(rule.node(operand).dtype) {
                rule.number(operand)?;
            }
            infer_scatter(rule, operand, indices, updates, axis)
        }
    }
}

pub(crate) fn vjp<'g>(indexing: Indexing, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    match indexing {
        // What reaches a part of the operand is put together with what reaches its other parts, by `autodiff::shares`.
        Indexing::Gather { .. } => {}
        Indexing::ScatterAdd { operand, indices, updates, axis } => {
            vjp_scatter_add(operand, indices, updates, axis, node, give);
        }
        Indexing::ScatterReduce { function: ScatterFunction::Replace, operand, indices, updates, axis } => {
            scatter_replace::vjp([operand, indices, updates], axis, node, give);
        }
        Indexing::ScatterReduce { function, operand, indices, updates, axis } => {
            scatter_reduce::vjp(function, [operand, indices, updates], axis, node, give);
        }
    }
}

pub(crate) fn jvp<'g>(indexing: Indexing, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    match indexing {
        Indexing::Gather { operand, indices, axis } => jvp_gather(operand, indices, axis, node),
        Indexing::ScatterAdd { operand, indices, updates, axis } => {
            jvp_scatter_add(operand, indices, updates, axis, node)
        }
        Indexing::ScatterReduce { function: ScatterFunction::Replace, operand, indices, updates, axis } => {
            scatter_replace::jvp([operand, indices, updates], axis, node)
        }
        Indexing::ScatterReduce { function, operand, indices, updates, axis } => {
            scatter_reduce::jvp(function, [operand, indices, updates], axis, node)
        }
    }
}

fn infer_gather(rule: &Rule<'_>, operand: NodeId, indices: NodeId, axis: usize) -> Result<(Shape, DType), GraphError> {
    rule.dtype_in(indices, &[DType::I32], "i32")?;
    aligned(rule, operand, indices, axis)?;
    Ok((rule.node(indices).shape.clone(), rule.node(operand).dtype))
}

fn infer_scatter(
    rule: &Rule<'_>,
    operand: NodeId,
    indices: NodeId,
    updates: NodeId,
    axis: usize,
) -> Result<(Shape, DType), GraphError> {
    rule.dtype_in(indices, &[DType::I32], "i32")?;
    rule.same_dtype(operand, updates)?;
    rule.same_shape(indices, updates)?;
    aligned(rule, operand, indices, axis)?;
    Ok((rule.node(operand).shape.clone(), rule.node(operand).dtype))
}

fn vjp_scatter_add<'g>(
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
        let op = Op::Indexing(Indexing::Gather { operand: upstream, indices, axis });
        let gathered = node.upstream.insert(op, None, None, node.origin);
        give(updates, zero_out_of_range(gathered, node.expr(indices), node.shape[axis]));
    }
}

fn jvp_gather<'g>(operand: NodeId, indices: NodeId, axis: usize, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let tangent = (node.tangent)(operand)?;
    let gathered =
        node.insert(|| Some(Op::Indexing(Indexing::Gather { operand: tangent.raw()?, indices, axis })), None);
    Some(zero_out_of_range(gathered, node.expr(indices), node.shape_of(operand)[axis]))
}

fn jvp_scatter_add<'g>(
    operand: NodeId,
    indices: NodeId,
    updates: NodeId,
    axis: usize,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let updated = (node.tangent)(updates);
    let Some(updated) = updated else { return (node.tangent)(operand) };
    let base = node.tangent_or_zeros(operand);
    let op =
        || Some(Op::Indexing(Indexing::ScatterAdd { operand: base.raw()?, indices, updates: updated.raw()?, axis }));
    Some(node.insert(op, None))
}

/// What was gathered for a derivative, with 0 for the NaN of indices outside `0..extent`. Where every index is known to be in
/// range, or checked before each run, it stays as it is.
pub(crate) fn zero_out_of_range<'g>(gathered: Expr<'g>, indices: Expr<'g>, extent: usize) -> Expr<'g> {
    if indices.is_index_below(extent) {
        return gathered;
    }
    // Extents of an indexed axis past the largest i32 hold every index.
    let is_below = i32::try_from(extent).ok().map(|extent| indices.less(extent));
    let is_inside = indices.greater_equal(0);
    is_below.map_or(is_inside, |is_below| is_inside & is_below).where_(gathered, 0.0)
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
