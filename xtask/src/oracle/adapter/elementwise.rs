//! Functions of one element, or of corresponding elements of several tensors.

use arenagrad::{DType, Expr, Gelu};

use super::arguments::{Call, Operand};
use super::{Operator, Refusal};

const UNARY: &[&str] = &["input", "*", "out"];
const ACTIVATION: &[&str] = &["input", "inplace"];

/// A function of floats that the engine has under the same name.
macro_rules! float_unary {
    ($signature:expr, $method:ident) => {
        Some(Operator::new($signature, |call| Ok(call.float("input")?.$method())))
    };
}

/// A function that also takes integers.
macro_rules! numeric_unary {
    ($method:ident) => {
        Some(Operator::new(UNARY, |call| Ok(call.numeric("input")?.$method())))
    };
}

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "abs" | "absolute" => numeric_unary!(abs),
        "neg" | "negative" => Some(Operator::new(UNARY, |call| Ok(-call.numeric("input")?))),
        "sign" | "sgn" => Some(Operator::new(UNARY, sign)),
        "floor" => Some(Operator::new(UNARY, |call| rounded(call, Expr::floor))),
        "ceil" => Some(Operator::new(UNARY, |call| rounded(call, Expr::ceil))),
        "round" => Some(Operator::new(&["input", "*", "decimals", "out"], round)),
        "square" => numeric_unary!(square),
        "exp" => float_unary!(UNARY, exp),
        "expm1" | "special.expm1" => float_unary!(UNARY, expm1),
        "log" => float_unary!(UNARY, log),
        "log1p" | "special.log1p" => float_unary!(UNARY, log1p),
        "sqrt" => float_unary!(UNARY, sqrt),
        "rsqrt" => float_unary!(UNARY, rsqrt),
        "reciprocal" => float_unary!(UNARY, reciprocal),
        "sin" => float_unary!(UNARY, sin),
        "cos" => float_unary!(UNARY, cos),
        "tanh" => float_unary!(UNARY, tanh),
        "sigmoid" | "special.expit" => float_unary!(UNARY, sigmoid),
        "erf" | "special.erf" => float_unary!(UNARY, erf),
        "relu" => Some(Operator::new(UNARY, relu)),
        "add" => Some(Operator::new(&["input", "other", "*", "alpha", "out"], |call| {
            let (input, other) = scaled_pair(call)?;
            Ok(input + other)
        })),
        "sub" | "subtract" => Some(Operator::new(&["input", "other", "*", "alpha", "out"], |call| {
            let (input, other) = scaled_pair(call)?;
            Ok(input - other)
        })),
        "mul" | "multiply" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.promoted("input", "other")?;
            Ok(input * other)
        })),
        "div" | "divide" | "true_divide" => Some(Operator::new(&["input", "other", "*", "rounding_mode", "out"], div)),
        "pow" => Some(Operator::new(&["input", "exponent", "*", "out"], pow)),
        "maximum" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.promoted("input", "other")?;
            Ok(input.maximum(other))
        })),
        "minimum" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.promoted("input", "other")?;
            Ok(input.minimum(other))
        })),
        "clamp" | "clip" => Some(Operator::new(&["input", "min", "max", "*", "out"], clamp)),
        "where" => {
            let function = Operator::new(&["condition", "input", "other", "*", "out"], where_);
            Some(function.or(&["input", "condition", "other"]))
        }
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "relu" => Some(Operator::new(ACTIVATION, relu)),
        "silu" => float_unary!(ACTIVATION, silu),
        "tanh" => float_unary!(UNARY, tanh),
        "sigmoid" => float_unary!(UNARY, sigmoid),
        "leaky_relu" => Some(Operator::new(&["input", "negative_slope", "inplace"], |call| {
            Ok(call.float("input")?.leaky_relu(call.number_or("negative_slope", 0.01)?))
        })),
        "gelu" => Some(Operator::new(&["input", "*", "approximate"], |call| {
            let form = match call.text_or("approximate", "none")? {
                "none" => Gelu::Erf,
                "tanh" => Gelu::Tanh,
                other => return Err(Refusal::failed(format!("gelu has no approximation {other:?}"))),
            };
            Ok(call.float("input")?.gelu(form))
        })),
        "softplus" => Some(Operator::new(&["input", "beta", "threshold"], |call| {
            Ok(call.float("input")?.softplus(call.number_or("beta", 1.0)?, call.number_or("threshold", 20.0)?))
        })),
        "elu" => Some(Operator::new(&["input", "alpha", "inplace"], |call| {
            Ok(call.float("input")?.elu(call.number_or("alpha", 1.0)?))
        })),
        _ => None,
    }
}

/// Floor and ceil leave integers as they are.
fn rounded<'g>(call: &Call<'_, 'g>, round: impl FnOnce(Expr<'g>) -> Expr<'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.numeric("input")?;
    Ok(if input.dtype()?.is_float() { round(input) } else { input })
}

/// PyTorch's sign of NaN is 0.
fn sign<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.numeric("input")?;
    let sign = input.sign();
    if !input.dtype()?.is_float() {
        return Ok(sign);
    }
    Ok(input.equal(input).where_(sign, call.graph.full([], 0.0, call.dtype)))
}

fn relu<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.numeric("input")?;
    Ok(if input.dtype()?.is_float() { input.relu() } else { input.maximum(0) })
}

