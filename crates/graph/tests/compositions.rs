//! Compositions: their gradients against central differences, their values against the formulas written out, and their
//! edge cases.

use crate::differences::{Case, check};
use crate::evaluate::{evaluate, functions::erf, given};
use arenagrad_graph::{CrossEntropy, DType, Expr, Gelu, Graph, Reduction};

use Reduction::{Mean, None as Each, Sum};

/// The elements of a function of one f64 vector.
fn values(x: &[f64], f: impl for<'g> Fn(Expr<'g>) -> Expr<'g>) -> Vec<f64> {
    let g = Graph::new();
    let y = f(g.input_of("x", [x.len()], DType::F64)).check().unwrap();
    evaluate(&g, &[y.id().unwrap()], &given([("x", x.to_vec())])).remove(0)
}

/// The elements of the gradient of the sum of a function of one f64 vector.
fn slopes(x: &[f64], f: impl for<'g> Fn(Expr<'g>) -> Expr<'g>) -> Vec<f64> {
    values(x, |x| f(x).sum(..).grad([x]).unwrap()[0])
}

/// Asserts that elements agree to 1e-12, NaN with NaN.
#[track_caller]
fn assert_close(actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        let close = a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= 1e-12 * e.abs().max(1.0);
        assert!(close, "{actual:?}, not {expected:?}");
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    type Unary = for<'g> fn(Expr<'g>) -> Expr<'g>;
    let elementwise: &[(&str, Unary, f64, f64)] = &[
        ("square", |x| x.square(), -2.0, 2.0),
        ("reciprocal", |x| x.reciprocal(), 0.5, 2.0),
        ("rsqrt", |x| x.rsqrt(), 0.5, 2.0),
        ("tan", |x| x.tan(), -1.2, 1.2),
        ("leaky_relu", |x| x.leaky_relu(0.1) * x, -2.0, 2.0),
        ("elu", |x| x.elu(0.7), -2.0, 2.0),
        ("silu", |x| x.silu(), -2.0, 2.0),
        ("gelu", |x| x.gelu(Gelu::Erf), -2.0, 2.0),
        ("gelu tanh", |x| x.gelu(Gelu::Tanh), -2.0, 2.0),
        ("softplus", |x| x.softplus(1.5, 20.0), -2.0, 2.0),
        ("softplus linear", |x| x.softplus(2.0, 1.0) * x, -2.0, 2.0),
        ("log_sigmoid", |x| x.log_sigmoid(), -2.0, 2.0),
        ("clamp", |x| x.clamp(Some(-1.0), Some(0.5)) * x, -2.0, 2.0),
    ];
    for (name, f, low, high) in elementwise.iter().copied() {
        for shape in [vec![], vec![7], vec![2, 0], vec![1, 3]] {
            check(name, &Case::new(&[(shape, low, high)], move |_, x| f(x[0])));
        }
    }
    let along: &[(&str, Unary)] = &[
        ("softmax", |x| x.softmax(1)),
        ("softmax first", |x| x.softmax(-3)),
        ("log_softmax", |x| x.log_softmax(1)),
        ("logsumexp", |x| x.logsumexp([0, 2])),
        ("logsumexp all", |x| x.logsumexp(..)),
        ("norm 1", |x| x.norm(1.0, 1) * x.norm(2.0, ..)),
        ("norm 2", |x| x.norm(2.0, [1, 2])),
        ("norm 3", |x| x.norm(3.0, 0)),
        ("norm inf", |x| x.norm(f64::INFINITY, 1).square()),
        ("norm 0.5", |x| x.norm(0.5, -1)),
        ("norm 0", |x| x.norm(0.0, 1) + x.square().sum(1)),
        ("layer_norm", |x| x.layer_norm([1, 2], None, None, 1e-5)),
        ("rms_norm", |x| x.rms_norm(-1, None, 1e-5)),
        ("batch_norm", |x| x.batch_norm(x.batch_statistics(), None, None, 1e-5)),
        ("tril", |x| x.tril(0).square()),
        ("triu", |x| x.triu(1).square()),
    ];
    for (name, f) in along.iter().copied() {
        for shape in [vec![2, 3, 2], vec![3, 2, 1], vec![2, 4, 3]] {
            check(name, &Case::new(&[(shape, -2.0, 2.0)], move |_, x| f(x[0])));
        }
    }
    type Binary = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;
    let losses: &[(&str, Binary)] = &[
        ("mse_loss", |x, t| x.mse_loss(t, Mean)),
        ("l1_loss", |x, t| x.l1_loss(t, Sum).square()),
        ("huber_loss", |x, t| x.huber_loss(t, 0.3, Each)),
        ("smooth_l1_loss", |x, t| x.smooth_l1_loss(t, 0.3, Mean)),
        ("smooth_l1_loss of 0", |x, t| x.smooth_l1_loss(t, 0.0, Mean)),
        ("binary_cross_entropy", |x, t| x.binary_cross_entropy(t, Each)),
        ("binary_cross_entropy_with_logits", |x, t| (x * 4.0 - 2.0).binary_cross_entropy_with_logits(t, Mean)),
        ("kl_div", |x, t| x.log().kl_div(t, false, Sum)),
        ("kl_div of logarithms", |x, t| x.log().kl_div(t.log(), true, Mean)),
        ("cross_entropy of probabilities", |x, t| x.cross_entropy(t)),
        ("clamp_between", |x, t| x.clamp_between(t, t + 0.2).square()),
    ];
    for (name, f) in losses.iter().copied() {
        for shape in [vec![2, 3], vec![4], vec![1, 1, 2]] {
            let inputs = [(shape.clone(), 0.03, 0.97), (shape, 0.05, 0.9)];
            check(name, &Case::new(&inputs, move |_, x| f(x[0], x[1])));
        }
    }
    let shapes = |shapes: &[&[usize]]| shapes.iter().map(|shape| (shape.to_vec(), -2.0, 2.0)).collect::<Vec<_>>();
    check("linear", &Case::new(&shapes(&[&[2, 3], &[3, 2], &[2]]), |_, x| x[0].linear(x[1], Some(x[2])).square()));
    check(
        "layer_norm affine",
        &Case::new(&shapes(&[&[2, 3, 2], &[3, 2], &[3, 2]]), |_, x| {
            x[0].layer_norm([1, 2], Some(x[1]), Some(x[2]), 1e-5)
        }),
    );
    check("rms_norm affine", &Case::new(&shapes(&[&[2, 3], &[3]]), |_, x| x[0].rms_norm(1, Some(x[1]), 1e-5)));
    check(
        "group_norm",
        &Case::new(&shapes(&[&[2, 4, 3], &[4], &[4]]), |_, x| x[0].group_norm(2, Some(x[1]), Some(x[2]), 1e-5)),
    );
    check(
        "batch_norm affine",
        &Case::new(&shapes(&[&[4, 2, 2], &[2], &[2]]), |_, x| {
            x[0].batch_norm(x[0].batch_statistics(), Some(x[1]), Some(x[2]), 1e-5)
        }),
    );
    check(
        "batch_norm given",
        &Case::new(&shapes(&[&[4, 2], &[2], &[2]]), |_, x| x[0].batch_norm((x[1], x[2].square()), None, None, 0.5)),
    );
    check(
        "weighted logits",
        &Case::new(&shapes(&[&[2, 3], &[2, 3], &[3]]), |_, x| {
            let weights = (Some(x[2].exp()), Some(x[2].square()));
            x[0].binary_cross_entropy_with_logits_weighted(x[1], weights.0, weights.1, Mean)
        }),
    );
    check("dropout", &Case::new(&shapes(&[&[20]]), |g, x| x[0].square().dropout(0.4, g.full([], 3.0, DType::I32), 7)));
    for reduction in [Each, Mean, Sum] {
        for (ignore_index, label_smoothing) in [(None, 0.0), (Some(1), 0.0), (None, 0.2), (Some(-100), 0.3)] {
            for weighted in [false, true] {
                check(
                    "cross_entropy",
                    &Case::new(&shapes(&[&[2, 3, 2], &[3]]), move |g, x| {
                        let weight = weighted.then_some(x[1].square());
                        let class_axis = None;
                        let options = CrossEntropy { class_axis, weight, ignore_index, label_smoothing, reduction };
                        let ignored = ignore_index.unwrap_or(2);
                        x[0].cross_entropy_with(g.literal([2, 2], [0, 1, ignored, 2]), options)
                    }),
                );
            }
        }
    }
    check("nll_loss", &Case::new(&shapes(&[&[3, 2]]), |g, x| x[0].nll_loss(g.literal([3], [0, 1, 1])).square()));
    check(
        "class axis last",
        &Case::new(&shapes(&[&[2, 2, 3]]), |g, x| {
            let options = CrossEntropy { class_axis: Some(-1), ..CrossEntropy::default() };
            x[0].cross_entropy_with(g.literal([2, 2], [0, 1, 2, 2]), options)
        }),
    );
}

