//! Two networks in one trainer: a generator that learns to write digits, and a discriminator that learns to tell them from real
//! ones (Goodfellow et al. 2014). Each has a loss and an optimiser of its own.
//!
//! ```text
//! cargo run --release --example gan -- --device auto --epochs 60 --seed 0 --samples gan.svg
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use arenagrad::data::Batch;
use arenagrad::nn::{BatchNorm, Linear, Phase};
use arenagrad::train::shuffled;
use arenagrad::{Adam, DType, Device, Error, Expr, Optimizer, Tensor, Trainer, replace_file};
use arenagrad_examples::digits::{Digits, PIXELS};

const BATCH: usize = 64;
const NOISE: usize = 24;
const HIDDEN: usize = 192;
/// Samples are drawn in a square of so many rows.
const ROWS: usize = 10;

const USAGE: &str = "usage: gan [--device auto|cpu|gpu|ADAPTER] [--epochs N] [--seed N] [--samples FILE]

  --device   where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --epochs   passes over the 1,797 digits (default 200)
  --seed     first values of the parameters, the noise, and the order of the images (default 0)
  --samples  where the drawn digits go, as an SVG (default gan.svg)";

struct Options {
    device: String,
    epochs: u16,
    seed: u64,
    samples: PathBuf,
}

/// From noise to images.
struct Generator {
    layers: [Linear; 3],
    norms: [BatchNorm; 2],
}

/// From images to a logit: above 0 where an image seems real.
struct Discriminator([Linear; 3]);

impl Generator {
    fn new() -> Self {
        let name = |layer: usize| format!("generator.{layer}");
        let layers = [
            Linear::new(name(0), NOISE, HIDDEN),
            Linear::new(name(1), HIDDEN, HIDDEN),
            Linear::new(name(2), HIDDEN, PIXELS),
        ];
        Generator { layers, norms: [0, 1].map(|layer| BatchNorm::new(format!("generator.norm{layer}"), HIDDEN)) }
    }

    /// `[n, 24] -> [n, 64]`, each pixel in (0, 1).
    fn images<'g>(&self, noise: Expr<'g>, phase: Phase) -> Expr<'g> {
        let ([first, second, last], norms) = (&self.layers, &self.norms);
        // Normalised over the batch, images cannot all become alike.
        let hidden = norms[0].apply(first.apply(noise), phase).relu();
        last.apply(norms[1].apply(second.apply(hidden), phase).relu()).sigmoid()
    }
}

impl Discriminator {
    fn new() -> Self {
        let name = |layer: usize| format!("discriminator.{layer}");
        Discriminator([
            Linear::new(name(0), PIXELS, HIDDEN),
            Linear::new(name(1), HIDDEN, HIDDEN),
            Linear::new(name(2), HIDDEN, 1),
        ])
    }

