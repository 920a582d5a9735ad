//! Functions of two elements of equal shapes and dtypes; [`Expr`] operators broadcast before they insert one.
//!
//! | op | y | dy/da, dy/db | edge cases |
//! |---|---|---|---|
//! | add, sub, mul | | | i32 too, wrapping |
//! | div | `a / b` | `1 / b`, `-y / b` | |
//! | pow | `a^b` | `b a^(b-1)`, `y ln a` | `a^0 = 1` with derivative 0 in a; at a = 0 the derivative in b is 0 for b >= 0 |
//! | maximum, minimum | | 1 for the one taken | half each at a tie; NaN wins, and passes the gradient to both; i32 too |
//! | relu_backward | `a` where `b > 0`, else 0 | the same in a, 0 in b | |
//! | and, or | | none | bool |

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::BinaryFunction;
use crate::ops::{Differentiated, Rule};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    function: BinaryFunction,
    lhs: NodeId,
    rhs: NodeId,
) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.same_dtype(lhs, rhs)?;
    match function {
        BinaryFunction::Add
        | BinaryFunction::Sub
        | BinaryFunction::Mul
        | BinaryFunction::Maximum
        | BinaryFunction::Minimum => rule.number(lhs)?,
        BinaryFunction::Div | BinaryFunction::Pow | BinaryFunction::ReluBackward => rule.float(lhs)?,
        BinaryFunction::And | BinaryFunction::Or => rule.dtype_in(lhs, &[DType::Bool], "bool")?,
    };
    Ok((rule.same_shape(lhs, rhs)?.clone(), dtype))
}

pub(crate) fn vjp<'g>(
    function: BinaryFunction,
    lhs: NodeId,
    rhs: NodeId,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let (a, b, y, upstream) = (node.expr(lhs), node.expr(rhs), node.output, node.upstream);
    let (wants_lhs, wants_rhs) = ((node.wants)(lhs), (node.wants)(rhs));
    match function {
        BinaryFunction::Add => {
            give_if(wants_lhs, lhs, || upstream, give);
            give_if(wants_rhs, rhs, || upstream, give);
        }
        BinaryFunction::Sub => {
            give_if(wants_lhs, lhs, || upstream, give);
            give_if(wants_rhs, rhs, || -upstream, give);
        }
        BinaryFunction::Mul => {
            give_if(wants_lhs, lhs, || upstream * b, give);
            give_if(wants_rhs, rhs, || upstream * a, give);
        }
        BinaryFunction::Div => {
            give_if(wants_lhs, lhs, || upstream / b, give);
            give_if(wants_rhs, rhs, || -(upstream * (y / b)), give);
        }
        BinaryFunction::Pow => {
            // At a = 0 and b = 0 the formula is the product of 0 and an infinity. Elsewhere it must stand as it is also where b
            // is 0, for its own derivative in b is not 0 there.
            let origin = || a.equal(0.0) & b.equal(0.0);
            give_if(wants_lhs, lhs, || origin().where_(0.0, upstream * (b * a.pow(b - 1.0))), give);
            // ln 0 is -inf, though the limit of a^b ln a is 0 for b > 0; PyTorch takes 0 for b = 0 as well.
            let edge = || a.equal(0.0) & b.greater_equal(0.0);
            give_if(wants_rhs, rhs, || edge().where_(0.0, upstream * (y * a.log())), give);
        }
        BinaryFunction::Maximum => {
            give_if(wants_lhs, lhs, || share(a.less(b), a.equal(b), upstream), give);
            give_if(wants_rhs, rhs, || share(b.less(a), a.equal(b), upstream), give);
        }
        BinaryFunction::Minimum => {
            give_if(wants_lhs, lhs, || share(a.greater(b), a.equal(b), upstream), give);
            give_if(wants_rhs, rhs, || share(b.greater(a), a.equal(b), upstream), give);
        }
        BinaryFunction::ReluBackward => {
            give_if(wants_lhs, lhs, || upstream.binary(BinaryFunction::ReluBackward, b, node.origin), give);
        }
        BinaryFunction::And | BinaryFunction::Or => {}
    }
}

fn give_if<'g>(
    wanted: bool,
    operand: NodeId,
    gradient: impl FnOnce() -> Expr<'g>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if wanted {
        give(operand, gradient());
    }
}

/// Nothing where the other operand was taken, half at a tie, else all of the upstream gradient: also beside NaN, which is
/// neither smaller nor equal.
fn share<'g>(lost: Expr<'g>, tie: Expr<'g>, upstream: Expr<'g>) -> Expr<'g> {
    lost.where_(0.0, tie.where_(upstream * 0.5, upstream))
}
