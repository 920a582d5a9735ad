//! Derivatives where formulas break down: at zeros, infinities, NaN and the ends of a dtype's range, in both modes, against
//! what mathematics says, on every device.

use crate::suite::devices::{devices, everywhere, flushes_subnormals};
use crate::suite::run::numbers;
use arenagrad::{CrossEntropy, DType, Device, Expr, Graph, Reduction, Session};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

type Function = for<'g> fn(&'g Graph, &[Expr<'g>]) -> Expr<'g>;

/// What a function of some vectors gives on a device.
struct Found {
    value: Vec<f64>,
    /// The gradient of the sum of the value, of one vector after the other.
    reverse: Vec<f64>,
    /// The same by forward mode: from one direction after the other, added up over the value.
    forward: Vec<f64>,
    /// The derivative along the ones, of one vector after the other: where each element of the value is made of the same
    /// element of each vector, the diagonals of the Jacobians.
    diagonal: Vec<f64>,
    /// The gradient of the sum of the gradient's elements.
    second: Vec<f64>,
}

fn found(device: &Device, dtype: DType, x: &[&[f64]], function: Function) -> Found {
    let g = Graph::new();
    let names: Vec<String> = (0..x.len()).map(|i| format!("x{i}")).collect();
    let inputs: Vec<Expr<'_>> = names.iter().zip(x).map(|(name, x)| g.input_of(name, [x.len()], dtype)).collect();
    let y = function(&g, &inputs).check().unwrap_or_else(|error| panic!("{error}"));
    let one = |expr: Expr<'_>| g.ones(expr.shape().unwrap(), dtype);
    let first = g.gradients(&[y], &[one(y)], &inputs).unwrap();
    let ones: Vec<Expr<'_>> = first.iter().map(|gradient| one(*gradient)).collect();
    let second = g.gradients(&first, &ones, &inputs).unwrap();
    let mut outputs = vec![y];
    outputs.extend(&first);
    outputs.extend(&second);
    for input in &inputs {
        outputs.push(g.jvp(&[y], &[*input], &[one(*input)]).unwrap()[0]);
    }
    for (number, elements) in x.iter().enumerate() {
        for element in 0..elements.len() {
            let direction = g.iota([elements.len()], 0).equal(element as i32).cast(dtype);
            outputs.push(g.jvp(&[y], &[inputs[number]], &[direction]).unwrap()[0].sum(..));
        }
    }
    let given = names.iter().cloned().zip(x.iter().map(|x| x.to_vec())).collect();
    let results = numbers(&g, &outputs, &given, device);
    let n = x.len();
    Found {
        value: results[0].clone(),
        reverse: results[1..=n].concat(),
        second: results[n + 1..=2 * n].concat(),
        diagonal: results[2 * n + 1..=3 * n].concat(),
        forward: results[3 * n + 1..].concat(),
    }
}

/// Whether two numbers agree to some units in the last place of the dtype; NaN agrees with NaN alone.
fn agrees(found: f64, expected: f64, dtype: DType) -> bool {
    found == expected
        || (found.is_nan() && expected.is_nan())
        || (found - expected).abs() <= precision(dtype) * expected.abs()
}

fn precision(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-14 } else { 1e-6 }
}

#[track_caller]
fn assert_agree(found: &[f64], expected: &[f64], dtype: DType, what: &str) {
    let all = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| agrees(*f, *e, dtype));
    assert!(all, "{what}: {found:?}, not {expected:?}");
}

/// Asserts the gradient in reverse mode, everywhere.
#[track_caller]
fn reverse(x: &[&[f64]], function: Function, expected: &[f64]) {
    for (device, dtype) in everywhere() {
        assert_agree(
            &found(&device, dtype, x, function).reverse,
            expected,
            dtype,
            &format!("{device}, {dtype}, reverse"),
        );
    }
}

