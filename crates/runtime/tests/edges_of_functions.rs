//! Functions at infinite, vast and tiny elements and next to their corners: values, and derivatives that both modes agree on.

use arenagrad::graph::Gelu;
use arenagrad::train::schedules::{Constant, Cosine, Exponential, LinearRamp, OneCycle, Step};
use arenagrad::{DType, Device, Error, Expr, Graph, Init, Optimizer, Reduction, Session, Sgd};

use crate::suite::devices::{devices, everywhere};
use crate::suite::evaluate::Given;
use crate::suite::run::numbers;

const INF: f64 = f64::INFINITY;

/// What is found of a function that makes each element of its value from the same element of its operand.
struct Found {
    value: Vec<f64>,
    reverse: Vec<f64>,
    forward: Vec<f64>,
    second: Vec<f64>,
}

fn found(device: &Device, dtype: DType, x: &[f64], function: impl for<'g> Fn(Expr<'g>) -> Expr<'g>) -> Found {
    let g = Graph::new();
    let operand = g.input_of("x", [x.len()], dtype);
    let value = function(operand);
    let [reverse] = value.sum(..).grad([operand]).unwrap_or_else(|error| panic!("{error}"));
    let [second] = reverse.sum(..).grad([operand]).expect("a second derivative");
    let forward = g.jvp(&[value], &[operand], &[operand.ones_like()]).expect("a tangent")[0];
    let given = Given::from([("x".to_owned(), x.to_vec())]);
    let mut all = numbers(&g, &[value, reverse, forward, second], &given, device).into_iter();
    let mut next = || all.next().expect("four results");
    Found { value: next(), reverse: next(), forward: next(), second: next() }
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], dtype: DType, what: &str) {
    let tolerance = if dtype == DType::F64 { 1e-13 } else { 4e-6 };
    let agrees = |(f, e): (&f64, &f64)| f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= tolerance * e.abs();
    let all = found.len() == expected.len() && found.iter().zip(expected).all(agrees);
    assert!(all, "{what}: {found:?}, not {expected:?}");
}

#[test]
fn the_inverse_of_the_sigmoid_has_no_derivative_where_it_has_no_value() {
    let x = [-0.5, 0.0, 0.25, 1.5, INF, f64::NAN];
    for (device, dtype) in everywhere() {
        for eps in [None, Some(-1.0)] {
            let what = format!("{device}, {dtype}, {eps:?}");
            let found = found(&device, dtype, &x[..4 + 2 * usize::from(eps.is_none())], |x| x.logit(eps));
            let count = found.value.len();
            close(&found.value, &[f64::NAN, -INF, -(3f64.ln()), f64::NAN, f64::NAN, f64::NAN][..count], dtype, &what);
            let slopes = [f64::NAN, INF, 1.0 / (0.25 * 0.75), f64::NAN, f64::NAN, f64::NAN];
            close(&found.reverse, &slopes[..count], dtype, &what);
            close(&found.forward, &slopes[..count], dtype, &what);
        }
        let found = found(&device, dtype, &[-0.5, 1.5], |x| x.logit(Some(0.25)));
        close(&found.reverse, &[0.0, 0.0], dtype, "bounds");
    }
}

