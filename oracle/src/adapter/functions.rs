//! Functions of elements: inverse trigonometric and hyperbolic ones, error and gamma functions, division with a remainder, and
//! what classifies or combines numbers.

use arenagrad::{DType, Expr};

use super::arguments::{Call, Operand};
use super::{Operator, Refusal};

const UNARY: &[&str] = &["input", "*", "out"];
const BINARY: &[&str] = &["input", "other", "*", "out"];

/// A function of floats that the engine has under that name.
macro_rules! float_unary {
    ($method:ident) => {
        Some(Operator::new(UNARY, |call| Ok(call.float("input")?.$method())))
    };
}

/// A function of two operands as floats.
macro_rules! float_binary {
    ($method:ident) => {
        Some(Operator::new(BINARY, |call| {
            let (input, other) = call.floats("input", "other")?;
            Ok(input.$method(other))
        }))
    };
}

/// A function of two numbers in their common dtype.
macro_rules! binary {
    ($method:ident) => {
        Some(Operator::new(BINARY, |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            Ok(input.$method(other))
        }))
    };
}

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "atan" | "arctan" => float_unary!(atan),
        "asin" | "arcsin" => float_unary!(asin),
        "acos" | "arccos" => float_unary!(acos),
        "sinh" => float_unary!(sinh),
        "cosh" => float_unary!(cosh),
        "asinh" | "arcsinh" => float_unary!(asinh),
        "acosh" | "arccosh" => float_unary!(acosh),
        "atanh" | "arctanh" => float_unary!(atanh),
        "tan" => float_unary!(tan),
        "log2" => float_unary!(log2),
        "log10" => float_unary!(log10),
        "exp2" | "special.exp2" => float_unary!(exp2),
        "erfc" | "special.erfc" => float_unary!(erfc),
        "special.erfcx" => float_unary!(erfcx),
        "erfinv" | "special.erfinv" => float_unary!(erfinv),
        "lgamma" | "special.gammaln" => float_unary!(lgamma),
        "digamma" | "special.digamma" | "special.psi" => Some(Operator::new(UNARY, digamma)),
        "special.ndtr" => float_unary!(ndtr),
        "special.log_ndtr" => float_unary!(log_ndtr),
        "sinc" | "special.sinc" => float_unary!(sinc),
        "frac" => float_unary!(frac),
        "trunc" | "fix" => Some(Operator::new(UNARY, |call| {
            let input = call.numeric("input")?;
            Ok(if input.dtype()?.is_float() { input.trunc() } else { input })
        })),
        "positive" => Some(Operator::new(&["input"], |call| call.numeric("input"))),
        "nan_to_num" => Some(Operator::new(&["input", "nan", "posinf", "neginf", "*", "out"], |call| {
            let [nan, posinf, neginf] =
                ["nan", "posinf", "neginf"].map(|name| call.get(name).map(|_| call.number_or(name, 0.0)).transpose());
            Ok(call.tensor("input")?.nan_to_num(nan?, posinf?, neginf?))
        })),
        "isnan" => Some(Operator::new(&["input"], |call| Ok(call.tensor("input")?.isnan()))),
        "isinf" => Some(Operator::new(&["input"], |call| Ok(call.tensor("input")?.isinf()))),
        "isfinite" => Some(Operator::new(&["input"], |call| Ok(call.tensor("input")?.isfinite()))),
        "logit" | "special.logit" => Some(Operator::new(&["input", "eps", "*", "out"], logit)),
        "copysign" => float_binary!(copysign),
        "hypot" => float_binary!(hypot),
        "logaddexp" => float_binary!(logaddexp),
        "logaddexp2" => float_binary!(logaddexp2),
        "xlogy" | "special.xlogy" => float_binary!(xlogy),
        "fmod" => binary!(fmod),
        "remainder" => binary!(remainder),
        "floor_divide" => binary!(floor_divide),
        "lerp" => Some(Operator::new(&["input", "end", "weight", "*", "out"], |call| {
            let (input, end) = call.floats("input", "end")?;
            let weight = call.operand("weight")?.expr(call.graph, call.dtype);
            Ok(input.lerp(end, weight))
        })),
        "addcmul" => Some(Operator::new(&["input", "tensor1", "tensor2", "*", "value", "out"], |call| {
            let (input, tensor1, tensor2, value) = added(call)?;
            Ok(input + tensor1 * tensor2 * value)
        })),
        "addcdiv" => Some(Operator::new(&["input", "tensor1", "tensor2", "*", "value", "out"], |call| {
            let (input, tensor1, tensor2, value) = added(call)?;
            Ok(input + tensor1 / tensor2 * value)
        })),
        "rsub" => Some(Operator::new(&["input", "other", "alpha"], |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            Ok(other - input * call.graph.full([], call.number_or("alpha", 1.0)?, input.dtype()?))
        })),
        "clamp_max" => Some(Operator::new(&["input", "max", "*", "out"], |call| bounded(call, "max"))),
        "clamp_min" => Some(Operator::new(&["input", "min", "*", "out"], |call| bounded(call, "min"))),
        _ => None,
    }
}

