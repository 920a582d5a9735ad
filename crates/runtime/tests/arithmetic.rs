//! A GPU computes what is written: sums are not regrouped, and NaN, infinities, zeros and their signs go their way as on the
//! CPU. In plain, fused, reduced and differentiated form, with the kernels of both classes of adapters.
//!
//! Sums, differences, products and quotients are rounded by IEEE 754 alone, so there is no tolerance: both devices give the
//! same bits. Where a sum has more terms than two, or a function rounds in its own way, it is the kind of number that
//! must agree: NaN, either infinity, either zero, or a number.
//!
//! Some adapters take subnormal numbers for 0, which WGSL allows. They are held to the rest.
//!
//! An adapter that cannot be kept from regrouping computes the rest all the same; see [`arenagrad::Arithmetic`].

#![allow(clippy::eq_op)] // Equal operands are what is tested.

use crate::suite::devices::{flushes_subnormals, gpu};
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
use crate::suite::respawn::{with_kernels_of_a_gpu, with_regrouped_arithmetic};
use crate::suite::run::numbers;
use arenagrad::{Arithmetic, CrossEntropy, DType, Device, Expr, Graph, Reduction};

/// Numbers at which rules of real arithmetic fail for floats.
const SPECIAL: [f32; 18] = [
    0.0,
    -0.0,
    1.0,
    -2.6,
    0.7,
    1.2,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    3e38,
    -3e38,
    1e-30,
    1e-40,
    -1e-40,
    12_582_912.0,
    8_388_609.0,
    -16_777_217.0,
    f32::MIN_POSITIVE,
];

type Function = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

/// Expressions that a compiler may take for something shorter, were floats real numbers.
const ROUNDED_ALIKE: &[(&str, Function)] = &[
    ("(x + c) - c", |x, _| (x + 12_582_912.0) - 12_582_912.0),
    ("(x + y) - y", |x, y| (x + y) - y),
    ("x - (x + y)", |x, y| x - (x + y)),
    ("the error of a sum", |x, y| {
        let sum = x + y;
        let part = sum - x;
        (x - (sum - part)) + (y - part)
    }),
    ("x - x", |x, _| x - x),
    ("x + (-x)", |x, _| x + (-x)),
    ("x / x", |x, _| x / x),
    ("x * 0", |x, _| x * 0.0),
    ("x * -0", |x, _| x * -0.0),
    ("x / 0", |x, _| x / 0.0),
    ("0 / x", |x, _| 0.0 / x),
    ("0 - x", |x, _| 0.0 - x),
    ("x + 0", |x, _| x + 0.0),
    ("x - 0", |x, _| x - 0.0),
    ("x * 1 * -1", |x, _| x * 1.0 * -1.0),
    ("x * 2 / 2", |x, _| x * 2.0 / 2.0),
    ("x * 0.5 * 0.5 * 4", |x, _| x * 0.5 * 0.5 * 4.0),
    ("1 / (1 / x)", |x, _| 1.0 / (1.0 / x)),
    ("x * y + x", |x, y| x * y + x),
    ("x * y - x * y", |x, y| x * y - x * y),
    ("x * y / y", |x, y| x * y / y),
    ("x * (y + 1) - x * y", |x, y| x * (y + 1.0) - x * y),
    ("x / 3 * 3", |x, _| x / 3.0 * 3.0),
    ("x - floor x", |x, _| x - x.floor()),
    ("max(x, y) - max(x, y)", |x, y| x.maximum(y) - x.maximum(y)),
    ("(x - x == 0) y", |x, y| (x - x).equal(0.0).cast(DType::F32) * y),
    ("(x > y) x", |x, y| x.greater(y).cast(DType::F32) * x),
    ("relu x * 0", |x, _| x.relu() * 0.0),
    ("neg abs sign round ceil", |x, y| -(x.abs() + y.sign()) - (x.round() - y.ceil())),
    ("sqrt |x| squared", |x, _| x.abs().sqrt() * x.abs().sqrt()),
];

/// The extent of every special number with every other.
const PAIRS: usize = SPECIAL.len() * SPECIAL.len();

/// The special numbers for a device: for one that flushes subnormal numbers, without them and without such as soon become one.
fn special(device: &Device) -> [f32; SPECIAL.len()] {
    if !flushes_subnormals(device) {
        return SPECIAL;
    }
    SPECIAL.map(|x| match x.abs() {
        magnitude if magnitude > 0.0 && magnitude < 1e-9 => x.signum() * 1e-9,
        magnitude if magnitude > 1e9 && magnitude.is_finite() => x.signum() * 1e9,
        _ => x,
    })
}

