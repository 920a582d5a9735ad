//! Training that goes on from a checkpoint gives the bits that it would have given, and what is no checkpoint changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use arenagrad::nn::{BatchNorm, Conv2d, Linear, Phase};
use arenagrad::train::schedules;
use arenagrad::{
    Adam, AdamW, Checkpoint, CheckpointError, CheckpointValue, Device, Error, Expr, Graph, Init, Optimizer, Session,
    Sgd, StorageType, Tensor, Trainer, Weights,
};

use crate::suite::devices::devices;

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("checkpoints").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A network with everything that has a state: running statistics and random draws.
struct Network {
    conv: Conv2d,
    norm: BatchNorm,
    head: Linear,
}

impl Network {
    fn new() -> Self {
        Network {
            conv: Conv2d::new("conv", 1, 3, 2),
            norm: BatchNorm::new("norm", 3),
            head: Linear::new("head", 12, 2),
        }
    }

    fn logits<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let h = self.norm.apply(self.conv.apply(x), phase).relu();
        let examples = h.shape().map_or(1, |shape| shape[0]);
        self.head.apply(h.reshape([examples, 12]).dropout_in(phase, 0.3))
    }

    fn loss<'g>(&self, x: Expr<'g>, labels: Expr<'g>) -> Expr<'g> {
        self.logits(x, Phase::Training).cross_entropy(labels)
    }
}

/// The images and labels of a step: another batch each, every third a smaller one.
fn batch(step: usize, largest: usize) -> (Tensor, Tensor) {
    let examples = if step % 3 == 2 { largest / 2 } else { largest };
    let pixels = (0..examples * 9).map(|n| ((n * 37 + step * 11) % 19) as f32 / 19.0 - 0.4).collect();
    let labels: Vec<usize> = (0..examples).map(|n| (n * 5 + step) % 2).collect();
    (Tensor::new([examples, 1, 3, 3], pixels).unwrap(), Tensor::indices(&labels).unwrap())
}

/// The bits of all that a session holds, by name.
fn bits(session: &Session) -> Vec<(String, Tensor)> {
    session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect()
}