#[test]
fn a_logit_without_bounds_costs_nothing_or_everything() {
    let x = [INF, -INF, 10.0, -10.0, 0.0, f64::NAN];
    let small = (-10.0f64).exp().ln_1p();
    let half = 2f64.ln();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for (target, expected) in [
        (1.0, [0.0, INF, small, 10.0 + small, half, f64::NAN]),
        (0.0, [INF, 0.0, 10.0 + small, small, half, f64::NAN]),
        (0.25, [INF, INF, 7.5 + small, 2.5 + small, half, f64::NAN]),
    ] {
        for (device, dtype) in everywhere() {
            let what = format!("{device}, {dtype}, a target of {target}");
            let found =
                found(&device, dtype, &x, |x| x.binary_cross_entropy_with_logits(x.full_like(target), Reduction::None));
            close(&found.value, &expected, dtype, &what);
            let slopes: Vec<f64> = x.iter().map(|&x| sigmoid(x) - target).collect();
            for gradient in [&found.reverse, &found.forward] {
                for (found, expected) in gradient.iter().zip(&slopes) {
                    assert!(
                        (found - expected).abs() < 3e-7 || found.is_nan() && expected.is_nan(),
                        "{what}: {gradient:?}"
                    );
                }
            }
            assert!((found.second[4] - 0.25).abs() < 1e-6, "{what}: {:?}", found.second);
        }
    }
    // Weights of the positive term, and the gradient by the target.
    for device in devices() {
        let g = Graph::new();
        let (x, t, p) = (g.input("x", [4]), g.input("t", [4]), g.input("p", [4]));
        let loss = x.binary_cross_entropy_with_logits_weighted(t, None, Some(p), Reduction::None);
        let [by_t, by_p] = loss.sum(..).grad([t, p]).expect("gradients");
        let given = [("x", vec![2.0, -3.0, -INF, INF]), ("t", vec![0.25, 0.75, 0.0, 1.0]), ("p", vec![3.0; 4])];
        let given = given.into_iter().map(|(name, x)| (name.to_owned(), x)).collect();
        let results = numbers(&g, &[loss, by_t, by_p], &given, &device);
        let softplus = |x: f64| x.exp().ln_1p();
        let of = |x: f64, t: f64| (1.0 - t) * x + (1.0 + 2.0 * t) * softplus(-x);
        close(&results[0], &[of(2.0, 0.25), of(-3.0, 0.75), 0.0, 0.0], DType::F32, "weighted");
        close(&results[1][..2], &[-2.0 + 2.0 * softplus(-2.0), 3.0 + 2.0 * softplus(3.0)], DType::F32, "by the target");
        close(&results[2][..2], &[0.25 * softplus(-2.0), 0.75 * softplus(3.0)], DType::F32, "by the weight");
        // Where an infinite logit agrees with its target, nothing would change.
        assert_eq!((&results[1][2..], &results[2][2..]), (&[0.0, 0.0][..], &[0.0, 0.0][..]), "{results:?}");
    }
}

