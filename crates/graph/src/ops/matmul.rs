//! The batched matrix product, with operands that may be stored transposed.
//!
//! `y[.., i, j] = sum over p of a[.., i, p] b[.., p, j]`, for `[.., m, k] x [.., k, n] -> [.., m, n]`; the axes in front
//! broadcast by NumPy's rules. `transpose_lhs` says that a lies as `[.., k, m]`, `transpose_rhs` that b lies as
//! `[.., n, k]`. With `u` the upstream gradient, `da = u b^T` and `db = a^T u`, written so that no transposed copy is made,
//! and summed over the axes that were broadcast. A tangent is `ta b + a tb`. A sum over no elements (k = 0) is 0.

use crate::dtype::DType;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::node::NodeId;
use crate::ops::{Differentiated, Pushed, Rule, sum, views};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    lhs: NodeId,
    rhs: NodeId,
    transpose_lhs: bool,
    transpose_rhs: bool,
) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.same_dtype(lhs, rhs)?;
    rule.float(lhs)?;
    for operand in [lhs, rhs] {
        let shape = &rule.node(operand).shape;
        if shape.rank() < 2 {
            return Err(GraphError::Rank {
                origin: rule.origin,
                op: rule.op,
                operand: rule.describe(operand),
                shape: shape.clone(),
                rank: shape.rank(),
                expected: "rank 1 or more".to_owned(),
            });
        }
    }
    let (a, b) = (&rule.node(lhs).shape, &rule.node(rhs).shape);
    let (m, k) = matrix(a, transpose_lhs);
    let (inner, n) = matrix(b, transpose_rhs);
    // As they are multiplied: a weight `[out, in]` as [in, out].
    let multiplied = |operand: NodeId, shape: &Shape, (rows, columns): (usize, usize), is_transposed: bool| {
        let described = rule.describe(operand);
        let shape = batch_shape(shape).iter().copied().chain([rows, columns]).collect();
        (if is_transposed { format!("{described} transposed") } else { described }, shape)
    };
    let disagree = |which, left, right| {
        let (lhs, lhs_shape) = multiplied(lhs, a, (m, k), transpose_lhs);
        let (rhs, rhs_shape) = multiplied(rhs, b, (inner, n), transpose_rhs);
        GraphError::MatMul { origin: rule.origin, op: rule.op, which, lhs, lhs_shape, rhs, rhs_shape, left, right }
    };
    if k != inner {
        return Err(disagree(MatMulAxis::Inner, k, inner));
    }
    let batch =
        batch_shape(a).broadcast(&batch_shape(b)).map_err(|(left, right)| disagree(MatMulAxis::Batch, left, right))?;
    Ok((batch.iter().copied().chain([m, n]).collect(), dtype))
}

pub(crate) fn vjp<'g>(
    lhs: NodeId,
    rhs: NodeId,
    transpose_lhs: bool,
    transpose_rhs: bool,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let (a, b, upstream) = (node.expr(lhs), node.expr(rhs), node.upstream);
    if (node.wants)(lhs) {
        let gradient = if transpose_lhs {
            // a lies as [k, m]: its gradient is b u^T.
            b.matmul_node(upstream, transpose_rhs, true, node.origin)
        } else {
            upstream.matmul_node(b, false, !transpose_rhs, node.origin)
        };
        give(lhs, sum_to_operand(gradient, lhs, node));
    }
    if (node.wants)(rhs) {
        let gradient = if transpose_rhs {
            // b lies as [n, k]: its gradient is u^T a.
            summed_product(upstream, a, transpose_lhs, rhs, node)
                .unwrap_or_else(|| upstream.matmul_node(a, true, transpose_lhs, node.origin))
        } else {
            let is_transposed = !transpose_lhs;
            summed_product(a, upstream, !is_transposed, rhs, node)
                .unwrap_or_else(|| a.matmul_node(upstream, is_transposed, false, node.origin))
        };
        give(rhs, sum_to_operand(gradient, rhs, node));
    }
}

pub(crate) fn jvp<'g>(
    lhs: NodeId,
    rhs: NodeId,
    transpose_lhs: bool,
    transpose_rhs: bool,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let product = |a: Expr<'g>, b: Expr<'g>| a.matmul_node(b, transpose_lhs, transpose_rhs, node.origin);
    let by_lhs = (node.tangent)(lhs).map(|tangent| product(tangent, node.expr(rhs)));
    let by_rhs = (node.tangent)(rhs).map(|tangent| product(node.expr(lhs), tangent));
    sum(by_lhs, by_rhs)
}

/// Rows and columns of an operand, after its transposition.
pub(crate) fn matrix(shape: &Shape, transposed: bool) -> (usize, usize) {
    let rank = shape.rank();
    if transposed { (shape[rank - 1], shape[rank - 2]) } else { (shape[rank - 2], shape[rank - 1]) }
}

/// The axes before the last two.
pub(crate) fn batch_shape(shape: &Shape) -> Shape {
    Shape::from(&shape[..shape.rank() - 2])
}

/// `sum over the batch of left^T right` as one product, for the gradient of an operand that is the same for the whole batch: the batch
/// and the rows of `[batch.., rows, m]` and `[batch.., rows, n]` are one long axis that the product sums. None where that cannot be
/// said by a reshape: where the rows are not the last axis but one, or one operand is broadcast along the batch itself.
fn summed_product<'g>(
    left: Expr<'g>,
    right: Expr<'g>,
    is_otherwise: bool,
    operand: NodeId,
    node: &Differentiated<'g, '_>,
) -> Option<Expr<'g>> {
    let target = node.shape_of(operand);
    let shape = |of: Expr<'g>| of.read("matmul", node.origin, |_, node| node.shape.clone());
    let (left_shape, right_shape) = (shape(left)?, shape(right)?);
    let batch = batch_shape(&left_shape);
    let is_summed = batch.elements() > 1 && batch_shape(&target).iter().all(|&extent| extent == 1);
    if is_otherwise || !is_summed || batch != batch_shape(&right_shape) {
        return None;
    }
    let flat = |of: Expr<'g>, shape: &Shape| {
        let (rows, columns) = shape.split_at(shape.rank() - 1);
        of.reshape_node(&Shape::from([rows.iter().product(), columns[0]]), node.origin)
    };
    let product = flat(left, &left_shape).matmul_node(flat(right, &right_shape), true, false, node.origin);
    Some(product.reshape_node(&target, node.origin))
}

/// Sums a gradient over the batch axes along which the operand was broadcast.
fn sum_to_operand<'g>(gradient: Expr<'g>, operand: NodeId, node: &Differentiated<'g, '_>) -> Expr<'g> {
    let target = node.shape_of(operand);
    match gradient.read("matmul", node.origin, |_, gradient| gradient.shape.clone()) {
        Some(shape) if shape != target => views::sum_to(gradient, &shape, &target, node),
        Some(_) | None => gradient,
    }
}
