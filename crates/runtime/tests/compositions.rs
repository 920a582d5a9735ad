//! What is composed of primitives, on every device against the evaluator: values, gradients, and derivatives of gradients.

use crate::suite::devices::{devices, gpu};
use crate::suite::evaluate::{Given, evaluate};
use crate::suite::random::Random;
use crate::suite::run::numbers;
use arenagrad::graph::Gelu;
use arenagrad::{CrossEntropy, DType, Device, Expr, Graph, Reduction};

type Function = for<'g> fn(&'g Graph, &[Expr<'g>]) -> Expr<'g>;

/// A name, the inputs with their ranges, and the function of them.
type Case = (&'static str, &'static [(&'static [usize], f64, f64)], Function);

const MATRIX: &[(&[usize], f64, f64)] = &[(&[5, 7], -3.0, 3.0)];
const PAIR: &[(&[usize], f64, f64)] = &[(&[5, 7], -3.0, 3.0), (&[5, 7], -2.9, 3.1)];
const PROBABILITIES: &[(&[usize], f64, f64)] = &[(&[5, 7], 0.05, 0.95), (&[5, 7], 0.1, 0.9)];
const NORMED: &[(&[usize], f64, f64)] = &[(&[3, 4, 5], -3.0, 3.0), (&[5], 0.5, 1.5), (&[5], -1.0, 1.0)];
const CHANNELS: &[(&[usize], f64, f64)] = &[(&[3, 4, 5], -3.0, 3.0), (&[4], 0.5, 1.5), (&[4], -1.0, 1.0)];

fn cases() -> Vec<Case> {
    vec![
        ("softmax", MATRIX, |_, x| x[0].softmax(1)),
        ("softmax by columns", MATRIX, |_, x| (x[0] * 10.0).softmax(0)),
        ("softmax of large", MATRIX, |_, x| (x[0] + 1000.0).softmax(-1)),
        // The range, not a factor: behind the sums that cancel, a factor would multiply their rounding as well.
        ("log_softmax", &[(&[5, 7], -60.0, 60.0)], |_, x| x[0].log_softmax(1)),
        ("logsumexp", MATRIX, |_, x| x[0].logsumexp([0, 1])),
        ("logsumexp_keepdims", MATRIX, |_, x| x[0].logsumexp_keepdims(1) * x[0]),
        ("leaky_relu", MATRIX, |_, x| x[0].leaky_relu(0.1)),
        ("elu", MATRIX, |_, x| x[0].elu(1.5)),
        ("silu", MATRIX, |_, x| x[0].silu()),
        ("gelu", MATRIX, |_, x| x[0].gelu(Gelu::Erf)),
        ("gelu by tanh", MATRIX, |_, x| x[0].gelu(Gelu::Tanh)),
        ("softplus", MATRIX, |_, x| (x[0] * 10.0).softplus(1.0, 20.0)),
        ("softplus, beta 2", MATRIX, |_, x| x[0].softplus(2.0, 3.0)),
        ("log_sigmoid", MATRIX, |_, x| (x[0] * 10.0).log_sigmoid()),
        ("clamp", MATRIX, |_, x| x[0].clamp(Some(-1.25), Some(0.75))),
        ("clamp_between", PAIR, |_, x| x[0].clamp_between(-1.25, x[1])),
        ("tan, rsqrt, reciprocal", PROBABILITIES, |_, x| x[0].tan() + x[0].rsqrt() + x[1].reciprocal()),
        ("norm 2", MATRIX, |_, x| x[0].norm(2.0, 1)),
        ("norm 1", MATRIX, |_, x| x[0].norm(1.0, 0)),
        ("norm 3", MATRIX, |_, x| x[0].norm(3.0, [0, 1])),
        ("layer_norm", NORMED, |_, x| x[0].layer_norm(2, Some(x[1]), Some(x[2]), 1e-5)),
        ("rms_norm", NORMED, |_, x| x[0].rms_norm(2, Some(x[1]), 1e-5) + x[2]),
        ("group_norm", CHANNELS, |_, x| x[0].group_norm(2, Some(x[1]), Some(x[2]), 1e-5)),
        ("batch_norm", CHANNELS, |_, x| x[0].batch_norm(x[0].batch_statistics(), Some(x[1]), Some(x[2]), 1e-5)),
        ("var", MATRIX, |_, x| x[0].var(1, 1.0)),
        ("tril, triu", MATRIX, |_, x| x[0].tril(1) - x[0].triu(-1) * 2.0),
        ("mse_loss", PAIR, |_, x| x[0].mse_loss(x[1], Reduction::Mean)),
        ("l1_loss", PAIR, |_, x| x[0].l1_loss(x[1], Reduction::Sum)),
        ("huber_loss", PAIR, |_, x| x[0].huber_loss(x[1], 1.5, Reduction::Mean)),
        ("smooth_l1_loss", PAIR, |_, x| x[0].smooth_l1_loss(x[1], 0.75, Reduction::None)),
        ("binary_cross_entropy", PROBABILITIES, |_, x| x[0].binary_cross_entropy(x[1], Reduction::Mean)),
        ("binary_cross_entropy_with_logits", PAIR, |_, x| {
            (x[0] * 10.0).binary_cross_entropy_with_logits(x[1].sigmoid(), Reduction::Mean)
        }),
        ("kl_div", PROBABILITIES, |_, x| x[0].log().kl_div(x[1], false, Reduction::Sum)),
        ("cross_entropy", MATRIX, |g, x| x[0].cross_entropy(g.literal([5], [0, 6, 3, 3, 1]))),
        ("cross_entropy of large", MATRIX, |g, x| (x[0] * 100.0).cross_entropy(g.literal([5], [0, 6, 3, 3, 1]))),
        ("cross_entropy with options", MATRIX, |g, x| {
            let options = CrossEntropy { ignore_index: Some(-100), label_smoothing: 0.1, ..CrossEntropy::default() };
            x[0].cross_entropy_with(g.literal([5], [0, -100, 3, 3, 1]), options)
        }),
        ("cross_entropy of probabilities", PROBABILITIES, |_, x| x[0].cross_entropy(x[1])),
        ("nll_loss", MATRIX, |g, x| x[0].log_softmax(1).nll_loss(g.literal([5], [0, 6, 3, 3, 1]))),
        ("one_hot", MATRIX, |g, x| x[0] * g.literal([5], [0, 6, 3, 3, 1]).one_hot(7).cast(x[0].dtype().unwrap())),
        ("accuracy", MATRIX, |g, x| {
            (x[0].accuracy(g.literal([5], [0, 6, 3, 3, 1])) * 5.0).round().cast(x[0].dtype().unwrap()) * x[0]
        }),
        ("dropout", MATRIX, |g, x| x[0].dropout(0.3, g.literal([], [4]), 17)),
        ("linear", &[(&[5, 7], -1.0, 1.0), (&[7, 3], -1.0, 1.0), (&[3], -1.0, 1.0)], |_, x| {
            x[0].linear(x[1], Some(x[2]))
        }),
        ("attention", &[(&[2, 5, 4], -1.0, 1.0), (&[2, 5, 4], -1.0, 1.0), (&[2, 5, 3], -1.0, 1.0)], |_, x| {
            (x[0].matmul(x[1].t()) * 0.5).softmax(-1).matmul(x[2])
        }),
    ]
}

/// Value, gradients and second derivatives in one list.
struct Derived<'g> {
    given: Given,
    outputs: Vec<Expr<'g>>,
}

fn derive<'g>(graph: &'g Graph, (name, inputs, function): &Case, dtype: DType) -> Derived<'g> {
    let mut random = Random(name.len() as u64);
    let mut given = Given::new();
    let mut float = |name: String, shape: &[usize], low: f64, high: f64| {
        given.insert(name.clone(), random.spread(shape.iter().product(), low, high));
        graph.input_of(name, shape, dtype)
    };
    let x: Vec<Expr<'g>> =
        inputs.iter().enumerate().map(|(i, (shape, low, high))| float(format!("x{i}"), shape, *low, *high)).collect();
    let y = function(graph, &x).check().unwrap_or_else(|error| panic!("{name}: {error}"));
    let upstream = float("upstream".to_owned(), &y.shape().unwrap(), 0.5, 1.5);
    let first = graph.gradients(&[y], &[upstream], &x).unwrap();
    let directions: Vec<Expr<'g>> = first
        .iter()
        .enumerate()
        .map(|(i, gradient)| float(format!("direction{i}"), &gradient.shape().unwrap(), 0.5, 1.5))
        .collect();
    let second = graph.gradients(&first, &directions, &x).unwrap();
    let outputs = std::iter::once(y).chain(first).chain(second).collect();
    Derived { given, outputs }
}

/// Above every number of the cases but exponentials that are taken back out: those begin at 10^8.
const OVERGROWN: f64 = 2000.0;

fn check_on(device: &Device, dtype: DType, epsilon: f64) {
    for case in cases() {
        let graph = Graph::new();
        let Derived { given, outputs } = derive(&graph, &case, dtype);
        let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
        let found = numbers(&graph, &outputs, &given, device);
        let results = evaluate(&graph, &ids, &given);
        for (number, (found, id)) in found.iter().zip(&ids).enumerate() {
            let needed = graph.needed(&[*id]).unwrap();
            let values = evaluate(&graph, &needed, &given);
            let expected = &values[needed.iter().position(|other| other == id).unwrap()];
            // Each step of a composition rounds relative to what it computes: errors are of the size of the largest number
            // on the way, as where second derivatives of a softmax cancel. Sixteen half ulps of it: some for each step,
            // the rest for exp, log and tanh of a GPU. Exponentials that a quotient or a `where` takes back out grow far
            // past any of the cases' other numbers, and would let anything pass; there the results themselves count.
            let magnitude = |values: &mut dyn Iterator<Item = &f64>| {
                values.filter(|x| x.is_finite()).fold(1.0f64, |largest, x| largest.max(x.abs()))
            };
            let on_the_way = magnitude(&mut values.iter().flatten());
            let largest = if on_the_way < OVERGROWN { on_the_way } else { magnitude(&mut results.iter().flatten()) };
            let tolerance = 16.0 * epsilon * largest;
            for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert!(
                    (found - expected).abs() <= tolerance,
                    "{device}, {dtype}: {}, output {number}[{place}]: {found:e}, not {expected:e} ({tolerance:e})",
                    case.0
                );
            }
        }
    }
}