/// Asserts the gradient in both modes, everywhere.
///
/// Forward mode has it from the directions along one element each. Where a derivative is not finite, the 0 of another
/// element's direction times it is NaN, and so is every sum that it is in.
#[track_caller]
fn gradient(x: &[&[f64]], function: Function, expected: &[f64]) {
    reverse(x, function, expected);
    let pushed: Vec<f64> =
        if expected.iter().all(|x| x.is_finite()) { expected.to_vec() } else { vec![NAN; expected.len()] };
    for (device, dtype) in everywhere() {
        assert_agree(
            &found(&device, dtype, x, function).forward,
            &pushed,
            dtype,
            &format!("{device}, {dtype}, forward"),
        );
    }
}

/// Asserts the gradient of a function that makes each element of the value from the same element of each vector.
#[track_caller]
fn diagonal(x: &[&[f64]], function: Function, expected: &[f64]) {
    reverse(x, function, expected);
    for (device, dtype) in everywhere() {
        assert_agree(
            &found(&device, dtype, x, function).diagonal,
            expected,
            dtype,
            &format!("{device}, {dtype}, forward"),
        );
    }
}

/// Asserts the value, everywhere.
#[track_caller]
fn value(x: &[&[f64]], function: Function, expected: &[f64]) {
    for (device, dtype) in everywhere() {
        assert_agree(&found(&device, dtype, x, function).value, expected, dtype, &format!("{device}, {dtype}, value"));
    }
}

/// Asserts value and gradient.
#[track_caller]
fn value_and_gradient(x: &[&[f64]], function: Function, expected: &[f64], gradients: &[f64]) {
    value(x, function, expected);
    gradient(x, function, gradients);
}

/// Asserts the gradient of the gradient's sum, in which terms of the size of 1 may cancel.
#[track_caller]
fn second(x: &[&[f64]], function: Function, expected: &[f64]) {
    for (device, dtype) in everywhere() {
        let found = found(&device, dtype, x, function).second;
        let agree = |(f, e): (&f64, &f64)| agrees(*f, *e, dtype) || (f - e).abs() <= precision(dtype) * 4.0;
        let all = found.len() == expected.len() && found.iter().zip(expected).all(agree);
        assert!(all, "{device}, {dtype}, second: {found:?}, not {expected:?}");
    }
}

#[test]
fn computed_indices_out_of_range_have_derivatives_of_0() {
    fn indices(g: &Graph) -> Expr<'_> {
        g.literal([3], [0, 5, 1]) + 1
    }
    value_and_gradient(
        &[&[1.0, 2.0, 4.0]],
        |g, x| g.zeros([3], x[0].dtype().unwrap()).scatter_add(0, indices(g), x[0]),
        &[0.0, 1.0, 4.0],
        &[1.0, 0.0, 1.0],
    );
    // Negative indices are out of range too, and the operand's gradient is its own.
    value_and_gradient(
        &[&[1.0, 2.0, 4.0], &[3.0, 5.0, 7.0]],
        |g, x| x[0].scatter_add(0, g.literal([3], [-1, 2, -4]) + 1, x[1]).square(),
        &[16.0, 4.0, 16.0],
        &[8.0, 4.0, 8.0, 8.0, 0.0, 0.0],
    );
    second(
        &[&[1.0, 2.0, 4.0], &[3.0, 5.0, 7.0]],
        |g, x| x[0].scatter_add(0, g.literal([3], [-1, 2, -4]) + 1, x[1]).square(),
        &[4.0, 2.0, 2.0, 4.0, 0.0, 0.0],
    );
    value_and_gradient(&[&[1.0, 2.0, 4.0]], |g, x| x[0].gather(0, indices(g)), &[2.0, NAN, 4.0], &[0.0, 1.0, 1.0]);
    value_and_gradient(
        &[&[1.0, 2.0, 4.0]],
        |g, x| x[0].index_select(0, indices(g).reshape([3, 1])).sum(1),
        &[2.0, NAN, 4.0],
        &[0.0, 1.0, 1.0],
    );
    // The NaN that was read comes back only into what it was multiplied with.
    reverse(
        &[&[1.0, 2.0, 4.0], &[1.0, 1.0, 1.0]],
        |g, x| x[0].gather(0, indices(g)) * x[1],
        &[0.0, 1.0, 1.0, 2.0, NAN, 4.0],
    );
    second(&[&[1.0, 2.0, 4.0]], |g, x| x[0].square().gather(0, indices(g)), &[0.0, 2.0, 2.0]);
    // An axis of the classes in front, and indices that are an argmax and so in range.
    gradient(
        &[&[1.0, 2.0, 4.0, 3.0]],
        |_, x| {
            let table = x[0].reshape([2, 2]);
            table.gather(1, table.argmax(1).unsqueeze(1))
        },
        &[0.0, 1.0, 1.0, 0.0],
    );
    gradient(
        &[&[1.0, 2.0, 4.0, 3.0]],
        |g, x| g.concat(&[x[0].slice(0, 0, 2), x[0].gather(0, g.literal([2], [2, 8]) + 1)], 0),
        &[1.0, 1.0, 0.0, 1.0],
    );
}

