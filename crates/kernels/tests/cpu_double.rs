//! The vectorised functions of f64: values with all their digits, special values, and that a value depends on its operands alone.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, PI, SQRT_2};

use crate::reference::{Builder, buffer, noise, run, values, view};
use arenagrad_graph::Effort;
use arenagrad_kernels::{BinaryFunction, DType, Kernel, UnaryFunction};

use crate::double_values::{PAIRS, VALUES};

/// The distance of a number from another, in units of the other's last place.
fn ulps(found: f64, expected: f64) -> f64 {
    if found.is_nan() && expected.is_nan() || found == expected {
        return 0.0;
    }
    if !found.is_finite() || !expected.is_finite() {
        return f64::INFINITY;
    }
    let size = expected.abs();
    // The difference first: of tiny numbers the unit is the least one.
    (found - expected).abs() / (f64::from_bits(size.to_bits() + 1) - size)
}

fn unary(function: UnaryFunction, x: &[f64]) -> Vec<f64> {
    let mut b = Builder::new(x.len());
    let operand = b.contiguous(DType::F64);
    let value = b.unary(function, operand);
    let kernel = Kernel::Elementwise(b.output(&[value]));
    values(&run(&kernel, &[buffer(DType::F64, x)], &[(DType::F64, x.len())])[0])
}

fn binary(function: BinaryFunction, dtype: DType, a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut builder = Builder::new(a.len());
    let (lhs, rhs) = (builder.contiguous(dtype), builder.contiguous(dtype));
    let value = builder.binary(function, lhs, rhs);
    let kernel = Kernel::Elementwise(builder.output(&[value]));
    values(&run(&kernel, &[buffer(dtype, a), buffer(dtype, b)], &[(dtype, a.len())])[0])
}

fn long_unary() -> impl Iterator<Item = UnaryFunction> {
    let is_long = |function: &UnaryFunction| matches!(function.row().effort, Effort::Transcendental | Effort::Power);
    UnaryFunction::ALL.into_iter().filter(is_long)
}

/// How far a value may be from the number nearest to the right one: the largest distances that were found at a million arguments and more, next to each
/// place where a function goes over from one way to another too, rounded up.
fn allowed(function: UnaryFunction) -> f64 {
    match function {
        UnaryFunction::Exp
        | UnaryFunction::Exp2
        | UnaryFunction::Expm1
        | UnaryFunction::Log
        | UnaryFunction::Log2
        | UnaryFunction::Log10
        | UnaryFunction::Log1p
        | UnaryFunction::Sin
        | UnaryFunction::Cos
        | UnaryFunction::Asin
        | UnaryFunction::Acos
        | UnaryFunction::Cosh
        | UnaryFunction::Asinh
        | UnaryFunction::Atanh => 1.0,
        UnaryFunction::Atan
        | UnaryFunction::Sinh
        | UnaryFunction::Acosh
        | UnaryFunction::Tanh
        | UnaryFunction::Sigmoid
        | UnaryFunction::Erf => 2.0,
        UnaryFunction::Erfc | UnaryFunction::Erfcx => 3.0,
        UnaryFunction::Erfinv => 2.0,
        // Of a library and of series: nothing is computed by vectors.
        UnaryFunction::Lgamma | UnaryFunction::Digamma | UnaryFunction::Trigamma => 8.0,
        UnaryFunction::Neg
        | UnaryFunction::Abs
        | UnaryFunction::Sign
        | UnaryFunction::Floor
        | UnaryFunction::Ceil
        | UnaryFunction::Round
        | UnaryFunction::Sqrt
        | UnaryFunction::Relu
        | UnaryFunction::Not
        | UnaryFunction::Trunc
        | UnaryFunction::BitwiseNot => 0.0,
    }
}

