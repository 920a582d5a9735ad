//! Activations, and vectors brought to length 1.

use super::arguments::{Call, Value, held};
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
        "relu6" => Some(Operator::new(ACTIVATION, |call| {
            let input = call.tensor("input")?;
            if !input.dtype()?.is_float() {
                return Ok(input.clamp(Some(0.0), Some(6.0)));
            }
            Ok(input.relu6())
        })),
        "hardsigmoid" => Some(Operator::new(ACTIVATION, hardsigmoid)),
        "hardswish" => float_unary!(hardswish),
        "mish" => float_unary!(mish),
        "selu" => float_unary!(selu),
        "softsign" => float_unary!(softsign),
        "tanhshrink" => float_unary!(tanhshrink),
        "logsigmoid" => float_unary!(log_sigmoid),
        "hardtanh" => Some(Operator::new(&["input", "min_val", "max_val", "inplace"], |call| {
            let (input, dtype) = (call.tensor("input")?, call.tensor("input")?.dtype()?);
            let bound = |name: &str, default: f64| Ok::<f64, Refusal>(held(call.number_or(name, default)?, dtype));
            let (least, most) = (bound("min_val", -1.0)?, bound("max_val", 1.0)?);
            if !dtype.is_float() {
                return Ok(input.clamp(Some(least), Some(most)));
            }
            Ok(input.hardtanh(least, most))
        })),
        "celu" => Some(Operator::new(&["input", "alpha", "inplace"], |call| {
            Ok(celu(call.float("input")?, call.number_or("alpha", 1.0)?))
        })),
        "hardshrink" => Some(Operator::new(&["input", "lambd"], |call| {
            Ok(call.float("input")?.hardshrink(call.number_or("lambd", 0.5)?))
        })),
        "softshrink" => Some(Operator::new(&["input", "lambd"], |call| {
            Ok(call.float("input")?.softshrink(call.number_or("lambd", 0.5)?))
        })),
        "threshold" => Some(Operator::new(&["input", "threshold", "value", "inplace"], |call| {
            let (input, dtype) = (call.tensor("input")?, call.tensor("input")?.dtype()?);
            let [threshold, value] = [call.number_or("threshold", 0.0)?, call.number_or("value", 0.0)?];
            if !dtype.is_float() {
                let value = call.graph.full([], held(value, dtype), dtype);
                return Ok(input.greater(held(threshold, dtype)).where_(input, value));
            }
            Ok(input.threshold(threshold, value))
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
    if matches!(call.get("dim"), Some(Value::List(_))) {
        let axes = call.axes("dim", shape.rank())?;
        let norm = input.norm(call.number_or("p", 2.0)?, axes.clone());
        let norm = norm.reshape(shape.reduced(axes.into_iter().collect()));
        return Ok(input / norm.clamp(Some(call.number_or("eps", 1e-12)?), None));
    }
    let axis = call.axis_or("dim", 1, shape.rank())? as isize;
    // A scalar is a vector of one element for that.
    let vectors = if shape.rank() == 0 { input.reshape([1]) } else { input };
    Ok(vectors.normalize(call.number_or("p", 2.0)?, axis, call.number_or("eps", 1e-12)?).reshape(shape))
}

/// PyTorch's derivative has the f32 next to 1/6 for its slope, in f64 too.
fn hardsigmoid<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    Ok(flat_at_nan(call.float("input")?, |x| {
        let result = x.hardsigmoid();
        let excess = result * (6.0 * f64::from(1f32 / 6f32) - 1.0);
        result + (excess - excess.stop_gradient())
    }))
}

/// PyTorch's derivative divides by the f32 next to `alpha`, in f64 too.
fn celu(x: Expr<'_>, alpha: f64) -> Expr<'_> {
    let rounded = f64::from(alpha as f32);
    let below = x.less_equal(0.0).where_(x, 0.0);
    let excess = below.celu(rounded) * (alpha / rounded) - below.celu(alpha);
    x.celu(alpha) + (excess - excess.stop_gradient())
}

/// A function of floats which at NaN is NaN, and passes no gradient there. (Of some activations PyTorch's is 0 or all of it, by where
/// in a vector of the processor the element stands: those are left as the engine has them.)
pub(super) fn flat_at_nan<'g>(input: Expr<'g>, function: impl FnOnce(Expr<'g>) -> Expr<'g>) -> Expr<'g> {
    let undefined = input.isnan();
    undefined.where_(input.stop_gradient(), function(undefined.where_(0.0, input)))
}
