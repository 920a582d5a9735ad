//! Functions of elements in f32 on every device, over all of the range that their rows name and at the edges: held to the rows'
//! values in f64, in units of the last place.

use arenagrad::graph::{BinaryFunction, UnaryFunction};
use arenagrad::{Arithmetic, DType, Device, Graph, Session};

use crate::suite::devices::{devices, flushes_subnormals};
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
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

/// Whether an adapter, if the device is one, computes the arithmetic that is written. What functions keep of a rounding may be lost otherwise.
fn computes_as_written(device: &Device) -> bool {
    device.adapter().is_none_or(|adapter| adapter.arithmetic == Arithmetic::AsWritten)
}

/// What is subnormal counts as 0 on some adapters.
fn vanishes(x: f64) -> bool {
    x != 0.0 && x.abs() < 1.2e-38
}

/// How many arguments are tried of each kind.
const POINTS: usize = 20_000;

/// A finite number of f32, of any order.
fn any(random: &mut Random) -> f64 {
    let bits = random.bits() as u32;
    // Without one bit of the exponent it is finite in any case.
    let x = Some(f32::from_bits(bits)).filter(|x| x.is_finite());
    f64::from(x.unwrap_or(f32::from_bits(bits & 0xBFFF_FFFF)))
}

/// Arguments over the range of a function, in order and at random, at the edges and of every order; multiples of a quarter turn, beside which a
/// sine keeps the digits of the distance alone.
fn arguments(function: UnaryFunction) -> Vec<f64> {
    let mut random = Random(function as u64);
    let (low, high) = function.row().range;
    let mut x: Vec<f64> = (0..=POINTS).map(|i| low + (high - low) * i as f64 / POINTS as f64).collect();
    x.extend(random.floats(POINTS, low, high));
    x.extend((0..POINTS).map(|_| any(&mut random)));
    x.extend(EDGES);
    if matches!(function, UnaryFunction::Sin | UnaryFunction::Cos) {
        x.extend((1..6000).map(|n| f64::from(n) * std::f64::consts::FRAC_PI_2));
        x.extend([4_476.769_531_25, 252.898_21]);
    }
    x.into_iter().map(|x| DType::F32.round(x)).collect()
}

fn of_one(function: UnaryFunction, x: &[f64], device: &Device) -> Vec<f64> {
    let graph = Graph::new();
    let operand = graph.input("x", [x.len()]);
    let given = Given::from([("x".to_owned(), x.to_vec())]);
    numbers(&graph, &[operand.unary_function(function)], &given, device).remove(0)
}