/// PyTorch's derivative of it ends its asymptotic series, which it takes six steps past `x`, with the seventh power, and is off by 1e-9 there.
/// What it leaves out is known; so that the engine's derivative can be held to PyTorch's in f64, it is taken out here too.
fn digamma<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    // Nothing is left out at an infinity, which is kept from the powers.
    let near = input.isfinite().where_(input, 1.0);
    let end = near.less(0.5).where_(7.0 - near, near + 6.0);
    let v = (end * end).reciprocal();
    let series = ((v / 12.0 - 691.0 / 32760.0) * v + 1.0 / 132.0) * v - 1.0 / 240.0;
    let left_out = v * v * v * v * series;
    Ok(input.digamma() + (left_out - left_out.stop_gradient()))
}

fn logit<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    Ok(input.logit(call.get("eps").map(|_| call.number_or("eps", 0.0)).transpose()?))
}

/// What `addcmul` and `addcdiv` are made of, in the common dtype, with the number as a constant.
fn added<'g>(call: &Call<'_, 'g>) -> Result<(Expr<'g>, Expr<'g>, Expr<'g>, Expr<'g>), Refusal> {
    let operands = [call.operand("input")?, call.operand("tensor1")?, call.operand("tensor2")?];
    let dtype = call.common_dtype(&operands);
    let [input, tensor1, tensor2] = operands.map(|operand| operand.expr(call.graph, dtype));
    Ok((input, tensor1, tensor2, call.graph.full([], call.number_or("value", 1.0)?, dtype)))
}

/// Clamping at one side. A bound that is a tensor shares the gradient with an element that equals it; where a number is equal, the
/// element gets all of it.
fn bounded<'g>(call: &Call<'_, 'g>, bound: &str) -> Result<Expr<'g>, Refusal> {
    let (input, limit) = call.promoted("input", bound)?;
    let is_number = match call.operand(bound)? {
        Operand::Number { value, .. } if value.is_nan() => {
            return Ok(call.graph.full(input.shape()?, f64::NAN, call.dtype));
        }
        Operand::Number { .. } => true,
        Operand::Tensor { .. } => false,
    };
    let (input, limit, dtype) = match input.dtype()? {
        DType::Bool => (input.cast(DType::I32), limit.cast(DType::I32), DType::Bool),
        dtype @ (DType::F32 | DType::F64 | DType::I32) => (input, limit, dtype),
    };
    let clamped = match (bound == "max", is_number) {
        (true, true) => input.greater(limit).where_(limit, input),
        (false, true) => input.less(limit).where_(limit, input),
        (true, false) => input.minimum(limit),
        (false, false) => input.maximum(limit),
    };
    Ok(clamped.cast(dtype))
}
