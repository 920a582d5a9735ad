//! Gradient descent as the lecture tells it: down a loss surface, with the whole data or a part of it at each step; the same step
//! written with the Jacobian; then Gauss-Newton and Levenberg-Marquardt, which fit real curves.
//!
//! ```text
//! cargo run --release --example gradient_descent -- --batch-size 8 --learning-rate 0.03
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use arenagrad::least_squares::{
    Fit, GaussNewton, GradientDescent, LeastSquares, LeastSquaresError, LevenbergMarquardt, Limits, Method,
};
use arenagrad::train::shuffled;
use arenagrad::{DType, Device, Error, Graph, Init, Session, Sgd, Tensor};
use arenagrad_examples::contours::Grid;
use arenagrad_examples::reference_fits::{MISRA1A, ReferenceFit, THURBER};
use arenagrad_examples::surface::{Descent, draw_descents, draw_fit};

const USAGE: &str =
    "usage: gradient_descent [--device auto|cpu|gpu|ADAPTER] [--batch-size N] [--learning-rate A] [--steps N]
                        [--seed N] [--out-dir DIR]

  --device         where the descents run (default cpu); the fits of curves need f64 and run on the CPU
  --batch-size     samples of a step, 1 to 64; all of 64, 8 and 1 are shown if it is not given
  --learning-rate  the learning rate (default 0.03)
  --steps          steps of a descent (default 300)
  --seed           the noise of the data, and the order of the samples (default 1)
  --out-dir        where the pictures go (default .)";

/// The samples of the line that the descents fit.
const SAMPLES: usize = 64;
/// The line that the samples scatter about.
const TRUTH: (f32, f32) = (1.5, -1.0);
/// Where the descents start.
const START: (f64, f64) = (-1.5, 2.5);

struct Options {
    device: String,
    batch_size: Option<usize>,
    learning_rate: f64,
    steps: usize,
    seed: u64,
    out_dir: PathBuf,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("gradient_descent: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let device = Device::named(&options.device).map_err(told)?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");
    let line = Line::new(options.seed).map_err(told)?;

    println!(
        "\n{SAMPLES} samples about y = {} x - {}, squared error, from a = {}, b = {}:",
        TRUTH.0, -TRUTH.1, START.0, START.1
    );
    let sizes = options.batch_size.map_or(vec![SAMPLES, 8, 1], |size| vec![size]);
    let mut descents = Vec::new();
    for size in sizes {
        let points = descend(&line, size, options, &device).map_err(told)?;
        let (a, b) = points[points.len() - 1];
        let loss = line.losses(&device, &[points[points.len() - 1]]).map_err(told)?[0];
        println!(
            "  batches of {size:>2}, {} steps of rate {}: a = {a:.4}, b = {b:.4}, loss {loss:.5}",
            options.steps, options.learning_rate
        );
        if !loss.is_finite() {
            println!("                    it diverged: the learning rate is too large for this loss");
        }
        descents.push(Descent { name: format!("batches of {size}"), points });
    }
    let picture = options.out_dir.join("gradient-descent.svg");
    let surface = line.surface(&device).map_err(told)?;
    draw_descents(&picture, "descent over the loss of a line", ["a", "b"], &surface, &descents)?;
    println!("  paths over the contours of the loss in {}", picture.display());

    jacobian_form(&line, options, &device).map_err(told)?;
    for reference in [&MISRA1A, &THURBER] {
        fit_curve(reference, options)?;
    }
    Ok(())
}