#[test]
fn activations_are_their_formulas() {
    let x = [-30.0, -2.5, -0.5, 0.0, 0.3, 1.0, 4.0, 25.0];
    let map = |f: fn(f64) -> f64| x.map(f);
    assert_close(&values(&x, |x| x.square()), &map(|x| x * x));
    assert_close(&values(&x, |x| x.tan()), &map(f64::tan));
    assert_close(&values(&x, |x| x.leaky_relu(0.01)), &map(|x| if x > 0.0 { x } else { 0.01 * x }));
    assert_close(&values(&x, |x| x.elu(1.5)), &map(|x| if x > 0.0 { x } else { 1.5 * x.exp_m1() }));
    assert_close(&values(&x, |x| x.silu()), &map(|x| x / (1.0 + (-x).exp())));
    assert_close(&values(&x, |x| x.gelu(Gelu::Erf)), &map(|x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()))));
    let tanh = |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    assert_close(&values(&x, |x| x.gelu(Gelu::Tanh)), &map(tanh));
    assert_close(&values(&x, |x| x.softplus(1.0, 20.0)), &map(|x| if x > 20.0 { x } else { x.exp().ln_1p() }));
    assert_close(
        &values(&x, |x| x.softplus(3.0, 20.0)),
        &map(|x| if x > 7.0 { x } else { (3.0 * x).exp().ln_1p() / 3.0 }),
    );
    assert_close(&values(&x, |x| x.log_sigmoid()), &map(|x| -(-x).exp().ln_1p()));
    assert_close(&values(&x, |x| x.clamp(Some(-1.0), None)), &map(|x| x.max(-1.0)));
    assert_close(&values(&x, |x| x.clamp(None, Some(0.5))), &map(|x| x.min(0.5)));
    assert_close(&values(&x, |x| x.clamp(Some(2.0), Some(-1.0))), &[-1.0; 8]);
    assert_close(&values(&x, |x| x.clamp_between(-x, 2.0)), &map(|x| x.max(-x).min(2.0)));
    assert_close(&values(&[f64::NAN], |x| x.clamp(Some(0.0), Some(1.0))), &[f64::NAN]);
}