#[test]
fn both_modes_agree_at_infinite_elements() {
    for (device, dtype) in everywhere() {
        let what = format!("{device}, {dtype}");
        let x = [INF, -INF, 4.0, -4.0, 0.25, 0.0];
        let huber = found(&device, dtype, &x, |x| x.huber_loss(x.zeros_like(), 2.0, Reduction::None));
        close(&huber.value, &[INF, INF, 6.0, 6.0, 0.03125, 0.0], dtype, &what);
        let smooth = found(&device, dtype, &x, |x| x.smooth_l1_loss(x.zeros_like(), 2.0, Reduction::None));
        close(&smooth.value, &[INF, INF, 3.0, 3.0, 0.015625, 0.0], dtype, &what);
        let swish = found(&device, dtype, &x, |x| x.hardswish());
        close(&swish.value[2..], &[4.0, 0.0, 0.25 * 3.25 / 6.0, 0.0], dtype, &what);
        for (found, first, second) in [
            (&huber, [2.0, -2.0, 2.0, -2.0, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
            (&smooth, [1.0, -1.0, 1.0, -1.0, 0.125, 0.0], [0.0, 0.0, 0.0, 0.0, 0.5, 0.5]),
            (&swish, [1.0, 0.0, 1.0, 0.0, 0.25 / 3.0 + 0.5, 0.5], [0.0, 0.0, 0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]),
        ] {
            close(&found.reverse, &first, dtype, &what);
            close(&found.forward, &first, dtype, &what);
            close(&found.second, &second, dtype, &what);
        }
    }
}

#[test]
fn a_number_next_to_a_corner_is_not_at_it() {
    for (device, dtype) in everywhere() {
        let what = format!("{device}, {dtype}");
        let next = |x: f64| f64::from((x as f32).next_down());
        let x = [next(3.0), 3.0, -next(3.0), -3.0];
        let sigmoid = found(&device, dtype, &x, |x| x.hardsigmoid());
        close(&sigmoid.reverse, &[1.0 / 6.0, 0.0, 1.0 / 6.0, 0.0], dtype, &what);
        let swish = found(&device, dtype, &x, |x| x.hardswish());
        close(&swish.reverse, &[x[0] / 3.0 + 0.5, 1.0, 0.5 - x[0] / 3.0, 0.0], dtype, &what);
    }
}

#[test]
fn norms_of_vectors_with_zeros_are_differentiated_twice() {
    for (device, dtype) in everywhere() {
        for p in [1.25, 1.5, 2.0, 3.0] {
            let x = [2.0, -0.5, 1e-3];
            let found = found(&device, dtype, &x, |x| x.graph().stack(&[x, x.zeros_like()], 1).norm(p, 1));
            let what = format!("{device}, {dtype}, {p}");
            close(&found.value, &[2.0, 0.5, 1e-3], dtype, &what);
            close(&found.reverse, &[1.0, -1.0, 1.0], dtype, &what);
            // The length of a vector along an axis is |x|, which is straight.
            let straight = |x: (&f64, &f64)| (x.0 * x.1).abs() < 1e-5;
            assert!(found.second.iter().zip(&x).all(straight), "{what}: {:?}", found.second);
        }
    }
}

#[test]
fn windows_of_zeros_have_a_norm_of_0_in_both_modes() {
    for (device, dtype) in everywhere() {
        for p in [2.0, 3.0] {
            let found = found(&device, dtype, &[0.0, 3.0, 0.5], |x| {
                x.graph().stack(&[x, x], 1).reshape([1, 3, 2]).lp_pool1d(p, 2).reshape([3])
            });
            let length = 2f64.powf(1.0 / p);
            let what = format!("{device}, {dtype}, {p}");
            close(&found.value, &[0.0, 3.0 * length, 0.5 * length], dtype, &what);
            for gradient in [&found.reverse, &found.forward] {
                close(gradient, &[0.0, length, length], dtype, &what);
            }
        }
    }
}

#[test]
fn correlations_neither_overflow_nor_underflow() {
    for (device, dtype) in everywhere() {
        let g = Graph::new();
        let x = g.input_of("x", [3, 4], dtype);
        let y = x.corrcoef();
        let [gradient] = y.sum(..).grad([x]).expect("a gradient");
        let alone = x.select_index(0, 0).corrcoef();
        let (large, small) = if dtype == DType::F64 { (1e200, 1e-200) } else { (1e30, 1e-30) };
        let row = [1.0, 2.0, 4.0, -3.0];
        let elements = [large, small, -1.0].iter().flat_map(|scale| row.map(|x| x * scale)).collect();
        let results = numbers(&g, &[y, gradient, alone], &Given::from([("x".to_owned(), elements)]), &device);
        let what = format!("{device}, {dtype}");
        close(&results[0], &[1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0], dtype, &what);
        assert!(results[1].iter().all(|x| x.is_finite()), "{what}: {results:?}");
        close(&results[2], &[1.0], dtype, &what);
    }
    // What does not vary has no correlation, and nothing has none.
    for device in devices() {
        let g = Graph::new();
        let outputs = [g.ones([2, 3], DType::F32).corrcoef(), g.zeros([2, 0], DType::F32).corrcoef()];
        let results = numbers(&g, &outputs, &Given::new(), &device);
        assert!(results.iter().flatten().all(|x| x.is_nan()) && results[1].len() == 4, "{results:?}");
    }
}

#[test]
fn numbers_of_schedules_that_f32_does_not_hold() {
    let base = || Sgd::new(0.1);
    let tiny = OneCycle::new(5).constant_momentum().first_divisor(1e-30).last_divisor(1e-30);
    let refused: [(&str, Box<dyn Optimizer>); 7] = [
        ("a cycle's end", Box::new(base().schedule(tiny))),
        ("an exponential", Box::new(base().schedule(Exponential::new(1e300)))),
        ("a constant", Box::new(base().schedule(Constant::new(1e300, 5)))),
        ("a line", Box::new(base().schedule(LinearRamp::new(1e300, 1.0, 5)))),
        ("a floor", Box::new(base().schedule(Cosine::new(5).floor(1e300)))),
        ("steps", Box::new(base().schedule(Step::new(2).factor(1e300)))),
        ("a cycle", Box::new(base().schedule(OneCycle::new(5).constant_momentum().first_divisor(1e-300)))),
    ];
    for (what, optimizer) in refused {
        for dtype in [DType::F32, DType::F64] {
            let g = Graph::new();
            let w = g.parameter_of("w", [2], dtype, Init::Constant(1.0));
            let session = Session::builder(Device::cpu()).train(&g, w.square().sum(..), optimizer.as_ref());
            let is_refused = matches!(session, Err(Error::Hyperparameter { .. }));
            assert_eq!(is_refused, dtype == DType::F32, "{what}, {dtype}");
        }
    }
}

/// A gradient that is small is no 0: of units that are far below 0 nothing else is learned from.
#[test]
fn slopes_of_exponential_units_far_below_0() {
    let x = [-1.0, -5.0, -16.0, -18.0, -80.0];
    let exponentials: Vec<f64> = x.iter().map(|x: &f64| x.exp()).collect();
    let scaled = |by: f64| exponentials.iter().map(|x| x * by).collect::<Vec<f64>>();
    for (device, dtype) in everywhere() {
        for (name, found, expected) in [
            ("expm1", found(&device, dtype, &x, |x| x.expm1()), scaled(1.0)),
            ("elu", found(&device, dtype, &x, |x| x.elu(1.5)), scaled(1.5)),
            ("celu", found(&device, dtype, &x, |x| x.celu(1.0)), scaled(1.0)),
            ("selu", found(&device, dtype, &x, |x| x.selu()), scaled(1.0507009873554805 * 1.6732632423543772)),
        ] {
            close(&found.reverse, &expected, dtype, &format!("{name}, reverse, {device}"));
            close(&found.forward, &expected, dtype, &format!("{name}, forward, {device}"));
            close(&found.second, &expected, dtype, &format!("{name}, second, {device}"));
        }
    }
}

/// Derivatives of `1 / sqrt(1 - x^2)` and `1 / (1 - x^2)` are about `x` and `2 x` next to 0, and have their digits next to 1.
#[test]
fn second_derivatives_of_inverse_functions() {
    let x = [1e-20, -1e-8, 0.25, -0.75, 1.0 - 1.0 / 1024.0];
    let of = |f: fn(f64) -> f64| x.iter().map(|x| f(*x)).collect::<Vec<f64>>();
    for (device, dtype) in everywhere() {
        for (name, found, first, second) in [
            (
                "asin",
                found(&device, dtype, &x, |x| x.asin()),
                of(|x| 1.0 / ((1.0 - x) * (1.0 + x)).sqrt()),
                of(|x| x / ((1.0 - x) * (1.0 + x)).powf(1.5)),
            ),
            (
                "acos",
                found(&device, dtype, &x, |x| x.acos()),
                of(|x| -1.0 / ((1.0 - x) * (1.0 + x)).sqrt()),
                of(|x| -x / ((1.0 - x) * (1.0 + x)).powf(1.5)),
            ),
            (
                "atanh",
                found(&device, dtype, &x, |x| x.atanh()),
                of(|x| 1.0 / ((1.0 - x) * (1.0 + x))),
                of(|x| 2.0 * x / ((1.0 - x) * (1.0 + x)).powi(2)),
            ),
        ] {
            close(&found.reverse, &first, dtype, &format!("{name}, reverse, {device}"));
            close(&found.forward, &first, dtype, &format!("{name}, forward, {device}"));
            close(&found.second, &second, dtype, &format!("{name}, second, {device}"));
        }
    }
}

/// A count of digits is the whole part of a logarithm, so that of a power must be whole.
#[test]
fn logarithms_of_powers_are_whole() {
    for (device, dtype) in everywhere() {
        let most = if dtype == DType::F64 { 22 } else { 10 };
        let exponents: Vec<f64> = (0..=most).map(f64::from).collect();
        let tens: Vec<f64> = (0..=most).map(|exponent| 10f64.powi(exponent)).collect();
        assert_eq!(found(&device, dtype, &tens, |x| x.log10()).value, exponents, "{device}");
        let twos: Vec<f64> = (0..=most).map(|exponent| 2f64.powi(exponent)).collect();
        assert_eq!(found(&device, dtype, &twos, |x| x.log2()).value, exponents, "{device}");
    }
}

fn reverse<'g>(value: Expr<'g>, operand: Expr<'g>) -> Expr<'g> {
    value.sum(..).grad([operand]).expect("a gradient")[0]
}

fn forward<'g>(value: Expr<'g>, operand: Expr<'g>) -> Expr<'g> {
    value.jvp([operand], [operand.ones_like()]).expect("a tangent")
}

/// The second derivatives of a function of one element, by each mode of each mode.
fn second_derivatives(
    device: &Device,
    dtype: DType,
    x: &[f64],
    function: impl for<'g> Fn(Expr<'g>) -> Expr<'g>,
) -> Vec<(&'static str, Vec<f64>)> {
    let g = Graph::new();
    let operand = g.input_of("x", [x.len()], dtype);
    let value = function(operand);
    let modes = ["reverse, reverse", "reverse, forward", "forward, reverse", "forward, forward"];
    let (gradient, tangent) = (reverse(value, operand), forward(value, operand));
    let results = [gradient, tangent].map(|first| [reverse(first, operand), forward(first, operand)]).concat();
    let given = Given::from([("x".to_owned(), x.to_vec())]);
    modes.into_iter().zip(numbers(&g, &results, &given, device)).collect()
}

/// Where a slope is infinite its own slope is too, with the sign that the formula's limit has.
#[test]
fn second_derivatives_at_the_ends_of_a_domain() {
    type Build = for<'g> fn(Expr<'g>) -> Expr<'g>;
    let cases: [(&str, Build, &[f64], &[f64]); 10] = [
        ("asin", |x| x.asin(), &[1.0, -1.0], &[INF, -INF]),
        ("acos", |x| x.acos(), &[1.0, -1.0], &[-INF, INF]),
        ("atanh", |x| x.atanh(), &[1.0, -1.0], &[INF, -INF]),
        ("acosh", |x| x.acosh(), &[1.0], &[-INF]),
        ("erfinv", |x| x.erfinv(), &[1.0, -1.0], &[INF, -INF]),
        ("logit", |x| x.logit(None), &[0.0, 1.0], &[-INF, INF]),
        ("sqrt", |x| x.sqrt(), &[0.0], &[-INF]),
        ("rsqrt", |x| x.rsqrt(), &[0.0], &[INF]),
        ("log", |x| x.log(), &[0.0], &[-INF]),
        ("log1p", |x| x.log1p(), &[-1.0], &[-INF]),
    ];
    for (device, dtype) in everywhere() {
        for (name, function, x, expected) in cases {
            for (modes, found) in second_derivatives(&device, dtype, x, function) {
                close(&found, expected, dtype, &format!("{name}, {device}, {modes}"));
            }
        }
    }
}

