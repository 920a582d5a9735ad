//! The sum over the processes of a group.
//!
//! `y = sum over all processes r of x_r`, element by element: every process has the same `y`. Of the objective that the group as a whole
//! minimises, the sum of what its processes compute, the gradient with respect to one process's `x` is the sum of all upstream
//! gradients: again a sum over the group. Its tangent is the sum of the tangents. A process on its own is a group of one, where this is the
//! identity.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, operand: NodeId) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.number(operand)?;
    Ok((rule.node(operand).shape.clone(), dtype))
}

pub(crate) fn vjp<'g>(operand: NodeId, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    if (node.wants)(operand) {
        give(operand, node.upstream.all_reduce_at(node.origin));
    }
}

pub(crate) fn jvp<'g>(operand: NodeId, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    (node.tangent)(operand).map(|tangent| tangent.all_reduce_at(node.origin))
}
