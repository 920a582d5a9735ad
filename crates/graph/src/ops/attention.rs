//! Attention: every position takes a mean of the values, weighted by how well its query fits their keys.
//!
//! With `q` one of the queries of a head, and the keys `k_j` and values `v_j` of its group of heads:
//!
//! | op | y | derivative |
//! |---|---|---|
//! | attention | `sum over j of p_j v_j` | the three gradients below; to a float mask `p_j (u . v_j - w)` |
//! | attention_softmax_statistics | `m = max over j of s_j`, `l = ln(sum over j of e^(s_j - m))` | of the composed formula, `m` held constant |
//! | attention_query_gradient | `scale * sum over j of p_j (u . v_j - w) k_j` | of the composed formula |
//! | attention_key_gradient | `scale * sum over q of p_j (u . v_j - w) q` | of the composed formula |
//! | attention_value_gradient | `sum over q of p_j u` | of the composed formula |
//!
//! where `s_j = scale * q . k_j`, plus the mask if that is a float; -inf where it is bool and false, or where `j` is past a causal position;
//! `p_j = e^((s_j - m) - l)`, `u` the upstream gradient and `w = u . y`. No whole table of scores or probabilities is stored: the
//! backward pass computes the probabilities again from two numbers a row (Dao et al., "FlashAttention", 2022). Where a formula is
//! differentiated that is itself a derivative, or in forward mode, the same results are composed of products and exponentials, which are
//! differentiated; that stores such tables.
//!
//! `m` and `l` are not kept as their sum, `ln(sum over j of e^s_j)`: beside a large `m` the digits of `l` would be lost, and probabilities
//! would no longer sum to 1. But every reader takes them by their sum alone, whose derivative is that of `l` while `m` is held constant. So
//! the derivative of `m` is left out, in both modes.
//!
//! Edge cases: a position that attends nothing (all of its scores are -inf, or there are no keys) gives 0 with a gradient of 0, as in
//! PyTorch; its `m` and `l` are 0, by which scores of -inf are probabilities of 0. A score of NaN or +inf makes NaN of its row.

