//! Operators at the edges of what they accept: values that PyTorch gives there, and errors where there is no value.

use arenagrad::{
    Attention, CrossEntropy, Ctc, DType, Device, Expr, Graph, GraphError, Interpolation, InterpolationMode, PadMode,
    Pooling, Reduction,
};

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::run::numbers;

const INF: f64 = f64::INFINITY;

/// The value of a function of one operand, and the gradient of its sum.
fn with_gradient(
    device: &Device,
    shape: &[usize],
    x: &[f64],
    function: impl for<'g> Fn(Expr<'g>) -> Expr<'g>,
) -> (Vec<f64>, Vec<f64>) {
    let g = Graph::new();
    let operand = g.input("x", shape);
    let y = function(operand);
    let [gradient] = y.sum(..).grad([operand]).expect("a gradient");
    let given = Given::from([("x".to_owned(), x.to_vec())]);
    let mut found = numbers(&g, &[y, gradient], &given, device);
    let gradient = found.pop().expect("two results");
    (found.pop().expect("two results"), gradient)
}

#[test]
fn alignments_of_nothing_and_lengths_that_are_none() {
    for device in devices() {
        let losses = |lengths: [[i32; 2]; 2]| {
            let g = Graph::new();
            let x = g.input("x", [4, 2, 3]);
            let targets = g.literal([2, 2], [1, 2, 1, 1]);
            // Computed, so that nobody knows them before.
            let [inputs, labels] = lengths.map(|lengths| g.literal([2], lengths) * 1);
            let options = Ctc { reduction: Reduction::None, ..Ctc::default() };
            let loss = x.log_softmax(-1).ctc_loss(targets, inputs, labels, options);
            let [gradient] = loss.sum(..).grad([x]).expect("a gradient");
            let given = Given::from([("x".to_owned(), (0..24).map(|i| f64::from(i % 7) / 4.0).collect())]);
            numbers(&g, &[loss, gradient], &given, &device)
        };
        let empty = losses([[0, 0], [0, 1]]);
        assert_eq!(empty[0], [0.0, INF], "{device}");
        assert!(empty[1].iter().all(|x| *x == 0.0), "{device}");
        for lengths in [[[4, 4], [3, 1]], [[9, 4], [2, 1]], [[-1, 4], [2, 1]], [[4, 4], [-1, 1]]] {
            let loss = &losses(lengths)[0];
            assert!(loss[0].is_nan() && loss[1].is_finite(), "{device}: {lengths:?} gives {loss:?}");
        }
    }
}

#[test]
fn an_axis_that_keeps_its_extent_stays_as_it_is() {
    let x = [-0.5, 1.25, 0.25, -0.75, 1.0];
    for device in devices() {
        let by_factor = Interpolation::by_factor(1.1).mode(InterpolationMode::Linear);
        let found = with_gradient(&device, &[1, 1, 5], &x, |x| x.interpolate(by_factor.clone()));
        assert_eq!(found, (x.to_vec(), vec![1.0; 5]), "{device}");
    }
}

#[test]
fn norms_of_windows_of_zeros() {
    for device in devices() {
        let found = with_gradient(&device, &[1, 1, 4], &[0.0; 4], |x| x.lp_pool1d(2.0, 2));
        assert_eq!(found, (vec![0.0; 2], vec![0.0; 4]), "{device}");
        let (value, gradient) = with_gradient(&device, &[1, 1, 4], &[3.0, 4.0, 0.0, 0.0], |x| x.lp_pool1d(2.0, 2));
        assert!((value[0] - 5.0).abs() < 1e-5 && (gradient[0] - 0.6).abs() < 1e-6 && gradient[3] == 0.0, "{device}");
    }
}

#[test]
fn scores_of_no_depth_are_all_the_same() {
    for device in devices() {
        let g = Graph::new();
        let (q, k, v) = (g.input("q", [1, 2, 0]), g.input("k", [1, 2, 0]), g.input("v", [1, 2, 1]));
        let y = q.scaled_dot_product_attention(k, v, None, Attention::default());
        let given = Given::from([("q".to_owned(), vec![]), ("k".to_owned(), vec![]), ("v".to_owned(), vec![1.0, 4.0])]);
        assert_eq!(numbers(&g, &[y], &given, &device), [[2.5, 2.5]], "{device}");
    }
}

/// `w w^T` is the identity whatever the matrix is, so its gradient is 0; and that of the vectors is symmetric.
#[cfg(feature = "linear_algebra")]
#[test]
fn eigenvectors_have_symmetric_gradients() {
    let a = [2.0, 1.0, 0.5, 1.0, 3.0, -0.25, 0.5, -0.25, 1.0];
    let cpu = Device::cpu();
    let (_, gradient) = with_gradient(&cpu, &[3, 3], &a, |a| {
        let (_, w) = a.eigh();
        w.matmul(w.t())
    });
    assert!(gradient.iter().all(|x| x.abs() < 1e-5), "{gradient:?}");
    let (_, gradient) = with_gradient(&cpu, &[3, 3], &a, |a| a.eigh().1.powf(3.0));
    for (row, column) in [(0, 1), (0, 2), (1, 2)] {
        let (upper, lower) = (gradient[row * 3 + column], gradient[column * 3 + row]);
        assert!((upper - lower).abs() < 1e-5 && upper.abs() > 1e-3, "{gradient:?}");
    }
}

