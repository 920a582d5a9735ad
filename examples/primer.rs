//! The computational graph of ComputationalGraphPrimer 1.0.2: a network of variables from expressions, a data set from known
//! parameters, and training that finds the parameters again.
//!
//! ```text
//! cargo run --release --example primer
//! cargo run --release --example primer -- --expression 'xy=sigmoid(a*xa-b)' --expression 'xz=c*xy-xa^2' --truth a=2,b=1,c=-3
//! ```
//!
//! The original multiplies the partials along one path to a parameter and subtracts the product, without the error, and it adds the
//! parts of an expression also where their sign is minus; so its loss does not fall. Neither is done here. The gradient is that of
//! the mean squared error over all paths, whether the partials come from finite differences or from the engine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use arenagrad::fit::{Curves, Panel};
use arenagrad::{Device, replace_file};
use arenagrad_examples::primer::{
    BothWays, Dag, DataSet, End, Identifiability, LossGradient, Method, Options, Partials, PrimerError, SampleTable,
    Trained, dictionaries, dot, gradient_table, identifiability_text, list, parameter_table, parse_truth,
    partials_lines, partials_table, progress_line, svg, train,
};

const LECTURE: [&str; 4] = ["xx=xa^2", "xy=ab*xx+ac*xa", "xz=bc*xx+xy", "xw=cd*xx+xz^3"];
const LECTURE_TRUTH: &str = "ab=1.0,bc=2.0,cd=3.0,ac=4.0";

const USAGE: &str = "usage: primer [--expression 'xx=xa^2' ...] [--output-vars xw,...] [--truth ab=1.0,bc=2.0,...]
              [--dataset-size N] [--seed N] [--partials finite-difference|engine] [--grad-delta NUMBER]
              [--optimizer levenberg-marquardt|gradient-descent|adam] [--learning-rate NUMBER] [--steps N]
              [--no-finish] [--batch-size N] [--starts N] [--display-every N] [--device auto|cpu|gpu|ADAPTER]
              [--network-dot FILE] [--network-svg FILE] [--curve FILE] [--losses FILE]