/// A function of one expression: its name, itself, and its second derivative.
type Known<'a> = (&'a str, for<'g> fn(Expr<'g>) -> Expr<'g>, &'a dyn Fn(f64) -> f64);

#[test]
fn cpu_in_f64() {
    check_on(&Device::cpu(), DType::F64, f64::EPSILON / 2.0);
}

#[test]
fn cpu_in_f32() {
    check_on(&Device::cpu(), DType::F32, f64::from(f32::EPSILON) / 2.0);
}

#[test]
fn gpu_in_f32() {
    let Some(device) = gpu() else { return };
    check_on(&device, DType::F32, f64::from(f32::EPSILON) / 2.0);
}

#[test]
fn random_numbers_have_the_same_bits_everywhere() {
    let draw = |device: &Device| {
        let g = Graph::new();
        let step = g.input_of("step", [], DType::I32);
        let outputs = [
            g.uniform([1009], step, 7),
            g.uniform([1009], step + 1, 7),
            g.uniform([1009], step, 8),
            g.bernoulli([1009], 0.25, step, 9).cast(DType::F32),
            g.ones([1009], DType::F32).dropout(0.5, step, 10),
            g.normal([1009], step, 11),
        ];
        let given = Given::from([("step".to_owned(), vec![3.0])]);
        numbers(&g, &outputs, &given, device)
    };
    let cpu = draw(&Device::cpu());
    assert!(cpu[0].iter().all(|u| (0.0..1.0).contains(u)));
    assert_ne!(cpu[0], cpu[1]);
    assert_ne!(cpu[0], cpu[2]);
    for device in devices() {
        let found = draw(&device);
        assert_eq!(found[..5], cpu[..5], "{device}");
        for (found, expected) in found[5].iter().zip(&cpu[5]) {
            assert!((found - expected).abs() < 1e-4, "{device}: {found} and {expected}");
        }
    }
}