/// What one optimiser makes of sessions: ten steps at once, and five and five with a file between, on every device.
fn resumes_in_sessions(name: &str, make: impl Fn(&Graph, Expr<'_>, Device) -> Session) {
    let folder = folder(name);
    for device in devices() {
        let network = Network::new();
        let session = || {
            let g = Graph::new();
            let (x, labels) = (g.input("x", [6, 1, 3, 3]), g.input_of("labels", [6], arenagrad::DType::I32));
            make(&g, network.loss(x, labels), device.clone())
        };
        let step = |session: &mut Session, number: usize| {
            // Whole batches alone: a session has one set of shapes.
            let (x, labels) = batch(number * 3, 6);
            session.step(&[("x", &x), ("labels", &labels)]).unwrap()
        };
        let mut whole = session();
        let losses: Vec<f64> = (0..10).map(|number| step(&mut whole, number)).collect();
        let path = folder.join("checkpoint.safetensors");
        {
            let mut first = session();
            let begun: Vec<f64> = (0..5).map(|number| step(&mut first, number)).collect();
            assert_eq!(begun, losses[..5]);
            first.checkpoint().unwrap().with("steps done", 5usize).save(&path).unwrap();
        }
        let mut second = session();
        // A step in another direction, of which nothing must be left.
        step(&mut second, 7);
        let checkpoint = Checkpoint::open(&path).unwrap();
        second.restore(&checkpoint).unwrap();
        let from: usize = checkpoint.integer("steps done").unwrap();
        let resumed: Vec<f64> = (from..10).map(|number| step(&mut second, number)).collect();
        assert_eq!(resumed, losses[5..], "{name} on {device:?}");
        assert_eq!(bits(&second), bits(&whole), "{name} on {device:?}");
    }
}

#[test]
fn sessions_resume_bit_for_bit() {
    resumes_in_sessions("momentum", |g, loss, device| {
        Session::builder(device).seed(3).train(g, loss, &Sgd::new(0.1).momentum(0.9)).unwrap()
    });
    resumes_in_sessions("schedule", |g, loss, device| {
        let optimizer = AdamW::new(0.05).schedule(schedules::Cosine::new(10)).clip_norm(1.0).moving_average(0.9);
        Session::builder(device).seed(4).train(g, loss, &optimizer).unwrap()
    });
    resumes_in_sessions("accumulation", |g, loss, device| {
        // Five steps end in the midst of an accumulation of three.
        Session::builder(device).train(g, loss, &Adam::new(0.05).accumulate(3)).unwrap()
    });
}

#[test]
fn trainers_resume_bit_for_bit() {
    let folder = folder("trainers");
    for device in devices() {
        let network = Network::new();
        let trainer = |seed: u64| {
            Trainer::new(device.clone(), AdamW::new(0.05).no_decay("*.bias"), |inputs| {
                network.loss(inputs.get("x"), inputs.get("labels"))
            })
            .seed(seed)
        };
        let step = |trainer: &mut Trainer<'_>, number: usize| {
            let (x, labels) = batch(number, 6);
            trainer.step(&[("x", &x), ("labels", &labels)]).unwrap().loss
        };
        let path = folder.join("checkpoint.safetensors");
        let mut whole = trainer(3);
        whole.set_learning_rate(0.07).unwrap();
        let losses: Vec<f64> = (0..10).map(|number| step(&mut whole, number)).collect();
        {
            let mut first = trainer(3);
            first.set_learning_rate(0.07).unwrap();
            (0..5).for_each(|number| assert_eq!(step(&mut first, number), losses[number]));
            first.checkpoint().unwrap().save(&path).unwrap();
        }
        // Restored before anything is planned, under another seed and rate; and after steps of its own.
        for steps_before in [0, 2] {
            let mut second = trainer(9);
            second.set_learning_rate(0.5).unwrap();
            for number in 0..steps_before {
                step(&mut second, number);
            }
            second.restore(&Checkpoint::open(&path).unwrap()).unwrap();
            // A checkpoint of what waits is the same checkpoint.
            let again = second.checkpoint().unwrap();
            let kept = |checkpoint: &Checkpoint| -> BTreeMap<String, Tensor> {
                let weights = checkpoint.weights();
                weights.names().map(|name| (name.to_owned(), weights.get(name).unwrap())).collect()
            };
            assert_eq!(kept(&again), kept(&Checkpoint::open(&path).unwrap()));
            let resumed: Vec<f64> = (5..10).map(|number| step(&mut second, number)).collect();
            assert_eq!(resumed, losses[5..], "{device:?}, {steps_before} steps before");
            for (name, value) in bits(whole.session()) {
                assert_eq!(second.session().parameter(&name).unwrap(), value, "{name}");
            }
        }
    }
}

#[test]
fn values_of_the_program_come_back_bit_for_bit() {
    let g = Graph::new();
    let w = g.parameter("w", [1], Init::Constant(0.5));
    let session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let numbers = [0.1, -0.0, 1e-310, f64::MAX, f64::MIN_POSITIVE, 1.0 / 3.0, f64::INFINITY, f64::NEG_INFINITY];
    let mut checkpoint = session.checkpoint().unwrap();
    for (place, number) in numbers.into_iter().enumerate() {
        checkpoint = checkpoint.with(format!("number {place}"), number);
    }
    let text = "a text: \"ü\"\n\\ and a second line";
    let checkpoint = checkpoint
        .with("nan", f64::NAN)
        .with("seed", u64::MAX)
        .with("below", i64::MIN)
        .with("text", text)
        .with("", "empty key")
        .with("epoch", 1)
        .with("epoch", 2);
    let read = Checkpoint::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
    for (place, number) in numbers.into_iter().enumerate() {
        assert_eq!(read.number(&format!("number {place}")).unwrap().to_bits(), number.to_bits(), "{number}");
    }
    assert!(read.number("nan").unwrap().is_nan());
    assert_eq!((read.integer::<u64>("seed").unwrap(), read.integer::<i64>("below").unwrap()), (u64::MAX, i64::MIN));
    assert_eq!((read.text("text").unwrap(), read.text("").unwrap()), (text, "empty key"));
    assert_eq!((read.integer::<u8>("epoch").unwrap(), read.number("epoch").unwrap()), (2, 2.0));
    assert_eq!(read.values()["epoch"], CheckpointValue::Integer(2));
    assert_eq!(read.values().len(), numbers.len() + 6);
    let says = |error: Error, parts: &[&str]| {
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} does not say {parts:?}");
    };
    says(read.number("loss").unwrap_err(), &["bytes in memory", "no value \"loss\"", "\"epoch\""]);
    says(read.integer::<u8>("seed").unwrap_err(), &["\"seed\"", "18446744073709551615", "u8"]);
    says(read.integer::<i32>("text").unwrap_err(), &["\"text\"", "i32"]);
    says(read.text("epoch").unwrap_err(), &["\"epoch\"", "is 2", "a text"]);
    says(read.number("text").unwrap_err(), &["\"text\"", "a number"]);
}