/// Far out a second derivative is small, and no difference of two numbers that are not: in single precision it has the digits that its own
/// argument leaves it.
#[test]
fn second_derivatives_keep_their_digits_far_out() {
    type Build = for<'g> fn(Expr<'g>) -> Expr<'g>;
    type Value<'a> = &'a dyn Fn(f64) -> f64;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let both = move |x: f64| sigmoid(x) * sigmoid(-x);
    let mish = move |x: f64| {
        // Of tanh(z), z = softplus(x).
        let z = x.exp().ln_1p();
        let slope = z.cosh().powi(-2);
        slope * (2.0 * sigmoid(x) + x * (both(x) - 2.0 * z.tanh() * sigmoid(x).powi(2)))
    };
    let ln_2 = std::f64::consts::LN_2;
    let cases: [(&str, Build, Value<'_>, f64); 11] = [
        ("softplus", |x| x.softplus(1.0, 40.0), &both, 30.0),
        ("softplus of -2", |x| x.softplus(-2.0, 40.0), &|x| -2.0 * both(2.0 * x), 15.0),
        ("log_sigmoid", |x| x.log_sigmoid(), &|x| -both(x), 30.0),
        ("logaddexp", |x| x.logaddexp(0.5), &|x| both(x - 0.5), 30.0),
        ("logaddexp, right", |x| (x * 0.0 + 0.5).logaddexp(x), &|x| both(x - 0.5), 30.0),
        ("logaddexp2", |x| x.logaddexp2(0.5), &|x| ln_2 * both(ln_2 * (x - 0.5)), 30.0),
        (
            "binary_cross_entropy_with_logits",
            |x| x.binary_cross_entropy_with_logits(x.full_like(0.3), Reduction::None),
            &both,
            30.0,
        ),
        ("silu", |x| x.silu(), &|x| both(x) * (2.0 - x * (x / 2.0).tanh()), 30.0),
        (
            "glu",
            |x| x.graph().stack(&[x.full_like(1.5), x], 0).glu(0).squeeze(0),
            &|x| -1.5 * both(x) * (x / 2.0).tanh(),
            30.0,
        ),
        ("mish", |x| x.mish(), &mish, 19.9),
        ("tanhshrink", |x| x.tanhshrink(), &|x| 2.0 * x.tanh() * x.cosh().powi(-2), 30.0),
    ];
    for (device, dtype) in everywhere() {
        for (name, function, expected, bound) in &cases {
            let x: Vec<f64> = (0..42).map(|i| bound * (f64::from(i) / 20.7 - 1.0)).collect();
            // The argument is rounded first.
            let x: Vec<f64> = x.into_iter().map(|x| f64::from(x as f32)).collect();
            for (modes, found) in second_derivatives(&device, dtype, &x, function) {
                for (x, found) in x.iter().zip(found) {
                    let (expected, tolerance) = (expected(*x), if dtype == DType::F64 { 1e-12 } else { 1e-5 });
                    let is_right = (found - expected).abs() <= tolerance * expected.abs();
                    assert!(is_right, "{name} at {x}, {device}, {dtype}, {modes}: {found:e}, not {expected:e}");
                }
            }
        }
        // By the rule of quotients the first is a difference too.
        let far = [30.0, -1e4, 1e9];
        let softsign = found(&device, dtype, &far, |x| x.softsign());
        let slopes: Vec<f64> = far.iter().map(|x: &f64| (1.0 + x.abs()).powi(-2)).collect();
        close(&softsign.reverse, &slopes, dtype, "softsign");
        close(&softsign.forward, &slopes, dtype, "softsign, forward");
        // x - tanh x has tanh^2, which is small next to 0.
        let near = [1e-3, -1e-6];
        let squares: Vec<f64> = near.iter().map(|x: &f64| x.tanh().powi(2)).collect();
        close(&found(&device, dtype, &near, |x| x.tanhshrink()).reverse, &squares, dtype, "tanhshrink");
    }
}