fn pairs(device: &Device) -> Given {
    let special = special(device);
    let all = || special.iter().flat_map(|x| special.iter().map(move |y| (f64::from(*x), f64::from(*y))));
    Given::from([("x".to_owned(), all().map(|(x, _)| x).collect()), ("y".to_owned(), all().map(|(_, y)| y).collect())])
}

fn inputs(graph: &Graph) -> (Expr<'_>, Expr<'_>) {
    (graph.input("x", [PAIRS]), graph.input("y", [PAIRS]))
}

/// Bits, but for those of NaN, of which there are many.
fn bits(x: f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

/// NaN, an infinity, a zero or a number, with its sign.
fn kind(x: f32) -> (std::num::FpCategory, bool) {
    let category = if x.is_subnormal() { std::num::FpCategory::Normal } else { x.classify() };
    (category, !x.is_nan() && x.is_sign_negative())
}

/// Holds the outputs on the device against those on the CPU.
fn compare<T: PartialEq>(
    name: &str,
    device: &Device,
    graph: &Graph,
    outputs: &[Expr<'_>],
    given: &Given,
    of: fn(f32) -> T,
) {
    let expected = numbers(graph, outputs, given, &Device::cpu());
    let found = numbers(graph, outputs, given, device);
    let flushes = flushes_subnormals(device);
    // What has become subnormal on the way is another number from there on.
    let is_flushed = |place: usize| {
        flushes && expected.iter().any(|output| output.get(place).is_some_and(|&of| (of as f32).is_subnormal()))
    };
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            if is_flushed(place) {
                continue;
            }
            let operands: Vec<_> = given.iter().filter_map(|(name, x)| Some((name, x.get(place)?))).collect();
            assert!(
                of(*found as f32) == of(*expected as f32),
                "{device}: {name}, output {number}[{place}], {operands:?}: {found:e}, not {expected:e}\n{graph}"
            );
        }
    }
}

/// The function plain, in the middle of other work, under a sum of two neighbours and a maximum of all, and its gradients.
fn forms<'g>(x: Expr<'g>, y: Expr<'g>, function: Function) -> Vec<Expr<'g>> {
    let value = function(x, y);
    let halves = value.reshape([PAIRS / 2, 2]);
    let [by_x, by_y] = (value * 0.7).sum(..).grad([x, y]).unwrap();
    vec![value, (-value).abs() * y - 1.5, halves.sum(1), value.max(..), value.min(..), by_x, by_y]
}

fn check_expressions(device: &Device) {
    for (name, function) in ROUNDED_ALIKE {
        let graph = Graph::new();
        let (x, y) = inputs(&graph);
        compare(name, device, &graph, &forms(x, y, *function), &pairs(device), bits);
    }
}

/// Random expressions of the four operations over special numbers, constants among them.
fn check_random_expressions(device: &Device) {
    let special = special(device);
    for seed in 0..30 {
        let mut random = Random(seed);
        let graph = Graph::new();
        let (x, y) = inputs(&graph);
        let mut pool = vec![x, y];
        for _ in 0..12 {
            let a = *random.pick(&pool);
            let b = *random.pick(&pool);
            let constant = f64::from(*random.pick(&special));
            pool.push(match random.below(10) {
                0 => a + b,
                1 => a - b,
                2 => a * b,
                3 => a / b,
                4 => a + constant,
                5 => constant - a,
                6 => a * constant,
                7 => a / constant,
                8 => constant / a,
                _ => -a,
            });
        }
        compare(&format!("seed {seed}"), device, &graph, &pool, &pairs(device), bits);
    }
}

/// Every function and its derivative at special numbers.
fn check_functions(device: &Device) {
    let functions: &[(&str, Function)] = &[
        ("abs", |x, _| x.abs()),
        ("sign", |x, _| x.sign()),
        ("floor", |x, _| x.floor()),
        ("ceil", |x, _| x.ceil()),
        ("round", |x, _| x.round()),
        ("exp", |x, _| x.exp()),
        ("expm1", |x, _| x.expm1()),
        ("log", |x, _| x.log()),
        ("log1p", |x, _| x.log1p()),
        ("sqrt", |x, _| x.sqrt()),
        ("sin", |x, _| x.sin()),
        ("cos", |x, _| x.cos()),
        ("tanh", |x, _| x.tanh()),
        ("sigmoid", |x, _| x.sigmoid()),
        ("erf", |x, _| x.erf()),
        ("relu", |x, _| x.relu()),
        ("maximum", |x, y| x.maximum(y)),
        ("minimum", |x, y| x.minimum(y)),
        ("pow", |x, y| x.pow(y)),
        ("silu", |x, _| x.silu()),
        ("softplus", |x, _| x.softplus(1.0, 20.0)),
        ("clamp", |x, _| x.clamp(Some(-1.0), Some(1.0))),
    ];
    for (name, function) in functions {
        let graph = Graph::new();
        let (x, y) = inputs(&graph);
        let value = function(x, y);
        let [by_x] = value.sum(..).grad([x]).unwrap();
        compare(name, device, &graph, &[value, by_x], &pairs(device), kind);
    }
}

