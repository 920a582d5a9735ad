//! Several members follow one: the same losses and parameters, whatever divides what.

use std::sync::Arc;

use crate::suite::devices::devices;
use crate::suite::members::{members, samples, shared};
use arenagrad::graph::Half;
use arenagrad::group::{Alone, Group, Values, share_of};
use arenagrad::nn::{BatchNorm, Linear, Phase};
use arenagrad::{
    AdamW, DType, Device, Error, Expr, Graph, Init, Inputs, LossScale, Optimizer, Precision, Session, Sgd, Tensor,
    Trainer,
};

/// A network of two layers over `x` and `labels`, with batch normalisation between them if it is wanted.
struct Net {
    first: Linear,
    norm: Option<BatchNorm>,
    second: Linear,
}

impl Net {
    fn new(norm: Option<BatchNorm>) -> Self {
        Net { first: Linear::new("first", 6, 16), norm, second: Linear::new("second", 16, 3) }
    }

    fn loss<'g>(&self, inputs: &Inputs<'g>) -> Expr<'g> {
        let hidden = self.first.apply(inputs.get("x"));
        let hidden = self.norm.as_ref().map_or(hidden, |norm| norm.apply(hidden, Phase::Training));
        let logits = self.second.apply(hidden.tanh());
        let labels = inputs.get("labels");
        inputs.report("accuracy", logits.accuracy(labels));
        inputs.report("right", logits.argmax(1).equal(labels).cast(DType::I32).sum(..));
        logits.cross_entropy(labels)
    }
}

/// The losses, accuracies and counts of `steps` steps, and the parameters behind them.
struct Run {
    losses: Vec<f64>,
    accuracies: Vec<f64>,
    right: Vec<f64>,
    parameters: Vec<(String, Tensor)>,
}

fn run<'f>(
    group: &Arc<dyn Group>,
    device: Device,
    net: &'f Net,
    optimizer: impl Optimizer + Send + 'f,
    batch: usize,
    steps: usize,
) -> Result<Run, Error> {
    let data = samples(50);
    let batches = shared(&data, batch, &**group, None)?;
    let mut trainer = Trainer::new(device, optimizer, |inputs| net.loss(inputs))
        .seed(7)
        .in_group(Arc::clone(group))
        .bucket_bytes(256);
    let mut run = Run { losses: Vec::new(), accuracies: Vec::new(), right: Vec::new(), parameters: Vec::new() };
    'epochs: for epoch in 0.. {
        for batch in batches.epoch(epoch) {
            let outcome = trainer.step(&batch?)?;
            run.losses.push(outcome.loss);
            run.accuracies.push(outcome.metric("accuracy")?.item()?);
            run.right.push(outcome.metric("right")?.item()?);
            if run.losses.len() == steps {
                break 'epochs;
            }
        }
    }
    trainer.session_mut().compare_members()?;
    let names: Vec<String> = trainer.session().parameter_names().map(str::to_owned).collect();
    for name in names {
        run.parameters.push((name.clone(), trainer.session().parameter(&name)?));
    }
    Ok(run)
}

/// The greatest relative difference of two lists.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1e-3)).fold(0.0, worse)
}

/// Runs of groups of these sizes against a process on its own.
fn follow<'f, O: Optimizer + Send + 'f>(
    device: &Device,
    net: &'f Net,
    optimizer: impl Fn() -> O + Sync,
    batch: usize,
    steps: usize,
    sizes: &[usize],
) {
    let alone: Arc<dyn Group> = Arc::new(Alone);
    let expected = run(&alone, device.clone(), net, optimizer(), batch, steps).unwrap();
    assert!(expected.losses[steps - 1] < 0.9 * expected.losses[0], "it learns: {:?}", expected.losses);
    for &size in sizes {
        let runs = members(size, |group| run(&group, device.clone(), net, optimizer(), batch, steps));
        for found in runs {
            let found = found.unwrap();
            let worst = difference(&found.losses, &expected.losses);
            assert!(worst <= 1e-6, "{device}, {size} members: losses differ by {worst:e}");
            assert!(difference(&found.accuracies, &expected.accuracies) < 1e-6, "{size} members: accuracies");
            assert_eq!(found.right, expected.right, "{size} members: counts");
            for ((name, found), (other, expected)) in found.parameters.iter().zip(&expected.parameters) {
                assert_eq!(name, other);
                let (found, expected) = (found.cast(DType::F64), expected.cast(DType::F64));
                let pairs = found.as_slice::<f64>().unwrap().iter().zip(expected.as_slice::<f64>().unwrap());
                let worst = pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, worse);
                assert!(worst < 2e-5 || name == "random_seed", "{size} members: {name} differs by {worst:e}");
            }
        }
    }
}

