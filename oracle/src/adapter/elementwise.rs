//! Functions of one element, or of corresponding elements of several tensors.

use arenagrad::{DType, Expr, Gelu};

use super::activations::flat_at_nan;
use super::arguments::{Call, Operand};
use super::{Operator, Refusal, division};
use crate::case::Element;

const UNARY: &[&str] = &["input", "*", "out"];
const ACTIVATION: &[&str] = &["input", "inplace"];

/// A function of floats that the engine has under the same name.
macro_rules! float_unary {
    ($signature:expr, $method:ident) => {
        Some(Operator::new($signature, |call| Ok(call.float("input")?.$method())))
    };
}

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "abs" | "absolute" => Some(Operator::new(UNARY, |call| {
            let input = call.numeric("input")?;
            Ok(if input.dtype()?.is_float() { flat_at_nan(input, Expr::abs) } else { input.abs() })
        })),
        "neg" | "negative" => Some(Operator::new(UNARY, |call| Ok(-call.arithmetic_operand("input")?))),
        "sign" | "sgn" => Some(Operator::new(UNARY, sign)),
        "floor" => Some(Operator::new(UNARY, |call| rounded(call, Expr::floor))),
        "ceil" => Some(Operator::new(UNARY, |call| rounded(call, Expr::ceil))),
        "round" => Some(Operator::new(&["input", "*", "decimals", "out"], round)),
        "square" => Some(Operator::new(UNARY, |call| Ok(call.arithmetic_operand("input")?.square()))),
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
            Ok(if input.dtype()? == DType::Bool { input | other } else { input + other })
        })),
        "sub" | "subtract" => Some(Operator::new(&["input", "other", "*", "alpha", "out"], |call| {
            let (input, other) = scaled_pair(call)?;
            Ok(input - other)
        })),
        "mul" | "multiply" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            product(input, other)
        })),
        "div" | "divide" | "true_divide" => {
            Some(Operator::new(&["input", "other", "*", "rounding_mode", "out"], division::div))
        }
        "pow" => Some(Operator::new(&["input", "exponent", "*", "out"], pow)),
        "atan2" | "arctan2" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.floats("input", "other")?;
            Ok(input.atan2(other))
        })),
        "maximum" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.promoted("input", "other")?;
            Ok(if input.dtype()? == DType::Bool { input | other } else { input.maximum(other) })
        })),
        "minimum" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.promoted("input", "other")?;
            Ok(if input.dtype()? == DType::Bool { input & other } else { input.minimum(other) })
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

/// PyTorch's sign of NaN is 0, and that of a truth value itself.
fn sign<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    if input.dtype()? == DType::Bool {
        return Ok(input);
    }
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
    let (input, other) = call.arithmetic("input", "other")?;
    let alpha = call.number_or("alpha", 1.0)?;
    if alpha == 1.0 {
        return Ok((input, other));
    }
    let dtype = other.dtype()?;
    // A number stands for whether it is anything but 0 beside truth values.
    let alpha = if dtype == DType::Bool { f64::from(u8::from(alpha != 0.0)) } else { alpha };
    let alpha = call.graph.full([], alpha, dtype);
    Ok((input, product(other, alpha)?))
}

/// The product of two expressions of one dtype: of truth values whether both hold.
pub(super) fn product<'g>(lhs: Expr<'g>, rhs: Expr<'g>) -> Result<Expr<'g>, Refusal> {
    Ok(if lhs.dtype()? == DType::Bool { lhs & rhs } else { lhs * rhs })
}

/// Of truth values PyTorch has the power whose exponent is a number.
fn pow<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, exponent) = (call.operand("input")?, call.operand("exponent")?);
    let dtype = call.common_dtype(&[input, exponent]);
    let (base, power) = call.arithmetic("input", "exponent")?;
    let numeric = |expr: Expr<'g>| if dtype == DType::Bool { expr.cast(DType::I32) } else { expr };
    let power = match (input, exponent) {
        (Operand::Tensor { .. }, Operand::Number { value, .. }) if dtype.is_float() => base.powf(value),
        _ if dtype.is_float() => base.pow(power),
        _ => numeric(base).pow(numeric(power)),
    };
    Ok(power.cast(dtype))
}

/// Clamping, with PyTorch's gradients where an element equals a bound: if the bounds are numbers it gets none; if they are
/// tensors it shares it with the bound, or keeps it where the two bounds are equal. Where a bound is NaN so is the result.
fn clamp<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let bound = |name: &str| call.get(name).map(|_| call.operand(name)).transpose();
    let (min, max) = (bound("min")?, bound("max")?);
    let operands: Vec<Operand<'g>> = [Some(call.operand("input")?), min, max].into_iter().flatten().collect();
    let dtype = call.common_dtype(&operands);
    if dtype == DType::Bool {
        return Ok(clamped(call, min, max, DType::I32)?.cast(DType::Bool));
    }
    clamped(call, min, max, dtype)
}

fn clamped<'g>(
    call: &Call<'_, 'g>,
    min: Option<Operand<'g>>,
    max: Option<Operand<'g>>,
    dtype: DType,
) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?.cast(dtype);
    match (min, max) {
        (None, None) => Err(Refusal::failed("clamp needs a bound")),
        (Some(Operand::Tensor { expr: min, .. }), None) => Ok(input.maximum(min.cast(dtype))),
        (None, Some(Operand::Tensor { expr: max, .. })) => Ok(input.minimum(max.cast(dtype))),
        (Some(Operand::Tensor { expr: min, .. }), Some(Operand::Tensor { expr: max, .. })) => {
            let (min, max) = (min.cast(dtype), max.cast(dtype));
            if !dtype.is_float() {
                return Ok(input.clamp_between(min, max));
            }
            // The mean of two equal numbers is either, and gives each half of the gradient.
            let apart = min.less(max);
            let halved = (apart & input.equal(min)).where_((input + min) * 0.5, input);
            let halved = (apart & input.equal(max)).where_((input + max) * 0.5, halved);
            let undefined = min.not_equal(min) | max.not_equal(max);
            Ok(undefined.where_(f64::NAN, halved.clamp_between(min, max)))
        }
        (Some(Operand::Number { .. }) | None, _) | (_, Some(Operand::Number { .. })) => {
            // Beside a number PyTorch takes a tensor of one element for one, too.
            let number = |name: &str| call.get(name).map(|_| call.number_or(name, f64::NAN)).transpose();
            let (min, max) = (number("min")?, number("max")?);
            if [min, max].into_iter().flatten().any(f64::is_nan) {
                return Ok(call.graph.full(input.shape()?, f64::NAN, dtype));
            }
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
    let is = |name: &str, wanted: Element| match call.operand(name) {
        Ok(Operand::Tensor { element, .. }) => element == wanted,
        Ok(Operand::Number { .. }) | Err(_) => false,
    };
    let spellings = [("condition", "input"), ("input", "condition")];
    let of = |element: Element| spellings.into_iter().find(|(condition, _)| is(condition, element));
    // Bytes are values beside truth values.
    let Some((condition, on_true)) = of(Element::Bool).or_else(|| of(Element::U8)) else {
        return Err(Refusal::failed("where has no condition"));
    };
    let (on_true, on_false) = call.promoted(on_true, "other")?;
    // PyTorch still takes bytes for a condition.
    Ok(call.tensor(condition)?.cast(DType::Bool).where_(on_true, on_false))
}