#[test]
fn double_values_have_all_their_digits() {
    for &(function, pairs) in VALUES {
        let x: Vec<f64> = pairs.iter().map(|&(x, _)| x).collect();
        for (found, &(x, expected)) in unary(function, &x).into_iter().zip(pairs) {
            let error = ulps(found, expected);
            assert!(error <= allowed(function), "{}({x:e}) gave {found:e}, not {expected:e}: {error}", function.name());
        }
    }
    for &(function, triples) in PAIRS {
        let a: Vec<f64> = triples.iter().map(|&(a, _, _)| a).collect();
        let b: Vec<f64> = triples.iter().map(|&(_, b, _)| b).collect();
        for (found, &(a, b, expected)) in binary(function, DType::F64, &a, &b).into_iter().zip(triples) {
            let allowed = if function == BinaryFunction::Atan2 { 2.0 } else { 1.0 };
            let error = ulps(found, expected);
            assert!(error <= allowed, "{}({a:e}, {b:e}) gave {found:e}, not {expected:e}: {error}", function.name());
        }
    }
}

/// Arguments of every order and next to the places where a function goes over from one way to another.
fn arguments() -> Vec<f64> {
    let places = [
        f64::MIN_POSITIVE,
        1e-17,
        0.414_213_562_373_095_1,
        0.5,
        0.75,
        1.0,
        SQRT_2,
        SQRT_2 / 2.0,
        1.0 - SQRT_2 / 2.0,
        LN_2 / 2.0,
        3.0 * LN_2 / 2.0,
        FRAC_PI_4,
        FRAC_PI_2,
        PI,
        5.0 * FRAC_PI_2,
        6.0,
        28.0,
        26.543_3,
        40.0,
        708.396_418_532_264_1,
        709.782_712_893_384,
        710.475_860_073_943_9,
        745.133_219_101_941_2,
        1022.0,
        1074.0,
        2e5,
        1e18,
        1e300,
        f64::MAX,
    ];
    let beside = |place: f64| (0..7u64).map(move |i| f64::from_bits(place.to_bits() + i - 3));
    let orders =
        (-1074..1024).map(|exponent| 1.37 * 2f64.powi(exponent.max(-1022)) * 2f64.powi((exponent + 1022).min(0)));
    let mut arguments: Vec<f64> = places.into_iter().flat_map(beside).chain(orders).collect();
    arguments.extend(noise(3, 4000).into_iter().flat_map(|x| [x, 5.0 * x, 40.0 * x, 800.0 * x]));
    arguments.extend([0.0, f64::INFINITY, f64::NAN, f64::from_bits(1)]);
    arguments.iter().flat_map(|&x| [x, -x]).collect()
}

#[test]
fn double_functions_are_those_of_the_tables() {
    let x = arguments();
    for function in long_unary() {
        for (&x, found) in x.iter().zip(unary(function, &x)) {
            let expected = function.row().of(x, DType::F64);
            // The table's values have errors of their own, of up to three units.
            let error = ulps(found, expected);
            assert!(error <= allowed(function) + 3.0, "{}({x:e}) gave {found:e}, not {expected:e}", function.name());
            let has_sign = expected != 0.0 || function != UnaryFunction::Lgamma;
            assert!(
                found.is_nan() || !has_sign || found.is_sign_negative() == expected.is_sign_negative(),
                "{}({x:e}) gave {found:e}",
                function.name()
            );
        }
    }
}