/// What compositions and their gradients make of rows with NaN or infinity in them.
fn check_compositions(device: &Device) {
    let functions: &[(&str, Function)] = &[
        ("softmax", |x, _| x.softmax(1)),
        ("log_softmax", |x, _| x.log_softmax(1)),
        ("logsumexp", |x, _| x.logsumexp(1)),
        ("cross_entropy", |x, _| {
            let labels = x.graph().literal([ROWS], [1i32; ROWS]);
            x.cross_entropy_with(labels, CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() })
        }),
        ("mean", |x, _| x.mean(1)),
        ("var", |x, _| x.var(1, 1.0)),
        ("var over no degree of freedom", |x, _| x.var(1, 4.0)),
        ("norm 1", |x, _| x.norm(1.0, 1)),
        ("norm 2", |x, _| x.norm(2.0, 1)),
        ("layer_norm", |x, _| x.layer_norm(1, None, None, 1e-5)),
        ("rms_norm", |x, _| x.rms_norm(1, None, 1e-5)),
        ("max", |x, _| x.max(1)),
        ("argmax(x - x)", |x, _| (x - x).argmax(1).cast(DType::F32)),
        ("matmul", |x, y| x.matmul(y.t())),
    ];
    const ROWS: usize = 7;
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let rows: [[f64; 4]; ROWS] = [
        [1.0, 2.0, -0.5, 0.25],
        [1.0, nan, 2.0, 0.0],
        [1.0, inf, 2.0, 0.0],
        [1.0, -inf, 2.0, 0.0],
        [inf, -inf, 0.0, nan],
        [-inf; 4],
        [0.0; 4],
    ];
    let mut random = Random(11);
    let signs = (0..4 * ROWS).map(|_| *random.pick(&[0.0, 1.0, -1.0])).collect();
    let given = Given::from([("x".to_owned(), rows.concat()), ("y".to_owned(), signs)]);
    for (name, function) in functions {
        let graph = Graph::new();
        let (a, b) = (graph.input("x", [ROWS, 4]), graph.input("y", [ROWS, 4]));
        let value = function(a, b);
        let mut outputs = vec![value];
        if !name.starts_with("argmax") {
            outputs.extend((value * value).sum(..).grad([a]).unwrap());
        }
        compare(name, device, &graph, &outputs, &given, |x| (!x.is_finite()).then(|| bits(x)));
    }
}

#[test]
fn a_gpu_computes_what_is_written() {
    let Some(device) = gpu() else { return };
    check_functions(&device);
    if device.adapter().unwrap().arithmetic == Arithmetic::AsWritten {
        check_expressions(&device);
        check_random_expressions(&device);
        check_compositions(&device);
    }
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&["arithmetic::a_gpu_computes_what_is_written"]);
}

/// Where a compiler may regroup, functions of special numbers are still right, and so is arithmetic that cannot be
/// regrouped.
#[test]
fn where_arithmetic_may_be_regrouped() {
    let Some(device) = gpu() else { return };
    let single: &[(&str, Function)] = &[
        ("x + y", |x, y| x + y),
        ("x - y", |x, y| x - y),
        ("x y", |x, y| x * y),
        ("x / y", |x, y| x / y),
        ("x * 0", |x, _| x * 0.0),
        ("x / 0", |x, _| x / 0.0),
        ("0 / x", |x, _| 0.0 / x),
    ];
    for (name, function) in single {
        let graph = Graph::new();
        let (x, y) = inputs(&graph);
        compare(name, &device, &graph, &[function(x, y)], &pairs(&device), bits);
    }
}

#[test]
fn as_other_backends_than_vulkan() {
    with_regrouped_arithmetic(&[
        "arithmetic::a_gpu_computes_what_is_written",
        "arithmetic::where_arithmetic_may_be_regrouped",
    ]);
}

#[test]
fn an_adapter_through_vulkan_takes_arithmetic_as_it_is_written() {
    let Some(device) = gpu() else { return };
    let adapter = device.adapter().unwrap();
    let asked = std::env::var_os("ARENAGRAD_ADAPTER_ARITHMETIC").is_some();
    if adapter.backend == "vulkan" && !asked {
        assert_eq!(adapter.arithmetic, Arithmetic::AsWritten, "{adapter}");
    }
}
