//! Functions of elements in f32 on every device, over all of the range that their rows name and at the edges: held to the rows'
//! values in f64, in units of the last place.

use arenagrad::graph::{BinaryFunction, UnaryFunction};
use arenagrad::{DType, Device, Graph};

use crate::suite::devices::{flushes_subnormals, gpu};
use crate::suite::evaluate::Given;
use crate::suite::run::numbers;

/// What a function's operands are tried at besides a sweep: where formulas change over, and what has no digits to lose.
const EDGES: [f64; 30] = [
    0.0,
    -0.0,
    0.25,
    -0.25,
    0.5,
    -0.5,
    0.75,
    1.0,
    -1.0,
    1.5,
    2.0,
    -2.0,
    2.5,
    3.0,
    7.0,
    8.0,
    12.0,
    1e-8,
    -1e-8,
    1e-30,
    -1e-30,
    2048.5,
    1e9,
    -1e9,
    1e30,
    -1e30,
    3e38,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// The distance of an f32 from a value, in units of the last place of `scale`.
fn units(found: f64, expected: f64, scale: f64) -> f64 {
    let rounded = f64::from(expected as f32);
    if found == rounded || found.is_nan() && rounded.is_nan() {
        return 0.0;
    }
    if !found.is_finite() || !rounded.is_finite() {
        return f64::INFINITY;
    }
    (found - expected).abs() / 2f64.powf(scale.abs().log2().floor().max(-126.0) - 23.0)
}

/// What an error is measured in: the value's own last place, or for functions that a GPU computes as sums whose terms cancel
/// next to zeros, that of 1 where the value is smaller.
fn scale(function: UnaryFunction, value: f64) -> f64 {
    use UnaryFunction::{Digamma, Lgamma};
    if matches!(function, Lgamma | Digamma) { value.abs().max(1.0) } else { value }
}

/// How many of those units a GPU's value may be off.
fn bound(function: UnaryFunction) -> Option<f64> {
    use UnaryFunction::*;
    match function {
        Atan | Asin | Acos | Sinh | Cosh | Asinh | Acosh | Atanh | Log2 | Log10 | Exp2 | Trunc => {
            Some(function.row().accuracy)
        }
        Erfc | Erfcx | Erfinv => Some(function.row().accuracy),
        // The CPU's are those of f64.
        Lgamma | Digamma | Trigamma => Some(6.0),
        // `ops` holds these to the evaluator.
        Neg | Abs | Sign | Floor | Ceil | Round | Exp | Expm1 | Log | Log1p | Sqrt | Sin | Cos => None,
        Tanh | Sigmoid | Erf | Relu | Not | BitwiseNot => None,
    }
}

fn of_one(function: UnaryFunction, x: &[f64], device: &Device) -> Vec<f64> {
    let graph = Graph::new();
    let operand = graph.input("x", [x.len()]);
    let given = Given::from([("x".to_owned(), x.to_vec())]);
    numbers(&graph, &[operand.unary_function(function)], &given, device).remove(0)
}

#[test]
fn functions_of_one_element_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let flushes = flushes_subnormals(&gpu);
    for function in UnaryFunction::ALL {
        let Some(bound) = bound(function) else { continue };
        let ((low, high), steps) = (function.row().range, 20_000);
        let sweep = (0..=steps).map(|i| low + (high - low) * f64::from(i) / f64::from(steps));
        let x: Vec<f64> = sweep.chain(EDGES).map(|x| DType::F32.round(x)).collect();
        for (&x, found) in x.iter().zip(of_one(function, &x, &gpu)) {
            let expected = (function.row().value)(x);
            if flushes && (expected as f32).is_subnormal() {
                continue;
            }
            let error = units(found, expected, scale(function, expected));
            assert!(error <= bound, "{}({x:e}) is {found:e}, not {expected:e}: {error} units", function.name());
        }
    }
}

fn of_two(function: BinaryFunction, dtype: DType, pairs: &[(f64, f64)], device: &Device) -> Vec<f64> {
    let graph = Graph::new();
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let operand = |name: &str| graph.input_of(name, [pairs.len()], dtype);
    let result = operand("a").binary_function(function, operand("b"));
    numbers(&graph, &[result], &Given::from([("a".to_owned(), a), ("b".to_owned(), b)]), device).remove(0)
}

/// All pairs, and quotients of every size.
fn pairs() -> Vec<(f64, f64)> {
    let others = (0..60).map(|i| 0.37 * f64::from(i * i) * 2f64.powi(i - 30));
    let values: Vec<f64> = EDGES
        .into_iter()
        .chain(others.flat_map(|x| [x, -x]))
        .chain([1e-40, -3e-42, 1.4e-45])
        .map(|x| DType::F32.round(x))
        .collect();
    values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).collect()
}

#[test]
fn functions_of_two_elements_on_every_device() {
    use BinaryFunction::{Copysign, FloorDivide, Fmod, Hypot, Remainder};
    let pairs = pairs();
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        // A GPU's quotient is rounded three times, each half a unit or, past a power of 2, a whole one; its remainder never.
        for (function, bound) in [(Fmod, 0.0), (Remainder, 0.5), (FloorDivide, 3.0), (Copysign, 0.0), (Hypot, 1.5)] {
            let row = function.row();
            for (&(a, b), found) in pairs.iter().zip(of_two(function, DType::F32, &pairs, &device)) {
                let expected = (row.value)(a, b);
                let error = units(found, expected, expected);
                // What is subnormal counts as 0 on some adapters.
                let vanished = [a, b, expected].iter().any(|x| *x != 0.0 && x.abs() < 1.2e-38);
                assert!(
                    error <= bound || vanished && function != Fmod,
                    "{device}: {}({a:e}, {b:e}) is {found:e}, not {expected:e}: {error} units",
                    row.name
                );
                let signs = found.is_sign_negative() == expected.is_sign_negative();
                assert!(signs || expected.is_nan() || vanished, "{device}: {}({a:e}, {b:e}) is {found:e}", row.name);
            }
        }
    }
}

#[test]
fn divisions_of_integers_on_every_device() {
    use BinaryFunction::{FloorDivide, Fmod, Remainder};
    let values = [0, 1, -1, 2, -2, 3, 7, -7, 1000, -999_983, i32::MAX, i32::MIN, i32::MIN + 1].map(f64::from);
    let pairs: Vec<(f64, f64)> = values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).collect();
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        for function in [Fmod, Remainder, FloorDivide] {
            for (&(a, b), found) in pairs.iter().zip(of_two(function, DType::I32, &pairs, &device)) {
                let expected = function.row().of(a, b, DType::I32);
                assert_eq!(found, expected, "{device}: {}({a}, {b})", function.name());
            }
        }
    }
}
