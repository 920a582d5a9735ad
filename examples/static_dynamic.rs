//! Static against dynamic graphs: one network trained once define-by-run and once compiled, the same losses from both, timed
//! side by side; then the backpropagation formulas that the lecture derives by hand, checked against the engine's.
//!
//! The data are two Gaussians of unit covariance with means (3, 3) and (5, 5); the network is 2-10-2 with a ReLU written as a
//! clamp, its loss the squared error, and a step sees one sample.
//!
//! ```text
//! cargo run --release --example static_dynamic -- --device cpu
//! ```

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arenagrad::train::shuffled;
use arenagrad::{Device, Error, Expr, Graph, Init, Session, Sgd, Tape, Tensor, Variable};
use arenagrad_examples::device_option::run_on_device;

const ABOUT: &str = "Two Gaussians, a 2-10-2 network: define-by-run and compiled, the same losses, timed side by side.";

const D_IN: usize = 2;
const H: usize = 10;
const D_OUT: usize = 2;
const SAMPLES: usize = 1000;
const EPOCHS: usize = 4;
const RATE: f64 = 1e-3;
const DEVIATION: f64 = 0.3;

fn main() -> ExitCode {
    run_on_device("static_dynamic", ABOUT, run)
}

fn run(device: &Device) -> Result<(), Error> {
    let samples = gaussians()?;
    for biases in [false, true] {
        println!(
            "\n{D_IN}-{H}-{D_OUT}{}, {} steps of one sample:",
            if biases { " with biases" } else { "" },
            EPOCHS * SAMPLES
        );
        let compiled = train_compiled(device, &samples, biases)?;
        let dynamic = train_dynamic(device, &samples, biases)?;
        println!("  {:<16} {:>14} {:>14}", "", "define-by-run", "compiled");
        for epoch in 0..EPOCHS {
            let mean = |losses: &[f64]| losses[epoch * SAMPLES..][..SAMPLES].iter().sum::<f64>() / SAMPLES as f64;
            println!("  loss, epoch {:<4} {:>14.6} {:>14.6}", epoch + 1, mean(&dynamic.losses), mean(&compiled.losses));
        }
        let accuracy = |run: &Trained| format!("{:.1} %", run.accuracy * 100.0);
        println!("  {:<16} {:>14} {:>14}", "accuracy", accuracy(&dynamic), accuracy(&compiled));
        let micros = |run: &Trained| format!("{:.2} us", run.step.as_secs_f64() * 1e6);
        println!("  {:<16} {:>14} {:>14}", "a step", micros(&dynamic), micros(&compiled));
        let pairs = dynamic.losses.iter().zip(&compiled.losses);
        let largest = pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1e-3)).fold(0.0, f64::max);
        println!("  largest difference of a step's loss: {largest:.1e} of it");
    }
    println!(
        "\nWithout biases the output grows in proportion along each ray from the origin, and both means lie on one:"
    );
    println!("such a network can hardly tell the classes apart. With biases the best there is lies near 92 %.");
    formulas(device, &samples[0])
}

/// A point and its class as a one-hot row.
struct Sample {
    x: Tensor,
    t: Tensor,
    class: usize,
}

/// What a run of training gave.
struct Trained {
    losses: Vec<f64>,
    /// The share of the samples whose larger output is their class's, after training.
    accuracy: f64,
    /// The time of one step.
    step: Duration,
}

/// Samples of both classes in turns, drawn by the engine's own generator.
fn gaussians() -> Result<Vec<Sample>, Error> {
    let g = Graph::new();
    let noise = g.normal([SAMPLES, D_IN], g.zeros([], arenagrad::DType::I32), 17);
    let noise = Session::evaluate(&g, &[noise], &Device::cpu())?.run(&[])?.remove(0);
    let points = noise.as_slice::<f32>()?.chunks(D_IN).enumerate();
    points
        .map(|(number, noise)| {
            let class = number % 2;
            let mean = [3.0, 5.0][class];
            let x = Tensor::new([1, D_IN], vec![mean + noise[0], mean + noise[1]])?;
            let t = Tensor::new([1, D_OUT], vec![(1 - class) as f32, class as f32])?;
            Ok(Sample { x, t, class })
        })
        .collect()
}

/// Names, shapes and first values of the parameters.
fn parameters(biases: bool) -> Result<Vec<(&'static str, Tensor)>, Error> {
    let g = Graph::new();
    let step = g.zeros([], arenagrad::DType::I32);
    let draws = [g.normal([D_IN, H], step, 1) * DEVIATION, g.normal([H, D_OUT], step, 2) * DEVIATION];
    let mut drawn = Session::evaluate(&g, &draws, &Device::cpu())?.run(&[])?;
    let (w2, w1) = (drawn.remove(1), drawn.remove(0));
    let mut all = vec![("w1", w1), ("w2", w2)];
    if biases {
        all.push(("b1", Tensor::zeros([1, H], arenagrad::DType::F32)?));
        all.push(("b2", Tensor::zeros([1, D_OUT], arenagrad::DType::F32)?));
    }
    Ok(all)
}