#[test]
fn what_is_refused() {
    let g = Graph::new();
    let (cube, row) = (g.input("cube", [1, 1, 4, 4, 4]), g.input("row", [1, 1, 3]));
    let refused = |what: &str, result: Expr<'_>| {
        assert!(result.check().is_err(), "{what} is not refused");
        g.take_error();
    };
    // The elements of such windows cannot be counted; the windows exist.
    let vast = Pooling::new(1 << 30).padding(1 << 29);
    let _ = cube.avg_pool3d(vast.clone());
    g.take_error();
    let _ = cube.max_pool3d(vast);
    g.take_error();
    refused("a size past all tables", row.adaptive_avg_pool1d(2_000_000_001));
    refused("a size past all tables", row.interpolate(Interpolation::to_size(2_000_000_000)));
    refused("a norm with a divisor", row.lp_pool1d(2.0, Pooling::new(2).divisor(1.0)));
    refused("more taken away than there is", row.pad_with([(-4, 5)], PadMode::Constant(0.0)));
    for parts in [row.tensor_split(usize::MAX, 2), row.slice(2, 0, 0).chunk(usize::MAX, 2)] {
        assert!(matches!(parts, Err(GraphError::Argument { .. })), "{parts:?}");
    }
    let truth = g.literal([], [1]).not_equal(0);
    refused("a mask of no axes", row.index_put(&[Some(truth)], row.sum(..), false));
    let (x, other, weight) = (g.input("x", [2, 3]), g.input("other", [2, 4]), g.input("weight", [5, 3, 4]));
    refused("a bias for other outputs", x.bilinear(other, weight, Some(g.input("bias", [1]))));
    let (h, memory) = (g.input("h", [2, 4]), g.input("memory", [2, 1]));
    let (ih, hh) = (g.input("ih", [16, 3]), g.input("hh", [16, 4]));
    refused("a memory of another shape", x.lstm_cell(h, memory, ih, hh, None).0);
    let short = g.input("short", [1]);
    refused("a bias for another number of gates", x.lstm_cell(h, h, ih, hh, Some([short, short])).0);
    refused("a state of another batch", x.lstm_cell(g.input("h1", [1, 4]), g.input("m1", [1, 4]), ih, hh, None).0);
    assert_eq!(g.zeros([2, 0], DType::F32).any(1).shape().expect("a shape").dims(), [2]);
}

#[test]
fn any_and_all_of_nothing_of_nan_and_of_all_kinds() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [3, 2]);
        let none = g.zeros([3, 0], DType::F32);
        let outputs = [x.any(1), x.all(1), none.any(1), none.all(1), x.any(..), x.all(..)];
        let given = Given::from([("x".to_owned(), vec![0.0, 0.0, 0.0, f64::NAN, -1.0, 2.0])]);
        let found = numbers(&g, &outputs, &given, &device);
        assert_eq!(found[..4], [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0; 3], [1.0; 3]], "{device}");
        assert_eq!(found[4..], [[1.0], [0.0]], "{device}");
    }
}

#[test]
fn nearest_elements_on_a_tie_are_those_of_pytorch() {
    let x: Vec<f64> = (0..4).map(f64::from).collect();
    for device in devices() {
        let exact = Interpolation::to_size(41).mode(InterpolationMode::NearestExact);
        let (found, _) = with_gradient(&device, &[1, 1, 4], &x, |x| x.interpolate(exact.clone()));
        assert_eq!((found[19], found[20], found[21]), (1.0, 1.0, 2.0), "{device}");
    }
}

#[test]
fn a_variance_far_below_0_counts_as_the_least() {
    for device in devices() {
        let (found, gradient) = with_gradient(&device, &[3], &[-40.0, -1000.0, 1e-6], |variance| {
            let zeros = variance * 0.0;
            (zeros + 1.0).gaussian_nll_loss(zeros, variance, false, 1e-6, Reduction::None)
        });
        let expected = 0.5 * (1e-6f64.ln() + 1e6);
        for (loss, gradient) in found.iter().zip(&gradient) {
            assert!(
                (loss - expected).abs() < 1.0 && (gradient / -5e11 - 1.0).abs() < 1e-3,
                "{device}: {found:?} {gradient}"
            );
        }
    }
}