/// Six standard deviations of the estimates.
#[test]
fn random_numbers_have_their_distributions() {
    let count = 100_003;
    let n = count as f64;
    for device in devices() {
        let g = Graph::new();
        let step = g.literal([], [0]);
        let uniform = g.uniform([count], step, 1);
        let normal = g.normal([count], step, 2);
        let outputs = [
            uniform.mean(..),
            uniform.var(.., 0.0),
            normal.mean(..),
            normal.var(.., 0.0),
            g.ones([count], DType::F32).dropout(0.2, step, 3).mean(..),
            g.ones([count], DType::F32).dropout(0.2, step, 3).greater(0.0).cast(DType::F32).mean(..),
            g.ones([count], DType::F32).dropout(0.0, step, 3).mean(..),
            g.ones([count], DType::F32).dropout(1.0, step, 3).sum(..),
        ];
        let found: Vec<f64> = numbers(&g, &outputs, &Given::new(), &device).into_iter().map(|x| x[0]).collect();
        let within = |number: usize, expected: f64, deviation: f64| {
            let found = found[number];
            assert!((found - expected).abs() < 6.0 * deviation, "{device}, {number}: {found}, not {expected}");
        };
        within(0, 0.5, (1.0 / 12.0 / n).sqrt());
        within(1, 1.0 / 12.0, (1.0 / 180.0 / n).sqrt());
        within(2, 0.0, (1.0 / n).sqrt());
        within(3, 1.0, (2.0 / n).sqrt());
        within(4, 1.0, (0.25 / n).sqrt());
        within(5, 0.8, (0.16 / n).sqrt());
        assert_eq!(found[6..], [1.0, 0.0], "{device}");
    }
}

