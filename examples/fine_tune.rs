//! A backbone that PyTorch has trained on the digits 0 to 4 is loaded from its file, frozen, and gets a new head for the digits 5 to 9,
//! of which ten each are shown to it.
//!
//! ```text
//! cargo run --release --example fine_tune -- --device cpu
//! ```

use std::process::ExitCode;

use arenagrad::data::Batch;
use arenagrad::nn::{Activation, BatchNorm, Conv2d, Flatten, Linear, MaxPool2d, Phase, Sequential};
use arenagrad::train::shuffled;
use arenagrad::{AdamW, Device, Error, Expr, Optimizer, Tensor, Trainer, Weights};
use arenagrad_examples::device_option::run_on_device;
use arenagrad_examples::digits::{Digits, PIXELS};

const ABOUT: &str = "Fine-tuning: a frozen backbone from a file of PyTorch, and a new head.";
/// The file that PyTorch wrote: `data/SOURCE.md` says how.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits_backbone.safetensors");
const CLASSES: usize = 5;
const SHOWN: usize = 10;
const STEPS: usize = 100;

fn main() -> ExitCode {
    run_on_device("fine_tune", ABOUT, run)
}

struct Network {
    backbone: Sequential,
    head: Linear,
}

impl Network {
    /// The layers that the file was trained with, under another name, and a head of its own.
    fn new() -> Self {
        let block = |layers: Sequential, from: usize, to: usize| {
            layers
                .layer(|name| Conv2d::new(name, from, to, 3).padding(1))
                .layer(|name| BatchNorm::new(name, to))
                .then(Activation::relu())
                .then(MaxPool2d::new(2))
        };
        let backbone = block(block(Sequential::new("backbone"), 1, 16), 16, 32).then(Flatten::new());
        Network { backbone, head: Linear::new("head", 128, CLASSES) }
    }

    /// A frozen backbone is evaluated in training too, so that its running statistics stay.
    fn logits<'g>(&self, x: Expr<'g>, backbone: Phase) -> Expr<'g> {
        self.head.apply(self.backbone.apply(x, backbone))
    }
}

fn run(device: &Device) -> Result<(), Error> {
    let (shown, unseen) = digits()?;
    let network = Network::new();

    println!("{}", Weights::open(FILE)?);
    let mut frozen = Trainer::new(device.clone(), AdamW::new(0.01).freeze("backbone.*"), |inputs| {
        network.logits(inputs.get("x"), Phase::Evaluation).cross_entropy(inputs.get("labels"))
    });
    frozen.prepare(&shown)?;
    let weights = Weights::open(FILE)?.rename("features", "backbone").without(["classifier"]).not_strict();
    let report = frozen.session_mut().load_weights(weights)?;
    println!("\n{report}");
    let before = frozen.session().parameter("backbone.0.weight")?;
    let with = accuracy_after_training(&mut frozen, &network, &shown, &unseen)?;
    assert_eq!(frozen.session().parameter("backbone.0.weight")?, before, "the backbone is frozen");

    let mut whole = Trainer::new(device.clone(), AdamW::new(0.01), |inputs| {
        network.logits(inputs.get("x"), Phase::Training).cross_entropy(inputs.get("labels"))
    });
    let without = accuracy_after_training(&mut whole, &network, &shown, &unseen)?;

    println!("\nright of the digits 5 to 9, after {SHOWN} of each were shown {STEPS} times:");
    println!("  with the backbone, which stays as it is: {:.1} %", 100.0 * with);
    println!("  without it, all trained from the start:  {:.1} %", 100.0 * without);
    Ok(())
}

/// Trains on what is shown, and tests on what is not.
fn accuracy_after_training<'f>(
    trainer: &mut Trainer<'f>,
    network: &'f Network,
    shown: &Batch,
    unseen: &Batch,
) -> Result<f64, Error> {
    let test = trainer.add_evaluation(move |inputs| {
        vec![network.logits(inputs.get("x"), Phase::Evaluation).accuracy(inputs.get("labels"))]
    });
    for _ in 0..STEPS {
        trainer.step(shown)?;
    }
    trainer.evaluate(test, unseen)?[0].item()
}

/// Of the digits 5 to 9 a few of each to train on, and all others. Their classes are counted from 0.
fn digits() -> Result<(Batch, Batch), Error> {
    let digits = Digits::read().map_err(|reason| Error::File { path: "digits.csv".into(), reason })?;
    let (mut shown, mut unseen) = (Vec::new(), Vec::new());
    let mut counts = [0; CLASSES];
    for image in shuffled(digits.len(), 1, 0)? {
        let Some(class) =
            digits.labels[image].checked_sub(CLASSES as i32).and_then(|class| usize::try_from(class).ok())
        else {
            continue;
        };
        counts[class] += 1;
        if counts[class] <= SHOWN { shown.push(image) } else { unseen.push(image) }
    }
    let batch = |images: &[usize]| {
        let chosen = digits.select(images);
        let side = PIXELS.isqrt();
        let labels: Vec<i32> = chosen.labels.iter().map(|label| label - CLASSES as i32).collect();
        let pixels = Tensor::from(chosen.pixels).reshape([images.len(), 1, side, side])?;
        Ok::<Batch, Error>(Batch::new().with("x", pixels).with("labels", Tensor::from(labels)))
    };
    Ok((batch(&shown)?, batch(&unseen)?))
}
