//! A value whose derivatives are given, and the placeholder that they are written over.
//!
//! | op | y | derivative |
//! |---|---|---|
//! | placeholder | none: a transform puts a tensor in its place | none |
//! | custom_gradient | `value` | to `operands[i]`: `gradients[i]`, with the upstream gradient in the placeholder's place |
//!
//! A tangent of the value is the transposition of the gradients: with `g_i(u) = J_i^T u`, the derivative of
//! `sum over i of <g_i(u), t_i>` by `u` is `sum over i of J_i t_i`.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    value: NodeId,
    operands: &[NodeId],
    upstream: NodeId,
    gradients: &[NodeId],
) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.float(value)?;
    rule.same_shape(value, upstream)?;
    rule.same_dtype(value, upstream)?;
    if operands.len() != gradients.len() {
        let (origin, op, function) = (rule.origin, rule.op, rule.op.to_owned());
        let (operands, gradients) = (operands.len(), gradients.len());
        return Err(GraphError::GradientCount { origin, op, function, operands, gradients });
    }
    for (&operand, &gradient) in operands.iter().zip(gradients) {
        rule.float(operand)?;
        rule.same_shape(operand, gradient)?;
        rule.same_dtype(operand, gradient)?;
    }
    Ok((rule.node(value).shape.clone(), dtype))
}

pub(crate) fn vjp<'g>(
    operands: &[NodeId],
    upstream: NodeId,
    gradients: &[NodeId],
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let (wanted, templates): (Vec<NodeId>, Vec<NodeId>) =
        operands.iter().zip(gradients).filter(|(operand, _)| (node.wants)(**operand)).unzip();
    let graph = node.output.graph();
    let Some(actual) = node.upstream.raw() else { return };
    match graph.substitute(&templates, &[(upstream, actual)]) {
        Ok(gradients) => {
            wanted.into_iter().zip(gradients).for_each(|(operand, gradient)| give(operand, node.expr(gradient)));
        }
        Err(error) => drop(graph.finish(Err(error))),
    }
}

pub(crate) fn jvp<'g>(
    operands: &[NodeId],
    upstream: NodeId,
    gradients: &[NodeId],
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let graph = node.output.graph();
    let (templates, tangents): (Vec<NodeId>, Vec<Expr<'g>>) = operands
        .iter()
        .zip(gradients)
        .filter_map(|(operand, gradient)| Some((*gradient, (node.tangent)(*operand)?)))
        .unzip();
    if templates.is_empty() {
        return None;
    }
    // Gradients that are not linear are linearised at zero. It takes the placeholder's place before, not in the result: that
    // would be looked for in everything that was built since the function was applied.
    let zero = graph.zeros(node.shape, node.dtype());
    let transposed = zero.id().and_then(|id| graph.substitute(&templates, &[(upstream, id)])).and_then(|templates| {
        let templates: Vec<Expr<'g>> = templates.into_iter().map(|template| node.expr(template)).collect();
        graph.gradients(&templates, &tangents, &[zero])
    });
    Some(match transposed {
        Ok(tangent) => tangent[0],
        Err(error) => graph.finish(Err(error)),
    })
}