Names that start with x are variables, all others learnable parameters. Without --expression it is the lecture's network.

  --expression     one variable and what it is; give it once for each, in any order
  --output-vars    the outputs, by commas (default: the variables that no other depends on)
  --truth          the true value of every parameter (default, for the lecture's network: ab=1.0,bc=2.0,cd=3.0,ac=4.0)
  --dataset-size   how many samples, their inputs uniform in [0, 1) (default 10000)
  --seed           inputs, first values of the parameters, order of the samples (default 0)
  --partials       where training has partial derivatives from (default finite-difference)
  --grad-delta     the step of finite differences (default 1e-4)
  --optimizer      how parameters are updated (default levenberg-marquardt, or gradient-descent where a --learning-rate or a
                   --batch-size is given)
  --learning-rate  of gradient-descent (default 1e-6) and adam (default 0.05)
  --no-finish      ends where gradient-descent or adam ends; otherwise levenberg-marquardt goes on from there
  --steps          updates of gradient-descent or adam (default 10000), the most of levenberg-marquardt (default 1000)
  --batch-size     samples of one update of gradient-descent and adam; 1 is sample by sample (default: all)
  --starts         from how many starts levenberg-marquardt tries until one explains the data (default 32)
  --display-every  updates between two displays (default 5 with levenberg-marquardt, else 1000)
  --device         where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --network-dot    where the network goes in the DOT language (default primer-network.dot)
  --network-svg    where it goes as a picture (default primer-network.svg)
  --curve          where the loss curve goes, as an SVG (default primer-loss.svg)
  --losses         writes the loss of every update as CSV";

struct Arguments {
    expressions: Vec<String>,
    outputs: Vec<String>,
    truth: Option<String>,
    dataset_size: usize,
    seed: u64,
    engine_partials: bool,
    delta: f64,
    optimizer: Option<String>,
    learning_rate: Option<f64>,
    no_finish: bool,
    steps: Option<usize>,
    batch_size: Option<usize>,
    starts: usize,
    display_every: Option<usize>,
    device: String,
    dot: PathBuf,
    svg: PathBuf,
    curve: PathBuf,
    losses: Option<PathBuf>,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| arguments.map_or(Ok(()), |arguments| run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("primer: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let told = |error: PrimerError| error.to_string();
    let phases = arguments.phases()?;
    let expressions = match arguments.expressions.as_slice() {
        [] => LECTURE.map(str::to_owned).to_vec(),
        given => given.to_vec(),
    };
    let dag = Dag::parse(&expressions).and_then(|dag| dag.with_outputs(&arguments.outputs)).map_err(told)?;
    println!("expressions            {}", list(&expressions));
    println!("independent variables  {}", list(&dag.variables()[..dag.independent()]));
    println!("output variables       {}", list(&dag.variable_names(dag.outputs())));
    println!("learnable parameters   {}\n", list(dag.parameters()));
    println!("{}", dictionaries(&dag));
    write(&arguments.dot, &dot(&dag))?;
    write(&arguments.svg, &svg(&dag))?;
    println!("network in {} and {}", arguments.dot.display(), arguments.svg.display());

    let lecture_truth = if arguments.expressions.is_empty() { LECTURE_TRUTH } else { "" };
    let truth = parse_truth(&dag, arguments.truth.as_deref().unwrap_or(lecture_truth)).map_err(told)?;
    let data = DataSet::generate(&dag, &truth, arguments.dataset_size, arguments.seed).map_err(told)?;
    let device = Device::named(&arguments.device).map_err(|error| error.to_string())?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");
    println!("data: {} samples, inputs uniform in [0, 1)\n", data.len());
    let known = Identifiability::of(&dag, &data, &truth).map_err(told)?;
    if matches!(phases[0].method, Method::GradientDescent { .. }) && known.curvature > 0.0 {
        let rate = 2.0 / known.curvature;
        println!("near the truth, gradient descent on all samples is stable at learning rates below {rate:.1e}\n");
    }
    let trained = train_with_tables(&dag, &data, phases, arguments.delta, &device).map_err(told)?;
    println!("{}", parameter_table(&dag, &truth, &trained, &known));
    print!("{}", identifiability_text(&dag, &known, &truth, &trained.parameters));
    println!("loss {:.4e}: {}", trained.loss, ending(trained.end));
    if let Some(path) = &arguments.losses {
        let rows = trained.losses.iter().enumerate().map(|(step, loss)| format!("{step},{loss}\n"));
        write(path, &format!("step,loss\n{}", rows.collect::<String>()))?;
    }
    if trained.losses.iter().any(|loss| *loss > 0.0) {
        let title = format!("{} on {device}", dag.variable_names(dag.outputs()).join(", "));
        let panel = Panel::new("mean squared error").logarithmic();
        let panel = panel.steps_and_epochs(&trained.losses, trained.steps_per_epoch);
        Curves::new(title).panel(panel).save(&arguments.curve).map_err(|error| error.to_string())?;
        println!("loss curve in {}", arguments.curve.display());
    }
    Ok(())
}

/// Trains in one or two phases and prints the progress, with tables of derivatives before the first update and after the last.
fn train_with_tables(
    dag: &Dag,
    data: &DataSet,
    phases: Vec<Options>,
    delta: f64,
    device: &Device,
) -> Result<Trained, PrimerError> {
    let mut sample_table = SampleTable::new(dag, delta, device)?;
    let mut loss_gradient = LossGradient::new(dag, data, delta, device)?;
    let mut tables = |title: &str, parameters: &[f64]| -> Result<(), PrimerError> {
        println!("partial derivatives {title}, for sample 0");
        println!("{}", partials_table(dag, &sample_table.at(data, 0, parameters)?));
        println!("gradient {title}, over all samples");
        println!("{}", gradient_table(dag, &loss_gradient.at(parameters)?));
        Ok(())
    };
    let mut lines = SampleTable::new(dag, delta, device)?;
    let mut reached: Option<Trained> = None;
    let mut losses = Vec::new();
    let (last, started) = (phases.len() - 1, Instant::now());
    for (phase, mut options) in phases.into_iter().enumerate() {
        options.first = reached.as_ref().map(|trained| trained.parameters.clone());
        let used = |both: BothWays| match options.partials {
            Partials::FiniteDifference { .. } => both.finite_difference,
            Partials::Engine => both.engine,
        };
        let mut shown = None;
        let outcome = train(dag, data, &options, device, |progress| {
            if progress.start == 0 && progress.step == 0 && !progress.last {
                if phase == 0 {
                    tables("before training", progress.parameters)?;
                }
                println!("training by {}", method(&options));
            }
            if progress.start > 0 {
                // Of further starts only the ends are told.
                if progress.last {
                    println!("start {:>4}  ended at {}", progress.start + 1, progress_line(dag, progress));
                }
                return Ok(());
            }
            if shown.replace(progress.step) != Some(progress.step) {
                println!("{}", progress_line(dag, progress));
                let derivatives = lines.at(data, progress.step % data.len(), progress.parameters)?;
                print!("{}", partials_lines(dag, &derivatives, used));
            }
            Ok(())
        });
        match outcome {
            Ok(trained) => {
                losses.extend_from_slice(&trained.losses);
                reached = Some(trained);
            }
            Err(error @ PrimerError::Diverged { .. }) if phase < last => println!("{error}"),
            Err(error) => return Err(error),
        }
    }
    println!("trained in {:.2} s\n", started.elapsed().as_secs_f64());
    let reached = reached.ok_or(PrimerError::NoParameters)?;
    tables("after training", &reached.parameters)?;
    Ok(Trained { losses, ..reached })
}

fn method(options: &Options) -> String {
    let samples = match options.batch_size {
        None => "all samples".to_owned(),
        Some(1) => "one sample".to_owned(),
        Some(count) => format!("{count} samples"),
    };
    match options.method {
        Method::LevenbergMarquardt => "Levenberg and Marquardt's method".to_owned(),
        Method::GradientDescent { learning_rate } => {
            format!("gradient descent, learning rate {learning_rate}, {samples} an update")
        }
        Method::Adam { learning_rate } => format!("Adam, learning rate {learning_rate}, {samples} an update"),
    }
}

fn ending(end: End) -> &'static str {
    match end {
        End::Explained => "the network explains the data",
        End::Minimum => "no step lessens it any more",
        End::Steps => "all updates were made",
        End::NotDifferentiable => "the derivatives are not finite here",
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    replace_file(path, text.as_bytes()).map_err(|error| error.to_string())
}

impl Arguments {
    /// One way of training, or a first-order one and then Levenberg and Marquardt's method.
    fn phases(&self) -> Result<Vec<Options>, String> {
        let batched = self.batch_size.is_some();
        let method = match (self.optimizer.as_deref(), self.learning_rate) {
            (None, None) if !batched => Method::LevenbergMarquardt,
            (Some("levenberg-marquardt"), None) if !batched => Method::LevenbergMarquardt,
            (None | Some("gradient-descent"), rate) => Method::GradientDescent { learning_rate: rate.unwrap_or(1e-6) },
            (Some("adam"), rate) => Method::Adam { learning_rate: rate.unwrap_or(0.05) },
            (Some("levenberg-marquardt"), _) => {
                return Err("levenberg-marquardt takes no learning rate, and all samples at once".to_owned());
            }
            (Some(other), _) => {
                return Err(format!("unknown optimizer {other:?}; use levenberg-marquardt, gradient-descent or adam"));
            }
        };
        let partials =
            if self.engine_partials { Partials::Engine } else { Partials::FiniteDifference { delta: self.delta } };
        let alone = method == Method::LevenbergMarquardt;
        let steps = self.steps.filter(|_| alone).unwrap_or(1000);
        let second_order = Options {
            method: Method::LevenbergMarquardt,
            partials,
            steps,
            batch_size: None,
            starts: self.starts,
            display_every: self.display_every.unwrap_or(5),
            first: None,
            seed: self.seed,
        };
        if alone {
            return Ok(vec![second_order]);
        }
        let first_order = Options {
            method,
            steps: self.steps.unwrap_or(10_000),
            batch_size: self.batch_size,
            display_every: self.display_every.unwrap_or(1000),
            ..second_order.clone()
        };
        Ok(if self.no_finish { vec![first_order] } else { vec![first_order, second_order] })
    }
}

/// The arguments given, or nothing after `--help`.
fn arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments {
        expressions: Vec::new(),
        outputs: Vec::new(),
        truth: None,
        dataset_size: 10_000,
        seed: 0,
        engine_partials: false,
        delta: 1e-4,
        optimizer: None,
        learning_rate: None,
        no_finish: false,
        steps: None,
        batch_size: None,
        starts: 32,
        display_every: None,
        device: "auto".to_owned(),
        dot: PathBuf::from("primer-network.dot"),
        svg: PathBuf::from("primer-network.svg"),
        curve: PathBuf::from("primer-loss.svg"),
        losses: None,
    };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("expression") => arguments.expressions.push(text(&mut parser)?),
            Long("output-vars") => {
                arguments.outputs.extend(text(&mut parser)?.split(',').map(|name| name.trim().to_owned()))
            }
            Long("truth") => {
                let more = text(&mut parser)?;
                arguments.truth = Some(match arguments.truth.take() {
                    Some(earlier) => format!("{earlier},{more}"),
                    None => more,
                });
            }
            Long("dataset-size") => arguments.dataset_size = parsed("--dataset-size", &text(&mut parser)?)?,
            Long("seed") => arguments.seed = parsed("--seed", &text(&mut parser)?)?,
            Long("partials") => {
                arguments.engine_partials = match text(&mut parser)?.as_str() {
                    "engine" => true,
                    "finite-difference" => false,
                    other => return Err(format!("unknown partials {other:?}; use finite-difference or engine")),
                }
            }
            Long("grad-delta") => arguments.delta = parsed("--grad-delta", &text(&mut parser)?)?,
            Long("optimizer") => arguments.optimizer = Some(text(&mut parser)?),
            Long("learning-rate") => arguments.learning_rate = Some(parsed("--learning-rate", &text(&mut parser)?)?),
            Long("no-finish") => arguments.no_finish = true,
            Long("steps") => arguments.steps = Some(parsed("--steps", &text(&mut parser)?)?),
            Long("batch-size") => arguments.batch_size = Some(parsed("--batch-size", &text(&mut parser)?)?),
            Long("starts") => arguments.starts = parsed("--starts", &text(&mut parser)?)?,
            Long("display-every") => arguments.display_every = Some(parsed("--display-every", &text(&mut parser)?)?),
            Long("device") => arguments.device = text(&mut parser)?,
            Long("network-dot") => arguments.dot = text(&mut parser)?.into(),
            Long("network-svg") => arguments.svg = text(&mut parser)?.into(),
            Long("curve") => arguments.curve = text(&mut parser)?.into(),
            Long("losses") => arguments.losses = Some(text(&mut parser)?.into()),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(arguments))
}

/// The value of the option that was read last.
fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.into_string().map_err(|value| format!("{value:?} is not text"))
}

/// A number from the text of an option.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{option} {text:?}: {error}"))
}
