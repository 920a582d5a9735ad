//! Trains a multilayer perceptron on 1,797 real handwritten digits and tests it on a fifth that it never saw.
//!
//! ```text
//! cargo run --release --example digits -- --device auto --epochs 40 --seed 0
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use arenagrad::data::Dataset;
use arenagrad::fit::{Curves, Fit, FitEnd, Panel, Validation};
use arenagrad::metrics::{Accuracy, ConfusionMatrix};
use arenagrad::nn::Linear;
use arenagrad::train::append_step;
use arenagrad::{AdamW, DType, Device, Error, Expr, Graph, Trainer, replace_file};
use arenagrad_examples::digits::{CLASSES, Digits, PIXELS};

const HIDDEN: usize = 128;
const BATCH: usize = 32;
/// Which images are held out does not depend on `--seed`, so that runs can be compared.
const SPLIT_SEED: u64 = 2026;

const USAGE: &str =
    "usage: digits [--device auto|cpu|gpu|ADAPTER] [--epochs N] [--seed N] [--save FILE] [--resume FILE] [--folder DIR]
              [--curve FILE] [--losses FILE] [--print-graph] [--print-plan]

  --device       where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --epochs       passes over the training images (default 40)
  --seed         first values of the parameters, and the order of the images (default 0)
  --save         writes parameters and optimiser state to a safetensors file at the end
  --resume       starts from such a file; the order of the images begins anew
  --folder       keeps the run in a folder: metrics as lines of JSON, checkpoints, and a page to look at
  --curve        where the loss curve goes, as an SVG (default digits-loss.svg)
  --losses       writes the loss of every step as CSV
  --print-graph  prints the graph of one training step and ends
  --print-plan   prints the plan of one training step and ends";

struct Options {
    device: String,
    epochs: u16,
    seed: u64,
    save: Option<PathBuf>,
    resume: Option<PathBuf>,
    folder: Option<PathBuf>,
    curve: PathBuf,
    losses: Option<PathBuf>,
    print_graph: bool,
    print_plan: bool,
}

fn main() -> ExitCode {
    match options()
        .and_then(|options| options.map_or(Ok(()), |options| run(options).map_err(|error| error.to_string())))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("digits: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Two layers.
struct Network {
    hidden: Linear,
    out: Linear,
}

impl Network {
    /// `[n, 64] -> [n, 10]`
    fn logits<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        self.out.apply(self.hidden.apply(x).relu()).named("logits")
    }
}

fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let (images, labels) = Digits::read()?.tensors()?;
    let data = Dataset::new().with("x", images)?.with("labels", labels)?;
    let (test, train) = data.split(0.2, SPLIT_SEED)?;
    let network = Network { hidden: Linear::new("hidden", PIXELS, HIDDEN), out: Linear::new("out", HIDDEN, CLASSES) };
    let optimizer = AdamW::new(2e-3).weight_decay(0.02);
    if options.print_graph {
        let graph = Graph::new();
        let labels = graph.input_of("labels", [BATCH], DType::I32);
        let loss = network.logits(graph.input("x", [BATCH, PIXELS])).cross_entropy(labels).named("loss");
        let step = append_step(loss, &optimizer)?;
        let outputs = std::iter::once(Ok(loss)).chain(step.updates.iter().map(|(_, next)| graph.expr(*next).check()));
        print!("{}", graph.display(&outputs.collect::<Result<Vec<_>, _>>()?));
        return Ok(());
    }

    let device = Device::named(&options.device)?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    let mut trainer = Trainer::new(device.clone(), optimizer, |inputs| {
        network.logits(inputs.get("x")).cross_entropy(inputs.get("labels")).named("loss")
    })
    .seed(options.seed);
    let predict = trainer.add_evaluation(|inputs| vec![network.logits(inputs.get("x"))]);
    let batches = train.batches(BATCH).shuffled(options.seed, 0);
    let first = train.select(&(0..BATCH).collect::<Vec<_>>())?.to_batch();
    trainer.prepare(&first)?;
    if options.print_plan {
        let training = trainer.first_training()?;
        print!("{}", trainer.plan_of(training, &first)?);
        return Ok(());
    }
    println!("device: {device}");
    println!("{} training images in batches of {BATCH}, {} test images", train.len(), test.len());
    if let Some(path) = &options.resume {
        trainer.session_mut().load(path)?;
        println!("resumed from {}", path.display());
    }

    let images = test.to_batch();
    let measure = |trainer: &mut Trainer<'_>| -> Result<Validation, Error> {
        let (mut accuracy, mut confusion) = (Accuracy::new(), ConfusionMatrix::new(CLASSES));
        let logits = &trainer.evaluate(predict, &images)?[0];
        accuracy.add(logits, test.column("labels")?)?;
        confusion.add(logits, test.column("labels")?)?;
        Ok(Validation::from([("accuracy", accuracy.value())]).confusion(confusion))
    };
    let percent = |validation: Option<f64>| validation.unwrap_or(f64::NAN) * 100.0;
    let mut losses = Vec::new();
    let mut fit = Fit::new(options.epochs)
        .title(format!("digits on {device}"))
        .setting("optimiser", "AdamW, rate 2e-3, weight decay 0.02")
        .validate(measure)
        .line(move |epoch| {
            let loss = epoch.training("loss").unwrap_or(f64::NAN);
            format!("epoch {:>3}  loss {loss:.4}  accuracy {:.1} %", epoch.epoch, percent(epoch.validation("accuracy")))
        })
        .on_step(|step| losses.push(step.outcome.loss));
    if let Some(path) = &options.folder {
        fit = fit.folder(path);
    }
    let outcome = fit.run(&mut trainer, |position| batches.resume(position))?;
    let how = if outcome.end == FitEnd::Interrupted { "interrupted after" } else { "trained" };
    println!("{how} {} steps in {:.2} s", outcome.steps, outcome.seconds);

    if let Some(path) = &options.save {
        trainer.session().save(path)?;
        println!("saved parameters to {}", path.display());
    }
    if let Some(path) = &options.losses {
        let rows: String = losses.iter().enumerate().map(|(step, loss)| format!("{step},{loss}\n")).collect();
        replace_file(path, format!("step,loss\n{rows}").as_bytes())?;
    }
    if !losses.is_empty() {
        let panel = Panel::new("cross-entropy").logarithmic().steps_and_epochs(&losses, batches.len());
        Curves::new(format!("digits on {device}")).panel(panel).save(&options.curve)?;
        println!("loss curve in {}", options.curve.display());
    }
    if let Some(path) = &options.folder {
        println!("the run on a page: {}", path.join("report.html").display());
    }
    println!("test accuracy: {:.1} %", percent(measure(&mut trainer)?.metric("accuracy")));
    Ok(())
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        device: "auto".to_owned(),
        epochs: 40,
        seed: 0,
        save: None,
        resume: None,
        folder: None,
        curve: PathBuf::from("digits-loss.svg"),
        losses: None,
        print_graph: false,
        print_plan: false,
    };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("epochs") => options.epochs = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("seed") => options.seed = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("save") => options.save = Some(parser.value().map_err(wrong)?.into()),
            Long("resume") => options.resume = Some(parser.value().map_err(wrong)?.into()),
            Long("folder") => options.folder = Some(parser.value().map_err(wrong)?.into()),
            Long("curve") => options.curve = parser.value().map_err(wrong)?.into(),
            Long("losses") => options.losses = Some(parser.value().map_err(wrong)?.into()),
            Long("print-graph") => options.print_graph = true,
            Long("print-plan") => options.print_plan = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