#[test]
fn powers_have_the_derivatives_of_mathematics_at_every_edge() {
    // b a^(b-1) and a^b ln a, by cases: a, b, the derivative in a, the derivative in b.
    let f32_cases: &[[f64; 4]] = &[
        [1e-40, 0.0, 0.0, f64::NAN],
        [-1e-40, 0.0, 0.0, NAN],
        [0.0, 0.0, 0.0, 0.0],
        [-0.0, 0.0, 0.0, 0.0],
        [INF, 0.0, 0.0, INF],
        [-INF, 0.0, 0.0, NAN],
        [NAN, 0.0, 0.0, NAN],
        [1.0, 0.0, 0.0, 0.0],
        [-2.0, 0.0, 0.0, NAN],
        [2.0, -0.0, 0.0, std::f64::consts::LN_2],
        [0.0, 1.0, 1.0, 0.0],
        [-0.0, 1.0, 1.0, 0.0],
        [0.0, 2.0, 0.0, 0.0],
        [0.0, 0.5, INF, 0.0],
        [0.0, -1.0, -INF, -INF],
        [-2.0, 2.0, -4.0, NAN],
        [-2.0, 3.0, 12.0, NAN],
        [1.0, 5.0, 5.0, 0.0],
        [INF, 1.0, 1.0, INF],
        [INF, 2.0, INF, INF],
        [INF, -1.0, 0.0, 0.0],
        [0.5, INF, 0.0, 0.0],
        [2.0, INF, INF, INF],
        [2.0, -INF, 0.0, 0.0],
        [0.5, -INF, -INF, -INF],
        [0.0, INF, 0.0, 0.0],
        [NAN, 2.0, NAN, NAN],
        [2.0, NAN, NAN, NAN],
    ];
    let (a, b): (Vec<f64>, Vec<f64>) = f32_cases.iter().map(|case| (case[0], case[1])).unzip();
    for (device, dtype) in everywhere() {
        let found = found(&device, dtype, &[&a, &b], |_, x| x[0].pow(x[1]));
        // A device may take it for -0.
        let flushes = flushes_subnormals(&device);
        let n = a.len();
        for (i, &[a, b, by_a, by_b]) in f32_cases.iter().enumerate() {
            // The logarithm of a subnormal number is left to the functions' own tests.
            for (name, found) in [("reverse", &found.reverse), ("forward", &found.diagonal)] {
                assert_agree(&[found[i]], &[by_a], dtype, &format!("{device} {dtype} {name} {a}^{b} in a"));
                if a != 1e-40 && !(a == -1e-40 && flushes) {
                    assert_agree(&[found[n + i]], &[by_b], dtype, &format!("{device} {dtype} {name} {a}^{b} in b"));
                }
            }
        }
    }
    diagonal(&[&[1e-40, 0.0, 5.0, NAN, INF, -3.0]], |_, x| x[0].powf(0.0), &[0.0; 6]);
    let subnormal = found(&Device::cpu(), DType::F64, &[&[1e-310], &[0.0]], |_, x| x[0].pow(x[1]));
    assert_eq!(subnormal.reverse[0], 0.0);
    assert_eq!(subnormal.forward[0], 0.0);
}