/// Activations are straight lines far out, also where the powers that they are made of overflow.
#[test]
fn activations_of_vast_arguments_have_the_slopes_of_their_lines() {
    type Build = for<'g> fn(Expr<'g>) -> Expr<'g>;
    // The slopes far below 0 and far above.
    let cases: [(&str, Build, f64, f64); 17] = [
        ("gelu", |x| x.gelu(Gelu::Erf), 0.0, 1.0),
        ("silu", |x| x.silu(), 0.0, 1.0),
        ("mish", |x| x.mish(), 0.0, 1.0),
        ("softplus", |x| x.softplus(1.0, 20.0), 0.0, 1.0),
        ("softplus of -2", |x| x.softplus(-2.0, 1e3), 1.0, 0.0),
        ("log_sigmoid", |x| x.log_sigmoid(), 1.0, 0.0),
        ("elu", |x| x.elu(1.5), 0.0, 1.0),
        ("selu", |x| x.selu(), 0.0, 1.050_700_987_355_480_5),
        ("celu", |x| x.celu(0.5), 0.0, 1.0),
        ("hardswish", |x| x.hardswish(), 0.0, 1.0),
        ("hardsigmoid", |x| x.hardsigmoid(), 0.0, 0.0),
        ("hardtanh", |x| x.hardtanh(-1.0, 1.0), 0.0, 0.0),
        ("relu6", |x| x.relu6(), 0.0, 0.0),
        ("tanh", |x| x.tanh(), 0.0, 0.0),
        ("sigmoid", |x| x.sigmoid(), 0.0, 0.0),
        ("tanhshrink", |x| x.tanhshrink(), 1.0, 1.0),
        ("glu", |x| x.graph().stack(&[x, x], 0).glu(0).squeeze(0), 0.0, 1.0),
    ];
    for (device, dtype) in everywhere() {
        let vast: &[f64] = if dtype == DType::F64 { &[1e3, 1e100, 1e200, 1e308] } else { &[1e3, 1e10, 1e30, 3.4e38] };
        let x: Vec<f64> = vast.iter().flat_map(|x| [-x, *x]).collect();
        for (name, function, below, above) in &cases {
            let slopes: Vec<f64> = x.iter().map(|x| if *x < 0.0 { *below } else { *above }).collect();
            let first = found(&device, dtype, &x, function);
            close(&first.reverse, &slopes, dtype, &format!("{name}, {device}, {dtype}"));
            close(&first.forward, &slopes, dtype, &format!("{name}, {device}, {dtype}, forward"));
            // A second derivative multiplies the largest numbers by slopes, which overflows.
            for (modes, second) in second_derivatives(&device, dtype, &x[..6], function) {
                close(&second, &[0.0; 6], dtype, &format!("{name}, {device}, {dtype}, {modes}"));
            }
        }
    }
}

