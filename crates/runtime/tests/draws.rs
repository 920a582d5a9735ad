//! Random draws that nobody counts seeds for: others at each place, step and seed, the same in each evaluation, and back again from a
//! checkpoint; and dropout that keeps mean and variance.

use std::collections::BTreeSet;

use arenagrad::nn::{AlphaDropout, FeatureAlphaDropout, Layer, Phase};
use arenagrad::{Checkpoint, Expr, Init, Inputs, Sgd, Tensor, Trainer};

use crate::suite::devices::devices;

/// A trainer whose step reports what it drew, and an evaluation of the same draws.
fn trainer(device: &arenagrad::Device, seed: u64) -> (Trainer<'static>, arenagrad::train::FunctionId) {
    fn draws<'g>(inputs: &Inputs<'g>, phase: Phase) -> [(&'static str, Expr<'g>); 4] {
        let g = inputs.graph();
        [
            ("normal", g.normal_in(phase, [64])),
            ("other", g.normal_in(phase, [64])),
            ("uniform", g.uniform_in(phase, [64])),
            ("bernoulli", g.bernoulli_in(phase, [64], 0.25).cast(arenagrad::DType::F32)),
        ]
    }
    let mut trainer = Trainer::new(device.clone(), Sgd::new(0.1), |inputs| {
        let w = inputs.graph().parameter("w", [], Init::Constant(1.0));
        let [normal, other, uniform, bernoulli] = draws(inputs, Phase::Training);
        for (name, draw) in [normal, other, uniform, bernoulli] {
            inputs.report(name, draw);
        }
        (w * normal.1 - inputs.get("x")).square().mean(..)
    })
    .seed(seed);
    let evaluation =
        trainer.add_evaluation(|inputs| draws(inputs, Phase::Evaluation).into_iter().map(|(_, draw)| draw).collect());
    (trainer, evaluation)
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    tensor.to_f64_vec().into_iter().map(f64::to_bits).collect()
}

#[test]
fn draws_follow_seed_place_and_step() {
    for device in devices() {
        let x = Tensor::from([0.5f32]);
        let (mut first, evaluation) = trainer(&device, 3);
        let (mut again, _) = trainer(&device, 3);
        let (mut other, _) = trainer(&device, 4);
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let outcome = first.step(&[("x", &x)]).unwrap();
            assert_eq!(outcome, again.step(&[("x", &x)]).unwrap(), "{device}");
            for name in ["normal", "other", "uniform"] {
                assert!(seen.insert(bits(outcome.metric(name).unwrap())), "{name} repeats a draw, {device}");
            }
        }
        assert!(seen.insert(bits(other.step(&[("x", &x)]).unwrap().metric("normal").unwrap())), "{device}");
        // Evaluations draw the same each time, whatever was trained in between, and nothing that training drew.
        let before = first.evaluate(evaluation, &[("x", &x)]).unwrap();
        first.step(&[("x", &x)]).unwrap();
        assert_eq!(before, first.evaluate(evaluation, &[("x", &x)]).unwrap(), "{device}");
        assert!(before[..3].iter().all(|draw| seen.insert(bits(draw))), "{device}");
        // Training goes on with the draws that it would have had.
        let checkpoint = Checkpoint::from_bytes(first.checkpoint().unwrap().to_bytes().unwrap()).unwrap();
        let expected = first.step(&[("x", &x)]).unwrap();
        let (mut restored, _) = trainer(&device, 9);
        restored.restore(&checkpoint).unwrap();
        assert_eq!(restored.step(&[("x", &x)]).unwrap(), expected, "{device}");
    }
}