use crate::compose::Composed;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{AttentionBackward, AttentionNode, AttentionResult, Op};
use crate::ops::{Differentiated, Pushed, Rule, views};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, attention: &AttentionNode) -> Result<(Shape, DType), GraphError> {
    let AttentionNode { query, key, value, mask, backward, result, .. } = *attention;
    let dtype = rule.float(query)?;
    let rank = rule.node(query).shape.rank();
    if rank < 3 {
        return Err(GraphError::Rank {
            origin: rule.origin,
            op: rule.op,
            operand: rule.describe(query),
            shape: rule.node(query).shape.clone(),
            rank,
            expected: "rank 3 or more".to_owned(),
        });
    }
    for operand in [key, value] {
        rule.same_dtype(query, operand)?;
        rule.rank(operand, rank)?;
    }
    for axis in 0..rank - 3 {
        same_extent(rule, query, key, axis)?;
        same_extent(rule, query, value, axis)?;
    }
    same_extent(rule, query, key, rank - 1)?;
    same_extent(rule, key, value, rank - 3)?;
    same_extent(rule, key, value, rank - 2)?;
    for (operand, what) in [(query, "depth"), (value, "width")] {
        let shape = &rule.node(operand).shape;
        if shape[rank - 1] == 0 {
            return Err(GraphError::EmptyAxis {
                origin: rule.origin,
                op: rule.op,
                function: what,
                operand: rule.describe(operand),
                shape: shape.clone(),
                axis: rank - 1,
            });
        }
    }
    let (shape, key_shape) = (&rule.node(query).shape, &rule.node(key).shape);
    let (heads, groups) = (shape[rank - 3], key_shape[rank - 3]);
    if !heads.is_multiple_of(groups) {
        return Err(GraphError::Heads {
            origin: rule.origin,
            op: rule.op,
            query: rule.describe(query),
            query_shape: shape.clone(),
            heads,
            key: rule.describe(key),
            key_shape: key_shape.clone(),
            groups,
        });
    }
    if let Some(mask) = mask {
        if rule.node(mask).dtype != DType::Bool {
            rule.same_dtype(query, mask)?;
        }
        rule.rank(mask, rank)?;
        let scores = shape.with_extent(rank - 1, key_shape[rank - 2]);
        let from = &rule.node(mask).shape;
        if from.iter().zip(scores.iter()).any(|(&own, &extent)| own != 1 && own != extent) {
            let (origin, op, operand) = (rule.origin, rule.op, rule.describe(mask));
            return Err(GraphError::BroadcastTo { origin, op, operand, from: from.clone(), to: scores });
        }
    }
    let output = shape.with_extent(rank - 1, rule.node(value).shape[rank - 1]);
    let rows = Shape::from(&shape[..rank - 1]);
    let pairs = shape.with_extent(rank - 1, 2);
    if result.is_gradient() != backward.is_some() {
        let (operands, gradients) = (usize::from(backward.is_some()), usize::from(result.is_gradient()));
        let (origin, op, function) = (rule.origin, rule.op, rule.op.to_owned());
        return Err(GraphError::GradientCount { origin, op, function, operands, gradients });
    }
    if let Some(AttentionBackward { upstream, statistics, weighted }) = backward {
        for (operand, expected) in [(upstream, &output), (statistics, &pairs), (weighted, &rows)] {
            rule.same_dtype(query, operand)?;
            let found = &rule.node(operand).shape;
            if found != expected {
                return Err(GraphError::ShapesDiffer {
                    origin: rule.origin,
                    op: rule.op,
                    lhs: rule.describe(query),
                    lhs_shape: expected.clone(),
                    rhs: rule.describe(operand),
                    rhs_shape: found.clone(),
                });
            }
        }
    }
    let shape = match result {
        AttentionResult::Output => output,
        AttentionResult::SoftmaxStatistics => pairs,
        AttentionResult::QueryGradient => shape.clone(),
        AttentionResult::KeyGradient => key_shape.clone(),
        AttentionResult::ValueGradient => rule.node(value).shape.clone(),
    };
    Ok((shape, dtype))
}

/// Checks that two operands of one rank have the same extent along an axis.
fn same_extent(rule: &Rule<'_>, lhs: NodeId, rhs: NodeId, axis: usize) -> Result<(), GraphError> {
    let (lhs_shape, rhs_shape) = (&rule.node(lhs).shape, &rule.node(rhs).shape);
    let (left, right) = (lhs_shape[axis], rhs_shape[axis]);
    if left == right {
        return Ok(());
    }
    Err(GraphError::Extent {
        origin: rule.origin,
        op: rule.op,
        axis,
        lhs: rule.describe(lhs),
        lhs_shape: lhs_shape.clone(),
        rhs: rule.describe(rhs),
        rhs_shape: rhs_shape.clone(),
        left,
        right,
    })
}

pub(crate) fn vjp<'g>(
    attention: &AttentionNode,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if attention.result != AttentionResult::Output {
        return composed_vjp(attention, node, give);
    }
    let AttentionNode { query, key, value, mask, .. } = *attention;
    let result = |result, backward| {
        let op = Op::Attention(Box::new(AttentionNode { result, backward, ..*attention }));
        node.output.insert(op, None, None, node.origin)
    };
    let statistics = result(AttentionResult::SoftmaxStatistics, None);
    let weighted = (node.upstream * node.output).sum(-1);
    let (Some(upstream), Some(statistics_id), Some(weighted_id)) =
        (node.upstream.raw(), statistics.raw(), weighted.raw())
    else {
        return;
    };
    let backward = AttentionBackward { upstream, statistics: statistics_id, weighted: weighted_id };
    let gradients = [
        (query, AttentionResult::QueryGradient),
        (key, AttentionResult::KeyGradient),
        (value, AttentionResult::ValueGradient),
    ];
    for (operand, gradient) in gradients {
        if (node.wants)(operand) {
            give(operand, result(gradient, Some(backward)));
        }
    }
    if let Some(mask) = mask.filter(|&mask| (node.wants)(mask)) {
        let operands = operands(attention).into_iter().map(|id| node.expr(id)).collect::<Vec<_>>();
        let gradient =
            Composed::new(attention, &operands, node.origin).mask_gradient(node.upstream, statistics, weighted);
        let scores = gradient.read("attention", node.origin, |_, gradient| gradient.shape.clone());
        if let Some(scores) = scores {
            give(mask, views::sum_to(gradient, &scores, &node.shape_of(mask), node));
        }
    }
}

