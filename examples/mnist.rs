//! Trains a small convolutional network on handwritten digits (MNIST) and tests it on the 10,000 test images.
//!
//! ```text
//! cargo run --release --example mnist                             # on 8,000 training images, which the repository carries
//! cargo run --release --example mnist -- --data DIR --epochs 5    # on all 60,000, from the four IDX files in DIR
//! mpirun -n 4 cargo run --release --example mnist -- --distributed    # in four processes, each with a part of every batch
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use arenagrad::data::{Batch, Dataset, Draws, Per, Scaling, read_idx};
use arenagrad::group::{Alone, Group, Mpi, share_of};
use arenagrad::metrics::Mean;
use arenagrad::nn::{Activation, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Phase, Sequential};
use arenagrad::{AdamW, DType, Device, Error, FunctionId, Precision, Tensor, Trainer};
use arenagrad_examples::precision_option::precision;
use indicatif::{ProgressBar, ProgressStyle};

const SIDE: usize = 28;
const LEARNING_RATE: f64 = 2e-3;
/// The most pixels that an image is moved by while training, in each direction.
const SHIFT: usize = 2;

const USAGE: &str =
    "usage: mnist [--data DIR] [--device auto|cpu|gpu|ADAPTER] [--epochs N] [--batch N] [--seed N] [--precision f32|bf16|f16] [--save FILE] [--resume FILE]
             [--distributed]

  --data    a folder with the four files of MNIST, gzipped or not (default: 8,000 training images of the repository)
  --device  where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --epochs  passes over the training images (default 5)
  --batch   images a step (default 64)
  --seed    first values of the parameters, the order of the images and how they are moved (default 0)
  --precision  what products read and what waits for the backward pass is rounded to (default f32: nothing)
  --save    writes parameters and optimiser state to a safetensors file at the end
  --resume  starts from such a file; the order of the images begins anew
  --distributed  as one of the processes that mpirun has started: see docs/distributed.md";

struct Options {
    data: PathBuf,
    device: String,
    epochs: u16,
    batch: usize,
    seed: u64,
    precision: Precision,
    save: Option<PathBuf>,
    resume: Option<PathBuf>,
    distributed: bool,
}

