//! The deterministic mode: the same bits however many members there are.

use std::sync::Arc;

use crate::suite::devices::devices;
use crate::suite::members::{members, samples, shared};
use arenagrad::group::{Alone, Group, GroupError};
use arenagrad::nn::{BatchNorm, Dropout, Layer, Linear, Phase};
use arenagrad::{AdamW, DType, Device, Error, Optimizer, Sgd, Tensor, Trainer};

/// The bits of losses, metrics and parameters of some steps.
fn bits(group: &Arc<dyn Group>, device: &Device, shards: usize, batch: usize, steps: usize) -> Result<Vec<u64>, Error> {
    let (first, second) = (Linear::new("first", 6, 16), Linear::new("second", 16, 3));
    let (norm, dropout) = (BatchNorm::new("norm", 16), Dropout::new(0.25));
    let data = samples(50);
    let batches = shared(&data, batch, &**group, Some(shards))?;
    let optimizer = AdamW::new(1e-2).clip_norm(0.5);
    let mut trainer = Trainer::new(device.clone(), optimizer, |inputs| {
        let hidden = norm.apply(first.apply(inputs.get("x")), Phase::Training).tanh();
        let logits = second.apply(dropout.forward(hidden, Phase::Training));
        let labels = inputs.get("labels");
        inputs.report("accuracy", logits.accuracy(labels));
        inputs.report("right", logits.argmax(1).equal(labels).cast(DType::I32).sum(..));
        logits.cross_entropy(labels)
    })
    .seed(11)
    .in_group(Arc::clone(group))
    .deterministic(shards);
    let mut bits = Vec::new();
    let mut losses = Vec::new();
    'epochs: for epoch in 0.. {
        for batch in batches.epoch(epoch) {
            let outcome = trainer.step(&batch?)?;
            losses.push(outcome.loss);
            bits.push(outcome.loss.to_bits());
            bits.push(outcome.metric("accuracy")?.item()?.to_bits());
            bits.push(outcome.metric("right")?.item()?.to_bits());
            if losses.len() == steps {
                break 'epochs;
            }
        }
    }
    assert!(losses.iter().all(|loss| loss.is_finite()) && losses[steps - 1] != losses[0], "{losses:?}");
    let names: Vec<String> = trainer.session().parameter_names().map(str::to_owned).collect();
    for name in names.iter().filter(|name| *name != "random_seed") {
        let value = trainer.session().parameter(name)?.cast(DType::F64);
        bits.extend(value.as_slice::<f64>()?.iter().map(|x| x.to_bits()));
    }
    trainer.session_mut().compare_members()?;
    Ok(bits)
}

#[test]
fn shards_without_samples_cost_nothing() {
    let step = |shards: usize| -> Result<Vec<f64>, Error> {
        let layer = Linear::new("layer", 2, 3);
        let mut trainer =
            Trainer::new(Device::cpu(), AdamW::new(0.1), |inputs| layer.apply(inputs.get("x")).square().mean(..))
                .deterministic(shards);
        let x = Tensor::from([[1.0f32, 2.0], [0.5, -1.0], [3.0, 0.0]]);
        for _ in 0..3 {
            trainer.step(&[("x", &x)])?;
        }
        Ok(trainer.session().parameter("layer.weight")?.to_f64_vec())
    };
    let expected = step(3).unwrap();
    for shards in [4, 1000, 1 << 40, usize::MAX] {
        assert_eq!(step(shards).unwrap(), expected, "{shards}");
    }
}

#[test]
fn the_bits_do_not_depend_on_how_many_there_are() {
    for device in devices() {
        let steps = if device.is_cpu() { 40 } else { 6 };
        // The last batch has 8 samples: nothing divides anything.
        for (shards, batch) in [(4, 14), (3, 21)] {
            let alone: Arc<dyn Group> = Arc::new(Alone);
            let expected = bits(&alone, &device, shards, batch, steps).unwrap();
            for size in 1..=4 {
                for found in members(size, |group| bits(&group, &device, shards, batch, steps)) {
                    let found = found.unwrap();
                    let differing = found.iter().zip(&expected).position(|(a, b)| a != b);
                    assert_eq!((found.len(), differing), (expected.len(), None), "{device}: {size} of {shards} shards");
                }
            }
        }
    }
}

#[test]
fn more_members_than_shards_and_shards_without_samples() {
    let alone: Arc<dyn Group> = Arc::new(Alone);
    let step = |group: &Arc<dyn Group>, shards: usize| {
        let line = Linear::new("line", 6, 3);
        // The last batch has 2 samples: fewer than shards.
        let batches = shared(&samples(12), 5, &**group, Some(shards)).unwrap();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            line.apply(inputs.get("x")).cross_entropy(inputs.get("labels"))
        })
        .in_group(Arc::clone(group))
        .deterministic(shards);
        let losses = batches.epoch(0).map(|batch| trainer.step(&batch.unwrap()).unwrap().loss.to_bits());
        losses.collect::<Vec<u64>>()
    };
    for shards in [2, 3, 7] {
        let expected = step(&alone, shards);
        assert_eq!(expected.len(), 3);
        for found in members(4, |group| step(&group, shards)) {
            assert_eq!(found, expected, "{shards} shards");
        }
    }
}