fn trained(optimizer: &dyn arenagrad::Optimizer) -> Session {
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(1.0));
    let loss = (w * g.input("x", [2]) - 1.0).square().sum(..);
    Session::builder(Device::cpu()).train(&g, loss, optimizer).unwrap()
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let x = Tensor::from([3.0f32, 4.0]);
    let mut adam = trained(&Adam::new(0.1));
    adam.step(&[("x", &x)]).unwrap();
    let checkpoint = adam.checkpoint().unwrap();
    let mut sgd = trained(&Sgd::new(0.1));
    let mut momentum = trained(&Sgd::new(0.1).momentum(0.9));
    let before = (bits(&sgd), bits(&momentum));
    let error = sgd.restore(&checkpoint).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint(CheckpointError::Unused { .. })), "{error}");
    assert!(error.to_string().contains("\"w.first_moment\""), "{error}");
    let error = momentum.restore(&checkpoint).unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::Missing { missing, .. }) if missing.contains("w.velocity")),
        "{error}"
    );
    // A checkpoint whose learning rate no optimiser could use.
    let bytes = adam.checkpoint().unwrap().to_bytes().unwrap();
    let marks = Weights::from_bytes(bytes.clone()).unwrap();
    let broken = marks.clone().with("learning_rate", Tensor::scalar(f32::NAN)).to_bytes().unwrap();
    let error = adam.restore(&Checkpoint::from_bytes(broken).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
    // Another shape, and another type: a checkpoint is not converted.
    let reshaped = marks.clone().with("w", Tensor::from([1.0f32])).to_bytes().unwrap();
    let error = adam.restore(&Checkpoint::from_bytes(reshaped).unwrap()).unwrap_err();
    assert!(matches!(error, Error::ParameterShape { .. }), "{error}");
    let cast = marks.clone().cast("w", StorageType::F16).to_bytes().unwrap();
    let error = adam.restore(&Checkpoint::from_bytes(cast).unwrap()).unwrap_err();
    assert!(matches!(error, Error::ParameterDType { .. }), "{error}");
    assert_eq!((bits(&sgd), bits(&momentum)), before);
    assert_eq!(adam.checkpoint().unwrap().to_bytes().unwrap(), bytes);
    // A trainer is told when it plans what does not fit, and may then be given what does.
    let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
        let x = inputs.get("x");
        let w = x.graph().shared_parameter("w", [3], arenagrad::DType::F32, Init::Constant(1.0));
        (w.sum(..) * x).square().sum(..)
    });
    trainer.restore(&checkpoint).unwrap();
    let error = trainer.step(&[("x", &x)]).unwrap_err();
    assert!(error.to_string().contains("by the checkpoint that was restored"), "{error}");
    assert_eq!(trainer.step(&[("x", &x)]).unwrap_err(), error);
}

