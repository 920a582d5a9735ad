//! A physics-informed network (Raissi, Perdikaris and Karniadakis 2019): it learns to solve Burgers' equation,
//! `u_t + u u_x = 0.01 / pi u_xx` with `u(x, 0) = -sin(pi x)` and `u = 0` at both ends, from the equation and its first and boundary values
//! alone, and is compared to the solution.
//!
//! ```text
//! cargo run --release --example pinn -- --device cpu --seed 0
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use arenagrad::data::{Batch, Draws};
use arenagrad::nn::{Linear, init};
use arenagrad::train::schedules::{Cosine, Schedule};
use arenagrad::train::{FunctionId, Lbfgs};
use arenagrad::{Adam, Device, Error, Expr, Inputs, Optimizer, Tensor, Trainer};
use arenagrad_examples::burgers::{VISCOSITY, solution};
use arenagrad_examples::profiles::{self, Profile};

/// Points within, at which the equation must hold.
const INNER: usize = 2048;
/// So many points are drawn for each that is taken.
const CANDIDATES: usize = 8;
/// Points at the beginning and at both ends, where the values are known.
const KNOWN: usize = 256;
const WIDTH: usize = 24;
const DEPTH: usize = 4;
/// Points are drawn anew after so many steps of Adam, and after so many iterations of L-BFGS.
const ADAM_ROUND: u64 = 500;
const LBFGS_ROUND: usize = 250;

const USAGE: &str = "usage: pinn [--device auto|cpu|gpu|ADAPTER] [--seed N] [--adam N] [--lbfgs N] [--picture FILE]

  --device   where to train; auto takes a hardware GPU if there is one, else the CPU (default auto)
  --seed     first values of the parameters, and where the points lie (default 0)
  --adam     steps of Adam (default 1500)
  --lbfgs    iterations of L-BFGS after them (default 1500)
  --picture  where the solution goes, as an SVG (default pinn.svg)";

struct Options {
    device: String,
    seed: u64,
    adam: u64,
    lbfgs: usize,
    picture: PathBuf,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("pinn: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let device = Device::named(&options.device).map_err(told)?;
    if let Some(note) = device.note() {
        eprintln!("note: {note}");
    }
    println!("device: {device}");
    let network = Network::new();
    // Adam finds the region, and L-BFGS goes to the bottom of it.
    let optimizer = Adam::new(3e-3).schedule(Cosine::new(options.adam.max(1)).floor(3e-4).after_warm_up(50));
    let mut trainer = Trainer::new(device, optimizer, |inputs| loss(inputs, &network)).seed(options.seed);
    let residuals = trainer.add_evaluation(|inputs| vec![residual(inputs, &network)]);
    let predict = trainer.add_evaluation(|inputs| vec![network.apply(inputs.get("x"), inputs.get("t"))]);

    let started = Instant::now();
    let mut draws = Draws::new(options.seed);
    let mut batch = border(spread(&mut draws)?)?;
    for step in 0..options.adam {
        if step > 0 && step.is_multiple_of(ADAM_ROUND) {
            batch = border(refined(&mut trainer, residuals, &mut draws)?)?;
        }
        let outcome = trainer.step(&batch).map_err(told)?;
        if step.is_multiple_of(ADAM_ROUND) {
            println!("adam {step:>5}: loss {:.3e}", outcome.loss);
        }
    }
    let mut iterations = 0;
    while iterations < options.lbfgs {
        batch = border(refined(&mut trainer, residuals, &mut draws)?)?;
        // At other points it is another loss, of whose curvature nothing is known.
        let round = LBFGS_ROUND.min(options.lbfgs - iterations);
        let lbfgs = Lbfgs::new(1.0).strong_wolfe().history(50).change_tolerance(1e-12);
        let mut lbfgs = lbfgs.max_iterations(round).max_evaluations(4 * round);
        let outcome = trainer.minimise(&mut lbfgs, &batch).map_err(told)?;
        iterations += round;
        println!("l-bfgs {iterations:>4}: loss {:.3e} after {} evaluations", outcome.loss, outcome.evaluations);
    }
    println!("trained in {:.1} s", started.elapsed().as_secs_f64());
    compare(&mut trainer, predict, &options.picture)
}

/// `(x, t) -> u`, a perceptron with smooth layers: the equation needs its second derivatives.
struct Network {
    layers: Vec<Linear>,
}

impl Network {
    fn new() -> Self {
        let width = |layer: usize| if layer == 0 { 2 } else { WIDTH };
        let outputs = |layer: usize| if layer == DEPTH { 1 } else { WIDTH };
        // The defaults are so small that the network begins almost linear, and stays so for long.
        let layers = (0..=DEPTH).map(|layer| {
            let linear = Linear::new(format!("layer{layer}"), width(layer), outputs(layer));
            linear.weight_init(init::xavier_normal(1.0)).bias_init(init::zeros())
        });
        Network { layers: layers.collect() }
    }