#[test]
fn second_derivatives_of_powers_are_finite_where_they_exist() {
    // d/da and d/db of (b a^(b-1) + a^b ln a).
    let expected = |a: f64, b: f64| {
        let log = a.ln();
        let mixed = a.powf(b - 1.0) * (1.0 + b * log);
        [b * (b - 1.0) * a.powf(b - 2.0) + mixed, mixed + a.powf(b) * log * log]
    };
    for (a, b) in [(2.0, 0.0), (0.5, 0.0), (1.0, 0.0), (2.0, 1.0), (3.0, 2.5), (1.0, 1.0)] {
        second(&[&[a], &[b]], |_, x| x[0].pow(x[1]), &expected(a, b));
    }
    // At 0: b = 2 has the second derivative 2 in a, b = 3 has 0.
    second(&[&[0.0, 0.0]], |g, x| x[0].pow(g.literal([2], [2.0f32, 3.0]).cast(x[0].dtype().unwrap())), &[2.0, 0.0]);
    second(
        &[&[0.0, 0.0, 1e-40, 4.0]],
        |g, x| x[0].pow(g.literal([4], [1.0f32, 0.0, 0.0, 1.0]).cast(x[0].dtype().unwrap())),
        &[0.0; 4],
    );
}

#[test]
fn nan_does_not_vanish_on_the_way_back() {
    let x: &[&[f64]] = &[&[1.0, NAN, 2.0]];
    value_and_gradient(x, |_, x| x[0].max(..), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].min(..), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].norm(INF, ..), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].norm(2.0, ..), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].norm(3.0, ..), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].norm(1.0, ..), &[NAN], &[1.0, NAN, 1.0]);
    value_and_gradient(x, |_, x| x[0].norm(0.0, ..), &[3.0], &[0.0; 3]);
    value_and_gradient(x, |_, x| x[0].softmax(0), &[NAN; 3], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].log_softmax(0), &[NAN; 3], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].logsumexp(..), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].var(.., 1.0), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].std(.., 1.0), &[NAN], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].layer_norm(0, None, None, 1e-5), &[NAN; 3], &[NAN; 3]);
    value_and_gradient(x, |_, x| x[0].rms_norm(0, None, 1e-5), &[NAN; 3], &[NAN; 3]);
    value_and_gradient(x, |g, x| x[0].unsqueeze(0).cross_entropy(g.literal([1], [0])), &[NAN], &[NAN; 3]);
    // Element by element: the gradient that comes is NaN, for it comes from a square, and passes.
    let through: &[(&str, Function)] = &[
        ("relu", |_, x| x[0].relu().square()),
        ("leaky_relu", |_, x| x[0].leaky_relu(0.1).square()),
        ("elu", |_, x| x[0].elu(1.0).square()),
        ("softplus", |_, x| x[0].softplus(1.0, 20.0).square()),
        ("clamp", |_, x| x[0].clamp(Some(-9.0), Some(9.0)).square()),
        ("clamp_between", |_, x| x[0].clamp_between(-9.0, 9.0).square()),
        ("abs", |_, x| x[0].abs()),
        ("maximum", |_, x| x[0].maximum(-9.0).square()),
        ("minimum", |_, x| x[0].minimum(9.0).square()),
        ("sqrt", |_, x| x[0].sqrt()),
        ("log", |_, x| x[0].log()),
        ("exp", |_, x| x[0].exp()),
        ("tanh", |_, x| x[0].tanh()),
        ("sigmoid", |_, x| x[0].sigmoid()),
        ("erf", |_, x| x[0].erf()),
        ("gelu", |_, x| x[0].gelu(arenagrad::graph::Gelu::Tanh)),
        ("silu", |_, x| x[0].silu()),
        ("powf", |_, x| x[0].powf(2.5)),
        ("reciprocal", |_, x| x[0].reciprocal()),
        ("rsqrt", |_, x| x[0].rsqrt()),
        ("huber_loss", |g, x| x[0].huber_loss(g.zeros([3], x[0].dtype().unwrap()), 1.0, Reduction::None)),
    ];
    for (device, dtype) in everywhere() {
        for (name, function) in through {
            let found = found(&device, dtype, x, *function);
            for elements in [&found.reverse, &found.diagonal] {
                let is_nan: Vec<bool> = elements.iter().map(|x| x.is_nan()).collect();
                assert_eq!(is_nan, [false, true, false], "{device}, {dtype}, {name}: {elements:?}");
            }
        }
    }
    // maximum(x, y) beside a NaN passes the gradient to both.
    diagonal(&[&[NAN, 1.0], &[1.0, NAN]], |_, x| x[0].maximum(x[1]), &[1.0; 4]);
    diagonal(&[&[NAN, 1.0], &[1.0, NAN]], |_, x| x[0].minimum(x[1]), &[1.0; 4]);
    gradient(&[&[NAN, 2.0, -2.0]], |_, x| x[0].relu(), &[1.0, 1.0, 0.0]);
    // Rows without a NaN are as ever, ties shared.
    reverse(&[&[1.0, 3.0, 3.0, NAN, 1.0, 2.0]], |_, x| x[0].reshape([2, 3]).max(1), &[0.0, 0.5, 0.5, NAN, NAN, NAN]);
    second(&[&[1.0, NAN, 2.0]], |_, x| x[0].max(..).square(), &[NAN; 3]);
}