/// The vector-Jacobian product of the composed formula.
///
/// The formula is built over stand-ins for the operands, so that no derivative flows past these, and then the operands take the
/// stand-ins' place, so that the result can be differentiated again.
fn composed_vjp<'g>(attention: &AttentionNode, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    let graph = node.output.graph();
    let operands = operands(attention);
    let stand_ins: Vec<Expr<'g>> = operands.iter().map(|&id| node.expr(id).stop_gradient()).collect();
    let composed = Composed::new(attention, &stand_ins, node.origin).result(attention.result);
    let wanted: Vec<(NodeId, Expr<'g>)> = operands
        .iter()
        .copied()
        .zip(stand_ins.iter().copied())
        .filter(|(id, stand_in)| (node.wants)(*id) && is_float(*stand_in, node.origin))
        .collect();
    let with_respect_to: Vec<Expr<'g>> = wanted.iter().map(|(_, stand_in)| *stand_in).collect();
    let gradients = graph.gradients_where_reached(&[composed], &[node.upstream], &with_respect_to);
    let gradients = match gradients {
        Ok(gradients) => gradients,
        Err(error) => {
            let _poisoned = graph.finish(Err(error));
            return;
        }
    };
    for ((operand, _), gradient) in wanted.into_iter().zip(gradients) {
        if let Some(gradient) = gradient {
            give(operand, in_place_of_stand_ins(gradient, &operands, &stand_ins));
        }
    }
}

/// The Jacobian-vector product of the composed formula, over stand-ins as in the other mode.
pub(crate) fn jvp<'g>(attention: &AttentionNode, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let graph = node.output.graph();
    let operands = operands(attention);
    let stand_ins: Vec<Expr<'g>> = operands.iter().map(|&id| node.expr(id).stop_gradient()).collect();
    let (pushed, tangents): (Vec<Expr<'g>>, Vec<Expr<'g>>) = operands
        .iter()
        .zip(&stand_ins)
        .filter_map(|(id, stand_in)| Some((*stand_in, (node.tangent)(*id)?)))
        .filter(|(stand_in, _)| is_float(*stand_in, node.origin))
        .unzip();
    if pushed.is_empty() {
        return None;
    }
    let composed = Composed::new(attention, &stand_ins, node.origin).result(attention.result);
    Some(match graph.jvp(&[composed], &pushed, &tangents) {
        Ok(tangent) => in_place_of_stand_ins(tangent[0], &operands, &stand_ins),
        Err(error) => graph.finish(Err(error)),
    })
}

fn operands(attention: &AttentionNode) -> Vec<NodeId> {
    let mut operands = Vec::new();
    Op::Attention(Box::new(*attention)).for_each_operand(|operand| operands.push(operand));
    operands
}

fn is_float(operand: Expr<'_>, origin: crate::node::Origin) -> bool {
    operand.read("attention", origin, |_, node| node.dtype.is_float()).unwrap_or(false)
}

/// An expression over stand-ins as one over the operands themselves.
fn in_place_of_stand_ins<'g>(expr: Expr<'g>, operands: &[NodeId], stand_ins: &[Expr<'g>]) -> Expr<'g> {
    let graph = expr.graph();
    let pairs: Option<Vec<(NodeId, NodeId)>> =
        stand_ins.iter().zip(operands).map(|(stand_in, &operand)| Some((stand_in.raw()?, operand))).collect();
    let (Some(pairs), Some(id)) = (pairs, expr.raw()) else { return Expr::poisoned(graph) };
    match graph.substitute(&[id], &pairs) {
        Ok(ids) => Expr::from_id(graph, ids[0]),
        Err(error) => graph.finish(Err(error)),
    }
}