/// Second derivatives that are known in closed form.
#[test]
fn second_derivatives() {
    let x: Vec<f64> = vec![-1.5, -0.25, 0.0, 0.75, 2.0];
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let functions: [Known<'_>; 5] = [
        ("tanh", |x| x.tanh(), &|x| -2.0 * x.tanh() * (1.0 - x.tanh().powi(2))),
        ("sigmoid", |x| x.sigmoid(), &|x| sigmoid(x) * (1.0 - sigmoid(x)) * (1.0 - 2.0 * sigmoid(x))),
        ("x^3", |x| x.powf(3.0), &|x| 6.0 * x),
        ("e^(x^2)", |x| x.square().exp(), &|x| (2.0 + 4.0 * x * x) * (x * x).exp()),
        ("sin cos", |x| x.sin() * x.cos(), &|x| -4.0 * x.sin() * x.cos()),
    ];
    for device in devices() {
        for (name, function, expected) in &functions {
            let g = Graph::new();
            let input = g.input("x", [5]);
            let [first] = function(input).sum(..).grad([input]).unwrap();
            let [second] = first.sum(..).grad([input]).unwrap();
            let given = Given::from([("x".to_owned(), x.clone())]);
            for (found, x) in numbers(&g, &[second], &given, &device)[0].iter().zip(&x) {
                let expected = expected(*x);
                assert!(
                    (found - expected).abs() < 3e-6 * (1.0 + expected.abs()),
                    "{device}: {name}'' at {x}: {found}, not {expected}"
                );
            }
        }
    }
}

/// `f = v^T A^T A v` has the gradient `2 A^T A v` and the Hessian `2 A^T A`, whose product with `d` is `2 A^T A d`.
#[test]
fn second_derivatives_of_products() {
    for device in devices() {
        let g = Graph::new();
        let (a, v, d) = (g.input("a", [3, 4]), g.input("v", [4]), g.input("d", [4]));
        let [gradient] = a.matmul(v).square().sum(..).grad([v]).unwrap();
        let [product] = (gradient * d).sum(..).grad([v]).unwrap();
        let normal = a.t().matmul(a) * 2.0;
        let mut random = Random(5);
        let mut integers = |count| random.integers(count, -3, 3);
        let given =
            Given::from([("a".to_owned(), integers(12)), ("v".to_owned(), integers(4)), ("d".to_owned(), integers(4))]);
        let found = numbers(&g, &[gradient, normal.matmul(v), product, normal.matmul(d)], &given, &device);
        assert_eq!(found[0], found[1], "{device}");
        assert_eq!(found[2], found[3], "{device}");
    }
}