#[test]
fn members_follow_one_over_a_hundred_steps() {
    let net = Net::new(None);
    // Neither 10 nor the 50 samples are divided by 3 or 4.
    follow(&Device::cpu(), &net, || Sgd::new(0.1).momentum(0.9), 10, 100, &[2, 3, 4]);
}

#[test]
fn clipping_goes_by_the_norm_of_the_whole() {
    let net = Net::new(None);
    follow(&Device::cpu(), &net, || Sgd::new(0.5).clip_norm(0.2), 12, 100, &[2, 3]);
}

#[test]
fn accumulated_steps_and_an_adaptive_optimiser_follow() {
    let net = Net::new(None);
    follow(&Device::cpu(), &net, || AdamW::new(3e-3).accumulate(2), 10, 60, &[2, 3]);
}

#[test]
fn synchronised_batch_normalisation_sees_the_whole_batch() {
    let net = Net::new(Some(BatchNorm::new("norm", 16).synchronised()));
    follow(&Device::cpu(), &net, || Sgd::new(0.1), 10, 100, &[2, 3]);
}

#[test]
fn a_member_without_samples_takes_part() {
    // Batches of 3 samples, the last of 2, in a group of 4.
    let net = Net::new(Some(BatchNorm::new("norm", 16).synchronised()));
    follow(&Device::cpu(), &net, || Sgd::new(0.02), 3, 40, &[4]);
    let net = Net::new(None);
    follow(&Device::cpu(), &net, || Sgd::new(0.05).momentum(0.5), 3, 40, &[4]);
}

#[test]
fn every_device_follows() {
    for device in devices() {
        let net = Net::new(Some(BatchNorm::new("norm", 16).synchronised()));
        follow(&device, &net, || Sgd::new(0.1).clip_norm(1.0), 10, 30, &[2, 3]);
    }
}

#[test]
fn running_statistics_are_the_means_of_the_members() {
    let net = Net::new(Some(BatchNorm::new("norm", 16)));
    let runs = members(2, |group| run(&group, Device::cpu(), &net, Sgd::new(0.05), 10, 20).unwrap());
    let of = |run: &Run, name: &str| {
        let (_, value) = run.parameters.iter().find(|(known, _)| known == name).unwrap().clone();
        value.cast(DType::F64).as_slice::<f64>().unwrap().to_vec()
    };
    for name in ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked", "first.weight"] {
        assert_eq!(of(&runs[0], name), of(&runs[1], name), "{name}");
    }
    assert_eq!(of(&runs[0], "norm.num_batches_tracked"), [20.0]);
    assert!(of(&runs[0], "norm.running_mean").iter().any(|mean| mean.abs() > 1e-3));
}

#[test]
fn masks_differ_between_members_and_survive_a_restore() {
    let masks = members(3, |group| {
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            let x = inputs.get("x").dropout_in(Phase::Training, 0.5);
            inputs.report("kept", x);
            Linear::new("line", 6, 1).apply(x).square().mean(..)
        })
        .in_group(group);
        let x = Tensor::new([4, 6], vec![1.0f32; 24]).unwrap();
        let kept = trainer.step(&[("x", &x)]).unwrap().metric("kept").unwrap().clone();
        let seed = trainer.session().parameter("random_seed").unwrap();
        let checkpoint = trainer.checkpoint().unwrap();
        trainer.restore(&checkpoint).unwrap();
        trainer.step(&[("x", &x)]).unwrap();
        // The first member's seed, moved on by the rank once and not twice.
        assert_eq!(trainer.session().parameter("random_seed").unwrap(), seed);
        kept.as_slice::<f32>().unwrap().to_vec()
    });
    assert!(masks[0] != masks[1] && masks[1] != masks[2] && masks[0] != masks[2], "{masks:?}");
}

