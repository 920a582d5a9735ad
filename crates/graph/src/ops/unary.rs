//! Functions of one element.
//!
//! | op | y | dy/dx | edge cases |
//! |---|---|---|---|
//! | neg | `-x` | `-1` | i32 too, wrapping |
//! | abs | `abs(x)` | `sign(x)` | derivative 0 at 0; i32 too |
//! | sign | -1, 0 or 1 | 0 | NaN stays NaN, -0 gives 0; i32 too |
//! | floor, ceil, round | an integer | 0 | round takes halves to even |
//! | exp | `e^x` | `y` | |
//! | expm1 | `e^x - 1` | `y + 1` | exact for small x |
//! | log | `ln x` | `1 / x` | -inf at 0, NaN below |
//! | log1p | `ln(1 + x)` | `1 / (1 + x)` | exact for small x |
//! | sqrt | `sqrt x` | `1 / (2 y)` | derivative infinite at 0 |
//! | sin, cos | | `cos x`, `-sin x` | |
//! | tanh | | `1 - y^2` | |
//! | sigmoid | `1 / (1 + e^-x)` | `y (1 - y)` | |
//! | erf | | `2 / sqrt(pi) e^(-x^2)` | |
//! | relu | 0 below 0, else `x` | 1 above 0, else 0 | derivative 0 at 0; NaN stays NaN and lets the gradient through; -0 stays -0 |
//! | not | `!x` | none | bool |
//!
//! At -0 those that are 0 at 0 without a jump give -0 (neg gives 0): floor, ceil, round, expm1, log1p, sqrt, sin, tanh, erf and relu. abs gives 0.

use std::f64::consts::FRAC_2_SQRT_PI;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{BinaryFunction, UnaryFunction};
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, function: UnaryFunction, operand: NodeId) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.defined_for(operand, function.row().dtypes)?;
    Ok((rule.node(operand).shape.clone(), dtype))
}

pub(crate) fn vjp<'g>(
    function: UnaryFunction,
    operand: NodeId,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if (node.wants)(operand)
        && let Some(gradient) = scaled(function, node.expr(operand), node.output, node.upstream, node.origin)
    {
        give(operand, gradient);
    }
}

pub(crate) fn jvp<'g>(function: UnaryFunction, operand: NodeId, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    scaled(function, node.expr(operand), node.output, (node.tangent)(operand)?, node.origin)
}

/// `factor` times dy/dx. The Jacobian is diagonal, so an upstream gradient and a tangent take the same product. `None` is
/// zero: of what is constant almost everywhere, and of truth values.
fn scaled<'g>(function: UnaryFunction, x: Expr<'g>, y: Expr<'g>, factor: Expr<'g>, origin: Origin) -> Option<Expr<'g>> {
    Some(match function {
        UnaryFunction::Neg => -factor,
        UnaryFunction::Abs => factor * x.sign(),
        UnaryFunction::Exp => factor * y,
        UnaryFunction::Expm1 => factor * (y + 1.0),
        UnaryFunction::Log => factor / x,
        UnaryFunction::Log1p => factor / (x + 1.0),
        UnaryFunction::Sqrt => factor / (y * 2.0),
        UnaryFunction::Sin => factor * x.cos(),
        UnaryFunction::Cos => -(factor * x.sin()),
        UnaryFunction::Tanh => factor * (1.0 - y * y),
        UnaryFunction::Sigmoid => factor * (y * (1.0 - y)),
        UnaryFunction::Erf => factor * ((-(x * x)).exp() * FRAC_2_SQRT_PI),
        // y <= 0 exactly where x <= 0, and y is kept for the next layer anyway: x need not outlive the forward pass.
        UnaryFunction::Relu => factor.binary(BinaryFunction::ReluBackward, y, origin),
        UnaryFunction::Sign | UnaryFunction::Floor | UnaryFunction::Ceil | UnaryFunction::Round => return None,
        UnaryFunction::Not | UnaryFunction::BitwiseNot => return None,
    })
}
