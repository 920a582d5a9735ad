//! Functions of constants. Arithmetic is done in the dtype itself, so that its result is the device's to the last bit;
//! other functions are computed in f64 and rounded once.

use crate::dtype::DType;
use crate::op::{BinaryFunction, UnaryFunction};

/// `function(x)`, or `None` for what is left to the device.
pub(super) fn unary(function: UnaryFunction, x: f64, dtype: DType) -> Option<f64> {
    let value = match function {
        UnaryFunction::Neg if dtype == DType::I32 => return Some(f64::from((x as i32).wrapping_neg())),
        UnaryFunction::Abs if dtype == DType::I32 => return Some(f64::from((x as i32).wrapping_abs())),
        UnaryFunction::Neg => -x,
        UnaryFunction::Abs => x.abs(),
        UnaryFunction::Sign if x.is_nan() => x,
        // Of -0 as of 0: the standard library's `signum` takes the sign bit.
        UnaryFunction::Sign if x == 0.0 => 0.0,
        UnaryFunction::Sign => x.signum(),
        UnaryFunction::Floor => x.floor(),
        UnaryFunction::Ceil => x.ceil(),
        UnaryFunction::Round => x.round_ties_even(),
        UnaryFunction::Exp => x.exp(),
        UnaryFunction::Expm1 => x.exp_m1(),
        UnaryFunction::Log => x.ln(),
        UnaryFunction::Log1p => x.ln_1p(),
        UnaryFunction::Sqrt => x.sqrt(),
        UnaryFunction::Sin => x.sin(),
        UnaryFunction::Cos => x.cos(),
        UnaryFunction::Tanh => x.tanh(),
        UnaryFunction::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        // The standard library has no error function.
        UnaryFunction::Erf => return None,
        UnaryFunction::Relu if x < 0.0 => 0.0,
        UnaryFunction::Relu => x,
        UnaryFunction::Not => f64::from(u8::from(x == 0.0)),
    };
    Some(dtype.round(value))
}

/// `function(a, b)`.
pub(super) fn binary(function: BinaryFunction, a: f64, b: f64, dtype: DType) -> Option<f64> {
    if dtype == DType::I32 {
        return integer(function, a as i32, b as i32).map(f64::from);
    }
    let narrow = dtype == DType::F32;
    let value = match function {
        BinaryFunction::Add if narrow => f64::from(a as f32 + b as f32),
        BinaryFunction::Sub if narrow => f64::from(a as f32 - b as f32),
        BinaryFunction::Mul if narrow => f64::from(a as f32 * b as f32),
        BinaryFunction::Div if narrow => f64::from(a as f32 / b as f32),
        BinaryFunction::Add => a + b,
        BinaryFunction::Sub => a - b,
        BinaryFunction::Mul => a * b,
        BinaryFunction::Div => a / b,
        BinaryFunction::Pow => a.powf(b),
        BinaryFunction::Maximum | BinaryFunction::Minimum if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryFunction::Maximum => a.max(b),
        BinaryFunction::Minimum => a.min(b),
        BinaryFunction::ReluBackward => {
            if b <= 0.0 {
                0.0
            } else {
                a
            }
        }
        BinaryFunction::And => f64::from(u8::from(a != 0.0 && b != 0.0)),
        BinaryFunction::Or => f64::from(u8::from(a != 0.0 || b != 0.0)),
    };
    Some(dtype.round(value))
}

fn integer(function: BinaryFunction, a: i32, b: i32) -> Option<i32> {
    match function {
        BinaryFunction::Add => Some(a.wrapping_add(b)),
        BinaryFunction::Sub => Some(a.wrapping_sub(b)),
        BinaryFunction::Mul => Some(a.wrapping_mul(b)),
        BinaryFunction::Maximum => Some(a.max(b)),
        BinaryFunction::Minimum => Some(a.min(b)),
        BinaryFunction::Div
        | BinaryFunction::Pow
        | BinaryFunction::ReluBackward
        | BinaryFunction::And
        | BinaryFunction::Or => None,
    }
}

/// The sum of `count` times the same value.
pub(super) fn sum(value: f64, count: usize, dtype: DType) -> f64 {
    match dtype {
        DType::I32 => f64::from((value as i32).wrapping_mul(count as i32)),
        // inf * 0 is NaN, but the sum over nothing is 0.
        DType::F32 | DType::F64 | DType::Bool if count == 0 => 0.0,
        // Zeros add up to 0, also those below it.
        DType::F32 | DType::F64 | DType::Bool => dtype.round(value * count as f64) + 0.0,
    }
}
