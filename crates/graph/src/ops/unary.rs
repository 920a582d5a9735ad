//! Functions of one element.
//!
//! | op | y | dy/dx | edge cases |
//! |---|---|---|---|
//! | neg | `-x` | `-1` | i32 too, wrapping |
//! | abs | `abs(x)` | `sign(x)` | derivative 0 at 0; i32 too |
//! | sign | -1, 0 or 1 | 0 | NaN stays NaN, -0 gives 0; i32 too |
//! | floor, ceil, round | an integer | 0 | round takes halves to even |
//! | exp | `e^x` | `y` | |
//! | expm1 | `e^x - 1` | `e^x` | exact for small x; `y + 1` would be 0 where `e^x` is small |
//! | log | `ln x` | `1 / x` | -inf at 0, NaN below |
//! | log1p | `ln(1 + x)` | `1 / (1 + x)` | exact for small x |
//! | sqrt | `sqrt x` | `1 / (2 y)` | derivative infinite at 0 |
//! | sin, cos | | `cos x`, `-sin x` | |
//! | tanh | | `1 - y^2` | from y, for which x need not be kept: far out, where y is next to 1, to the rounding of y |
//! | sigmoid | `1 / (1 + e^-x)` | `y (1 - y)` | as tanh; `Expr::gate` has the digits for what keeps x anyway |
//! | erf | | `2 / sqrt(pi) e^(-x^2)` | |
//! | relu | 0 below 0, else `x` | 1 above 0, else 0 | derivative 0 at 0; NaN stays NaN and lets the gradient through; -0 stays -0 |
//! | not | `!x` | none | bool |
//! | atan | | `1 / (1 + x^2)` | |
//! | asin, acos | | `1 / sqrt(1 - x^2)`, its negative | NaN outside [-1, 1]; derivatives infinite at both ends |
//! | sinh, cosh | | `cosh x`, `sinh x` | |
//! | asinh | | `1 / sqrt(x^2 + 1)` | |
//! | acosh | | `1 / sqrt(x^2 - 1)` | NaN below 1; derivative infinite at 1 |
//! | atanh | | `1 / (1 - x^2)` | infinite at -1 and 1, NaN outside |
//! | log2, log10 | | `1 / (x ln 2)`, `1 / (x ln 10)` | as log |
//! | exp2 | `2^x` | `y ln 2` | |
//! | trunc | the integer towards 0 | 0 | |
//! | erfc | `1 - erf x` | `-2 / sqrt(pi) e^(-x^2)` | exact far out, where it is small |
//! | erfcx | `e^(x^2) erfc x` | `2 x y - 2 / sqrt(pi)` | the derivative by a series where those two cancel |
//! | erfinv | `erf y = x` | `sqrt(pi) / 2 e^(y^2)` | infinite at -1 and 1, NaN outside |
//! | lgamma | `ln abs(gamma(x))` | `digamma x` | infinite at 0 and the negative integers |
//! | digamma | | `trigamma x` | at 0 the infinity of the other sign, NaN at the negative integers |
//! | trigamma | | the polygamma function of order 2 | infinite at 0 and the negative integers |
//!
//! At -0 those that are 0 at 0 without a jump give -0 (neg gives 0): floor, ceil, round, expm1, log1p, sqrt, sin, tanh, erf, relu,
//! atan, asin, sinh, asinh, atanh, trunc and erfinv. abs gives 0.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10};

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{BinaryFunction, UnaryFunction};
use crate::ops::{Differentiated, Pushed, Rule, special};
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
        // Not y + 1, which has no digits of it where e^x is small.
        UnaryFunction::Expm1 => factor * x.exp(),
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
        UnaryFunction::Atan => factor / (x * x + 1.0),
        UnaryFunction::Asin => factor / one_less_square(x).sqrt(),
        UnaryFunction::Acos => -(factor / one_less_square(x).sqrt()),
        UnaryFunction::Sinh => factor * x.cosh(),
        UnaryFunction::Cosh => factor * x.sinh(), // The squares of large elements would overflow.
        UnaryFunction::Asinh => factor / x.hypot(1.0),
        UnaryFunction::Acosh => {
            // One after the other: the derivative of a product would be 0 times an infinity at 1. Below -1, where there is no value,
            // the formula has one all the same, as that of the logarithm has for negative numbers.
            let size = x.abs();
            factor / (size - 1.0).sqrt() / (size + 1.0).sqrt()
        }
        UnaryFunction::Atanh => factor / one_less_square(x),
        UnaryFunction::Log2 => factor / (x * LN_2),
        UnaryFunction::Log10 => factor / (x * LN_10),
        UnaryFunction::Exp2 => factor * (y * LN_2),
        UnaryFunction::Trunc => return None,
        UnaryFunction::Erfc => factor * ((-(x * x)).exp() * -FRAC_2_SQRT_PI),
        UnaryFunction::Erfcx => factor * special::erfcx_slope(x, y),
        UnaryFunction::Erfinv => factor * ((y * y).exp() * (1.0 / FRAC_2_SQRT_PI)),
        UnaryFunction::Lgamma => factor * x.digamma(),
        UnaryFunction::Digamma => factor * x.trigamma(),
        UnaryFunction::Trigamma => factor * special::trigamma_slope(x),
    })
}

/// `1 - x^2`: in value a product, which keeps its digits next to 1, and in its derivative `-2 x`, of which that of the product, a difference of
/// two numbers next to 1, would have none left where `x` is small.
fn one_less_square(x: Expr<'_>) -> Expr<'_> {
    let difference = 1.0 - x * x;
    let lost = (1.0 - x) * (x + 1.0) - difference;
    // Beyond the root of 2 nothing is lost, and where the square overflows infinities would be subtracted.
    let lost = if x.graph().is_on_paper() { lost } else { difference.greater(-1.0).where_(lost, 0.0) };
    difference + lost.stop_gradient()
}
