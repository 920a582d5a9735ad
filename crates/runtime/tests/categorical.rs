//! Draws of categories: how often each is drawn, held to its probability by a chi-square that wrong distributions fail; what is never drawn;
//! smooth draws and their gradients.

use std::f64::consts::PI;

use arenagrad::nn::Phase;
use arenagrad::{DType, Device, Expr, Graph, Session, Tape, Tensor};

use crate::suite::devices::devices;

const DRAWS: usize = 20_000;

/// What a graph of constants draws under a seed.
fn drawn<const N: usize>(device: &Device, seed: u64, f: impl for<'g> Fn(&'g Graph) -> [Expr<'g>; N]) -> [Vec<f64>; N] {
    let graph = Graph::new();
    let results = f(&graph);
    graph.check().expect("draws");
    let mut session = Session::builder(device.clone()).seed(seed).evaluate(&graph, &results).expect("a session");
    let nothing: [(&str, &Tensor); 0] = [];
    let found = session.run(&nothing).expect("a run");
    std::array::from_fn(|place| found[place].to_f64_vec())
}

/// The sum over all categories of the squared difference of how often it was drawn from how often it should, over the latter.
fn chi_square(draws: impl Iterator<Item = usize>, probabilities: &[f64]) -> f64 {
    let mut counts = vec![0usize; probabilities.len()];
    draws.for_each(|draw| counts[draw] += 1);
    let all = counts.iter().sum::<usize>() as f64;
    let terms = counts.iter().zip(probabilities).map(|(&count, probability)| {
        let expected = probability * all;
        if expected == 0.0 {
            assert_eq!(count, 0, "what has no probability was drawn");
            return 0.0;
        }
        (count as f64 - expected).powi(2) / expected
    });
    terms.sum()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x.exp() / sum).collect()
}

const LOGITS: [f64; 5] = [0.5, -1.0, 1.25, f64::NEG_INFINITY, 0.0];

fn logits(g: &Graph) -> Expr<'_> {
    g.literal([5], LOGITS.map(|x| x as f32).to_vec())
}

#[test]
fn categories_are_drawn_with_the_probabilities_of_softmax() {
    let expected = softmax(&LOGITS);
    for device in devices() {
        for seed in [1, 2] {
            let [rows, columns] = drawn(&device, seed, |g| {
                let (rows, columns) =
                    (logits(g).broadcast_to([DRAWS, 5]), logits(g).unsqueeze(1).broadcast_to([5, DRAWS]));
                [rows.categorical_in(Phase::Training, -1), columns.categorical_in(Phase::Evaluation, 0)]
            });
            assert_ne!(rows, columns);
            for draws in [rows, columns] {
                assert_eq!(draws.len(), DRAWS);
                let places = || draws.iter().map(|&draw| draw as usize);
                // Of three degrees of freedom one in ten thousand is above 21.
                let found = chi_square(places(), &expected);
                assert!(found < 21.2, "{found}, {device}");
                // A temperature of 1.1 in the place of 1 is told.
                let warmer = softmax(&LOGITS.map(|x| x / 1.1));
                assert!(chi_square(places(), &warmer) > 21.2, "{device}");
            }
        }
    }
}

#[test]
fn samples_are_drawn_in_proportion_to_weights() {
    let weights = [2.0f32, 0.0, 1.0, 4.0];
    let expected: Vec<f64> = weights.iter().map(|w| f64::from(*w) / 7.0).collect();
    for device in devices() {
        let [with, without, row] = drawn(&device, 5, |g| {
            let all = g.literal([4], weights.to_vec());
            let rows = all.broadcast_to([DRAWS, 4]);
            [
                rows.slice(0, 0, 4).multinomial_in(Phase::Training, DRAWS / 4, true),
                rows.multinomial_in(Phase::Training, 2, false),
                all.multinomial_in(Phase::Evaluation, 3, false),
            ]
        });
        assert_eq!((with.len(), without.len(), row.len()), (DRAWS, 2 * DRAWS, 3));
        let found = chi_square(with.iter().map(|&draw| draw as usize), &expected);
        // Of two degrees of freedom one in ten thousand is above 18.4, of five above 25.7.
        assert!(found < 18.5, "{found}, {device}");
        // Pairs without replacement, in order: p_i p_j / (1 - p_i).
        let pairs: Vec<f64> = (0..16)
            .map(|pair| (expected[pair / 4], expected[pair % 4], pair / 4 == pair % 4))
            .map(|(first, second, is_same)| if is_same { 0.0 } else { first * second / (1.0 - first) })
            .collect();
        let found = chi_square(without.chunks(2).map(|pair| pair[0] as usize * 4 + pair[1] as usize), &pairs);
        assert!(found < 25.8, "{found}, {device}");
        // The second of a pair is not drawn as the first is.
        assert!(chi_square(without.chunks(2).map(|pair| pair[1] as usize), &expected) > 1000.0, "{device}");
        let mut row = row;
        row.sort_by(f64::total_cmp);
        assert_eq!(row, [0.0, 2.0, 3.0], "{device}");
    }
}