#[test]
fn files_that_are_no_checkpoints() {
    let folder = folder("none");
    let path = folder.join("file.safetensors");
    let session = trained(&Adam::new(0.1));
    session.save(&path).unwrap();
    let error = Checkpoint::open(&path).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::NoCheckpoint { .. })), "{error}");
    let file = session.checkpoint().unwrap().with("epoch", 3).to_bytes().unwrap();
    let with = |key: &str, value: &str| {
        let weights = Weights::from_bytes(file.clone()).unwrap().with_metadata(key, value);
        Checkpoint::from_bytes(weights.to_bytes().unwrap())
    };
    with("note of another program", "anything").unwrap();
    for version in ["2", "0", "", "one", "-1"] {
        let error = with("arenagrad.checkpoint", version).unwrap_err();
        assert!(
            matches!(&error, Error::Checkpoint(CheckpointError::Version { found, .. }) if found == version),
            "{error}"
        );
    }
    for (key, value) in [
        ("arenagrad.seed", "x"),
        ("arenagrad.value.epoch", "integer"),
        ("arenagrad.value.epoch", "integer x"),
        ("arenagrad.value.epoch", "3"),
    ] {
        let error = with(key, value).unwrap_err();
        assert!(
            matches!(&error, Error::Checkpoint(CheckpointError::Foreign { key: found, .. }) if found == key),
            "{error}"
        );
    }
    for length in [0, 9, file.len() / 2, file.len() - 1] {
        fs::write(&path, &file[..length]).unwrap();
        assert!(matches!(Checkpoint::open(&path).unwrap_err(), Error::ParameterFile { .. }));
    }
    // A session reads a checkpoint as it reads any file of its parameters.
    fs::write(&path, &file).unwrap();
    let mut other = trained(&Adam::new(0.1));
    other.load(&path).unwrap();
    assert_eq!(other.load_weights(Weights::open(&path).unwrap()).unwrap().loaded, ["w"]);
}

/// Whoever is stopped in the midst of saving finds the checkpoint of before.
#[cfg(unix)]
#[test]
fn a_save_that_fails_leaves_the_old_file() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder("failing");
    let path = folder.join("checkpoint.safetensors");
    let mut session = trained(&Adam::new(0.1));
    session.checkpoint().unwrap().with("number", 1).save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    session.step(&[("x", &Tensor::from([3.0f32, 4.0]))]).unwrap();
    let later = session.checkpoint().unwrap().with("number", 2);
    // A device without room.
    if fs::metadata("/dev/full").is_ok() {
        let full = folder.join("full");
        symlink("/dev/full", &full).unwrap();
        let error = later.save(&full).unwrap_err();
        assert!(matches!(&error, Error::File { reason, .. } if reason.contains("written")), "{error}");
    }
    // A folder that takes no new file; a privileged process may write there all the same.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let is_privileged = fs::write(folder.join("probe"), b"").is_ok();
    let result = later.save(&path);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    if is_privileged {
        fs::remove_file(folder.join("probe")).unwrap();
    } else {
        assert!(matches!(result.unwrap_err(), Error::File { .. }));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    // A tensor that cannot be read any more, in the midst of writing.
    later.save(&path).unwrap();
    let written = fs::read(&path).unwrap();
    let source = folder.join("source.safetensors");
    fs::write(&source, &before).unwrap();
    let opened = Checkpoint::open(&source).unwrap();
    fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(before.len() as u64 - 3).unwrap();
    assert!(opened.save(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), written);
    let names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
}

#[test]
fn a_planned_trainer_refuses_the_state_of_another_optimiser() {
    fn trainer<'f>(optimizer: impl Optimizer + Send + 'f) -> Trainer<'f> {
        Trainer::new(Device::cpu(), optimizer, |inputs| {
            Linear::new("head", 1, 1).apply(inputs.get("x")).square().mean(..)
        })
    }
    let x = Tensor::new([2, 1], vec![1.0f32, 2.0]).unwrap();
    let mut adam = trainer(Adam::new(0.1));
    adam.step(&[("x", &x)]).unwrap();
    let checkpoint = adam.checkpoint().unwrap();

    let mut plain = trainer(Sgd::new(0.1));
    plain.prepare(&[("x", &x)]).unwrap();
    let before = plain.session().parameter("head.weight").unwrap();
    let error = plain.restore(&checkpoint).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Unused { .. })), "{error}");
    assert_eq!(plain.session().parameter("head.weight").unwrap(), before);

    // The same optimiser goes on, also where a function that is not planned yet may want what is left.
    let mut again = trainer(Adam::new(0.1));
    again.prepare(&[("x", &x)]).unwrap();
    again.restore(&checkpoint).unwrap();
    assert_eq!(again.step(&[("x", &x)]).unwrap(), adam.step(&[("x", &x)]).unwrap());
    let mut both = trainer(Sgd::new(0.1));
    both.prepare(&[("x", &x)]).unwrap();
    both.add_training("other", Adam::new(0.1), |inputs| inputs.get("x").mean(..));
    both.restore(&checkpoint).unwrap();
}
