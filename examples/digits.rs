//! Trains a multilayer perceptron on 1,797 real handwritten digits and tests it on a fifth that it never saw.
//!
//! ```text
//! cargo run --release --example digits -- --device auto --epochs 40 --seed 0
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use arenagrad::fit::{Curves, Panel};
use arenagrad::train::{append_step, shuffled};
use arenagrad::{AdamW, DType, Device, Error, Expr, Graph, Init, Session, replace_file};
use arenagrad_examples::digits::{CLASSES, Digits, PIXELS};
use indicatif::{ProgressBar, ProgressStyle};

const HIDDEN: usize = 128;
const BATCH: usize = 32;
/// Which images are held out does not depend on `--seed`, so that runs can be compared.
const SPLIT_SEED: u64 = 2026;

const USAGE: &str =
    "usage: digits [--device auto|cpu|gpu|ADAPTER] [--epochs N] [--seed N] [--save FILE] [--resume FILE]
              [--curve FILE] [--losses FILE] [--print-graph] [--print-plan]

  --device       where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --epochs       passes over the training images (default 40)
  --seed         first values of the parameters, and the order of the images (default 0)
  --save         writes parameters and optimiser state to a safetensors file at the end
  --resume       starts from such a file; the order of the images begins anew
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
    curve: PathBuf,
    losses: Option<PathBuf>,
    print_graph: bool,
    print_plan: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("digits: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let digits = Digits::read()?;
    let told = |error: Error| error.to_string();
    let order = shuffled(digits.len(), SPLIT_SEED, 0).map_err(told)?;
    let (test, train) = order.split_at(digits.len() / 5);
    let (test, train) = (digits.select(test), digits.select(train));

    let graph = Graph::new();
    let network = Network::new(&graph);
    let x = graph.input("x", [BATCH, PIXELS]);
    let labels = graph.input_of("labels", [BATCH], DType::I32);
    let loss = network.logits(x).named("logits").cross_entropy(labels).named("loss");
    let x_test = graph.input("x_test", [test.len(), PIXELS]);
    let labels_test = graph.input_of("labels_test", [test.len()], DType::I32);
    let accuracy = network.logits(x_test).accuracy(labels_test);
    let optimizer = AdamW::new(2e-3).weight_decay(0.02);

    if options.print_graph {
        let mark = graph.mark();
        let step = append_step(loss, &optimizer).map_err(told)?;
        let outputs = std::iter::once(Ok(loss)).chain(step.updates.iter().map(|(_, next)| graph.expr(*next).check()));
        let outputs = outputs.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        print!("{}", graph.display(&outputs));
        return graph.rewind(mark).map_err(|error| error.to_string());
    }

    let device = Device::named(&options.device).map_err(told)?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    let mut session =
        Session::builder(device.clone()).seed(options.seed).train(&graph, loss, &optimizer).map_err(told)?;
    if options.print_plan {
        print!("{}", session.plan());
        return Ok(());
    }
    println!("device: {device}");
    println!("{} training images in batches of {BATCH}, {} test images", train.len(), test.len());
    let evaluation = session.add(&graph, &[accuracy]).map_err(told)?;
    if let Some(path) = &options.resume {
        session.load(path).map_err(told)?;
        println!("resumed from {}", path.display());
    }

    let (test_images, test_labels) = test.tensors().map_err(told)?;
    let test_inputs = [("x_test", &test_images), ("labels_test", &test_labels)];
    let test_accuracy = |session: &mut Session| -> Result<f64, String> {
        let results = session.run_plan(evaluation, &test_inputs).map_err(told)?;
        results[0].item().map_err(told)
    };
    let epochs = usize::from(options.epochs);
    let steps_per_epoch = train.len() / BATCH;
    let bar = ProgressBar::new((epochs * steps_per_epoch) as u64);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {elapsed_precise}");
    bar.set_style(style.map_err(|error| error.to_string())?);
    let mut losses = Vec::with_capacity(epochs * steps_per_epoch);
    let started = Instant::now();
    for epoch in 0..epochs {
        let order = shuffled(train.len(), options.seed, epoch as u64 + 1).map_err(told)?;
        for batch in order.chunks_exact(BATCH) {
            let (x, labels) = train.select(batch).tensors().map_err(told)?;
            losses.push(session.step(&[("x", &x), ("labels", &labels)]).map_err(told)?);
            bar.inc(1);
        }
        let recent = &losses[losses.len() - steps_per_epoch..];
        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
        let accuracy = test_accuracy(&mut session)? * 100.0;
        let line = format!("epoch {:>3}  loss {mean:.4}  accuracy {accuracy:.1} %", epoch + 1);
        // Without a terminal there is no bar to see, so a line now and then takes its place.
        if bar.is_hidden() && ((epoch + 1) % 10 == 0 || epoch == 0) {
            println!("{line}");
        }
        bar.set_message(line);
    }
    bar.finish();
    println!("trained {} steps in {:.2} s", losses.len(), started.elapsed().as_secs_f64());

    if let Some(path) = &options.save {
        session.save(path).map_err(told)?;
        println!("saved parameters to {}", path.display());
    }
    if let Some(path) = &options.losses {
        let rows: String = losses.iter().enumerate().map(|(step, loss)| format!("{step},{loss}\n")).collect();
        replace_file(path, format!("step,loss\n{rows}").as_bytes()).map_err(told)?;
    }
    if !losses.is_empty() {
        let panel = Panel::new("cross-entropy").logarithmic().steps_and_epochs(&losses, steps_per_epoch);
        Curves::new(format!("digits on {device}")).panel(panel).save(&options.curve).map_err(told)?;
        println!("loss curve in {}", options.curve.display());
    }
    println!("test accuracy: {:.1} %", test_accuracy(&mut session)? * 100.0);
    Ok(())
}

/// Two layers, shared by the training and the test batch.
struct Network<'g> {
    w1: Expr<'g>,
    b1: Expr<'g>,
    w2: Expr<'g>,
    b2: Expr<'g>,
}

impl<'g> Network<'g> {
    fn new(graph: &'g Graph) -> Self {
        Network {
            w1: graph.parameter("w1", [PIXELS, HIDDEN], Init::KaimingUniform),
            b1: graph.parameter("b1", [HIDDEN], Init::Constant(0.0)),
            w2: graph.parameter("w2", [HIDDEN, CLASSES], Init::KaimingUniform),
            b2: graph.parameter("b2", [CLASSES], Init::Constant(0.0)),
        }
    }

    /// `[n, 64] -> [n, 10]`
    fn logits(&self, x: Expr<'g>) -> Expr<'g> {
        (x.matmul(self.w1) + self.b1).relu().matmul(self.w2) + self.b2
    }
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        device: "auto".to_owned(),
        epochs: 40,
        seed: 0,
        save: None,
        resume: None,
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
