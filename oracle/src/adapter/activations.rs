//! Activations, and vectors brought to length 1.

use super::arguments::Call;
use super::{Operator, Refusal};
use arenagrad::Expr;

const ACTIVATION: &[&str] = &["input", "inplace"];

/// A function of floats that the engine has under that name.
macro_rules! float_unary {
    ($method:ident) => {
        Some(Operator::new(ACTIVATION, |call| Ok(call.float("input")?.$method())))
    };
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "relu6" => float_unary!(relu6),
        "hardsigmoid" => Some(Operator::new(ACTIVATION, hardsigmoid)),
        "hardswish" => float_unary!(hardswish),
        "mish" => float_unary!(mish),
        "selu" => float_unary!(selu),
        "softsign" => float_unary!(softsign),
        "tanhshrink" => float_unary!(tanhshrink),
        "logsigmoid" => float_unary!(log_sigmoid),
        "hardtanh" => Some(Operator::new(&["input", "min_val", "max_val", "inplace"], |call| {
            Ok(call.float("input")?.hardtanh(call.number_or("min_val", -1.0)?, call.number_or("max_val", 1.0)?))
        })),
        "celu" => Some(Operator::new(&["input", "alpha", "inplace"], |call| {
            Ok(call.float("input")?.celu(call.number_or("alpha", 1.0)?))
        })),
        "hardshrink" => Some(Operator::new(&["input", "lambd"], |call| {
            Ok(call.float("input")?.hardshrink(call.number_or("lambd", 0.5)?))
        })),
        "softshrink" => Some(Operator::new(&["input", "lambd"], |call| {
            Ok(call.float("input")?.softshrink(call.number_or("lambd", 0.5)?))
        })),
        "threshold" => Some(Operator::new(&["input", "threshold", "value", "inplace"], |call| {
            Ok(call.float("input")?.threshold(call.number_or("threshold", 0.0)?, call.number_or("value", 0.0)?))
        })),
        "prelu" => {
            Some(Operator::new(&["input", "weight"], |call| Ok(call.float("input")?.prelu(call.float("weight")?))))
        }
        "glu" => Some(Operator::new(&["input", "dim"], |call| {
            let input = call.float("input")?;
            Ok(input.glu(call.axis_or("dim", -1, input.shape()?.rank())? as isize))
        })),
        "softmin" => Some(Operator::new(&["input", "dim", "_stacklevel", "dtype"], |call| {
            let input = call.float("input")?;
            Ok(input.softmin(call.axis("dim", input.shape()?.rank())? as isize))
        })),
        "normalize" => Some(Operator::new(&["input", "p", "dim", "eps", "out"], normalize)),
        _ => None,
    }
}

fn normalize<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let axis = call.axis_or("dim", 1, shape.rank())? as isize;
    // A scalar is a vector of one element for that.
    let vectors = if shape.rank() == 0 { input.reshape([1]) } else { input };
    Ok(vectors.normalize(call.number_or("p", 2.0)?, axis, call.number_or("eps", 1e-12)?).reshape(shape))
}

/// PyTorch's derivative has the f32 next to 1/6 for its slope, in f64 too.
fn hardsigmoid<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let result = call.float("input")?.hardsigmoid();
    let excess = result * (6.0 * f64::from(1f32 / 6f32) - 1.0);
    Ok(result + (excess - excess.stop_gradient()))
}
