//! Functions of one element.
//!
//! | op | y | dy/dx | edge cases |
//! |---|---|---|---|
//! | neg | `-x` | `-1` | i32 too, wrapping |
//! | abs | `abs(x)` | `sign(x)` | derivative 0 at 0; i32 too |
//! | sign | -1, 0 or 1 | 0 | NaN stays NaN; i32 too |
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
//! | relu | `max(x, 0)` | 1 above 0, else 0 | derivative 0 at 0; NaN stays NaN |
//! | not | `!x` | none | bool |

use std::f64::consts::FRAC_2_SQRT_PI;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{BinaryFunction, UnaryFunction};
use crate::ops::{Differentiated, Rule};
use crate::shape::Shape;

pub(crate) fn infer(rule: &Rule<'_>, function: UnaryFunction, operand: NodeId) -> Result<(Shape, DType), GraphError> {
    let dtype = match function {
        UnaryFunction::Neg | UnaryFunction::Abs | UnaryFunction::Sign => rule.number(operand)?,
        UnaryFunction::Not => rule.dtype_in(operand, &[DType::Bool], "bool")?,
        UnaryFunction::Floor
        | UnaryFunction::Ceil
        | UnaryFunction::Round
        | UnaryFunction::Exp
        | UnaryFunction::Expm1
        | UnaryFunction::Log
        | UnaryFunction::Log1p
        | UnaryFunction::Sqrt
        | UnaryFunction::Sin
        | UnaryFunction::Cos
        | UnaryFunction::Tanh
        | UnaryFunction::Sigmoid
        | UnaryFunction::Erf
        | UnaryFunction::Relu => rule.float(operand)?,
    };
    Ok((rule.node(operand).shape.clone(), dtype))
}

pub(crate) fn vjp<'g>(
    function: UnaryFunction,
    operand: NodeId,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if !(node.wants)(operand) {
        return;
    }
    let (x, y, upstream) = (node.expr(operand), node.output, node.upstream);
    let gradient = match function {
        UnaryFunction::Neg => -upstream,
        UnaryFunction::Abs => upstream * x.sign(),
        UnaryFunction::Exp => upstream * y,
        UnaryFunction::Expm1 => upstream * (y + 1.0),
        UnaryFunction::Log => upstream / x,
        UnaryFunction::Log1p => upstream / (x + 1.0),
        UnaryFunction::Sqrt => upstream / (y * 2.0),
        UnaryFunction::Sin => upstream * x.cos(),
        UnaryFunction::Cos => -(upstream * x.sin()),
        UnaryFunction::Tanh => upstream * (1.0 - y * y),
        UnaryFunction::Sigmoid => upstream * (y * (1.0 - y)),
        UnaryFunction::Erf => upstream * ((-(x * x)).exp() * FRAC_2_SQRT_PI),
        // y > 0 exactly where x > 0, and y is kept for the next layer anyway: x need not outlive the forward pass.
        UnaryFunction::Relu => upstream.binary(BinaryFunction::ReluBackward, y, node.origin),
        // Constant almost everywhere: the gradient is zero, which is what an operand that nothing is given to has.
        UnaryFunction::Sign | UnaryFunction::Floor | UnaryFunction::Ceil | UnaryFunction::Round => return,
        UnaryFunction::Not => return,
    };
    give(operand, gradient);
}
