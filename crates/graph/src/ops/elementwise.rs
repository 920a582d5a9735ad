//! The family of elementwise ops: which file holds the rules of which.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::Elementwise;
use crate::ops::{Differentiated, Pushed, Rule, binary, compare, rounding, unary};
use crate::shape::Shape;

/// `dtype` is the one that a cast converts to.
pub(crate) fn infer(
    rule: &Rule<'_>,
    elementwise: &Elementwise<NodeId>,
    dtype: Option<DType>,
) -> Result<(Shape, DType), GraphError> {
    match *elementwise {
        Elementwise::Unary { function, operand } => unary::infer(rule, function, operand),
        Elementwise::Binary { function, lhs, rhs } => binary::infer(rule, function, lhs, rhs),
        Elementwise::Compare { function, lhs, rhs } => compare::infer(rule, function, lhs, rhs),
        Elementwise::Where { condition, on_true, on_false } => compare::infer_where(rule, condition, on_true, on_false),
        Elementwise::Cast { operand } => {
            let node = rule.node(operand);
            Ok((node.shape.clone(), dtype.unwrap_or(node.dtype)))
        }
        Elementwise::RoundTo { operand, .. } => rounding::infer(rule, operand),
    }
}

pub(crate) fn vjp<'g>(
    elementwise: &Elementwise<NodeId>,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    match *elementwise {
        Elementwise::Unary { function, operand } => unary::vjp(function, operand, node, give),
        Elementwise::Binary { function, lhs, rhs } => binary::vjp(function, lhs, rhs, node, give),
        // Truth values carry no gradient.
        Elementwise::Compare { .. } => {}
        Elementwise::Where { condition, on_true, on_false } => {
            compare::vjp_where(condition, on_true, on_false, node, give);
        }
        Elementwise::Cast { operand } => compare::vjp_cast(operand, node, give),
        Elementwise::RoundTo { operand, .. } => rounding::vjp(operand, node, give),
    }
}

pub(crate) fn jvp<'g>(elementwise: &Elementwise<NodeId>, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    match *elementwise {
        Elementwise::Unary { function, operand } => unary::jvp(function, operand, node),
        Elementwise::Binary { function, lhs, rhs } => binary::jvp(function, lhs, rhs, node),
        // Truth values have no tangent.
        Elementwise::Compare { .. } => None,
        Elementwise::Where { condition, on_true, on_false } => compare::jvp_where(condition, on_true, on_false, node),
        Elementwise::Cast { operand } => compare::jvp_cast(operand, node),
        Elementwise::RoundTo { operand, .. } => rounding::jvp(operand, node),
    }
}