/// The numbers are those of PyTorch 2's `F.gaussian_nll_loss` in float64.
#[test]
fn a_variance_may_be_shared_along_any_one_axis() {
    let of_rows = [2.34375, -0.158790170132, 0.0, 0.198979591837, -0.320987654321, -9.28125];
    let all = [
        1.21875,
        0.41965973535,
        0.579881656805,
        -0.295918367347,
        0.253086419753,
        -1.28125,
        -0.022684310019,
        -0.189349112426,
        -0.142857142857,
        0.333333333333,
        0.75,
        -0.930056710775,
    ];
    let cases: [(&[usize], f64, &[f64]); 5] = [
        (&[2, 3, 2], 15.833503280001164, &all),
        (&[2, 3, 1], 18.102697837923486, &of_rows),
        (&[2, 1, 2], 16.297293209334207, &[1.6875, 0.015122873346, -1.633136094675, -0.147959183673]),
        (
            &[1, 3, 2],
            19.589074384082643,
            &[-1.3125, 0.54820415879, -0.970414201183, -0.030612244898, 0.70987654321, -11.3125],
        ),
        (&[2, 3], 18.102697837923486, &of_rows),
    ];
    let x: Vec<f64> = (0..12).map(|n| f64::from(n * 7 % 11) * 0.2 - 1.0).collect();
    let target: Vec<f64> = (0..12).map(|n| f64::from(n * 5 % 7) * 0.3 - 0.9).collect();
    let of_x_by_number = [-0.2, -0.4, -0.8];
    for device in devices() {
        for (shape, loss, gradient) in cases {
            let g = Graph::new();
            let (x_, target_) = (g.input("x", [2, 3, 2]), g.input("target", [2, 3, 2]));
            let variance = g.input("variance", shape);
            let found = x_.gaussian_nll_loss(target_, variance, true, 1e-6, Reduction::Sum);
            let [dv] = found.grad([variance]).unwrap();
            let values = (0..gradient.len()).map(|n| 0.4 + (n * 3 % 5) as f64 * 0.25).collect();
            let values = given([("x", x.clone()), ("target", target.clone()), ("variance", values)]);
            let found = numbers(&g, &[found, dv], &values, &device);
            let expected = std::iter::once(&loss).chain(gradient);
            for (found, expected) in found.iter().flatten().zip(expected) {
                assert!((found - expected).abs() < 2e-5, "{shape:?}, {device}: {found} {expected}");
            }
        }
        // A float in PyTorch's place of the tensor: a number here.
        let g = Graph::new();
        let (x_, target_) = (g.input("x", [2, 3, 2]), g.input("target", [2, 3, 2]));
        let found = x_.gaussian_nll_loss(target_, g.scalar(0.5), true, 1e-6, Reduction::Sum);
        let [dx] = found.grad([x_]).unwrap();
        let found = numbers(&g, &[found, dx], &given([("x", x.clone()), ("target", target.clone())]), &device);
        assert!((found[0][0] - 19.048379315096398).abs() < 2e-5, "{device}: {found:?}");
        assert!(found[1].iter().zip(of_x_by_number).all(|(a, b)| (a - b).abs() < 1e-6), "{device}: {found:?}");
    }
}

#[test]
fn the_weight_of_an_ignored_class_may_be_anything() {
    for device in devices() {
        for weight in [f32::NAN, f32::INFINITY, 7.0] {
            for is_log in [false, true] {
                let g = Graph::new();
                let (x, labels) = (g.input("x", [2, 3]), g.literal([2], [1, 0]));
                let weight = g.literal([3], [0.5, weight, 1.5]);
                let options = CrossEntropy {
                    weight: Some(weight),
                    ignore_index: Some(1),
                    reduction: Reduction::Sum,
                    ..CrossEntropy::default()
                };
                let loss =
                    if is_log { x.nll_loss_with(labels, options) } else { x.cross_entropy_with(labels, options) };
                let [gradient] = loss.grad([x]).expect("a gradient");
                let given = Given::from([("x".to_owned(), vec![0.0; 6])]);
                let found = numbers(&g, &[loss, gradient], &given, &device);
                let third = 0.5 / 3.0;
                let expected = if is_log { [-0.5, 0.0, 0.0] } else { [-2.0 * third, third, third] };
                assert_eq!(found[1][..3], [0.0; 3], "{device}");
                assert!(found[1][3..].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{device}: {found:?}");
                assert!(found[0][0].is_finite(), "{device}: {found:?}");
            }
        }
    }
}

#[test]
fn an_infinite_weight_of_an_interpolation_has_infinite_slopes() {
    for device in devices() {
        for weight in [INF, -INF] {
            let (value, by_start) = with_gradient(&device, &[2], &[1.0, 4.0], |x| x.lerp(2.0, weight));
            assert_eq!((value, by_start), (vec![weight, -weight], vec![-weight; 2]), "{device}");
            let (_, by_end) = with_gradient(&device, &[2], &[1.0, 4.0], |x| x.full_like(2.0).lerp(x, weight));
            assert_eq!(by_end, [weight; 2], "{device}");
        }
    }
}
