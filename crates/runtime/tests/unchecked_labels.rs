//! Labels that are computed cannot be checked. One that is no class makes the loss of its sample, its gradient, its tangent and the
//! derivatives of these NaN, and those of other samples stay what they are.

use arenagrad::{CrossEntropy, Ctc, DType, Device, Expr, Graph, Reduction};

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::run::numbers;

/// The losses of samples `[n]` of `[n, 3]` with labels of some shape and weights `[3]`.
type Loss = for<'g> fn(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;

fn options<'g>() -> CrossEntropy<'g> {
    CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() }
}

const LOSSES: [(&str, Loss); 10] = [
    ("cross_entropy", |x, labels, _| x.cross_entropy_with(labels, options())),
    ("weighted", |x, labels, w| x.cross_entropy_with(labels, CrossEntropy { weight: Some(w), ..options() })),
    ("ignoring", |x, labels, _| x.cross_entropy_with(labels, CrossEntropy { ignore_index: Some(-1), ..options() })),
    ("smoothed", |x, labels, w| {
        x.cross_entropy_with(labels, CrossEntropy { label_smoothing: 0.2, weight: Some(w), ..options() })
    }),
    ("spread", |x, labels, _| x.cross_entropy_with(labels, CrossEntropy { label_smoothing: 1.0, ..options() })),
    ("nll", |x, labels, _| x.nll_loss_with(labels, options())),
    ("weighted nll", |x, labels, w| x.nll_loss_with(labels, CrossEntropy { weight: Some(w), ..options() })),
    ("margin", |x, labels, _| x.multi_margin_loss(labels, 1, 1.0, None, Reduction::None)),
    ("squared margin", |x, labels, w| x.multi_margin_loss(labels, 2, 1.0, Some(w), Reduction::None)),
    ("several", |x, labels, _| {
        // The label, then one that ends the list.
        let ended = labels.unsqueeze(-1).pad([(0, 0), (0, 2)], -1.0);
        x.multilabel_margin_loss(ended, Reduction::None)
    }),
];

/// Everything that is NaN for the first sample, and what is of the weights.
fn results<'g>(g: &'g Graph, loss: Loss, dtype: DType) -> Vec<Expr<'g>> {
    let (x, w, labels) =
        (g.input_of("x", [2, 3], dtype), g.input_of("w", [3], dtype), g.input_of("labels", [2], DType::I32));
    let loss = loss(x, labels + 0, w);
    let ones = g.ones([2, 3], dtype);
    let [gradient] = loss.sum(..).grad([x]).unwrap();
    let [curved] = (loss * loss).sum(..).grad([x]).unwrap();
    let [second] = curved.sum(..).grad([x]).unwrap();
    let tangent = loss.jvp([x], [ones]).unwrap();
    vec![loss, gradient, curved, second, tangent, curved.jvp([x], [ones]).unwrap(), loss.jacobian(x).unwrap()]
}

fn of(loss: Loss, labels: [f64; 2], device: &Device) -> Vec<Vec<f64>> {
    let g = Graph::new();
    let given: Given =
        given([("x", vec![0.3, -0.6, 0.1, -0.2, 0.4, 0.8]), ("w", vec![0.5, 0.0, 2.0]), ("labels", labels.to_vec())]);
    let results = results(&g, loss, DType::F32);
    numbers(&g, &results, &given, device)
}

#[test]
fn a_label_that_is_no_class_is_nan_in_every_derivative() {
    for device in devices() {
        for (name, loss) in LOSSES {
            let right = of(loss, [0.0, 2.0], &device);
            assert!(right.iter().flatten().all(|x| x.is_finite()), "{device} {name}: {right:?}");
            for label in [3.0, 7.0, -2.0] {
                if name == "several" && label < 0.0 {
                    continue;
                }
                let found = of(loss, [label, 2.0], &device);
                for (found, right) in found[..6].iter().zip(&right) {
                    let (first, second) = found.split_at(found.len() / 2);
                    assert!(first.iter().all(|x| x.is_nan()), "{device} {name} {label}: {found:?}");
                    assert_eq!(second, &right[right.len() / 2..], "{device} {name} {label}");
                }
                // Of a Jacobian the first row of the first sample's loss.
                assert!(found[6][..3].iter().all(|x| x.is_nan()), "{device} {name} {label}: {found:?}");
            }
        }
    }
}

