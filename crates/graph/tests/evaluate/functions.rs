//! Functions of elements by their definitions, and the random source.

use arenagrad_graph::{BinaryFunction, DType, ReduceFunction, UnaryFunction};

pub fn unary(function: UnaryFunction, x: f64, dtype: DType) -> f64 {
    match function {
        UnaryFunction::Neg => wrapped(-x, dtype),
        UnaryFunction::Abs => wrapped(x.abs(), dtype),
        UnaryFunction::Sign if x.is_nan() => x,
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
        UnaryFunction::Erf => erf(x),
        UnaryFunction::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        UnaryFunction::Not => f64::from(u8::from(x == 0.0)),
    }
}

pub fn binary(function: BinaryFunction, a: f64, b: f64, dtype: DType) -> f64 {
    match function {
        BinaryFunction::Add => wrapped(a + b, dtype),
        BinaryFunction::Sub => wrapped(a - b, dtype),
        BinaryFunction::Mul if dtype == DType::I32 => f64::from((a as i32).wrapping_mul(b as i32)),
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
    }
}

/// One more element into a reduction.
pub(super) fn reduce(function: ReduceFunction, so_far: f64, x: f64, dtype: DType) -> f64 {
    match function {
        ReduceFunction::Sum => binary(BinaryFunction::Add, so_far, x, dtype),
        ReduceFunction::Max => binary(BinaryFunction::Maximum, so_far, x, dtype),
        ReduceFunction::Min => binary(BinaryFunction::Minimum, so_far, x, dtype),
    }
}

/// An i32 result modulo 2^32; a float as it is.
fn wrapped(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::I32 => f64::from(value as i64 as i32),
        DType::F32 | DType::F64 | DType::Bool => value,
    }
}

/// `2 / sqrt(pi) e^(-x^2) sum of 2^n x^(2n + 1) / (1 3 5 .. (2n + 1))`: all terms have one sign, so nothing cancels.
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-18 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Threefry-2x32 with 20 rounds, written down from the paper: key `seed`, counter `(index, step)`.
pub(super) fn uniform(seed: u64, step: i32, index: u32) -> f64 {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    let key = [low, high, 0x1BD1_1BDA ^ low ^ high];
    let rotations = [13, 15, 26, 6, 17, 29, 16, 24];
    let (mut x, mut y) = (index.wrapping_add(key[0]), (step as u32).wrapping_add(key[1]));
    for round in 0..20 {
        x = x.wrapping_add(y);
        y = y.rotate_left(rotations[round % 8]) ^ x;
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x = x.wrapping_add(key[injection % 3]);
            y = y.wrapping_add(key[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    f64::from(x >> 8) / f64::from(1 << 24)
}