#[test]
fn what_has_no_weight_is_never_drawn() {
    for device in devices() {
        let [rest, none, wrong, large, many] = drawn(&device, 3, |g| {
            let one = g.literal([3], vec![0.0f32, 3.0, 0.0]);
            let nothing = g.zeros([2], DType::F32);
            let wrong = g.literal([4], vec![-1.0f32, f32::NAN, 0.5, 0.0]);
            // The sum of the first two is past f32, and beside an infinite weight others are nothing.
            let (most, all) = (f32::MAX, f32::INFINITY);
            let large = g.literal([2, 3], vec![most, 0.0, most, most, all, 0.0]);
            // Two in three have no weight, the first and the last among them.
            let third = (g.iota([30_000], 0).remainder(3)).equal(1).where_(g.scalar(0.3), 0.0);
            [
                one.multinomial_in(Phase::Training, 3, false),
                nothing.multinomial_in(Phase::Training, 2, true),
                wrong.multinomial_in(Phase::Training, 50, true),
                large.multinomial_in(Phase::Training, 64, true),
                third.multinomial_in(Phase::Training, 20_000, true),
            ]
        });
        assert_eq!((rest, none), (vec![1.0, -1.0, -1.0], vec![-1.0, -1.0]), "{device}");
        assert_eq!(wrong, [2.0; 50], "{device}");
        assert_eq!(large[64..], [1.0; 64], "{device}");
        assert!([0.0, 2.0].iter().all(|place| large[..64].contains(place)) && !large[..64].contains(&1.0), "{device}");
        assert!(many.iter().all(|place| place % 3.0 == 1.0), "{device}");
        let mean = many.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 15_000.0).abs() < 5.0 * 8660.0 / 20_000f64.sqrt(), "{mean}, {device}");
    }
}

#[test]
fn smooth_draws_are_of_the_gumbel_distribution() {
    for device in devices() {
        let [soft, hard] = drawn(&device, 11, |g| {
            let rows = logits(g).broadcast_to([DRAWS, 5]);
            [
                rows.gumbel_softmax_in(Phase::Training, 0.5, false, 1),
                rows.gumbel_softmax_in(Phase::Evaluation, 0.5, true, 1),
            ]
        });
        // 1 at one place and exactly 0 elsewhere, as often as softmax says.
        let place = |row: &[f64]| row.iter().position(|x| *x == 1.0).expect("a category");
        assert!(hard.chunks(5).all(|row| row.iter().filter(|x| **x == 0.0).count() == 4), "{device}");
        let found = chi_square(hard.chunks(5).map(place), &softmax(&LOGITS));
        assert!(found < 21.2, "{found}, {device}");
        // Of the logarithms' difference half is that of the logits and a number of the logistic distribution.
        let differences: Vec<f64> = soft.chunks(5).map(|row| 0.5 * (row[0] / row[1]).ln() - 1.5).collect();
        let mean = differences.iter().sum::<f64>() / DRAWS as f64;
        let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS as f64;
        let expected = PI * PI / 3.0;
        assert!(mean.abs() < 5.0 * (expected / DRAWS as f64).sqrt(), "{mean}, {device}");
        assert!((variance - expected).abs() < 0.06 * expected, "{variance}, {device}");
        assert!(soft.chunks(5).all(|row| row[3] == 0.0 && (row.iter().sum::<f64>() - 1.0).abs() < 1e-5), "{device}");
    }
}

/// The hard draw and the smooth one at one place of a graph draw the same, and have one gradient.
#[test]
fn hard_draws_have_the_gradient_of_smooth_ones() {
    for device in devices() {
        let both = [false, true].map(|hard| {
            let graph = Graph::new();
            let x = graph.input("x", [3, 4]);
            let weights = graph.literal([4], vec![1.0f32, -2.0, 0.5, 3.0]);
            let y = x.gumbel_softmax_in(Phase::Training, 0.75, hard, -1);
            let [gradient] = (y * weights).sum(..).grad([x]).expect("a gradient");
            let mut session = Session::evaluate(&graph, &[y, gradient], &device).expect("a session");
            let given = Tensor::new([3, 4], (0..12).map(|i| (i * 5 % 7) as f32 / 3.0).collect::<Vec<f32>>()).unwrap();
            session.run(&[("x", &given)]).expect("a run").iter().map(Tensor::to_f64_vec).collect::<Vec<_>>()
        });
        let [smooth, hard] = both;
        assert_eq!(smooth[1], hard[1], "{device}");
        assert!(smooth[1].iter().any(|x| x.abs() > 0.01), "{device}");
        for (smooth, hard) in smooth[0].chunks(4).zip(hard[0].chunks(4)) {
            let largest = smooth.iter().copied().fold(0.0, f64::max);
            assert!(smooth.iter().zip(hard).all(|(x, y)| *y == f64::from(u8::from(*x == largest))), "{device}");
        }
    }
}

#[test]
fn a_tape_draws_anew_with_each_operation() {
    let tape = Tape::new(Device::cpu()).seed(4);
    let x = tape.leaf(Tensor::new([64, 3], vec![0.5f32; 192]).unwrap()).requires_grad();
    let draws = [0, 1].map(|_| x.categorical_in(Phase::Training, -1).data().unwrap().to_f64_vec());
    assert_ne!(draws[0], draws[1]);
    assert!(draws.iter().flatten().all(|draw| [0.0, 1.0, 2.0].contains(draw)));
    let hands = x.multinomial_in(Phase::Training, 3, false).data().unwrap().to_f64_vec();
    assert!(hands.chunks(3).all(|hand| hand.iter().sum::<f64>() == 3.0));
    x.gumbel_softmax_in(Phase::Training, 1.0, true, 1).square().sum(..).backward().unwrap();
    assert!(x.grad().unwrap().to_f64_vec().iter().any(|x| *x != 0.0));
    assert!(x.gumbel_softmax_in(Phase::Training, f64::NAN, true, 1).check().is_err());
}