#[test]
fn norms_neither_overflow_nor_underflow() {
    let half = 0.5f64.sqrt();
    for (device, dtype) in everywhere() {
        let large = if dtype == DType::F64 { 1.7e308 } else { 3.4e38 };
        for scale in [large, 1e30, 1.0, 1e-30, if dtype == DType::F64 { 1e-300 } else { 1e-37 }] {
            for (p, slope) in [(2.0, half), (3.0, 0.25f64.cbrt()), (2.5, 2f64.powf(-0.6)), (INF, 0.5), (1.0, 1.0)] {
                let function: Function = match p {
                    2.0 => |_, x| x[0].norm(2.0, ..),
                    3.0 => |_, x| x[0].norm(3.0, ..),
                    2.5 => |_, x| x[0].norm(2.5, ..),
                    1.0 => |_, x| x[0].norm(1.0, ..),
                    _ => |_, x| x[0].norm(INF, ..),
                };
                let found = found(&device, dtype, &[&[scale, -scale]], function);
                let what = format!("{device}, {dtype}, p = {p}, {scale}");
                assert_agree(&found.reverse, &[slope, -slope], dtype, &what);
                assert_agree(&found.forward, &[slope, -slope], dtype, &what);
                if scale <= 1e30 {
                    let norm = scale * if p == INF { 1.0 } else { 2f64.powf(1.0 / p) };
                    assert_agree(&found.value, &[norm], dtype, &what);
                }
            }
        }
    }
    for device in devices() {
        let found = found(&device, DType::F32, &[&[3.4e38, 3.4e38, 1.0]], |_, x| x[0].norm(2.0, ..));
        for elements in [&found.reverse, &found.forward] {
            assert_agree(&elements[..2], &[half, half], DType::F32, &format!("{device}"));
            // 1 / (3.4e38 sqrt 2) is subnormal, and a GPU may take it for 0.
            assert!((0.0..=2.1e-39).contains(&elements[2]), "{device}: {elements:?}");
        }
    }
    // The value and its Hessian in the middle of the range: (I - x x^T / n^2) / n, summed by rows.
    value_and_gradient(&[&[3.0, 4.0]], |_, x| x[0].norm(2.0, ..), &[5.0], &[0.6, 0.8]);
    second(&[&[3.0, 4.0]], |_, x| x[0].norm(2.0, ..), &[(1.0 - 0.6 * 1.4) / 5.0, (1.0 - 0.8 * 1.4) / 5.0]);
    second(&[&[1.0, 1.0]], |_, x| x[0].norm(3.0, 0), &[0.0, 0.0]);
    // Zeros, infinities.
    value_and_gradient(&[&[0.0, 0.0]], |_, x| x[0].norm(2.0, ..), &[0.0], &[0.0, 0.0]);
    second(&[&[0.0, 0.0]], |_, x| x[0].norm(2.0, ..), &[0.0, 0.0]);
    value_and_gradient(&[&[INF, 1.0]], |_, x| x[0].norm(2.0, ..), &[INF], &[NAN, 0.0]);
    value_and_gradient(&[&[-INF, INF]], |_, x| x[0].norm(2.0, ..), &[INF], &[NAN, NAN]);
    value_and_gradient(&[&[0.0, 0.0]], |_, x| x[0].norm(3.0, ..), &[0.0], &[0.0, 0.0]);
    value_and_gradient(&[&[0.0, 0.0]], |_, x| x[0].norm(0.5, ..), &[0.0], &[0.0, 0.0]);
    value_and_gradient(&[&[0.0, -4.0]], |_, x| x[0].norm(0.5, ..), &[4.0], &[0.0, -1.0]);
    value_and_gradient(&[&[INF, 1.0]], |_, x| x[0].norm(3.0, ..), &[INF], &[NAN, 0.0]);
    value_and_gradient(&[&[]], |_, x| x[0].norm(2.0, ..), &[0.0], &[]);
}