    /// `[n, 64] -> [n, 1]`
    fn logits<'g>(&self, images: Expr<'g>, phase: Phase) -> Expr<'g> {
        let [first, second, last] = &self.0;
        let hidden = first.apply(images).leaky_relu(0.2).dropout_in(phase, 0.3);
        last.apply(second.apply(hidden).leaky_relu(0.2).dropout_in(phase, 0.3))
    }
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("gan: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let digits = Digits::read()?;
    let device = Device::named(&options.device).map_err(told)?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");

    let (generator, discriminator) = (Generator::new(), Discriminator::new());
    let (seed, adam) = (options.seed, Adam::new(4e-4).betas(0.5, 0.999));
    // The generator is better the more its images are taken for real ones: -log sigmoid(logit) is softplus(-logit).
    let mut trainer = Trainer::new(device, adam.clone().only("generator.*"), |inputs| {
        let noise = inputs.graph().normal([inputs.extent("images", 0), NOISE], inputs.graph().step(), seed);
        let logits = discriminator.logits(generator.images(noise, Phase::Training), Phase::Training);
        (-logits).softplus(1.0, 20.0).mean(..)
    })
    .seed(seed);
    // The discriminator is better the surer it is of real images, and of made ones that they are not.
    let discriminate = trainer.add_training("discriminating", adam.only("discriminator.*"), |inputs| {
        let noise = inputs.graph().normal([inputs.extent("images", 0), NOISE], inputs.graph().step(), seed);
        let real = discriminator.logits(inputs.get("images"), Phase::Training);
        let made = discriminator.logits(generator.images(noise, Phase::Training), Phase::Training);
        inputs.report("real", real.greater(0.0).cast(DType::F32).mean(..));
        inputs.report("made", made.less(0.0).cast(DType::F32).mean(..));
        // Real images count as real by nine tenths, or it would become so sure that the generator learns nothing from it.
        let real = (-real).softplus(1.0, 20.0) * 0.9 + real.softplus(1.0, 20.0) * 0.1;
        real.mean(..) + made.softplus(1.0, 20.0).mean(..)
    });
    // The same noise at each look, so that one can watch the digits become better.
    let sample = trainer.add_evaluation(|inputs| {
        let (graph, step) = (inputs.graph(), inputs.graph().full([], 0.0, DType::I32));
        vec![generator.images(graph.normal([ROWS * ROWS, NOISE], step, seed), Phase::Evaluation)]
    });

    let started = Instant::now();
    let epochs = u64::from(options.epochs);
    for epoch in 1..=epochs {
        let (mut losses, mut right, mut steps) = ([0.0; 2], [0.0; 2], 0.0);
        for positions in shuffled(digits.len(), seed, epoch).map_err(told)?.chunks(BATCH) {
            let (images, _) = digits.select(positions).tensors().map_err(told)?;
            let batch = [("images", &images)];
            let outcome = trainer.step_of(discriminate, &batch).map_err(told)?;
            for (sum, name) in right.iter_mut().zip(["real", "made"]) {
                *sum += outcome.metric(name).and_then(Tensor::item).map_err(told)?;
            }
            losses[0] += outcome.loss;
            losses[1] += trainer.step(&batch).map_err(told)?.loss;
            steps += 1.0;
        }
        if epoch % 10 == 0 || epoch == 1 || epoch == epochs {
            println!(
                "epoch {epoch:>3}  discriminator: loss {:.3}, right of {:.0} % real and {:.0} % made  generator: loss {:.3}",
                losses[0] / steps,
                100.0 * right[0] / steps,
                100.0 * right[1] / steps,
                losses[1] / steps
            );
        }
    }
    println!("trained {epochs} epochs in {:.1} s", started.elapsed().as_secs_f64());
    let samples = trainer.evaluate(sample, &Batch::new()).map_err(told)?;
    let pixels = samples[0].as_slice::<f32>().map_err(told)?;
    replace_file(&options.samples, drawing(pixels).as_bytes()).map_err(told)?;
    println!("{} made digits in {}", ROWS * ROWS, options.samples.display());
    Ok(())
}

/// Images of 8 x 8 pixels as one SVG, `ROWS` in a row.
fn drawing(pixels: &[f32]) -> String {
    const SIDE: usize = 8;
    let extent = ROWS * (SIDE + 1) + 1;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{0}\" viewBox=\"0 0 {extent} {extent}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{extent}\" height=\"{extent}\" fill=\"#303060\"/>\n",
        extent * 8
    );
    for (number, image) in pixels.chunks(PIXELS).enumerate() {
        let (left, top) = (number % ROWS * (SIDE + 1) + 1, number / ROWS * (SIDE + 1) + 1);
        for (place, pixel) in image.iter().enumerate() {
            let (x, y) = (left + place % SIDE, top + place / SIDE);
            let gray = (255.0 * pixel.clamp(0.0, 1.0)).round() as u8;
            svg += &format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" fill=\"#{gray:02x}{gray:02x}{gray:02x}\"/>\n"
            );
        }
    }
    svg + "</svg>\n"
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options { device: "auto".to_owned(), epochs: 200, seed: 0, samples: PathBuf::from("gan.svg") };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("epochs") => options.epochs = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("seed") => options.seed = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("samples") => options.samples = parser.value().map_err(wrong)?.into(),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
