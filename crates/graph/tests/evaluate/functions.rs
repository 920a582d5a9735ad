//! Functions of elements by the values of the tables, the error function by its series, and the random source.

use arenagrad_graph::{BinaryFunction, DType, ReduceFunction, UnaryFunction};

pub fn unary(function: UnaryFunction, x: f64, dtype: DType) -> f64 {
    function.row().of(x, unrounded(dtype))
}

pub fn binary(function: BinaryFunction, a: f64, b: f64, dtype: DType) -> f64 {
    function.row().of(a, b, unrounded(dtype))
}

/// Floats are computed in f64, whatever their dtype.
fn unrounded(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::F64 => DType::F64,
        DType::I32 | DType::Bool => dtype,
    }
}

/// One more element into a reduction.
pub(super) fn reduce(function: ReduceFunction, so_far: f64, x: f64, dtype: DType) -> f64 {
    binary(function.combination(), so_far, x, dtype)
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