#[test]
fn functions_of_one_element_on_every_device() {
    use UnaryFunction::{Cos, Digamma, Erfc, Erfcx, Lgamma, Log1p, Sin, Trigamma};
    for device in devices() {
        let flushes = flushes_subnormals(&device);
        for function in UnaryFunction::ALL.into_iter().filter(|function| function.row().dtypes.contains(&DType::F32)) {
            if matches!(function, Cos | Erfc | Erfcx | Log1p | Sin) && !computes_as_written(&device) {
                continue;
            }
            let row = function.row();
            let bound = if device.is_cpu() { row.accuracy } else { row.accuracy_on_gpu };
            let x = arguments(function);
            for (&x, found) in x.iter().zip(of_one(function, &x, &device)) {
                let expected = (row.value)(x);
                // Far below its range a GPU has the poles of such a function alone.
                let is_far = matches!(function, Digamma | Lgamma | Trigamma) && x < row.range.0;
                if is_far && !device.is_cpu() || flushes && (vanishes(x) || vanishes(expected)) {
                    continue;
                }
                let error = units(found, expected, scale(function, expected));
                assert!(
                    error <= bound,
                    "{device}: {}({x:e}) is {found:e}, not {expected:e}: {error} units",
                    function.name()
                );
            }
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

/// All pairs of edges, quotients of every size, and numbers at random.
fn pairs(function: BinaryFunction) -> Vec<(f64, f64)> {
    let mut random = Random(function as u64);
    let others = (0..60).map(|i| 0.37 * f64::from(i * i) * 2f64.powi(i - 30));
    let values: Vec<f64> = EDGES
        .into_iter()
        .chain(others.flat_map(|x| [x, -x]))
        .chain([1e-40, -3e-42, 1.4e-45])
        .map(|x| DType::F32.round(x))
        .collect();
    let mut pairs: Vec<(f64, f64)> = values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).collect();
    pairs.extend((0..POINTS).map(|_| (any(&mut random), any(&mut random))));
    let [a, b] = [(); 2].map(|()| random.floats(POINTS, -300.0, 300.0));
    pairs.extend(a.into_iter().zip(b));
    if function == BinaryFunction::Pow {
        pairs.extend(powers(&mut random));
    }
    pairs
}

/// Bases and exponents whose power f32 holds: bases of every order and next to 1, whole exponents among the others.
fn powers(random: &mut Random) -> Vec<(f64, f64)> {
    let mut powers = vec![(1.413_728_2, 240.226_44), (1e-19, -2.0)];
    for number in 0..4 * POINTS {
        let base = match number % 4 {
            0 | 1 => 2f64.powf(-149.0 + 276.5 * random.unit()),
            2 => 0.6 + 0.9 * random.unit(),
            _ => 1.0 + (random.unit() - 0.5) * 2f64.powf(-20.0 * random.unit()),
        };
        let base = DType::F32.round(base);
        let order = -150.0 + 278.5 * random.unit();
        let exponent = if number % 4 == 0 { random.below(129) as f64 - 64.0 } else { order / base.log2() };
        powers.push((base, exponent));
    }
    let rounded = powers.into_iter().map(|(base, exponent)| (DType::F32.round(base), DType::F32.round(exponent)));
    rounded.filter(|(_, exponent)| exponent.is_finite()).collect()
}

#[test]
fn functions_of_two_elements_on_every_device() {
    use BinaryFunction::{Fmod, Maximum, Minimum, Pow};
    for device in devices() {
        for function in BinaryFunction::ALL.into_iter().filter(|function| function.row().dtypes.contains(&DType::F32)) {
            if function == Pow && !computes_as_written(&device) {
                continue;
            }
            let row = function.row();
            let bound = if device.is_cpu() { row.accuracy } else { row.accuracy_on_gpu };
            // A remainder is never rounded.
            let bound = if function == Fmod { 0.0 } else { bound };
            let pairs = pairs(function);
            for (&(a, b), found) in pairs.iter().zip(of_two(function, DType::F32, &pairs, &device)) {
                let expected = (row.value)(a, b);
                let error = units(found, expected, expected);
                let vanished = [a, b, expected].into_iter().any(vanishes);
                assert!(
                    error <= bound || vanished && function != Fmod,
                    "{device}: {}({a:e}, {b:e}) is {found:e}, not {expected:e}: {error} units",
                    row.name
                );
                // Which zero is the larger of two is not said by the row.
                let is_either = expected.is_nan() || expected == 0.0 && matches!(function, Maximum | Minimum);
                let signs = found.is_sign_negative() == expected.is_sign_negative();
                assert!(signs || is_either || vanished, "{device}: {}({a:e}, {b:e}) is {found:e}", row.name);
            }
        }
    }
}

/// Powers of whole numbers that f32 holds.
#[test]
fn powers_that_are_exact_on_every_device() {
    let all = (1..2000).flat_map(|base| (0..24).map(move |power| (f64::from(base), f64::from(power))));
    let all: Vec<(f64, f64)> = all.filter(|(base, power)| base.powf(*power) <= 16_777_216.0).collect();
    for device in devices().into_iter().filter(computes_as_written) {
        for (&(base, power), found) in all.iter().zip(of_two(BinaryFunction::Pow, DType::F32, &all, &device)) {
            assert_eq!(found, base.powf(power), "{device}: {base}^{power}");
        }
    }
}

#[test]
fn divisions_of_integers_on_every_device() {
    use BinaryFunction::{FloorDivide, Fmod, Remainder};
    let values = [0, 1, -1, 2, -2, 3, 7, -7, 1000, -999_983, i32::MAX, i32::MIN, i32::MIN + 1].map(f64::from);
    let pairs: Vec<(f64, f64)> = values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).collect();
    for device in devices() {
        for function in [Fmod, Remainder, FloorDivide] {
            for (&(a, b), found) in pairs.iter().zip(of_two(function, DType::I32, &pairs, &device)) {
                let expected = function.row().of(a, b, DType::I32);
                assert_eq!(found, expected, "{device}: {}({a}, {b})", function.name());
            }
        }
    }
}

/// What PyTorch gives for tensors of `int32`.
#[test]
fn powers_of_integers_wrap_and_those_of_negative_exponents_are_units() {
    let bases = [2, 3, -1, 1, 0, -2, 1 << 30, 7, -7].map(f64::from);
    let powers: [(i32, [i32; 9]); 14] = [
        (0, [1; 9]),
        (1, [2, 3, -1, 1, 0, -2, 1_073_741_824, 7, -7]),
        (2, [4, 9, 1, 1, 0, 4, 0, 49, 49]),
        (3, [8, 27, -1, 1, 0, -8, 0, 343, -343]),
        (5, [32, 243, -1, 1, 0, -32, 0, 16807, -16807]),
        (31, [i32::MIN, 1_264_544_299, -1, 1, 0, i32::MIN, 0, 265_001_655, -265_001_655]),
        (32, [0, -501_334_399, 1, 1, 0, 0, 0, 1_855_011_585, 1_855_011_585]),
        (63, [0, 2_111_105_451, -1, 1, 0, 0, 0, 1_075_496_887, -1_075_496_887]),
        (1 << 30, [0, 1, 1, 1, 0, 0, 0, 1, 1]),
        (i32::MAX, [0, -1_431_655_765, -1, 1, 0, 0, 0, -1_227_133_513, 1_227_133_513]),
        (-1, [0, 0, -1, 1, 0, 0, 0, 0, 0]),
        (-2, [0, 0, 1, 1, 0, 0, 0, 0, 0]),
        (-3, [0, 0, -1, 1, 0, 0, 0, 0, 0]),
        (i32::MIN, [0, 0, 1, 1, 0, 0, 0, 0, 0]),
    ];
    for device in devices() {
        for (exponent, expected) in powers {
            let expected = expected.map(f64::from);
            let pairs = bases.map(|base| (base, f64::from(exponent)));
            let found = of_two(BinaryFunction::Pow, DType::I32, &pairs, &device);
            assert_eq!(found, expected, "{device}: exponents {exponent} that are given");
            let g = Graph::new();
            let base = g.input_of("base", [9], DType::I32);
            let (number, known) =
                (base.powf(f64::from(exponent)), g.literal([9], bases).cast(DType::I32).pow(exponent));
            let given = Given::from([("base".to_owned(), bases.to_vec())]);
            assert_eq!(numbers(&g, &[number, known], &given, &device), [expected, expected], "{device}: {exponent}");
        }
        let g = Graph::new();
        let exponent = g.input_of("exponent", [5], DType::I32);
        let of = |base: f64| exponent.full_like(base).pow(exponent);
        let given = Given::from([("exponent".to_owned(), vec![0.0, 1.0, 31.0, 32.0, -1.0])]);
        let found = numbers(&g, &[of(2.0), of(-1.0), of(0.0)], &given, &device);
        let two = [1.0, 2.0, f64::from(i32::MIN), 0.0, 0.0];
        assert_eq!(found, [two, [1.0, -1.0, -1.0, 1.0, -1.0], [1.0, 0.0, 0.0, 0.0, 0.0]], "{device}");
    }
}

#[test]
fn numbers_of_rust_as_they_are_written_serve_every_device() {
    for device in devices() {
        let g = Graph::new();
        // Without a suffix they are f64, and the cast is what makes them the network's own.
        let weights = g.literal([4], [1.0, 2.0, 0.1, -1e300]).cast(DType::F32);
        let places = g.literal([4], [2.9, -2.9, 1e300, f64::NAN]).cast(DType::I32);
        let is_set = g.literal([4], [0.0, 0.5, f64::NAN, -1.0]).cast(DType::Bool);
        let mut session = Session::evaluate(&g, &[weights, places, is_set], &device).unwrap();
        let results = session.run(&[]).unwrap();
        assert_eq!(results[0].as_slice::<f32>().unwrap(), [1.0, 2.0, 0.1, f32::NEG_INFINITY], "{device}");
        assert_eq!(results[1].to_f64_vec(), [2.0, -2.0, f64::from(i32::MAX), 0.0], "{device}");
        assert_eq!(results[2].to_f64_vec(), [0.0, 1.0, 1.0, 1.0], "{device}");
    }
}