    /// `[n, 1], [n, 1] -> [n, 1]`
    fn apply<'g>(&self, x: Expr<'g>, t: Expr<'g>) -> Expr<'g> {
        let (last, inner) = self.layers.split_last().expect("a last layer");
        let h = inner.iter().fold(x.graph().concat(&[x, t], 1), |h, layer| layer.apply(h).tanh());
        last.apply(h)
    }
}

/// How far the network is from the equation at each point within. `[n, 1]`
fn residual<'g>(inputs: &Inputs<'g>, network: &Network) -> Expr<'g> {
    let (x, t) = (inputs.get("x"), inputs.get("t"));
    let u = network.apply(x, t);
    // Each row depends on its own point alone, so the gradient of the sum has the derivatives of all rows.
    let [u_x, u_t] = u.sum(..).grad([x, t]).expect("u is made of x and t");
    let [u_xx] = u_x.sum(..).grad([x]).expect("so is its derivative");
    u_t + u * u_x - u_xx * VISCOSITY
}

/// How far the network is from the equation within, and from what is known at the border.
fn loss<'g>(inputs: &Inputs<'g>, network: &Network) -> Expr<'g> {
    let border = network.apply(inputs.get("border_x"), inputs.get("border_t")) - inputs.get("border_u");
    residual(inputs, network).square().mean(..) + border.square().mean(..)
}

/// A column of numbers, `[n, 1]` in f32.
fn column(values: impl Iterator<Item = f64>) -> Result<Tensor, String> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    Tensor::new([values.len(), 1], values).map_err(|error: Error| error.to_string())
}

/// Points within: numbers of each axis that are uniform.
fn spread(draws: &mut Draws) -> Result<Vec<(f64, f64)>, String> {
    Ok((0..INNER).map(|_| (draws.between(-1.0, 1.0), draws.uniform())).collect())
}

/// Points within that are taken from many more, each with a probability that grows with how far the network is from the equation
/// there (Wu, Zhu, Tan, Kartha and Lu 2023): where the solution is steep, points spread evenly are too few.
fn refined(trainer: &mut Trainer<'_>, residuals: FunctionId, draws: &mut Draws) -> Result<Vec<(f64, f64)>, String> {
    let count = CANDIDATES * INNER;
    let points: Vec<(f64, f64)> = (0..count).map(|_| (draws.between(-1.0, 1.0), draws.uniform())).collect();
    let batch = Batch::new().with("x", column(points.iter().map(|point| point.0))?);
    let batch = batch.with("t", column(points.iter().map(|point| point.1))?);
    let found = trainer.evaluate(residuals, &batch).map_err(|error| error.to_string())?.remove(0);
    let sizes: Vec<f64> = found.to_f64_vec().into_iter().map(f64::abs).collect();
    let mean = sizes.iter().sum::<f64>() / count as f64;
    // The largest of keys ln(u) / weight are a sample without replacement by weight (Efraimidis and Spirakis 2006).
    let mut keyed: Vec<(f64, (f64, f64))> = sizes
        .into_iter()
        .zip(points)
        .map(|(size, point)| ((1.0 - draws.uniform()).ln() / (size / mean.max(f64::MIN_POSITIVE) + 1.0), point))
        .collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(keyed.into_iter().take(INNER).map(|(_, point)| point).collect())
}

