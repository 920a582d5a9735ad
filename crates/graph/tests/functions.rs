//! Functions, activations and losses at their edges, against values that are known, and the alignment loss against the sum over all
//! alignments.

use arenagrad_graph::{Ctc, DType, Expr, Graph, Reduction};

use crate::evaluate::{Given, evaluate};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// The values of a function of several operands, its gradients, and the second derivative by the first operand alone.
fn derived(
    operands: &[&[f64]],
    function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
) -> (Vec<f64>, Vec<Vec<f64>>, Vec<f64>) {
    let g = Graph::new();
    let mut given = Given::new();
    let exprs: Vec<Expr<'_>> = operands
        .iter()
        .enumerate()
        .map(|(i, values)| {
            given.insert(format!("x{i}"), values.to_vec());
            g.input_of(format!("x{i}"), [values.len()], DType::F64)
        })
        .collect();
    let y = function(&exprs);
    let ones = g.ones([operands[0].len()], DType::F64);
    let first = g.gradients(&[y], &[ones], &exprs).unwrap();
    let second = g.gradients(&[first[0]], &[ones], &exprs[..1]).unwrap();
    let ids: Vec<_> = [y].iter().chain(&first).chain(&second).map(|x| x.id().unwrap()).collect();
    let mut values = evaluate(&g, &ids, &given);
    let second = values.pop().unwrap();
    let y = values.remove(0);
    (y, values, second)
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let same = found == expected || found.is_nan() && expected.is_nan();
        assert!(same || (found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found:e}, not {expected:e}");
    }
}

#[test]
fn sums_of_powers_at_infinities_and_ties() {
    let (a, b) = ([-INF, INF, INF, -INF, 2.0, 1000.0, NAN], [-INF, INF, -INF, 3.0, 2.0, 0.0, 1.0]);
    let (y, gradients, second) = derived(&[&a, &b], |x| x[0].logaddexp(x[1]));
    assert_near(&y, &[-INF, INF, INF, 3.0, 2.0 + 2f64.ln(), 1000.0, NAN], 1e-15);
    assert_near(&gradients[0], &[0.5, 0.5, 1.0, 0.0, 0.5, 1.0, NAN], 1e-15);
    assert_near(&gradients[1], &[0.5, 0.5, 0.0, 1.0, 0.5, 0.0, NAN], 1e-15);
    // At a tie a quarter, where a formula of the larger and the smaller would give 0.
    assert_near(&second[4..6], &[0.25, 0.0], 1e-15);
    let (y, gradients, second) = derived(&[&a, &b], |x| x[0].logaddexp2(x[1]));
    assert_near(&y, &[-INF, INF, INF, 3.0, 3.0, 1000.0, NAN], 1e-15);
    assert_near(&gradients[0], &[0.5, 0.5, 1.0, 0.0, 0.5, 1.0, NAN], 1e-15);
    assert_near(&second[4..5], &[0.25 * 2f64.ln()], 1e-15);
}

#[test]
fn products_with_logarithms_at_zero() {
    let (x, y) = ([0.0, 0.0, 0.0, 0.0, 2.0, NAN], [NAN, 0.0, -1.0, INF, 0.0, 1.0]);
    let (value, gradients, _) = derived(&[&x, &y], |x| x[0].xlogy(x[1]));
    assert_near(&value, &[NAN, 0.0, 0.0, 0.0, -INF, NAN], 0.0);
    assert_near(&gradients[0][1..4], &[0.0; 3], 0.0);
    assert_near(&gradients[1][1..4], &[0.0; 3], 0.0);
    let (_, gradients, _) = derived(&[&[0.0], &[2.0]], |x| x[0].xlogy(x[1]));
    assert_near(&gradients[0], &[2f64.ln()], 1e-15);
}

