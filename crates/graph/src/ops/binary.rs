//! Functions of two elements of equal shapes and dtypes; [`Expr`] operators broadcast before they insert one.
//!
//! | op | y | dy/da, dy/db | edge cases |
//! |---|---|---|---|
//! | add, sub, mul | | | i32 too, wrapping |
//! | div | `a / b` | `1 / b`, `-y / b` | |
//! | pow | `a^b` | `b a^(b-1)`, `y ln a` | `a^0 = 1` for every a, NaN too, with derivative 0 in a; the derivative in b is 0 at a = 0 for b >= 0, at a = inf for b < 0; i32 too, wrapping, where of negative exponents the powers of 1 and -1 alone are not 0 |
//! | atan2 | the angle of the point `(b, a)` | `b / (a^2 + b^2)`, `-a / (a^2 + b^2)` | within -pi and pi, the signs of zeros count; derivatives 0 at (0, 0) |
//! | maximum, minimum | | 1 for the one taken | half each at a tie; NaN wins, and passes the gradient to both; i32 too |
//! | relu_backward | 0 where `b <= 0`, else `a` | the same in a, 0 in b | a NaN in b lets the gradient through |
//! | and, or | | none | bool |
//! | fmod | `a - b trunc(a / b)` | 1, `-trunc(a / b)` | the sign of a; i32 too |
//! | remainder | `a - b floor(a / b)` | 1, `-floor(a / b)` | the sign of b; i32 too |
//! | floor_divide | `floor(a / b)` | none | i32 too, where the quotient by 0 is 0 |
//! | copysign | `abs(a)` with the sign of b | 1 or -1, 0 | derivative 0 at a = 0 |
//! | hypot | `sqrt(a^2 + b^2)` | `a / y`, `b / y` | no square overflows; derivatives 0 at (0, 0) |

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{BinaryFunction, Leaf, Op};
use crate::ops::{Differentiated, Pushed, Rule, sum};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    function: BinaryFunction,
    lhs: NodeId,
    rhs: NodeId,
) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.same_dtype(lhs, rhs)?;
    // A number beside an expression has its dtype: the expression is what a caller can do something about.
    let is_number = matches!(rule.node(lhs).op, Op::Leaf(Leaf::Constant { .. }));
    rule.defined_for(if is_number { rhs } else { lhs }, function.row().dtypes)?;
    Ok((rule.same_shape(lhs, rhs)?.clone(), dtype))
}

pub(crate) fn vjp<'g>(
    function: BinaryFunction,
    lhs: NodeId,
    rhs: NodeId,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let point = Point { a: node.expr(lhs), b: node.expr(rhs), y: node.output, origin: node.origin };
    let (wants_lhs, wants_rhs) = ((node.wants)(lhs), (node.wants)(rhs));
    if wants_lhs && let Some(gradient) = point.scaled_by_lhs(function, node.upstream) {
        give(lhs, gradient);
    }
    if wants_rhs && let Some(gradient) = point.scaled_by_rhs(function, node.upstream) {
        give(rhs, gradient);
    }
}

pub(crate) fn jvp<'g>(function: BinaryFunction, lhs: NodeId, rhs: NodeId, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let point = Point { a: node.expr(lhs), b: node.expr(rhs), y: node.output, origin: node.origin };
    let by_lhs = (node.tangent)(lhs).and_then(|tangent| point.scaled_by_lhs(function, tangent));
    let by_rhs = (node.tangent)(rhs).and_then(|tangent| point.scaled_by_rhs(function, tangent));
    sum(by_lhs, by_rhs)
}

/// Where a function of two elements is differentiated: `y = f(a, b)`.
struct Point<'g> {
    a: Expr<'g>,
    b: Expr<'g>,
    y: Expr<'g>,
    origin: Origin,
}