#[test]
fn a_session_of_one_graph_trains_in_a_group() {
    let losses = |group: Arc<dyn Group>, rows: std::ops::Range<usize>| {
        let g = Graph::new();
        let x = g.input("x", [rows.len(), 1]);
        let w = g.parameter("w", [1, 1], Init::Constant(3.0));
        let loss = (x.matmul(w) - x * 2.0).square().mean(..);
        let mut session = Session::builder(Device::cpu()).in_group(group).train(&g, loss, &Sgd::new(0.05)).unwrap();
        let x = Tensor::new([rows.len(), 1], rows.map(|row| row as f32).collect::<Vec<_>>()).unwrap();
        (0..20).map(|_| session.step(&[("x", &x)]).unwrap()).collect::<Vec<_>>()
    };
    let expected = losses(Arc::new(Alone), 0..7);
    let found = members(3, |group| {
        let own = share_of(&*group).range(7);
        losses(group, own)
    });
    for found in found {
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b.max(1e-4)).fold(0.0, worse);
        assert!(worst < 2e-6, "{worst:e}");
    }
}

#[test]
fn gradients_are_those_of_the_whole_batch() {
    let net = Net::new(None);
    let gradients = |group: Arc<dyn Group>| {
        let batches = shared(&samples(11), 11, &*group, None).unwrap();
        let batch = batches.epoch(0).next().unwrap().unwrap();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| net.loss(inputs)).in_group(group);
        trainer.gradients(&batch).unwrap()
    };
    let expected = gradients(Arc::new(Alone));
    for found in members(2, gradients) {
        for ((name, found), (_, expected)) in found.iter().zip(&expected) {
            let pairs = found.as_slice::<f32>().unwrap().iter().zip(expected.as_slice::<f32>().unwrap());
            assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
            assert!(expected.as_slice::<f32>().unwrap().iter().any(|x| x.abs() > 1e-3), "{name}");
        }
    }
}

#[test]
fn a_report_counts_what_is_exchanged() {
    let net = Net::new(None);
    let reports = members(2, |group| {
        let batches = shared(&samples(8), 8, &*group, None).unwrap();
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| net.loss(inputs)).in_group(group).bucket_bytes(1);
        trainer.step(&batches.epoch(0).next().unwrap().unwrap()).unwrap();
        trainer.group_report()
    });
    // Two weights and two biases, a bucket each; the loss, the accuracy and the count of what was right.
    let parameters = 6 * 16 + 16 + 16 * 3 + 3;
    for report in reports {
        assert_eq!(report.bytes, 4 * (parameters + 3), "{report}");
        assert_eq!(report.exchanges, 4 + 3, "{report}");
        assert!(!report.compute.is_zero() && !report.reduce.is_zero(), "{report}");
    }
    let alone = Trainer::without_loss(Device::cpu()).in_group(Arc::new(Alone)).group_report();
    assert_eq!(alone.bytes, 0);
}