#[test]
fn the_sinc_function_is_smooth_at_zero() {
    let (y, gradients, second) = derived(&[&[0.0, -0.0, 0.5, -0.4999, 1.0, INF]], |x| x[0].sinc());
    let pi = std::f64::consts::PI;
    let near = (0.4999 * pi).sin() / (0.4999 * pi);
    assert_near(&y, &[1.0, 1.0, 2.0 / pi, near, 0.0, NAN], 1e-15);
    assert_near(&gradients[0][..3], &[0.0, 0.0, -4.0 / pi], 1e-14);
    assert_near(&second[..2], &[-pi * pi / 3.0; 2], 1e-14);
    // sinc'' = -pi^2 sinc - 2 sinc' / x at both sides of where the formula changes.
    for place in [2, 3] {
        let x = [0.5, -0.4999][place - 2];
        assert_near(&[second[place]], &[-pi * pi * y[place] - 2.0 * gradients[0][place] / x], 1e-13);
    }
}

#[test]
fn what_numbers_are() {
    let x = [0.0, 1.0, INF, -INF, NAN, -1e308];
    let of = |f: for<'g> fn(Expr<'g>) -> Expr<'g>| {
        let g = Graph::new();
        let y = f(g.input_of("x", [x.len()], DType::F64));
        evaluate(&g, &[y.id().unwrap()], &Given::from([("x".to_owned(), x.to_vec())])).remove(0)
    };
    assert_eq!(of(|x| x.isnan()), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(of(|x| x.isinf()), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(of(|x| x.isfinite()), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(of(|x| x.cast(DType::I32).isfinite()), [1.0; 6]);
    assert_eq!(of(|x| x.cast(DType::I32).isinf()), [0.0; 6]);
}

/// Values of the normal distribution to forty digits.
#[test]
fn tails_of_the_normal_distribution() {
    let x = [-40.0, -10.0, -1.0, 0.0, 1.0, 10.0, -1e6, 1e6];
    let (y, gradients, second) = derived(&[&x], |x| x[0].log_ndtr());
    assert_near(
        &y[..6],
        &[
            -804.608_442_013_753_8,
            -53.231_285_150_512_47,
            -1.8410216450092635,
            -std::f64::consts::LN_2,
            -0.17275377902344989,
            -7.619_853_024_160_525e-24,
        ],
        1e-14,
    );
    assert_near(
        &gradients[0][..6],
        &[
            40.024_968_847_207_26,
            10.098093233962512,
            1.525_135_276_160_981,
            0.797_884_560_802_865_4,
            0.287_599_970_939_178_4,
            7.694_598_626_706_419e-23,
        ],
        1e-14,
    );
    assert_near(
        &second[..6],
        &[
            -0.999_377_331_621_408_6,
            -0.990_554_622_174_343_8,
            -0.800_902_334_429_651_2,
            -std::f64::consts::FRAC_2_PI,
            -0.3703137142233946,
            -7.694_598_626_706_419e-22,
        ],
        1e-12,
    );
    // So far out the logarithm is that of the density, and on the other side the probability is 1.
    assert_near(&y[6..], &[-0.5e12 - 1e6f64.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln(), 0.0], 1e-15);
    assert_near(&gradients[0][6..], &[1e6 + 1e-6, 0.0], 1e-15);
    assert_near(&second[6..], &[-1.0, 0.0], 1e-6);
    let (y, gradients, _) = derived(&[&x[1..6]], |x| x[0].ndtr());
    for (found, expected) in
        y.iter().zip([7.619_853_024_160_525e-24, 0.15865525393145705, 0.5, 0.841_344_746_068_542_9, 1.0])
    {
        assert!((found / expected - 1.0).abs() < 1e-12);
    }
    for (found, expected) in gradients[0].iter().zip([
        7.694_598_626_706_419e-23,
        0.24197072451914335,
        0.398_942_280_401_432_7,
        0.24197072451914335,
        7.694_598_626_706_419e-23,
    ]) {
        assert!((found / expected - 1.0).abs() < 1e-12);
    }
}

#[test]
fn derivatives_of_the_gamma_functions_and_of_the_scaled_complement() {
    let x = [0.2, 0.75, 4.5, 30.0, -0.3, -2.75];
    let (y, gradients, second) = derived(&[&x], |x| x[0].digamma());
    assert_near(
        &y,
        &[
            -5.289039896592188,
            -1.0858608797864722,
            1.388_870_926_359_529,
            3.384_438_132_685_525,
            2.113_309_779_635_399,
            -1.959055264977997,
        ],
        1e-13,
    );
    assert_near(
        &gradients[0],
        &[
            26.267377205423776,
            2.5418796476716065,
            0.24872510303901038,
            0.033895060357739944,
            13.945160267805722,
            19.433868949488464,
        ],
        1e-13,
    );
    assert_near(
        &second,
        &[
            -251.478_036_114_435_9,
            -5.3026332163376396,
            -0.061556821321027695,
            -0.001_148_765_203_728_6,
            67.63908119988316,
            -124.11765305971518,
        ],
        1e-13,
    );
    let (_, gradients, second) = derived(&[&x], |x| x[0].trigamma());
    assert_near(
        &gradients[0],
        &[
            -251.478_036_114_435_9,
            -5.3026332163376396,
            -0.061556821321027695,
            -0.001_148_765_203_728_6,
            67.63908119988316,
            -124.11765305971518,
        ],
        1e-12,
    );
    assert_near(
        &second,
        &[
            3_753.244_994_864_725,
            19.7633125348506,
            0.030322508542366587,
            7.786_003_664_736_13e-5,
            766.619_890_419_168_5,
            1558.4897512832936,
        ],
        1e-12,
    );
    let (_, gradients, second) = derived(&[&[-2.0, 0.0, 5.0, 29.0, 31.0, 1e6]], |x| x[0].erfcx());
    for (found, expected) in gradients[0].iter().zip([
        -436.8919967270074,
        -std::f64::consts::FRAC_2_SQRT_PI,
        -0.02133278976482631,
        -0.000_669_662_638_587_704_2,
        -0.0005861719430369727,
        -5.6418958354691e-13,
    ]) {
        assert!((found / expected - 1.0f64).abs() < 1e-11, "{found:e}, not {expected:e}");
    }
    for (found, expected) in second.iter().zip([
        1965.4497956879856,
        2.0,
        0.008_081_377_817_874_151,
        4.6101598358838308e-5,
        3.7758730174647419e-5,
        1.1283791670921274e-18,
    ]) {
        assert!((found / expected - 1.0f64).abs() < 1e-8, "{found:e}, not {expected:e}");
    }
}

#[test]
fn lengths_that_are_zero_have_finite_gradients() {
    let (y, gradients, _) = derived(&[&[0.0, 3.0, 1e200], &[0.0, 4.0, 1e200]], |x| x[0].hypot(x[1]));
    assert_near(&y, &[0.0, 5.0, 2f64.sqrt() * 1e200], 1e-15);
    assert_near(&gradients[0], &[0.0, 0.6, 0.5f64.sqrt()], 1e-15);
    let (_, gradients, second) = derived(&[&[0.0, 3.0, 0.0, 1e-200], &[0.0, 4.0, -0.0, 0.0]], |x| x[0].atan2(x[1]));
    assert_near(&gradients[0], &[0.0, 0.16, 0.0, 0.0], 1e-15);
    assert_near(&gradients[1], &[0.0, -0.12, 0.0, -1e200], 1e-15);
    assert_eq!((second[0], second[2]), (0.0, 0.0));
    let g = Graph::new();
    let (x, y) = (g.input_of("x", [2, 2], DType::F64), g.input_of("y", [2, 2], DType::F64));
    let given = Given::from([("x".to_owned(), vec![0.0, 0.0, 1.0, 2.0]), ("y".to_owned(), vec![1.0, 1.0, 0.0, 0.0])]);
    let similarity = x.cosine_similarity(y, 1, 1e-8);
    let [dx, dy] = similarity.sum(..).grad([x, y]).unwrap();
    let values = evaluate(&g, &[similarity, dx, dy].map(|e| e.id().unwrap()), &given);
    assert_eq!(values[0], [0.0, 0.0]);
    assert!(values.iter().flatten().all(|x| x.is_finite()));
}

/// The sum of the probabilities of all alignments that give the target, one after another.
fn all_alignments(probabilities: &[Vec<f64>], target: &[usize]) -> f64 {
    let (steps, classes) = (probabilities.len(), probabilities[0].len());
    let mut total = 0.0;
    for number in 0..classes.pow(steps as u32) {
        let path: Vec<usize> = (0..steps).map(|t| number / classes.pow(t as u32) % classes).collect();
        let mut labels = path.clone();
        labels.dedup();
        labels.retain(|&label| label != 0);
        if labels == target {
            total += path.iter().enumerate().map(|(t, &class)| probabilities[t][class]).product::<f64>();
        }
    }
    total
}

#[test]
fn the_alignment_loss_is_the_sum_over_all_alignments() {
    let (steps, classes) = (5, 3);
    let targets: [&[usize]; 6] = [&[1, 2], &[1, 1], &[2], &[], &[2, 1, 2], &[1, 1, 1, 1]];
    let lengths = [5, 5, 3, 5, 4, 5];
    let n = targets.len();
    let logits: Vec<f64> = (0..steps * n * classes).map(|i| ((i * 37 % 101) as f64 / 25.0 - 2.0).sin() * 2.0).collect();
    let build = |options: Ctc, differentiated: bool| {
        let g = Graph::new();
        let x = g.input_of("x", [steps, n, classes], DType::F64);
        // What stands behind a target's end does not count.
        let padded: Vec<i32> =
            targets.iter().flat_map(|t| (0..4).map(|i| t.get(i).map_or(-7, |&label| label as i32))).collect();
        let lengths_of_targets: Vec<i32> = targets.iter().map(|t| t.len() as i32).collect();
        let loss = x.log_softmax(-1).ctc_loss(
            g.literal([n, 4], padded),
            g.literal([n], lengths.map(|l: i32| l).to_vec()),
            g.literal([n], lengths_of_targets),
            options,
        );
        let [gradient] = loss.sum(..).grad([x]).unwrap();
        let given = Given::from([("x".to_owned(), logits.clone())]);
        let wanted = if differentiated { gradient } else { loss };
        evaluate(&g, &[wanted.id().unwrap()], &given).remove(0)
    };
    let expected: Vec<f64> = targets
        .iter()
        .enumerate()
        .map(|(sample, target)| {
            let rows: Vec<Vec<f64>> = (0..lengths[sample] as usize)
                .map(|t| {
                    let row = &logits[(t * n + sample) * classes..][..classes];
                    let sum: f64 = row.iter().map(|x| x.exp()).sum();
                    row.iter().map(|x| x.exp() / sum).collect()
                })
                .collect();
            -all_alignments(&rows, target).ln()
        })
        .collect();
    let none = Ctc { reduction: Reduction::None, ..Ctc::default() };
    let found = build(none, false);
    assert_eq!(expected[5], INF);
    assert_near(&found, &expected, 1e-12);
    let zeroed: Vec<f64> = expected.iter().map(|&x| if x == INF { 0.0 } else { x }).collect();
    let zero_infinity = Ctc { zero_infinity: true, ..none };
    assert_near(&build(zero_infinity, false), &zeroed, 1e-12);
    let mean = zeroed.iter().zip(targets).map(|(x, t)| x / t.len().max(1) as f64).sum::<f64>() / n as f64;
    assert_near(&build(Ctc { reduction: Reduction::Mean, ..zero_infinity }, false), &[mean], 1e-12);
    // Behind a sequence's end, and of what is impossible, nothing depends on the predictions.
    let gradient = build(none, true);
    assert!(gradient.iter().all(|x| x.is_finite()));
    for t in 0..steps {
        for (sample, &length) in lengths.iter().enumerate() {
            let row = &gradient[(t * n + sample) * classes..][..classes];
            let depends = t < length as usize && expected[sample] != INF;
            assert_eq!(row.iter().any(|x| *x != 0.0), depends, "step {t} of sample {sample}");
            assert!(row.iter().sum::<f64>().abs() < 1e-12);
        }
    }
}