impl<'g> Point<'g> {
    /// `factor` times dy/da. The Jacobian is diagonal, so an upstream gradient and a tangent take the same product. `None`
    /// is zero.
    fn scaled_by_lhs(&self, function: BinaryFunction, factor: Expr<'g>) -> Option<Expr<'g>> {
        let &Point { a, b, origin, .. } = self;
        Some(match function {
            BinaryFunction::Add | BinaryFunction::Sub => factor,
            BinaryFunction::Mul => factor * b,
            BinaryFunction::Div => factor / b,
            BinaryFunction::Pow if a.graph().is_on_paper() => {
                // At a = 0 and b = 0 the formula is the product of 0 and an infinity. Elsewhere it must stand as it is also
                // where b is 0, for its own derivative in b is not 0 there.
                let both_zero = a.equal(0.0) & b.equal(0.0);
                both_zero.where_(0.0, factor * (b * a.pow(b - 1.0)))
            }
            BinaryFunction::Pow => factor * power_slope(a, b),
            BinaryFunction::Atan2 => over_square(factor, b, (a, b)),
            BinaryFunction::Maximum => share(a.less(b), a.equal(b), factor),
            BinaryFunction::Minimum => share(a.greater(b), a.equal(b), factor),
            BinaryFunction::ReluBackward => factor.binary(BinaryFunction::ReluBackward, b, origin),
            BinaryFunction::And | BinaryFunction::Or | BinaryFunction::FloorDivide => return None,
            BinaryFunction::Fmod | BinaryFunction::Remainder => factor,
            BinaryFunction::Copysign => factor * (a.sign() * a.constant_beside(1.0, origin).copysign(b)),
            BinaryFunction::Hypot => factor * over_length(a, self.y), // Integers have no derivatives.
            BinaryFunction::BitwiseAnd | BinaryFunction::BitwiseOr | BinaryFunction::BitwiseXor => return None,
            BinaryFunction::ShiftLeft | BinaryFunction::ShiftRight => return None,
        })
    }

    /// `factor` times dy/db, as [`Point::scaled_by_lhs`].
    fn scaled_by_rhs(&self, function: BinaryFunction, factor: Expr<'g>) -> Option<Expr<'g>> {
        let &Point { a, b, y, .. } = self;
        Some(match function {
            BinaryFunction::Add => factor,
            BinaryFunction::Sub => -factor,
            BinaryFunction::Mul => factor * a,
            BinaryFunction::Div => -(factor * (y / b)),
            BinaryFunction::Pow if a.graph().is_on_paper() => {
                // ln 0 is -inf, though the limit of a^b ln a is 0 for b > 0, and 0 is taken for b = 0 as well.
                let edge = a.equal(0.0) & b.greater_equal(0.0);
                edge.where_(0.0, factor * (y * a.log()))
            }
            BinaryFunction::Pow => {
                // There y is 0 and the logarithm infinite, and 0 is the limit; for 0^0, which has none, PyTorch takes 0 too.
                // Both are replaced before they meet, so that no derivative of this multiplies 0 by an infinity either.
                let edge = (a.equal(0.0) & b.greater_equal(0.0)) | (a.equal(f64::INFINITY) & b.less(0.0));
                factor * (edge.where_(0.0, y) * edge.where_(1.0, a).log())
            }
            BinaryFunction::Atan2 => -over_square(factor, a, (a, b)),
            BinaryFunction::Maximum => share(b.less(a), a.equal(b), factor),
            BinaryFunction::Minimum => share(b.greater(a), a.equal(b), factor),
            // The remainder is exact, so the quotient is an integer but for its own rounding.
            BinaryFunction::Fmod => -(factor * ((a - y) / b).round()),
            BinaryFunction::Remainder => -(factor * a.floor_divide(b)),
            BinaryFunction::Hypot => factor * over_length(b, y),
            BinaryFunction::ReluBackward | BinaryFunction::And | BinaryFunction::Or => return None,
            BinaryFunction::FloorDivide | BinaryFunction::Copysign => return None,
            BinaryFunction::BitwiseAnd | BinaryFunction::BitwiseOr | BinaryFunction::BitwiseXor => return None,
            BinaryFunction::ShiftLeft | BinaryFunction::ShiftRight => return None,
        })
    }
}

/// The derivative of `a^b` in a: `b a^(b-1)`, and where that is a product of 0 and an infinity, what the power says: 0.
///
/// Where b is 0 the power is 1 and its slope 0, but `a^(b-1)` overflows at the smallest a. There `b / a a^b` stands for the
/// formula: it is 0, and its own derivative in b is `1 / a` as it must be. What one case does not take sees numbers at which
/// it and its derivatives are finite, for a gradient of 0 goes back through it.
fn power_slope<'g>(a: Expr<'g>, b: Expr<'g>) -> Expr<'g> {
    match b.constant() {
        Some(exponent) if exponent != 0.0 && exponent.is_finite() => return b * a.pow(b - 1.0),
        Some(_) | None => {}
    }
    let is_flat = b.equal(0.0);
    // Neither 0 nor NaN: 0^0 and NaN^0 are 1 without a slope of any order.
    let is_divisor = is_flat & (a.less(0.0) | a.greater(0.0));
    let (divisor, exponent) = (is_divisor.where_(a, 1.0), is_divisor.where_(b, 0.0));
    // In this order, so that its own derivative in a is no product of 0 and an infinity at the smallest a either.
    let flat = exponent / divisor * divisor.pow(exponent);
    let (base, exponent) = (is_flat.where_(1.0, a), is_flat.where_(1.0, b));
    let power = base.pow(exponent - 1.0);
    // An infinite power of what is smaller than 1 is 0 all around.
    let is_settled = exponent.abs().equal(f64::INFINITY) & power.equal(0.0);
    is_flat.where_(flat, is_settled.where_(0.0, exponent * power))
}

/// `factor * c / (a^2 + b^2)`, where the squares neither overflow nor underflow: both are taken of quotients by the larger of the
/// two, which cancels, so that no derivative need go through it.
fn over_square<'g>(factor: Expr<'g>, c: Expr<'g>, (a, b): (Expr<'g>, Expr<'g>)) -> Expr<'g> {
    let largest = match factor.dtype() {
        Ok(DType::F32) => f64::from(f32::MAX),
        Ok(DType::F64 | DType::I32 | DType::Bool) | Err(_) => f64::MAX,
    };
    // Of an infinity no quotient by itself, and none by 0.
    let size = a.abs().maximum(b.abs()).minimum(largest).stop_gradient();
    let size = size.equal(0.0).where_(1.0, size);
    let (a, b, c) = (a / size, b / size, c / size);
    let square = a * a + b * b;
    factor * over_length(c, square) / size
}

/// `c / y` for the length `y` of a vector with the coordinate `c`, or its square, and 0 for the vector of length 0.
fn over_length<'g>(c: Expr<'g>, y: Expr<'g>) -> Expr<'g> {
    c / y.equal(0.0).where_(1.0, y)
}

/// Nothing where the other operand was taken, half at a tie, else all of the upstream gradient: also beside NaN, which is
/// neither smaller nor equal.
fn share<'g>(lost: Expr<'g>, tie: Expr<'g>, upstream: Expr<'g>) -> Expr<'g> {
    lost.where_(0.0, tie.where_(upstream * 0.5, upstream))
}