#[test]
fn the_slope_of_atanh_is_its_formula_wherever_its_square_overflows() {
    for (device, dtype) in everywhere() {
        let vast = if dtype == DType::F64 { 1e200 } else { 1e30 };
        let x = [0.5, 1.0, -1.0, 1.5, -1.5, vast, -vast, INF, -INF, f64::NAN];
        let found = found(&device, dtype, &x, |x| x.atanh());
        let what = format!("{device}, {dtype}");
        let nan = f64::NAN;
        close(&found.value, &[0.549_306_144_334_054_8, INF, -INF, nan, nan, nan, nan, nan, nan, nan], dtype, &what);
        let slopes = [4.0 / 3.0, INF, INF, -0.8, -0.8, 0.0, 0.0, 0.0, 0.0, nan];
        close(&found.reverse, &slopes, dtype, &what);
        close(&found.forward, &slopes, dtype, &what);
    }
}

/// The slopes are PyTorch's, but where a probability of 0 or 1 is right: there PyTorch's numbers have no digit left.
#[test]
fn a_probability_that_is_wrong_and_certain_is_learnt_from() {
    let (p, t) = ([0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.25, f64::NAN], [0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 0.75, 0.5]);
    for (device, dtype) in everywhere() {
        let g = Graph::new();
        let [x, y] = ["p", "t"].map(|name| g.input_of(name, [8], dtype));
        let losses = x.binary_cross_entropy(y, Reduction::None);
        let [of_p, of_t] = losses.sum(..).grad([x, y]).expect("gradients");
        let tangent = g.jvp(&[losses], &[x], &[x.ones_like()]).expect("a tangent")[0];
        let given = Given::from([("p".to_owned(), p.to_vec()), ("t".to_owned(), t.to_vec())]);
        let found = numbers(&g, &[losses, of_p, tangent, of_t], &given, &device);
        let what = format!("{device}, {dtype}");
        let (quarter, rest) = (0.25f64.ln(), 0.75f64.ln());
        let expected = [0.0, 100.0, 100.0, 0.0, 50.0, 50.0, -0.75 * quarter - 0.25 * rest, f64::NAN];
        close(&found[0], &expected, dtype, &what);
        let slopes = [1.0, -1e12, 1e12, -1.0, 0.5 - 5e11, 5e11 - 0.5, -0.5 / 0.1875, f64::NAN];
        close(&found[1], &slopes, dtype, &what);
        close(&found[2], &slopes, dtype, &what);
        let of_target = [100.0, 100.0, -100.0, -100.0, 100.0, -100.0, rest - quarter, f64::NAN];
        close(&found[3], &of_target, dtype, &what);
    }
}