#[test]
fn large_elements_overflow_neither_values_nor_gradients() {
    let x = [-1e4, -800.0, 800.0, 1e4];
    assert_close(&values(&x, |x| x.softplus(1.0, 20.0)), &[0.0, 0.0, 800.0, 1e4]);
    assert_close(&slopes(&x, |x| x.softplus(1.0, 1e9)), &[0.0, 0.0, 1.0, 1.0]);
    assert_close(&slopes(&x, |x| x.elu(1.0)), &[0.0, 0.0, 1.0, 1.0]);
    assert_close(&slopes(&x, |x| x.log_sigmoid()), &[1.0, 1.0, 0.0, 0.0]);
    assert_close(&slopes(&x, |x| x.gelu(Gelu::Erf)), &[0.0, 0.0, 1.0, 1.0]);
    assert_close(&values(&x, |x| x.softmax(0)), &[0.0, 0.0, 0.0, 1.0]);
    assert_close(&values(&x, |x| x.log_softmax(0)), &[-2e4, -10800.0, -9200.0, 0.0]);
    assert_close(&values(&x, |x| x.logsumexp(..)), &[1e4]);
    assert_close(&slopes(&x, |x| x.logsumexp(0)), &[0.0, 0.0, 0.0, 1.0]);
    assert_close(
        &slopes(&x, |x| x.binary_cross_entropy_with_logits(x.stop_gradient() * 0.0 + 1.0, Sum)),
        &[-1.0, -1.0, 0.0, 0.0],
    );
    let g = Graph::new();
    let logits = g.input_of("x", [4], DType::F64);
    let loss = logits.unsqueeze(0).cross_entropy(g.literal([1], [0]));
    let ids = [loss.id().unwrap(), loss.grad([logits]).unwrap()[0].id().unwrap()];
    let found = evaluate(&g, &ids, &given([("x", x.to_vec())]));
    assert_close(&found[0], &[2e4]);
    assert_close(&found[1], &[-1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn infinities_and_empty_axes_of_softmax() {
    let inf = f64::INFINITY;
    assert_close(&values(&[-inf, -inf], |x| x.logsumexp(..)), &[-inf]);
    assert_close(&values(&[inf, 1.0], |x| x.logsumexp(..)), &[inf]);
    assert_close(&values(&[f64::NAN, 1.0], |x| x.logsumexp(..)), &[f64::NAN]);
    assert_close(&values(&[-inf, 0.0], |x| x.softmax(0)), &[0.0, 1.0]);
    assert_close(&values(&[-inf, -inf], |x| x.softmax(0)), &[f64::NAN; 2]);
    assert_close(&values(&[], |x| x.logsumexp(0)), &[-inf]);
    assert_close(&values(&[], |x| x.softmax(0)), &[]);
    assert_close(&values(&[], |x| x.log_softmax(-1)), &[]);
    assert_close(&values(&[], |x| x.mse_loss(x, Mean)), &[f64::NAN]);
    assert_close(&values(&[], |x| x.mse_loss(x, Sum)), &[0.0]);
}

#[test]
fn gradients_where_a_naive_formula_has_none() {
    assert_close(&slopes(&[0.0, 0.0], |x| x.norm(2.0, ..)), &[0.0, 0.0]);
    assert_close(&slopes(&[0.0, 4.0], |x| x.norm(0.5, ..)), &[0.0, 1.0]);
    assert_close(&slopes(&[0.0, -2.0], |x| x.norm(3.0, ..)), &[0.0, -1.0]);
    assert_close(&slopes(&[0.0], |x| x.binary_cross_entropy_with_logits(x.stop_gradient() + 1.0, Sum)), &[-0.5]);
    // 0 and 1 as probabilities that are right: the logarithm that is cut off gives nothing, the other its own.
    assert_close(&values(&[0.0, 1.0], |x| x.binary_cross_entropy(1.0 - x, Each)), &[100.0, 100.0]);
    assert_close(&slopes(&[0.0, 1.0], |x| x.binary_cross_entropy(x.stop_gradient(), Sum)), &[1.0, -1.0]);
    fn kl(x: Expr<'_>) -> Expr<'_> {
        x.graph().full([2], -1.0, DType::F64).kl_div(x, false, Each)
    }
    assert_close(&values(&[0.0, 1.0], kl), &[0.0, 1.0]);
    assert_close(&slopes(&[0.0, 1.0], kl), &[1.0, 2.0]);
}

/// Cross-entropy as PyTorch documents it, one sample and class at a time.
fn cross_entropy(logits: &[[f64; 3]], labels: &[i32], weight: [f64; 3], ignored: i32, smoothing: f64) -> [f64; 2] {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (row, &label) in logits.iter().zip(labels).filter(|(_, label)| **label != ignored) {
        let normaliser = row.iter().map(|x| x.exp()).sum::<f64>().ln();
        let label = label as usize;
        sum -= (1.0 - smoothing) * weight[label] * (row[label] - normaliser);
        sum -= (0..3).map(|class| smoothing / 3.0 * weight[class] * (row[class] - normaliser)).sum::<f64>();
        weights += weight[label];
    }
    [sum, sum / weights]
}

#[test]
fn cross_entropy_is_the_documented_sum() {
    let logits = [[0.1, -2.0, 3.0], [1.0, 1.5, -0.5], [0.0, 0.2, 0.4], [2.0, -1.0, 0.5]];
    let elements = given([("x", logits.concat())]);
    for (labels, ignored) in [([0, 2, 1, 1], -100), ([0, -100, 1, 2], -100), ([2, 2, 0, 1], 2)] {
        for weight in [[1.0, 1.0, 1.0], [0.5, 2.0, 1.5]] {
            for label_smoothing in [0.0, 0.3] {
                let g = Graph::new();
                let x = g.input_of("x", [4, 3], DType::F64);
                let options = |reduction| CrossEntropy {
                    weight: (weight != [1.0; 3]).then(|| g.literal([3], weight)),
                    ignore_index: Some(ignored),
                    label_smoothing,
                    reduction,
                    ..CrossEntropy::default()
                };
                let labelled = g.literal([4], labels);
                let results = [Sum, Mean].map(|reduction| x.cross_entropy_with(labelled, options(reduction)));
                let results = results.map(|loss| evaluate(&g, &[loss.check().unwrap().id().unwrap()], &elements)[0][0]);
                assert_close(&results, &cross_entropy(&logits, &labels, weight, ignored, label_smoothing));
            }
        }
    }
    // One-hot probabilities say the same as indices; the mean is over the samples.
    let g = Graph::new();
    let x = g.input_of("x", [4, 3], DType::F64);
    let labels = g.literal([4], [0, 2, 1, 1]);
    let losses = [
        x.cross_entropy(labels),
        x.cross_entropy(labels.one_hot(3).cast(DType::F64)),
        x.log_softmax(1).nll_loss(labels),
    ];
    let found = evaluate(&g, &losses.map(|loss| loss.id().unwrap()), &elements).concat();
    assert_close(&found, &[cross_entropy(&logits, &[0, 2, 1, 1], [1.0; 3], -100, 0.0)[1]; 3]);
}

#[test]
fn labels_of_an_input_are_bounded_and_computed_ones_give_nan() {
    let g = Graph::new();
    let (x, labels) = (g.input_of("x", [2, 3], DType::F64), g.input_of("labels", [2], DType::I32));
    let options = CrossEntropy { ignore_index: Some(-1), ..CrossEntropy::default() };
    let _ = x.cross_entropy_with(labels, options);
    let bounds = g.index_bounds().to_vec();
    assert_eq!((bounds.len(), bounds[0].bound, bounds[0].except), (1, 3, Some(-1)));
    assert_eq!(bounds[0].node, labels.id().unwrap());

    let computed = labels + 0;
    let mean = x.cross_entropy_with(computed, CrossEntropy { reduction: Each, ..options });
    let gradient = mean.sum(..).grad([x]).unwrap()[0];
    let ids = [mean, gradient, computed.one_hot(3)].map(|expr| expr.check().unwrap().id().unwrap());
    let at = |labels: [f64; 2]| evaluate(&g, &ids, &given([("x", vec![0.0; 6]), ("labels", labels.to_vec())]));
    let inside = at([-1.0, 2.0]);
    assert_close(&inside[0], &[0.0, 3f64.ln()]);
    let outside = at([3.0, 2.0]);
    assert_close(&outside[0], &[f64::NAN, 3f64.ln()]);
    assert!(outside[1][..3].iter().all(|x| x.is_nan()), "{outside:?}");
    assert!(outside[1][3..].iter().all(|x| x.is_finite()), "{outside:?}");
    assert_close(&outside[2], &[f64::NAN, f64::NAN, f64::NAN, 0.0, 0.0, 1.0]);
}

#[test]
fn one_hot_accuracy_and_triangles() {
    let g = Graph::new();
    let hot = g.literal([2, 2], [0, 2, 1, 1]).one_hot(3);
    let right = g.literal([3, 2], [0.1f32, 0.9, 2.0, -1.0, 0.5, 0.7]).accuracy(g.literal([3], [1, 0, 0]));
    let square = g.iota([3, 3], 0) * 3 + g.iota([3, 3], 1) + 1;
    let triangles =
        [square.tril(0), square.tril(-1), square.triu(1), square.triu(-isize::MAX), square.tril(isize::MIN)];
    let mut outputs = vec![hot, right];
    outputs.extend(triangles);
    let ids: Vec<_> = outputs.iter().map(|expr| expr.check().unwrap().id().unwrap()).collect();
    let found = evaluate(&g, &ids, &given([]));
    assert_eq!(hot.shape().unwrap().dims(), [2, 2, 3]);
    assert_eq!(found[0], [1., 0., 0., 0., 0., 1., 0., 1., 0., 0., 1., 0.]);
    assert_close(&found[1], &[2.0 / 3.0]);
    assert_eq!(found[2], [1., 0., 0., 4., 5., 0., 7., 8., 9.]);
    assert_eq!(found[3], [0., 0., 0., 4., 0., 0., 7., 8., 0.]);
    assert_eq!(found[4], [0., 2., 3., 0., 0., 6., 0., 0., 0.]);
    assert_eq!(found[5], [1., 2., 3., 4., 5., 6., 7., 8., 9.]);
    assert_eq!(found[6], [0.; 9]);
}

#[test]
fn norms_bring_mean_and_variance_to_zero_and_one() {
    let x: Vec<f64> = (0..24).map(|i| f64::from(i * i % 17) + 1e3).collect();
    let moments = |elements: &[f64]| {
        let mean = elements.iter().sum::<f64>() / elements.len() as f64;
        (mean, elements.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / elements.len() as f64)
    };
    let standard = |elements: &[f64]| {
        let (mean, variance) = moments(elements);
        assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "{mean} {variance}");
    };
    values(&x, |x| x.reshape([4, 6]).layer_norm(1, None, None, 0.0)).chunks(6).for_each(standard);
    values(&x, |x| x.reshape([2, 6, 2]).group_norm(3, None, None, 0.0)).chunks(4).for_each(standard);
    fn batch(x: Expr<'_>) -> Expr<'_> {
        let x = x.reshape([6, 4]);
        x.batch_norm(x.batch_statistics(), None, None, 0.0).t().flatten()
    }
    values(&x, batch).chunks(6).for_each(standard);
    let rms = values(&x, |x| x.rms_norm(0, None, 0.0));
    assert_close(&[rms.iter().map(|x| x * x).sum::<f64>()], &[24.0]);
}

#[test]
fn random_draws_have_their_moments_and_their_seeds() {
    let g = Graph::new();
    let step = g.input_of("step", [], DType::I32);
    let count = 40_000;
    let ones = g.ones([count], DType::F32);
    let draws = [
        g.normal([count], step, 1),
        g.normal([count], step, 2),
        ones.dropout(0.3, step, 1),
        ones.dropout(1.0, step, 1),
    ];
    let mask = g.bernoulli([count], 0.25, step, 9).cast(DType::F32);
    let ids: Vec<_> = draws.iter().chain([&mask]).map(|expr| expr.check().unwrap().id().unwrap()).collect();
    let at = |step: f64| evaluate(&g, &ids, &given([("step", vec![step])]));
    let (first, second) = (at(0.0), at(1.0));
    let mean = |x: &[f64]| x.iter().sum::<f64>() / count as f64;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / count as f64;
    // Five deviations of an estimate from 40,000 draws are 0.025.
    for normal in [&first[0], &first[1], &second[0]] {
        assert!(mean(normal).abs() < 0.025 && (product(normal, normal) - 1.0).abs() < 0.04);
        assert!(normal.iter().all(|x| x.abs() < 5.78));
    }
    // Other seeds, other steps and the neighbouring element are independent.
    assert!(product(&first[0], &first[1]).abs() < 0.025);
    assert!(product(&first[0], &second[0]).abs() < 0.025);
    assert!(product(&first[0][1..], &first[0]).abs() < 0.025);
    assert!((mean(&first[2]) - 1.0).abs() < 0.02);
    assert!(first[2].iter().all(|&x| x == 0.0 || (x - 1.0 / 0.7).abs() < 1e-6));
    assert!(first[3].iter().all(|&x| x == 0.0));
    assert!((mean(&first[4]) - 0.25).abs() < 0.015);
    assert_eq!(ones.dropout(0.0, step, 1).id().unwrap(), ones.id().unwrap());
}