fn main() -> ExitCode {
    let done = options().and_then(|options| options.map_or(Ok(()), |o| run(&o).map_err(|error| error.to_string())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("mnist: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `[n, 1, 28, 28] -> [n, 10]`
fn network() -> Sequential {
    Sequential::new("")
        .layer(|name| Conv2d::new(name, 1, 16, 3).padding(1))
        .then(Activation::relu())
        .then(MaxPool2d::new(2))
        .layer(|name| Conv2d::new(name, 16, 32, 3).padding(1))
        .then(Activation::relu())
        .then(MaxPool2d::new(2))
        .then(Flatten::new())
        .layer(|name| Linear::new(name, 32 * 7 * 7, 128))
        .then(Activation::relu())
        .then(Dropout::new(0.25))
        .layer(|name| Linear::new(name, 128, 10))
}

fn run(options: &Options) -> Result<(), Error> {
    let group: Arc<dyn Group> = if options.distributed { Arc::new(Mpi::start()?) } else { Arc::new(Alone) };
    let is_first = group.rank() == 0;
    let (train, test) = (images(&options.data, "train")?, images(&options.data, "t10k")?);
    let scaling = Scaling::standardise(&train, "x", Per::Whole)?;
    let (train, test) = (scaling.apply(&train)?, scaling.apply(&test)?);
    let batches = train.batches(options.batch).shuffled(options.seed, 0).augment(options.seed, moved).prefetch(4);
    let batches = batches.share(share_of(&*group));
    // Each process tests its part of the images.
    let own = share_of(&*group).range(test.len());
    let own_test = test.select(&own.collect::<Vec<_>>())?;

    let device = match options.device.as_str() {
        // Each process takes an adapter of its own, if its host has several.
        "gpu" => Device::gpu_of(&*group)?,
        name => Device::named(name)?,
    };
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    if is_first {
        println!("device: {device}");
        println!("{} training images in batches of {}, {} test images", train.len(), options.batch, test.len());
    }
    let net = network();
    let optimizer = AdamW::new(LEARNING_RATE).weight_decay(1e-2);
    let mut trainer = Trainer::new(device, optimizer, |inputs| {
        net.apply(inputs.get("x"), Phase::Training).cross_entropy(inputs.get("labels"))
    })
    .seed(options.seed)
    .precision(options.precision.clone())
    .in_group(Arc::clone(&group));
    let evaluation = trainer
        .add_evaluation(|inputs| vec![net.apply(inputs.get("x"), Phase::Evaluation).accuracy(inputs.get("labels"))]);
    if let Some(path) = &options.resume {
        // A trainer learns its parameters from the first batch that it plans for.
        trainer.prepare(&train.select(&[0])?.to_batch())?;
        trainer.session_mut().load(path)?;
        if is_first {
            println!("resumed from {}", path.display());
        }
    }

    let epochs = u64::from(options.epochs);
    let steps = epochs * batches.len() as u64;
    let bar = if is_first { ProgressBar::new(steps) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3} %  {per_sec}, {eta} left  {msg}") {
        bar.set_style(style);
    }
    let started = Instant::now();
    let mut step = 0;
    for epoch in 0..epochs {
        let mut loss = Mean::new();
        let mut left = train.len();
        for batch in batches.epoch(epoch) {
            // Half a cosine, from the first rate to nothing.
            let done = step as f64 / steps as f64;
            trainer.set_learning_rate(LEARNING_RATE * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))?;
            // The last batch may be smaller.
            let samples = left.min(options.batch);
            loss.add(trainer.step(&batch?)?.loss, samples as f64)?;
            left -= samples;
            step += 1;
            bar.inc(1);
        }
        let accuracy = accuracy(&mut trainer, evaluation, &own_test, &*group)?;
        let line = format!("epoch {:>2}  loss {:.4}  test accuracy {:.2} %", epoch + 1, loss.value(), 100.0 * accuracy);
        if is_first {
            bar.suspend(|| println!("{line}"));
        }
    }
    bar.finish_and_clear();
    // Where the loss is scaled.
    if is_first && let Ok(skipped) = trainer.session().parameter("skipped_updates") {
        println!("steps that overflowed and were skipped: {}", skipped.item()?);
    }
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &options.save {
        trainer.save(path)?;
    }
    let accuracy = accuracy(&mut trainer, evaluation, &own_test, &*group)?;
    if is_first {
        println!("trained {step} steps in {seconds:.1} s");
        if let Some(path) = &options.save {
            println!("saved parameters to {}", path.display());
        }
        println!("test accuracy: {:.2} %", 100.0 * accuracy);
    }
    Ok(())
}

/// The share of the images of all processes that are recognised.
fn accuracy(
    trainer: &mut Trainer<'_>,
    evaluation: FunctionId,
    data: &Dataset,
    group: &dyn Group,
) -> Result<f64, Error> {
    let mut recognised = 0.0;
    for batch in data.batches(500).prefetch(1) {
        let batch = batch?;
        let images = batch.get("labels").map_or(0, |labels| labels.shape().elements());
        recognised += trainer.evaluate(evaluation, &batch)?[0].item()? * images as f64;
    }
    let sums = group.all_reduce(vec![recognised, data.len() as f64].into())?.to_f64()?;
    Ok(sums[0] / sums[1])
}

/// The images and labels of a folder: `x` of `[n, 1, 28, 28]` in u8, `labels` of `[n]`.
fn images(folder: &Path, which: &str) -> Result<Dataset, Error> {
    let x = read_idx(found(folder, &format!("{which}-images-idx3-ubyte")))?;
    let labels = read_idx(found(folder, &format!("{which}-labels-idx1-ubyte")))?;
    let shape = [x.shape().first().copied().unwrap_or(0), 1, SIDE, SIDE];
    let x = Tensor::from_data(shape.into(), x.data().clone())?;
    Dataset::of([("x", x), ("labels", labels.cast(DType::I32))])
}

/// The file of that name, or the gzipped one.
fn found(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    if plain.exists() { plain } else { folder.join(format!("{name}.gz")) }
}

/// An image moved by up to two pixels; what comes in from outside is the background's most frequent value, that of the corner.
fn moved(sample: Batch, draws: &mut Draws) -> Result<Batch, Error> {
    let mut shift = || draws.below(2 * SHIFT + 1);
    let (down, right) = (shift(), shift());
    let Some(x) = sample.get("x") else { return Ok(sample) };
    let old = x.as_slice::<f32>()?;
    let mut new = vec![old[0]; old.len()];
    for row in 0..SIDE {
        // The place that the pixels come from, of which those outside are left out.
        let Some(from) = (row + SHIFT).checked_sub(down).filter(|from| *from < SIDE) else { continue };
        for column in 0..SIDE {
            if let Some(place) = (column + SHIFT).checked_sub(right).filter(|place| *place < SIDE) {
                new[row * SIDE + column] = old[from * SIDE + place];
            }
        }
    }
    let new = Tensor::new(x.shape(), new)?;
    Ok(sample.with("x", new))
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        data: Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"),
        device: "auto".to_owned(),
        epochs: 5,
        batch: 64,
        seed: 0,
        precision: Precision::full(),
        save: None,
        resume: None,
        distributed: false,
    };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("data") => options.data = parser.value().map_err(wrong)?.into(),
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("epochs") => options.epochs = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("batch") => options.batch = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("seed") => options.seed = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("precision") => options.precision = precision(&mut parser).map_err(wrong)?,
            Long("save") => options.save = Some(parser.value().map_err(wrong)?.into()),
            Long("resume") => options.resume = Some(parser.value().map_err(wrong)?.into()),
            Long("distributed") => options.distributed = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
