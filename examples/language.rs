//! Trains a character model on English of 1611 and writes more of it.
//!
//! ```text
//! cargo run --release --example language -- --device auto --steps 1000 --seed 0
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arenagrad::nn::Phase;
use arenagrad::train::schedules::{Cosine, LinearRamp, Schedule};
use arenagrad::{AdamW, Device, Error, FunctionId, Optimizer, Precision, Tensor, Trainer};
use arenagrad_examples::language::{Corpus, Gpt, POSITIONS, Random, places, windows};
use arenagrad_examples::precision_option::precision;
use indicatif::{ProgressBar, ProgressStyle};

const BATCH: usize = 12;
/// Windows that are validated at once.
const VALIDATION_BATCH: usize = 64;
/// Steps in which the learning rate grows.
const WARM_UP: u64 = 100;
const TEMPERATURE: f64 = 0.8;

const USAGE: &str =
    "usage: language [--device auto|cpu|gpu|ADAPTER] [--steps N] [--seed N] [--precision f32|bf16|f16] [--save FILE] [--resume FILE] [--characters N]

  --device      where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --steps       training steps in all, of 12 windows of 64 characters (default 1000)
  --seed        first values of the parameters, and which windows are seen (default 0)
  --precision   what products read and what waits for the backward pass is rounded to (default f32: nothing)
  --save        writes parameters and optimiser state to a safetensors file at the end
  --resume      goes on from such a file, as if it had not been interrupted
  --characters  how much text is written at the end (default 400)";

struct Options {
    device: String,
    steps: u64,
    seed: u64,
    precision: Precision,
    save: Option<PathBuf>,
    resume: Option<PathBuf>,
    characters: usize,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("language: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let corpus = Corpus::read();
    let net = Gpt::new(corpus.vocabulary());
    let device = Device::named(&options.device).map_err(told)?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");

    // Up to 1e-3, then down to a tenth of it along a cosine.
    let fall = Cosine::new(options.steps.saturating_sub(WARM_UP).max(1)).floor(1e-4);
    let schedule = LinearRamp::new(1.0 / WARM_UP as f64, 1.0, WARM_UP - 1).then(WARM_UP, fall);
    // Matrices decay; biases, and what scales and shifts in norms, do not.
    let optimizer = AdamW::new(1e-3).betas(0.9, 0.99).weight_decay(0.1).no_decay("*.bias").no_decay("*norm*");
    let optimizer = optimizer.schedule(schedule).clip_norm(1.0);
    let mut trainer =
        Trainer::new(device, optimizer, |inputs| net.loss(inputs.get("x"), inputs.get("next"), Phase::Training))
            .seed(options.seed)
            .precision(options.precision.clone());
    let validation =
        trainer.add_evaluation(|inputs| vec![net.loss(inputs.get("x"), inputs.get("next"), Phase::Evaluation)]);
    let logits = trainer.add_evaluation(|inputs| vec![net.logits(inputs.get("x"), Phase::Evaluation)]);

    let batch = |step: u64| windows(corpus.training(), &places(corpus.training(), BATCH, options.seed, step));
    let (x, next) = batch(0).map_err(told)?;
    trainer.prepare(&[("x", &x), ("next", &next)]).map_err(told)?;
    let mut first = 0;
    if let Some(path) = &options.resume {
        trainer.session_mut().load(path).map_err(told)?;
        first = trainer.session().parameter("updates").and_then(|updates| updates.item()).map_err(told)? as u64;
        // Steps that overflowed in 16 bits and were skipped have had their windows too.
        if let Ok(skipped) = trainer.session().parameter("skipped_updates") {
            first += skipped.item().map_err(told)? as u64;
        }
        println!("resumed after {first} steps from {}", path.display());
    }

    let bar = ProgressBar::new(options.steps.saturating_sub(first));
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {elapsed_precise}");
    bar.set_style(style.map_err(|error| error.to_string())?);
    let mut spent = Duration::ZERO;
    for step in first..options.steps {
        let (x, next) = batch(step).map_err(told)?;
        let began = Instant::now();
        let loss = trainer.step(&[("x", &x), ("next", &next)]).map_err(told)?.loss;
        spent += began.elapsed();
        bar.set_message(format!("loss {loss:.4}"));
        bar.inc(1);
        if step % 250 == 249 || step + 1 == options.steps {
            let validated = validate(&mut trainer, validation, &corpus).map_err(told)?;
            let each = spent.as_secs_f64() * 1e3 / (step + 1 - first) as f64;
            let line = format!("training loss {loss:.4}, validation loss {validated:.4}, {each:.1} ms a step");
            bar.suspend(|| println!("step {}: {line}", step + 1));
        }
    }
    bar.finish_and_clear();

    if let Some(path) = &options.save {
        trainer.session().save(path).map_err(told)?;
        println!("saved parameters to {}", path.display());
    }
    for beginning in ["The LORD ", "And he said unto "] {
        let text = written(&mut trainer, logits, &corpus, beginning, &options).map_err(told)?;
        println!("\n{text}");
    }
    Ok(())
}

/// The mean loss of all windows of the held-out text, side by side.
fn validate(trainer: &mut Trainer<'_>, function: FunctionId, corpus: &Corpus) -> Result<f64, Error> {
    let text = corpus.validation();
    let places: Vec<usize> = (0..(text.len() - 1) / POSITIONS).map(|window| window * POSITIONS).collect();
    let mut sum = 0.0;
    for places in places.chunks(VALIDATION_BATCH) {
        let (x, next) = windows(text, places)?;
        let loss = trainer.evaluate(function, &[("x", &x), ("next", &next)])?[0].item()?;
        sum += loss * places.len() as f64;
    }
    Ok(sum / places.len() as f64)
}

/// A beginning and what the network makes of it, one character after the other.
fn written(
    trainer: &mut Trainer<'_>,
    function: FunctionId,
    corpus: &Corpus,
    beginning: &str,
    options: &Options,
) -> Result<String, Error> {
    let mut random = Random::new(options.seed);
    let mut text: Vec<i32> = beginning.chars().filter_map(|character| corpus.number(character)).collect();
    for _ in 0..options.characters {
        // What stands behind the last character is not attended, so the window may end in anything.
        let mut window = text[text.len().saturating_sub(POSITIONS)..].to_vec();
        let last = window.len() - 1;
        window.resize(POSITIONS, 0);
        let x = Tensor::new([1, POSITIONS], window)?;
        let logits = trainer.evaluate(function, &[("x", &x)])?[0].to_f64_vec();
        let vocabulary = corpus.vocabulary();
        text.push(random.draw(&logits[last * vocabulary..(last + 1) * vocabulary], TEMPERATURE) as i32);
    }
    Ok(text.iter().filter_map(|&number| corpus.character(number as usize)).collect())
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        device: "auto".to_owned(),
        steps: 1000,
        seed: 0,
        precision: Precision::full(),
        save: None,
        resume: None,
        characters: 400,
    };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("steps") => options.steps = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("seed") => options.seed = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("precision") => options.precision = precision(&mut parser).map_err(wrong)?,
            Long("save") => options.save = Some(parser.value().map_err(wrong)?.into()),
            Long("resume") => options.resume = Some(parser.value().map_err(wrong)?.into()),
            Long("characters") => options.characters = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
