//! Rounding to floating-point types of 16 bits.
//!
//! | op | y | derivative |
//! |---|---|---|
//! | round_to_f16, round_to_bf16 | the nearest number of the type, of two the even one | as if `y` were `x` |
//!
//! NaN stays NaN. f16 has infinity from 65,520 on, and 0 up to 2^-25.
//!
//! The value is a staircase, whose derivative is 0 wherever it has one. What a network means by it is the number that was rounded, so
//! gradients and tangents pass through as they are (the straight-through estimator), as through PyTorch's and JAX's casts. They are not
//! rounded themselves: whoever wants that rounds them.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::FLOATS;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, operand: NodeId) -> Result<(Shape, DType), GraphError> {
    rule.defined_for(operand, FLOATS)?;
    let node = rule.node(operand);
    Ok((node.shape.clone(), node.dtype))
}

pub(crate) fn vjp<'g>(operand: NodeId, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    if (node.wants)(operand) {
        give(operand, node.upstream);
    }
}

pub(crate) fn jvp<'g>(operand: NodeId, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    (node.tangent)(operand)
}