/// Compiled once, stepped many times.
fn train_compiled(device: &Device, samples: &[Sample], biases: bool) -> Result<Trained, Error> {
    let g = Graph::new();
    let (x, t) = (g.input("x", [1, D_IN]), g.input("t", [1, D_OUT]));
    let parameters: Vec<Expr<'_>> = parameters(biases)?
        .iter()
        .map(|(name, value)| g.parameter(*name, value.shape(), Init::Values(value.to_f64_vec())))
        .collect();
    let y = match parameters[..] {
        [w1, w2, b1, b2] => (x.matmul(w1) + b1).clamp(Some(0.0), None).matmul(w2) + b2,
        _ => x.matmul(parameters[0]).clamp(Some(0.0), None).matmul(parameters[1]),
    };
    let loss = (y - t).square().sum(..);
    let mut session = Session::train(&g, loss, Sgd::new(RATE), device.clone())?;
    let predict = session.add(&g, &[y])?;

    let mut losses = Vec::new();
    let start = Instant::now();
    for epoch in 0..EPOCHS {
        for number in shuffled(samples.len(), 3, epoch as u64)? {
            losses.push(session.step(&[("x", &samples[number].x), ("t", &samples[number].t)])?);
        }
    }
    let step = start.elapsed() / losses.len() as u32;
    let accuracy = accuracy(samples, |x| Ok(session.run_plan(predict, &[("x", x)])?.remove(0)))?;
    Ok(Trained { losses, accuracy, step })
}

/// Built anew at each step, as the operators run.
fn train_dynamic(device: &Device, samples: &[Sample], biases: bool) -> Result<Trained, Error> {
    let tape = Tape::new(device.clone());
    let parameters: Vec<Variable> =
        parameters(biases)?.into_iter().map(|(_, value)| tape.leaf(value).requires_grad()).collect();
    let network = |x: &Variable| match &parameters[..] {
        [w1, w2, b1, b2] => (x.matmul(w1) + b1).clamp(Some(0.0), None).matmul(w2) + b2,
        _ => x.matmul(&parameters[0]).clamp(Some(0.0), None).matmul(&parameters[1]),
    };

    let mut losses = Vec::new();
    let start = Instant::now();
    for epoch in 0..EPOCHS {
        for number in shuffled(samples.len(), 3, epoch as u64)? {
            let (x, t) = (tape.leaf(&samples[number].x), tape.leaf(&samples[number].t));
            let loss = (network(&x) - t).square().sum(..);
            loss.backward()?;
            losses.push(loss.item()?);
            for parameter in &parameters {
                let gradient = tape.leaf(parameter.grad()?);
                parameter.set_data(tape.no_grad(|| parameter - gradient * RATE).data()?);
                parameter.zero_grad();
            }
        }
    }
    let step = start.elapsed() / losses.len() as u32;
    let accuracy = accuracy(samples, |x| network(&tape.leaf(x)).data())?;
    Ok(Trained { losses, accuracy, step })
}

fn accuracy(samples: &[Sample], mut predict: impl FnMut(&Tensor) -> Result<Tensor, Error>) -> Result<f64, Error> {
    let mut right = 0;
    for sample in samples {
        let y = predict(&sample.x)?.to_f64_vec();
        right += usize::from(usize::from(y[1] > y[0]) == sample.class);
    }
    Ok(right as f64 / samples.len() as f64)
}

/// What the lecture derives for the network without biases:
///
/// `dL/dy = 2 (y - t)`, `dL/dw2 = h_relu^T dL/dy`, `dL/dh = dL/dy w2^T` where `h > 0` and 0 elsewhere, `dL/dw1 = x^T dL/dh`.
fn formulas(device: &Device, sample: &Sample) -> Result<(), Error> {
    let g = Graph::new();
    let (x, t) = (g.input("x", [1, D_IN]), g.input("t", [1, D_OUT]));
    let (w1, w2) = (g.input("w1", [D_IN, H]), g.input("w2", [H, D_OUT]));
    let h = x.matmul(w1);
    let h_relu = h.clamp(Some(0.0), None);
    let y = h_relu.matmul(w2);
    let loss = (y - t).square().sum(..);
    let by_engine = loss.grad([w1, w2])?;

    let d_y = (y - t) * 2.0;
    let d_w2 = h_relu.t().matmul(d_y);
    let d_h = h.greater(0.0).where_(d_y.matmul(w2.t()), 0.0);
    let d_w1 = x.t().matmul(d_h);

    let first = parameters(false)?;
    let inputs = [("x", &sample.x), ("t", &sample.t), ("w1", &first[0].1), ("w2", &first[1].1)];
    let results = Session::evaluate(&g, &[by_engine[0], d_w1, by_engine[1], d_w2], device)?.run(&inputs)?;
    println!("\nthe formulas written by hand against the engine's gradients, largest difference and largest element:");
    for (name, pair) in ["w1", "w2"].iter().zip(results.chunks(2)) {
        let (engine, hand) = (pair[0].to_f64_vec(), pair[1].to_f64_vec());
        let difference = engine.iter().zip(&hand).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let largest = hand.iter().map(|x| x.abs()).fold(0.0, f64::max);
        println!("  dL/d{name}  {difference:.1e}  {largest:.4}");
    }
    Ok(())
}