#[test]
fn losses_leave_out_what_is_impossible() {
    let x: &[&[f64]] = &[&[-INF, -INF, 0.0], &[0.0, 0.5, 0.5]];
    value(x, |_, x| x[0].kl_div(x[1], false, Reduction::None), &[0.0, INF, 0.5 * 0.5f64.ln()]);
    diagonal(x, |_, x| x[0].kl_div(x[1], false, Reduction::None), &[0.0, -0.5, -0.5, 0.0, INF, 0.5f64.ln() + 1.0]);
    value_and_gradient(
        &[&[-INF, -1.0, 0.0], &[-INF, -INF, -1.0]],
        |_, x| x[0].kl_div(x[1], true, Reduction::None),
        &[0.0, 0.0, -(-1f64).exp()],
        &[0.0, 0.0, -(-1f64).exp(), 0.0, 0.0, 0.0],
    );
    let third = (2f64).ln();
    value_and_gradient(
        &[&[-INF, 0.0, 0.0]],
        |g, x| {
            let target = g.literal([1, 3], [0.0f32, 0.5, 0.5]).cast(x[0].dtype().unwrap());
            x[0].unsqueeze(0).cross_entropy(target)
        },
        &[third],
        &[0.0, 0.0, 0.0],
    );
    value_and_gradient(
        &[&[-INF, 0.0, 0.0]],
        |g, x| {
            let weight = g.literal([3], [0.0f32, 1.0, 1.0]).cast(x[0].dtype().unwrap());
            let options = CrossEntropy { weight: Some(weight), label_smoothing: 0.3, ..CrossEntropy::default() };
            x[0].unsqueeze(0).cross_entropy_with(g.literal([1], [1]), options)
        },
        &[third * 0.7 + 0.1 * 2.0 * third],
        &[0.0, -0.7 + 0.45 - 0.1 + 0.0, 0.45 - 0.1],
    );
    // A NaN is left out of nothing.
    let x: &[&[f64]] = &[&[NAN], &[0.0]];
    value(x, |_, x| x[0].kl_div(x[1], false, Reduction::None), &[NAN]);
    diagonal(x, |_, x| x[0].kl_div(x[1], false, Reduction::None), &[0.0, NAN]);
}