#[test]
fn it_follows_the_ordinary_mode() {
    let alone: Arc<dyn Group> = Arc::new(Alone);
    let losses = |shards: Option<usize>| {
        let line = Linear::new("line", 6, 3);
        let batches = shared(&samples(30), 10, &*alone, None).unwrap();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.2).momentum(0.9), |inputs| {
            line.apply(inputs.get("x")).cross_entropy(inputs.get("labels"))
        });
        if let Some(shards) = shards {
            trainer = trainer.deterministic(shards);
        }
        let steps =
            (0..10).flat_map(|epoch| batches.epoch(epoch)).map(|batch| trainer.step(&batch.unwrap()).unwrap().loss);
        steps.collect::<Vec<f64>>()
    };
    let ordinary = losses(None);
    for (a, b) in losses(Some(4)).iter().zip(&ordinary) {
        assert!((a - b).abs() <= 1e-6 * b, "{a} {b}");
    }
}

/// The error of a step in the deterministic mode.
fn refusal(build: impl Fn(Trainer<'_>, usize) -> Result<(), Error> + Sync) -> Vec<Error> {
    let line = Linear::new("line", 6, 4);
    let norm = BatchNorm::new("norm", 4).synchronised();
    let results = members(2, |group| {
        let rank = group.rank();
        let trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            let y = line.apply(inputs.get("x"));
            if inputs.has("norm") {
                return norm.apply(y, Phase::Training).square().mean(..);
            }
            inputs.report("y", y);
            y.square().mean(..)
        })
        .in_group(group)
        .deterministic(2);
        build(trainer, rank)
    });
    results.into_iter().map(Result::unwrap_err).collect()
}

#[test]
fn what_needs_the_whole_batch_is_refused_by_name() {
    let x = |rows: usize| Tensor::new([rows, 6], vec![0.5f32; rows * 6]).unwrap();
    let one = Tensor::scalar(1.0f32);
    for error in refusal(|mut trainer, _| trainer.step(&[("x", &x(4)), ("norm", &one)]).map(drop)) {
        assert!(matches!(&error, Error::Group(GroupError::NotDeterministic { .. })), "{error}");
        assert!(error.to_string().contains("synchronised batch normalisation"), "{error}");
    }
    for error in refusal(|mut trainer, _| trainer.step(&[("x", &x(4))]).map(drop)) {
        assert!(error.to_string().contains("\"y\", which is f32[4, 4]"), "{error}");
    }
    for error in refusal(|mut trainer, rank| trainer.step(&[("x", &x(if rank == 0 { 5 } else { 2 }))]).map(drop)) {
        let expected = GroupError::NotItsShare { rank: 0, found: 5, batch: 7, shards: 2, expected: 3 };
        assert_eq!(error, Error::Group(expected));
    }
}

#[test]
fn a_refused_or_an_empty_batch_changes_nothing() {
    let alone: Arc<dyn Group> = Arc::new(Alone);
    let layer = Linear::new("layer", 6, 3);
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1).momentum(0.9), |inputs| {
        layer.apply(inputs.get("x")).dropout_in(Phase::Training, 0.5).cross_entropy(inputs.get("labels"))
    })
    .in_group(alone)
    .deterministic(2);
    let x = |rows: usize| Tensor::new([rows, 6], vec![0.5f32; rows * 6]).unwrap();
    let labels = |rows: usize, label: i32| Tensor::new([rows], vec![label; rows]).unwrap();
    trainer.step(&[("x", &x(4)), ("labels", &labels(4, 1))]).unwrap();
    let state = |trainer: &Trainer<'_>| {
        let names: Vec<String> = trainer.session().parameter_names().map(str::to_owned).collect();
        let value = |name: &String| trainer.session().parameter(name).unwrap().to_f64_vec();
        names.iter().map(|name| (name.clone(), value(name))).collect::<Vec<_>>()
    };
    let before = state(&trainer);
    trainer.step(&[("x", &x(4)), ("labels", &labels(4, 7))]).unwrap_err();
    let error = trainer.step(&[("x", &x(0)), ("labels", &labels(0, 0))]).unwrap_err();
    assert!(matches!(error, Error::EmptyBatch { .. }), "{error}");
    assert_eq!(state(&trainer), before);
    trainer.step(&[("x", &x(4)), ("labels", &labels(4, 2))]).unwrap();
}

/// What a first step refuses of a member that is alone is refused before a plan is kept or a parameter known.
#[test]
fn a_refused_first_step_leaves_nothing_behind() {
    let (layer, x) = (Linear::new("layer", 6, 3), Tensor::new([5, 6], vec![0.5f32; 30]).unwrap());
    let labels = |last: i32| Tensor::new([5], vec![1, 0, 2, 1, last]).unwrap();
    for group in [None, Some(Arc::new(Alone) as Arc<dyn Group>)] {
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1).momentum(0.9), |inputs| {
            let logits = layer.apply(inputs.get("x"));
            if inputs.has("reported") {
                inputs.report("logits", logits);
            }
            let loss = logits.cross_entropy(inputs.get("labels"));
            if inputs.has("weighted") { loss * inputs.graph().input("weight", [2]).sum(..) } else { loss }
        })
        .deterministic(2);
        if let Some(group) = group {
            trainer = trainer.in_group(group);
        }
        let (one, good, bad) = (Tensor::scalar(1.0f32), labels(2), labels(7));
        let refused: [&[(&str, &Tensor)]; 4] = [
            &[("x", &x), ("labels", &good), ("weighted", &one)],
            &[("x", &x), ("labels", &good), ("reported", &one)],
            // In the second shard alone.
            &[("x", &x), ("labels", &bad)],
            &[("x", &x)],
        ];
        for batch in refused {
            let error = trainer.step(batch).unwrap_err();
            assert_eq!((trainer.plans(), trainer.session().parameter_names().count()), (0, 0), "{error}");
        }
        let error = trainer.step(refused[0]).unwrap_err();
        assert!(matches!(&error, Error::DeclaredInput { name, .. } if name == "weight"), "{error}");
        trainer.step(&[("x", &x), ("labels", &good)]).unwrap();
    }
}