/// To `decimals` places: PyTorch scales, rounds halves to even, and scales back.
fn round<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let decimals = call.integer_or("decimals", 0)?;
    if decimals == 0 {
        return rounded(call, Expr::round);
    }
    let input = call.float("input")?;
    let power = 10f64.powi(decimals.unsigned_abs().min(400) as i32);
    Ok(if decimals > 0 { (input * power).round() / power } else { (input / power).round() * power })
}

/// `input` and `alpha * other`.
fn scaled_pair<'g>(call: &Call<'_, 'g>) -> Result<(Expr<'g>, Expr<'g>), Refusal> {
    let (input, other) = call.promoted("input", "other")?;
    let alpha = call.number_or("alpha", 1.0)?;
    Ok((input, if alpha == 1.0 { other } else { other * alpha }))
}

fn div<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, other) = call.floats("input", "other")?;
    let quotient = input / other;
    match call.text_or("rounding_mode", "none")? {
        "none" => Ok(quotient),
        // A quotient that is an integer may come out just below or above it where division is not exact to the last
        // bit, as it need not be on a GPU. The remainder tells.
        "floor" => {
            let floor = quotient.floor();
            let remainder = input - floor * other;
            let sign = other.sign();
            let above = (remainder * sign).greater_equal(other.abs()) & other.not_equal(0.0);
            let below = (remainder * sign).less(0.0);
            Ok(above.where_(floor + 1.0, below.where_(floor - 1.0, floor)))
        }
        "trunc" => {
            let magnitude = quotient.abs().floor();
            let remainder = input.abs() - magnitude * other.abs();
            let above = remainder.greater_equal(other.abs()) & other.not_equal(0.0);
            let below = remainder.less(0.0);
            let exact = above.where_(magnitude + 1.0, below.where_(magnitude - 1.0, magnitude));
            Ok(exact * quotient.sign())
        }
        mode => Err(Refusal::failed(format!("no rounding mode {mode:?}"))),
    }
}

fn pow<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    match (call.operand("input")?, call.operand("exponent")?) {
        (Operand::Tensor(input), Operand::Number { value, is_float }) => {
            let float = is_float || input.dtype()?.is_float();
            Ok(if float { input.cast(call.dtype).powf(value) } else { call.numeric("input")?.powf(value) })
        }
        _ => {
            let (input, exponent) = call.promoted("input", "exponent")?;
            Ok(input.pow(exponent))
        }
    }
}

/// Clamping, with PyTorch's gradients where an element equals a bound: if the bounds are numbers it gets none; if they are
/// tensors it shares it with the bound, or keeps it where the two bounds are equal.
fn clamp<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let bound = |name: &str| call.get(name).map(|_| call.operand(name)).transpose();
    let (min, max) = (bound("min")?, bound("max")?);
    let mut float = call.tensor("input")?.dtype()?.is_float();
    for bound in [min, max].into_iter().flatten() {
        float |= bound.is_float()?;
    }
    let dtype = if float { call.dtype } else { DType::I32 };
    let input = call.tensor("input")?.cast(dtype);
    match (min, max) {
        (None, None) => Err(Refusal::failed("clamp needs a bound")),
        (Some(Operand::Tensor(min)), None) => Ok(input.maximum(min.cast(dtype))),
        (None, Some(Operand::Tensor(max))) => Ok(input.minimum(max.cast(dtype))),
        (Some(Operand::Tensor(min)), Some(Operand::Tensor(max))) => {
            let (min, max) = (min.cast(dtype), max.cast(dtype));
            if !float {
                return Ok(input.clamp_between(min, max));
            }
            // The mean of two equal numbers is either, and gives each half of the gradient.
            let apart = min.less(max);
            let halved = (apart & input.equal(min)).where_((input + min) * 0.5, input);
            let halved = (apart & input.equal(max)).where_((input + max) * 0.5, halved);
            Ok(halved.clamp_between(min, max))
        }
        (min, max) => {
            let number = |bound: Option<Operand<'g>>| match bound {
                Some(Operand::Number { value, .. }) => Ok(Some(value)),
                Some(Operand::Tensor(_)) => Err(Refusal::failed("clamp between a tensor and a number")),
                None => Ok(None),
            };
            let (min, max) = (number(min)?, number(max)?);
            let clamped = input.clamp(min, max);
            let above = min.map(|min| input.greater(min));
            let below = max.map(|max| input.less(max));
            Ok(match (above, below) {
                (Some(above), Some(below)) => (above & below).where_(clamped, clamped.stop_gradient()),
                (Some(inside), None) | (None, Some(inside)) => inside.where_(clamped, clamped.stop_gradient()),
                (None, None) => clamped,
            })
        }
    }
}

/// Both spellings: `torch.where(condition, input, other)` and the method's `input.where(condition, other)`.
fn where_<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let is_condition = |name: &str| match call.operand(name) {
        Ok(Operand::Tensor(tensor)) => tensor.dtype() == Ok(DType::Bool),
        Ok(Operand::Number { .. }) | Err(_) => false,
    };
    let (condition, on_true) = if is_condition("condition") {
        ("condition", "input")
    } else if is_condition("input") {
        ("input", "condition")
    } else {
        return Err(Refusal::failed("where has no condition"));
    };
    let (on_true, on_false) = call.promoted(on_true, "other")?;
    Ok(call.tensor(condition)?.where_(on_true, on_false))
}