/// Samples of a line with noise.
struct Line {
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Line {
    fn new(seed: u64) -> Result<Line, Error> {
        let g = Graph::new();
        let step = g.zeros([], DType::I32);
        let x = g.uniform([SAMPLES], step, seed) * 4.0;
        let noise = g.normal([SAMPLES], step, seed.wrapping_add(1)) * 0.5;
        let y = x * f64::from(TRUTH.0) + f64::from(TRUTH.1) + noise;
        let values = Session::evaluate(&g, &[x, y], &Device::cpu())?.run(&[])?;
        Ok(Line { x: values[0].as_slice::<f32>()?.to_vec(), y: values[1].as_slice::<f32>()?.to_vec() })
    }

    fn tensors(&self) -> Result<[Tensor; 2], Error> {
        Ok([Tensor::new([SAMPLES], self.x.clone())?, Tensor::new([SAMPLES], self.y.clone())?])
    }

    /// The mean squared error over all samples at each of some points, all of them in one plan.
    fn losses(&self, device: &Device, points: &[(f64, f64)]) -> Result<Vec<f64>, Error> {
        let g = Graph::new();
        let (a, b) = (g.input("a", [points.len(), 1]), g.input("b", [points.len(), 1]));
        let (x, y) = (g.input("x", [SAMPLES]), g.input("y", [SAMPLES]));
        let losses = (a * x + b - y).square().mean(1);
        let column = |values: Vec<f32>| Tensor::new([points.len(), 1], values);
        let (a, b) = (
            column(points.iter().map(|(a, _)| *a as f32).collect())?,
            column(points.iter().map(|(_, b)| *b as f32).collect())?,
        );
        let [x, y] = self.tensors()?;
        let results = Session::evaluate(&g, &[losses], device)?.run(&[("a", &a), ("b", &b), ("x", &x), ("y", &y)])?;
        Ok(results[0].to_f64_vec())
    }

    fn surface(&self, device: &Device) -> Result<Grid, Error> {
        let (x, y) = (Grid::axis(-2.2, 3.4, 113), Grid::axis(-3.2, 3.2, 113));
        let points: Vec<(f64, f64)> = y.iter().flat_map(|b| x.iter().map(|a| (*a, *b))).collect();
        let values = self.losses(device, &points)?;
        Ok(Grid { x, y, values })
    }
}

/// Gradient descent on batches: the points that it goes through.
fn descend(line: &Line, batch: usize, options: &Options, device: &Device) -> Result<Vec<(f64, f64)>, Error> {
    let g = Graph::new();
    let (x, y) = (g.input("x", [batch]), g.input("y", [batch]));
    let a = g.parameter("a", [], Init::Constant(START.0));
    let b = g.parameter("b", [], Init::Constant(START.1));
    let loss = (a * x + b - y).square().mean(..);
    let mut session = Session::train(&g, loss, Sgd::new(options.learning_rate), device.clone())?;
    let mut points = vec![START];
    let mut order = Vec::new();
    for step in 0..options.steps {
        if order.len() < batch {
            order = shuffled(SAMPLES, options.seed, step as u64)?;
        }
        let chosen = order.split_off(order.len() - batch);
        let pick = |from: &[f32]| Tensor::new([batch], chosen.iter().map(|&i| from[i]).collect::<Vec<f32>>());
        session.step(&[("x", &pick(&line.x)?), ("y", &pick(&line.y)?)])?;
        points.push((session.parameter("a")?.item()?, session.parameter("b")?.item()?));
    }
    Ok(points)
}

/// The same steps, written with the Jacobian of the model: p + 2 alpha J^T eps, with eps the observed minus the predicted.
fn jacobian_form(line: &Line, options: &Options, device: &Device) -> Result<(), Error> {
    println!("\nthe update p + 2 alpha J^T eps, with J the Jacobian of the model by (a, b), over all samples:");
    let g = Graph::new();
    let (x, y) = (g.input("x", [SAMPLES]), g.input("y", [SAMPLES]));
    let a = g.parameter("a", [], Init::Constant(START.0));
    let b = g.parameter("b", [], Init::Constant(START.1));
    let [x_values, y_values] = line.tensors()?;
    let mut problem = LeastSquares::new(&g, y - (a * x + b), &[("x", &x_values), ("y", &y_values)], device)?;
    // The loss above is the mean of the squares, not their sum.
    let alpha = options.learning_rate / SAMPLES as f64;
    let limits = Limits { iterations: options.steps, enough: 0.0, gradient: 0.0, step: 0.0, cost: 0.0 };
    let fit = problem.fit(&GradientDescent::new(alpha).with_limits(limits));
    let by_gradient = descend(line, SAMPLES, options, device)?;
    let (a, b) = by_gradient[by_gradient.len() - 1];
    println!("  by the gradient of the loss: a = {a:.6}, b = {b:.6}");
    let fit = match fit {
        Ok(fit) => fit,
        // A learning rate too large is a lesson, and no reason not to go on.
        Err(error @ Error::LeastSquares(LeastSquaresError::NotFinite { .. })) => {
            println!("  by the Jacobian:             {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let value = |name: &str| fit.parameter(name).map_or(Ok(f64::NAN), Tensor::item);
    println!("  by the Jacobian:             a = {:.6}, b = {:.6}", value("a")?, value("b")?);
    Ok(())
}

/// A curve of NIST's, by three methods from its far start, beside the certified values.
fn fit_curve(reference: &ReferenceFit, options: &Options) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let (x, y) = reference.data()?;
    println!("\n{} ({}): {} points, {}", reference.name, reference.about, x.len(), reference.formula);
    let mut fitted: Option<Fit> = None;
    for (name, method) in
        [("Gauss-Newton", &GaussNewton::new() as &dyn Method), ("Levenberg-Marquardt", &LevenbergMarquardt::new())]
    {
        for (which, start) in ["far", "near"].iter().zip(reference.starts) {
            match fit(reference, start, &x, &y, method) {
                Ok(fit) => {
                    println!(
                        "  {name:<20} from the {which} start: {:>3} iterations, sum of squares {:.10e}, {}",
                        fit.iterations, fit.cost, fit.outcome
                    );
                    fitted = Some(fit);
                }
                Err(error @ Error::LeastSquares(_)) => println!("  {name:<20} from the {which} start: {error}"),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    let Some(fit) = fitted else { return Err(format!("{}: no method fitted it", reference.name)) };
    println!("  {:<4} {:>18} {:>18} {:>10}", "", "fitted", "certified", "digits");
    for ((name, value), certified) in fit.parameters.iter().zip(reference.certified) {
        let value = value.item().map_err(told)?;
        let digits = -((value - certified).abs() / certified.abs()).max(1e-11).log10();
        println!("  {name:<4} {value:>18.10e} {certified:>18.10e} {digits:>10.1}");
    }
    println!("  {:<4} {:>18.10e} {:>18.10e}", "sum", fit.cost, reference.cost);

    let ends = (x.iter().copied().fold(f64::INFINITY, f64::min), x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let fine = Grid::axis(ends.0, ends.1, 200);
    let values: Vec<f64> =
        fit.parameters.iter().map(|(_, value)| value.item()).collect::<Result<_, _>>().map_err(told)?;
    let curves = [("start", reference.starts[0]), ("fitted", &values[..])]
        .into_iter()
        .map(|(name, parameters)| {
            let predicted = predict(reference, parameters, &fine)?;
            Ok(Descent { name: name.to_owned(), points: fine.iter().copied().zip(predicted).collect() })
        })
        .collect::<Result<Vec<_>, Error>>()
        .map_err(told)?;
    let picture = options.out_dir.join(format!("gradient-descent-{}.svg", reference.name.to_lowercase()));
    let points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    draw_fit(&picture, &format!("{}: {}", reference.name, reference.about), reference.axes, &points, &curves)?;
    println!("  points and curve in {}", picture.display());
    Ok(())
}

fn fit(reference: &ReferenceFit, start: &[f64], x: &[f64], y: &[f64], method: &dyn Method) -> Result<Fit, Error> {
    let g = Graph::new();
    let predicted = reference.model(&g, start, x.len());
    let residuals = g.input_of("y", [y.len()], DType::F64) - predicted;
    let (x, y) = (ReferenceFit::tensor(x)?, ReferenceFit::tensor(y)?);
    LeastSquares::new(&g, residuals, &[("x", &x), ("y", &y)], &Device::cpu())?.fit(method)
}

fn predict(reference: &ReferenceFit, parameters: &[f64], x: &[f64]) -> Result<Vec<f64>, Error> {
    let g = Graph::new();
    let predicted = reference.model(&g, parameters, x.len());
    let results = Session::evaluate(&g, &[predicted], &Device::cpu())?.run(&[("x", &ReferenceFit::tensor(x)?)])?;
    Ok(results[0].to_f64_vec())
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        device: "cpu".to_owned(),
        batch_size: None,
        learning_rate: 0.03,
        steps: 300,
        seed: 1,
        out_dir: PathBuf::from("."),
    };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("batch-size") => {
                let size = parser.value().and_then(|value| value.parse()).map_err(wrong)?;
                if !(1..=SAMPLES).contains(&size) {
                    return Err(format!("a batch of {size}; there are {SAMPLES} samples\n{USAGE}"));
                }
                options.batch_size = Some(size);
            }
            Long("learning-rate") => {
                options.learning_rate = parser.value().and_then(|value| value.parse()).map_err(wrong)?;
            }
            Long("steps") => options.steps = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("seed") => options.seed = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("out-dir") => options.out_dir = parser.value().map_err(wrong)?.into(),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