#[test]
fn a_class_that_counts_for_nothing_hides_no_wrong_label() {
    for device in devices() {
        let g = Graph::new();
        let (x, w) = (g.input("x", [2, 3]), g.input("w", [3]));
        let labels = g.input_of("labels", [2], DType::I32) + 0;
        for normalised in [true, false] {
            let options = CrossEntropy { weight: Some(w), ..CrossEntropy::default() };
            let loss =
                if normalised { x.cross_entropy_with(labels, options) } else { x.nll_loss_with(labels, options) };
            let [dx, dw] = loss.grad([x, w]).unwrap();
            let given = given([("x", vec![0.1; 6]), ("w", vec![0.0, 0.0, 1.0]), ("labels", vec![5.0, 2.0])]);
            let found = numbers(&g, &[loss, dx, dw], &given, &device);
            assert!(found[0][0].is_nan(), "{device}");
            assert!(found[1][..3].iter().chain(&found[2]).all(|x| x.is_nan()), "{device}: {found:?}");
        }
    }
}

#[test]
fn sequences_with_wrong_labels_or_lengths_are_nan_in_every_derivative() {
    for device in devices() {
        let of = |targets: [f64; 4], steps: [f64; 2], lengths: [f64; 2]| {
            let g = Graph::new();
            let x = g.input("x", [4, 2, 3]);
            let of = |name: &str, shape: &[usize]| g.input_of(name, shape.to_vec(), DType::I32);
            // Lengths that are computed, for those that are an input are held to their bounds.
            let (targets_of, steps_of, lengths_of) =
                (of("targets", &[2, 2]), of("steps", &[2]) + 0, of("lengths", &[2]) + 0);
            let options = Ctc { reduction: Reduction::None, ..Ctc::default() };
            let loss = x.log_softmax(-1).ctc_loss(targets_of, steps_of, lengths_of, options);
            let [gradient] = loss.sum(..).grad([x]).unwrap();
            let [second] = (gradient * gradient).sum(..).grad([x]).unwrap();
            let ones = g.ones([4, 2, 3], DType::F32);
            let values = (0..24).map(|n| f64::from(n % 7) * 0.1).collect();
            let given = given([
                ("x", values),
                ("targets", targets.to_vec()),
                ("steps", steps.to_vec()),
                ("lengths", lengths.to_vec()),
            ]);
            // Samples in front.
            let results =
                [loss, gradient.permute([1, 0, 2]), second.permute([1, 0, 2]), loss.jvp([x], [ones]).unwrap()];
            numbers(&g, &results, &given, &device)
        };
        let right = of([1.0, 2.0, 2.0, 1.0], [4.0, 4.0], [2.0, 1.0]);
        assert!(right.iter().flatten().all(|x| x.is_finite()), "{right:?}");
        let wrong = [
            of([1.0, 3.0, 2.0, 1.0], [4.0, 4.0], [2.0, 1.0]),
            of([-1.0, 2.0, 2.0, 1.0], [4.0, 4.0], [2.0, 1.0]),
            of([1.0, 2.0, 2.0, 1.0], [5.0, 4.0], [2.0, 1.0]),
            of([1.0, 2.0, 2.0, 1.0], [4.0, 4.0], [3.0, 1.0]),
            of([1.0, 2.0, 2.0, 1.0], [-1.0, 4.0], [2.0, 1.0]),
        ];
        for found in wrong {
            for (found, right) in found.iter().zip(&right) {
                let (first, second) = found.split_at(found.len() / 2);
                assert!(first.iter().all(|x| x.is_nan()), "{device}: {found:?}");
                assert_eq!(second, &right[right.len() / 2..], "{device}");
            }
        }
        // What stands behind the end of a target does not count.
        let behind = of([1.0, 2.0, 2.0, 9.0], [4.0, 4.0], [2.0, 1.0]);
        assert_eq!(behind, right, "{device}");
    }
}
