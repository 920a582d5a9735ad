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

use arenagrad::nn::Linear;
use arenagrad::nn::init::{self, Nonlinearity};
use arenagrad::train::schedules::{Cosine, Schedule};
use arenagrad::train::{Lbfgs, LbfgsEnd, Objective, shuffled};
use arenagrad::{Adam, Device, Error, Expr, Graph, Optimizer, Session, Tensor};
use arenagrad_examples::burgers::{VISCOSITY, solution};
use arenagrad_examples::profiles::{self, Profile};

/// Points within, at which the equation must hold.
const INNER: usize = 2048;
/// Points at the beginning and at both ends, where the values are known.
const KNOWN: usize = 256;
const WIDTH: usize = 24;
const DEPTH: usize = 4;

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
    let graph = Graph::new();
    let loss = loss(&graph, &network).map_err(told)?;
    let inputs = points(options.seed).map_err(told)?;
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();

    // Adam finds the region, and L-BFGS goes to the bottom of it.
    let optimizer = Adam::new(3e-3).schedule(Cosine::new(options.adam.max(1)).floor(3e-4).after_warm_up(50));
    let mut session = Session::builder(device).seed(options.seed).train(&graph, loss, &optimizer).map_err(told)?;
    let started = Instant::now();
    for step in 0..options.adam {
        let loss = session.step(&inputs).map_err(told)?;
        if step % 500 == 0 {
            println!("adam {step:>5}: loss {loss:.3e}");
        }
    }
    let objective = Objective::new(&mut session, &graph, loss).map_err(told)?;
    let mut lbfgs = Lbfgs::new(1.0).strong_wolfe().history(50).change_tolerance(1e-12).max_iterations(250);
    let mut iterations = 0;
    while iterations < options.lbfgs {
        lbfgs = lbfgs.max_iterations(250.min(options.lbfgs - iterations));
        let outcome = lbfgs.minimise(&mut session, &objective, &inputs).map_err(told)?;
        iterations += outcome.iterations;
        println!("l-bfgs {iterations:>4}: loss {:.3e} after {} evaluations", outcome.loss, outcome.evaluations);
        if !matches!(outcome.end, LbfgsEnd::Iterations | LbfgsEnd::Evaluations) {
            break;
        }
    }
    println!("trained in {:.1} s", started.elapsed().as_secs_f64());
    compare(&mut session, &network, &options.picture)
}

/// `(x, t) -> u`, a perceptron with smooth layers: the equation needs its second derivatives.
struct Network {
    layers: Vec<Linear>,
}

impl Network {
    fn new() -> Self {
        let width = |layer: usize| if layer == 0 { 2 } else { WIDTH };
        let outputs = |layer: usize| if layer == DEPTH { 1 } else { WIDTH };
        // Values for hyperbolic tangents: the defaults are so small that the network begins almost linear, and stays so for long.
        let layers = (0..=DEPTH).map(|layer| {
            let linear = Linear::new(format!("layer{layer}"), width(layer), outputs(layer));
            linear.weight_init(init::xavier_normal(init::calculate_gain(Nonlinearity::Tanh))).bias_init(init::zeros())
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

/// How far the network is from the equation within, and from what is known at the border.
fn loss<'g>(graph: &'g Graph, network: &Network) -> Result<Expr<'g>, Error> {
    let (x, t) = (graph.input("x", [INNER, 1]), graph.input("t", [INNER, 1]));
    let u = network.apply(x, t);
    // Each row depends on its own point alone, so the gradient of the sum has the derivatives of all rows.
    let [u_x, u_t] = u.sum(..).grad([x, t])?;
    let [u_xx] = u_x.sum(..).grad([x])?;
    let residual = (u_t + u * u_x - u_xx * VISCOSITY).named("residual");
    let border = network.apply(graph.input("border_x", [KNOWN, 1]), graph.input("border_t", [KNOWN, 1]));
    let known = graph.input("border_u", [KNOWN, 1]);
    Ok(residual.square().mean(..) + (border - known).square().mean(..))
}

/// Points within, spread evenly along both axes in an order that the seed decides, and at the border.
fn points(seed: u64) -> Result<Vec<(&'static str, Tensor)>, Error> {
    let column = |values: Vec<f64>| Ok::<_, Error>(Tensor::new([values.len(), 1], values)?.cast(arenagrad::DType::F32));
    let order = shuffled(INNER, seed, 1)?;
    let middle = |place: usize| (place as f64 + 0.5) / INNER as f64;
    let x = (0..INNER).map(|place| 2.0 * middle(place) - 1.0).collect();
    let t = order.into_iter().map(middle).collect();
    // Half of the border is the beginning, and the rest both ends in turn.
    let share = |place: usize| (place as f64 + 0.5) / (KNOWN / 2) as f64;
    let border: Vec<(f64, f64)> = (0..KNOWN)
        .map(|place| match place.checked_sub(KNOWN / 2) {
            None => (2.0 * share(place) - 1.0, 0.0),
            Some(place) => (if place % 2 == 0 { -1.0 } else { 1.0 }, share(place)),
        })
        .collect();
    let known = border.iter().map(|&(x, t)| if t == 0.0 { solution(x, t) } else { 0.0 }).collect();
    Ok(vec![
        ("x", column(x)?),
        ("t", column(t)?),
        ("border_x", column(border.iter().map(|point| point.0).collect())?),
        ("border_t", column(border.iter().map(|point| point.1).collect())?),
        ("border_u", column(known)?),
    ])
}

/// Prints how far the network is from the solution, and draws both.
fn compare(session: &mut Session, network: &Network, picture: &std::path::Path) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let (places, times) = (201, 21);
    let graph = Graph::new();
    let rows = places * times;
    let (x, t) = (graph.input("x", [rows, 1]), graph.input("t", [rows, 1]));
    let predict = session.add(&graph, &[network.apply(x, t)]).map_err(told)?;
    let grid: Vec<(f64, f64)> = (0..rows)
        .map(|row| {
            (2.0 * (row % places) as f64 / (places - 1) as f64 - 1.0, (row / places) as f64 / (times - 1) as f64)
        })
        .collect();
    let column = |value: fn(&(f64, f64)) -> f64| Tensor::new([rows, 1], grid.iter().map(|p| value(p) as f32).collect());
    let (x, t) = (column(|point| point.0).map_err(told)?, column(|point| point.1).map_err(told)?);
    let found = session.run_plan(predict, &[("x", &x), ("t", &t)]).map_err(told)?[0].to_f64_vec();
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