#[test]
fn variances_and_deviations_have_exact_gradients() {
    let x: &[&[f64]] = &[&[1e8, 1.0, -1e8, 1.0]];
    for (device, dtype) in [(Device::cpu(), DType::F64)] {
        let found = found(&device, dtype, x, |_, x| x[0].var(.., 1.0));
        let expected: Vec<f64> = x[0].iter().map(|x| 2.0 * (x - 0.5) / 3.0).collect();
        assert_agree(&found.reverse, &expected, dtype, "var");
        assert_agree(&found.forward, &expected, dtype, "var");
        // Layer norm of such: the gradient of the sum is 0 up to what the last bits of its terms leave.
        let layer = self::found(&device, dtype, x, |_, x| x[0].layer_norm(0, None, None, 0.0).slice(0, 0, 1));
        let deviation = (x[0].iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() / 4.0).sqrt();
        let standard: Vec<f64> = x[0].iter().map(|x| (x - 0.5) / deviation).collect();
        let expected: Vec<f64> = (0..4)
            .map(|i| (f64::from(u8::from(i == 0)) - 0.25 - standard[0] * standard[i] / 4.0) / deviation)
            .collect();
        for (found, expected) in layer.reverse.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-15 * (1.0 / deviation), "{:?}, not {expected:?}", layer.reverse);
        }
    }
    // The Hessian of a variance: 2 / (n - 1) (I - 1 / n), whose rows add up to 0.
    second(&[&[1.0, 2.0, 4.0, 5.0]], |_, x| x[0].var(.., 1.0).square(), &[0.0; 4]);
    // Of v x_0: v at element 0 beside x_0 dv, whose elements add up to 0; the gradient of v is 2 c / 3.
    second(
        &[&[1.0, 2.0, 4.0, 5.0]],
        |_, x| x[0].var(.., 1.0) * x[0].slice(0, 0, 1),
        &[-4.0 / 3.0, -2.0 / 3.0, 2.0 / 3.0, 4.0 / 3.0],
    );
    value_and_gradient(&[&[2.0, 2.0, 2.0]], |_, x| x[0].std(.., 1.0), &[0.0], &[0.0; 3]);
    second(&[&[2.0, 2.0, 2.0]], |_, x| x[0].std(.., 1.0), &[0.0; 3]);
    value_and_gradient(&[&[1.0, 3.0]], |_, x| x[0].std(.., 0.0), &[1.0], &[-0.5, 0.5]);
    value_and_gradient(
        &[&[1.0, 3.0, 7.0, 7.0]],
        |_, x| x[0].reshape([2, 2]).std_keepdims(1, 0.0),
        &[1.0, 0.0],
        &[-0.5, 0.5, 0.0, 0.0],
    );
    value_and_gradient(&[&[5.0]], |_, x| x[0].std(.., 1.0), &[NAN], &[NAN]);
    value_and_gradient(&[&[5.0]], |_, x| x[0].var(.., 1.0), &[NAN], &[NAN]);
    value_and_gradient(&[&[5.0]], |_, x| x[0].std(.., 0.0), &[0.0], &[0.0]);
    // A deviation of tiny and of huge elements, whose squares no dtype holds.
    for (device, dtype) in everywhere() {
        for scale in [1e-30, 1e30] {
            let found = found(&device, dtype, &[&[scale, -scale]], |_, x| x[0].std(.., 0.0));
            assert_agree(&found.value, &[scale], dtype, &format!("{device} {dtype} {scale}"));
            assert_agree(&found.reverse, &[0.5, -0.5], dtype, &format!("{device} {dtype} {scale}"));
        }
    }
}

#[test]
fn the_safe_form_of_a_dead_branch_has_a_gradient() {
    let x: &[&[f64]] = &[&[2.0, 0.0, -1.0]];
    reverse(x, |_, x| x[0].greater(0.0).where_(x[0].log(), 0.0), &[0.5, NAN, 0.0]);
    gradient(
        x,
        |_, x| {
            let positive = x[0].greater(0.0);
            positive.where_(positive.where_(x[0], 1.0).log(), 0.0)
        },
        &[0.5, 0.0, 0.0],
    );
}

#[test]
fn zeros_keep_their_sign() {
    let negative: &[Function] = &[
        |_, x| x[0].expm1(),
        |_, x| x[0].log1p(),
        |_, x| x[0].sqrt(),
        |_, x| x[0].sin(),
        |_, x| x[0].tanh(),
        |_, x| x[0].erf(),
        |_, x| x[0].relu(),
        |_, x| x[0].floor(),
        |_, x| x[0].ceil(),
        |_, x| x[0].round(),
    ];
    let positive: &[Function] = &[|_, x| x[0].abs(), |_, x| x[0].sign(), |_, x| -x[0], |_, x| x[0].square()];
    for dtype in [DType::F32, DType::F64] {
        for (functions, expected) in [(negative, -0.0f64), (positive, 0.0)] {
            for (number, function) in functions.iter().enumerate() {
                let given = found(&Device::cpu(), dtype, &[&[-0.0; 9]], *function).value;
                let g = Graph::new();
                let folded = function(&g, &[g.full([9], -0.0, dtype)]);
                let folded = Session::evaluate(&g, &[folded], &Device::cpu()).unwrap().run(&[]).unwrap();
                for element in given.iter().chain(&folded[0].to_f64_vec()) {
                    assert_eq!(element.to_bits(), expected.to_bits(), "{dtype}, function {number} gives {element:?}");
                }
            }
        }
    }
}