/// Pairs of arguments: of special values, of every order, and of numbers beside one another.
fn pairs() -> (Vec<f64>, Vec<f64>) {
    let mut special = vec![
        0.0,
        1.0,
        0.5,
        2.0,
        3.0,
        31.0,
        1e15 + 0.5,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
        1e-310,
        f64::from_bits(1),
        f64::from_bits(2),
        f64::INFINITY,
        f64::NAN,
        1.0 + f64::EPSILON,
        1.0 - f64::EPSILON / 2.0,
    ];
    special.extend(special.clone().into_iter().map(|x| -x));
    let mut pairs: Vec<(f64, f64)> = special.iter().flat_map(|&a| special.iter().map(move |&b| (a, b))).collect();
    let (large, small) = (noise(5, 4000), noise(6, 4000));
    for (i, (&a, &b)) in (0i32..).zip(large.iter().zip(&small)) {
        let order = i % 1000 - 500;
        pairs.extend([
            (4.0 * a, 4.0 * b),
            (a * 2f64.powi(order), b * 2f64.powi(order / 7)),
            (a.abs() * 2f64.powi(order), 700.0 * b / f64::from(1 + order.abs())),
            (1.0 + a * 2f64.powi(-(i % 50)), b * 2f64.powi(i % 60)),
            ((64.0 * a).round(), (8.0 * b).round()),
            (b * f64::from(i), b),
            (a * 2f64.powi(-1040), b * 2f64.powi(-1060)),
        ]);
    }
    pairs.into_iter().unzip()
}

#[test]
fn double_functions_of_two_are_those_of_the_tables() {
    let (a, b) = pairs();
    for function in [BinaryFunction::Pow, BinaryFunction::Atan2, BinaryFunction::Hypot] {
        for ((&a, &b), found) in a.iter().zip(&b).zip(binary(function, DType::F64, &a, &b)) {
            let expected = function.row().of(a, b, DType::F64);
            let what = || format!("{}({a:e}, {b:e}) gave {found:e}, not {expected:e}", function.name());
            assert!(ulps(found, expected) <= 3.0, "{}", what());
            assert!(found.is_nan() || found.is_sign_negative() == expected.is_sign_negative(), "{}", what());
        }
    }
}

#[test]
fn remainders_are_exact() {
    let (a, b) = pairs();
    for function in [BinaryFunction::Fmod, BinaryFunction::Remainder, BinaryFunction::FloorDivide] {
        for dtype in [DType::F32, DType::F64] {
            let (a, b): (Vec<f64>, Vec<f64>) =
                a.iter().zip(&b).map(|(&a, &b)| (dtype.round(a), dtype.round(b))).unzip();
            for ((&a, &b), found) in a.iter().zip(&b).zip(binary(function, dtype, &a, &b)) {
                let expected = function.row().of(a, b, dtype);
                assert!(
                    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                    "{}({a:e}, {b:e}) of {dtype} gave {found:e}, not {expected:e}",
                    function.name()
                );
            }
        }
    }
}

#[test]
fn double_values_do_not_depend_on_place_or_length() {
    let x: Vec<f64> = noise(9, 1100).into_iter().chain([0.0, -0.0, 1e-310, 300.0, -30.0, 3e5, f64::INFINITY]).collect();
    let same =
        |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
    for function in long_unary() {
        let whole = unary(function, &x);
        for length in [1, 5, 16, 17, 33, 700] {
            let from = x.len() - length;
            assert!(same(&unary(function, &x[from..]), &whole[from..]), "{} of {length}", function.name());
        }
        // The same number for all elements.
        for place in (0..x.len()).step_by(97) {
            let mut b = Builder::new(20);
            let operand = b.load(DType::F64, view(&[(20, 0)], place));
            let value = b.unary(function, operand);
            let kernel = Kernel::Elementwise(b.output(&[value]));
            let found = values(&run(&kernel, &[buffer(DType::F64, &x)], &[(DType::F64, 20)])[0]);
            assert!(same(&found, &[whole[place]; 20]), "{} of {:e}", function.name(), x[place]);
        }
    }
    let y: Vec<f64> = x.iter().rev().copied().collect();
    let long = |function: &BinaryFunction| matches!(function.row().effort, Effort::Transcendental | Effort::Power);
    for function in BinaryFunction::ALL.into_iter().filter(long) {
        let whole = binary(function, DType::F64, &x, &y);
        for length in [1, 5, 16, 17, 33, 700] {
            let from = x.len() - length;
            let found = binary(function, DType::F64, &x[from..], &y[from..]);
            assert!(same(&found, &whole[from..]), "{} of {length}", function.name());
        }
    }
}