/// These points within, and those at the border with what is known there.
fn border(inner: Vec<(f64, f64)>) -> Result<Batch, String> {
    // Half of the border is the beginning, and the rest both ends in turn.
    let share = |place: usize| (place as f64 + 0.5) / (KNOWN / 2) as f64;
    let border: Vec<(f64, f64)> = (0..KNOWN)
        .map(|place| match place.checked_sub(KNOWN / 2) {
            None => (2.0 * share(place) - 1.0, 0.0),
            Some(place) => (if place % 2 == 0 { -1.0 } else { 1.0 }, share(place)),
        })
        .collect();
    let known = border.iter().map(|&(x, t)| if t == 0.0 { solution(x, t) } else { 0.0 });
    Ok(Batch::new()
        .with("x", column(inner.iter().map(|point| point.0))?)
        .with("t", column(inner.iter().map(|point| point.1))?)
        .with("border_x", column(border.iter().map(|point| point.0))?)
        .with("border_t", column(border.iter().map(|point| point.1))?)
        .with("border_u", column(known)?))
}

/// Prints how far the network is from the solution, and draws both.
fn compare(trainer: &mut Trainer<'_>, predict: FunctionId, picture: &std::path::Path) -> Result<(), String> {
    let (places, times) = (201, 21);
    let rows = places * times;
    let grid: Vec<(f64, f64)> = (0..rows)
        .map(|row| {
            (2.0 * (row % places) as f64 / (places - 1) as f64 - 1.0, (row / places) as f64 / (times - 1) as f64)
        })
        .collect();
    let (x, t) = (column(grid.iter().map(|point| point.0))?, column(grid.iter().map(|point| point.1))?);
    let found = trainer.evaluate(predict, &[("x", &x), ("t", &t)]).map_err(|error| error.to_string())?;
    let found = found[0].to_f64_vec();
    let exact: Vec<f64> = grid.iter().map(|&(x, t)| solution(x, t)).collect();
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let differences = || found.iter().zip(&exact).map(|(found, exact)| found - exact);
    let relative = (square(&mut differences()) / square(&mut exact.iter().copied())).sqrt();
    let largest = differences().fold(0.0, |largest: f64, difference| largest.max(difference.abs()));
    println!("error against the solution: {relative:.2e} in the mean, relative; {largest:.2e} at most");
    let profile = |time: usize| {
        let rows = time * places..(time + 1) * places;
        let along = |values: &[f64]| rows.clone().map(|row| (grid[row].0, values[row])).collect::<Vec<_>>();
        Profile {
            name: format!("t = {}", time as f64 / (times - 1) as f64),
            curve: along(&exact),
            points: along(&found).into_iter().step_by(5).collect(),
        }
    };
    let profiles: Vec<Profile> = [0, 5, 10, 15, 20].map(profile).into();
    profiles::draw(picture, "Burgers' equation: solution (lines), network (circles)", ["x", "u"], &profiles)?;
    println!("picture in {}", picture.display());
    Ok(())
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options =
        Options { device: "auto".to_owned(), seed: 0, adam: 1500, lbfgs: 1500, picture: PathBuf::from("pinn.svg") };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("device") => options.device = parser.value().and_then(|value| value.string()).map_err(wrong)?,
            Long("seed") => options.seed = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("adam") => options.adam = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("lbfgs") => options.lbfgs = parser.value().and_then(|value| value.parse()).map_err(wrong)?,
            Long("picture") => options.picture = parser.value().map_err(wrong)?.into(),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            other @ (Short(_) | Long(_) | Value(_)) => return Err(wrong(other.unexpected())),
        }
    }
    Ok(Some(options))
}