#[test]
fn one_writes_and_all_read() {
    let folder = std::env::temp_dir().join(format!("arenagrad-group-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("state.safetensors");
    let net = Net::new(None);
    let train = |group: Arc<dyn Group>, resume: bool, steps: usize| {
        let data = samples(20);
        let batch = shared(&data, 20, &*group, None).unwrap().epoch(0).next().unwrap().unwrap();
        let mut trainer =
            Trainer::new(Device::cpu(), AdamW::new(1e-2), |inputs| net.loss(inputs)).in_group(Arc::clone(&group));
        if resume {
            trainer.prepare(&batch).unwrap();
            trainer.session_mut().load(&path).unwrap();
        }
        let losses: Vec<f64> = (0..steps).map(|_| trainer.step(&batch).unwrap().loss).collect();
        if !resume {
            trainer.save(&path).unwrap();
            assert!(path.exists());
        }
        losses.iter().chain([&trainer.step(&batch).unwrap().loss]).copied().collect::<Vec<f64>>()
    };
    let first = members(2, |group| train(group, false, 5));
    let second = members(3, |group| train(group, true, 0));
    let (expected, found) = (first[0][5], second[2][0]);
    assert!((expected - found).abs() < 1e-6 * expected, "{expected} {found}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn weights_that_one_member_loads_are_taken_by_all() {
    let net = Net::new(None);
    let found = members(2, |group| {
        let batch = shared(&samples(10), 10, &*group, None).unwrap().epoch(0).next().unwrap().unwrap();
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.0), |inputs| net.loss(inputs)).in_group(Arc::clone(&group));
        trainer.step(&batch).unwrap();
        if group.rank() == 0 {
            let weights = trainer.session().weights().unwrap();
            let ones = Tensor::new([3], vec![1.0f32; 3]).unwrap();
            trainer.session_mut().load_weights(weights.with("second.bias", ones)).unwrap();
        }
        trainer.step(&batch).unwrap();
        trainer.session().parameter("second.bias").unwrap().to_f64_vec()
    });
    assert_eq!(found, [vec![1.0; 3], vec![1.0; 3]]);
}

#[test]
fn exchanges_do_what_they_say() {
    let results = members(3, |group| {
        let rank = group.rank();
        let sum = group.all_reduce(vec![rank as i32, 1].into()).unwrap();
        let mean = group.all_reduce_mean(vec![rank as f64].into()).unwrap();
        let lists = group.all_gather(vec![rank as f32; rank].into()).unwrap();
        let first = group.broadcast(Values::from(vec![rank as u8; 4 - rank]), 1).unwrap();
        group.barrier().unwrap();
        (sum, mean, lists, first)
    });
    for (sum, mean, lists, first) in results {
        assert_eq!((sum, mean), (Values::from(vec![3i32, 3]), Values::from(vec![1.0f64])));
        assert_eq!(lists, [vec![], vec![1.0f32], vec![2.0, 2.0]].map(Values::from));
        assert_eq!(first, Values::from(vec![1u8; 3]));
    }
    assert_eq!(Alone.all_reduce_mean(vec![2.0f32].into()), Ok(Values::F32([2.0][..].into())));
}

#[test]
fn a_checkpoint_is_restored_before_the_first_step() {
    let net = Net::new(None);
    let losses = members(2, |group| {
        let batch = shared(&samples(20), 20, &*group, None).unwrap().epoch(0).next().unwrap().unwrap();
        let trainer =
            || Trainer::new(Device::cpu(), AdamW::new(1e-2), |inputs| net.loss(inputs)).in_group(Arc::clone(&group));
        let mut first = trainer();
        for _ in 0..3 {
            first.step(&batch).unwrap();
        }
        let checkpoint = first.checkpoint().unwrap();
        let mut second = trainer();
        second.restore(&checkpoint).unwrap();
        [first.step(&batch).unwrap().loss, second.step(&batch).unwrap().loss].map(f64::to_bits)
    });
    assert!(losses.iter().all(|[expected, found]| expected == found), "{losses:?}");
}

#[test]
fn mixed_precision_follows_and_skips_together() {
    // Rounding is the same in shares and in the whole, but not the order of sums; a scale that overflows is halved by all at once.
    let net = Net::new(None);
    let scale = LossScale::dynamic().initial(1e10);
    let precision = Precision::mixed(Half::F16).loss_scale(scale);
    let train = |group: Arc<dyn Group>| {
        let batch = shared(&samples(20), 20, &*group, None).unwrap().epoch(0).next().unwrap().unwrap();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| net.loss(inputs))
            .precision(precision.clone())
            .seed(7)
            .in_group(Arc::clone(&group));
        let losses: Vec<f64> = (0..100).map(|_| trainer.step(&batch).unwrap().loss).collect();
        let skipped = trainer.session().parameter("skipped_updates").unwrap().item().unwrap();
        trainer.session_mut().compare_members().unwrap();
        (losses, skipped)
    };
    let (alone, skipped) = train(Arc::new(Alone));
    assert!(skipped > 5.0 && skipped < 100.0, "{skipped}");
    for (losses, found) in members(3, train) {
        assert!((found - skipped).abs() <= 1.0, "{found} steps skipped, and {skipped} alone");
        assert!(losses[99] < losses[0] && (losses[0] - alone[0]).abs() < 1e-3, "{losses:?}");
    }
}

/// The larger of two differences; one that is no number stays.
fn worse(worst: f64, difference: f64) -> f64 {
    if worst.is_nan() || difference <= worst { worst } else { difference }
}

#[test]
fn parts_of_no_samples_of_changed_batches_have_their_columns_and_a_mean_weighs_whole_batches() {
    // Seven samples in batches of four: of three members the last has one sample, then none.
    let data = samples(7);
    let net = Net::new(None);
    let train = |group: Arc<dyn Group>| {
        let batches = data.batches(4).augment(1, |sample, _| Ok(sample)).share(share_of(&*group));
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| net.loss(inputs)).in_group(group);
        trainer.train(&batches, 3)
    };
    let alone = train(Arc::new(Alone)).unwrap();
    for found in members(3, train) {
        let found = found.unwrap();
        assert!((found - alone).abs() <= 1e-6 * alone, "{found} for {alone}");
    }
}