#[test]
fn draws_are_of_their_distributions() {
    let device = arenagrad::Device::cpu();
    let mut trainer = Trainer::without_loss(device);
    let all = trainer.add_evaluation(|inputs| {
        let (g, phase) = (inputs.graph(), Phase::Training);
        let bernoulli = g.bernoulli_in(phase, [100_000], 0.25).cast(arenagrad::DType::F32);
        vec![g.normal_in(phase, [100_000]), g.uniform_in(phase, [100_000]), bernoulli]
    });
    let nothing: [(&str, &Tensor); 0] = [];
    let drawn = trainer.evaluate(all, &nothing).unwrap();
    for (tensor, mean, variance) in [(&drawn[0], 0.0, 1.0), (&drawn[1], 0.5, 1.0 / 12.0), (&drawn[2], 0.25, 0.1875)] {
        let found = tensor.mean().unwrap();
        let spread = tensor.to_f64_vec().iter().map(|x| (x - found).powi(2)).sum::<f64>() / 100_000.0;
        // Five deviations of a mean of 100,000.
        assert!((found - mean).abs() < 5.0 * (variance / 1e5f64).sqrt(), "{found} for {mean}");
        assert!((spread - variance).abs() < 0.03 * variance, "{spread} for {variance}");
    }
}

/// What a layer makes of `x` in training.
fn dropped(layer: impl Layer + Send, x: &Tensor, phase: Phase) -> Tensor {
    let mut trainer = Trainer::without_loss(arenagrad::Device::cpu());
    let apply = trainer.add_evaluation(move |inputs| vec![layer.forward(inputs.get("x"), phase)]);
    trainer.evaluate(apply, &[("x", x)]).unwrap().remove(0)
}

#[test]
fn alpha_dropout_keeps_mean_and_variance() {
    let mut draws = arenagrad::data::Draws::new(5);
    let x = Tensor::new([200, 500], (0..100_000).map(|_| draws.normal(0.0, 1.0)).collect()).unwrap();
    for rate in [0.1, 0.5] {
        let y = dropped(AlphaDropout::new(rate), &x, Phase::Training);
        let mean = y.mean().unwrap();
        let variance = y.to_f64_vec().iter().map(|y| (y - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{rate}: {mean}, {variance}");
        // PyTorch's numbers of `alpha_dropout`: `a (x kept + alpha' dropped) + b`.
        let saturated = -1.758_099_340_847_376_6f64;
        let a = 1.0 / ((saturated * saturated * rate + 1.0) * (1.0 - rate)).sqrt();
        let b = -a * saturated * rate;
        let (mut kept, mut gone) = (0, 0);
        for (x, y) in x.to_f64_vec().into_iter().zip(y.to_f64_vec()) {
            kept += usize::from((y - (a * x + b)).abs() < 1e-12);
            gone += usize::from((y - (a * saturated + b)).abs() < 1e-12);
        }
        assert_eq!(kept + gone, 100_000);
        assert!((gone as f64 / 1e5 - rate).abs() < 0.01, "{rate}: {gone} are gone");
        assert_eq!(dropped(AlphaDropout::new(rate), &x, Phase::Evaluation), x);
    }
    assert_eq!(dropped(AlphaDropout::new(0.0), &x, Phase::Training), x);
    assert!(dropped(AlphaDropout::new(1.0), &x, Phase::Training).to_f64_vec().iter().all(|y| *y == 0.0));
}

#[test]
fn whole_channels_are_dropped() {
    let x = Tensor::new([40, 10, 3, 2], vec![1.0f64; 2400]).unwrap();
    let y = dropped(FeatureAlphaDropout::new(0.4), &x, Phase::Training);
    let channels: Vec<f64> = y
        .to_f64_vec()
        .chunks(6)
        .map(|channel| {
            assert!(channel.iter().all(|element| element == &channel[0]));
            channel[0]
        })
        .collect();
    let values: BTreeSet<u64> = channels.iter().map(|value| value.to_bits()).collect();
    assert_eq!(values.len(), 2);
    let fewest = channels.iter().filter(|value| **value < 0.0).count();
    assert!((100..=220).contains(&fewest), "{fewest} of 400 channels were dropped at a rate of 0.4");
    let g = arenagrad::Graph::new();
    let refused = FeatureAlphaDropout::new(0.5).apply(g.input("x", [3]), Phase::Training);
    assert!(refused.check().unwrap_err().to_string().contains("FeatureAlphaDropout"));
    assert!(AlphaDropout::new(1.5).apply(g.input("y", [3]), Phase::Evaluation).id().is_err());
}
