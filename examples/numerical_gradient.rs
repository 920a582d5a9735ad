//! Numerical gradients as the course notes compute them, and gradient checks on top: analytic against numerical derivatives.
//!
//! ```text
//! cargo run --release --example numerical_gradient -- --device cpu
//! ```

use std::process::ExitCode;

use arenagrad::check::{Differences, GradCheck, Probe, adjoint, gradcheck, gradgradcheck};
use arenagrad::{Context, Device, Error, Expr, Function, Graph, Init, Mode, Session, Tensor};
use arenagrad_examples::device_option::run_on_device;

const ABOUT: &str =
    "The numerical gradient, step by step; gradcheck and gradgradcheck; a wrong gradient that they catch.";

fn main() -> ExitCode {
    run_on_device("numerical_gradient", ABOUT, run)
}

fn run(device: &Device) -> Result<(), Error> {
    of_a_closure()?;
    of_a_graph(device)?;
    checks()?;
    a_wrong_gradient()
}

/// Any Rust function will do; each element is moved, the function asked, the element put back.
fn of_a_closure() -> Result<(), Error> {
    println!("\nf(x, y, z) = (x + y) z at (-2, 5, -4), forward differences with h = 0.00001:");
    let f = |x: &[f64]| (x[0] + x[1]) * x[2];
    let gradient = Differences::forward().step(1e-5).gradient_observed(f, &[-2.0, 5.0, -4.0], print_probe)?;
    println!("  gradient, forward: {}", row(&gradient));
    let gradient = Differences::central().gradient(f, &[-2.0, 5.0, -4.0])?;
    println!("  gradient, central: {}", row(&gradient));
    println!("  analytic:          {}", row(&[-4.0, -4.0, 3.0]));
    Ok(())
}

/// A loss over weights in f32, on any device: its numerical gradient against the engine's.
fn of_a_graph(device: &Device) -> Result<(), Error> {
    println!("\na linear classifier's loss, mean of (x w - t)^2, by its weights w[3, 2], central differences:");
    let g = Graph::new();
    let (x, t) = (g.input("x", [4, 3]), g.input("t", [4, 2]));
    let w = g.parameter("w", [3, 2], Init::Values(vec![0.1, -0.2, 0.3, 0.4, -0.5, 0.6]));
    let loss = (x.matmul(w) - t).square().mean(..);
    let [analytic] = loss.grad([w])?;
    let x = Tensor::new([4, 3], vec![1.0f32, 2.0, -1.0, 0.5, -1.5, 2.0, -2.0, 1.0, 0.0, 1.5, 0.5, 1.0])?;
    let t = Tensor::new([4, 2], vec![1.0f32, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0])?;
    let inputs = [("x", &x), ("t", &t)];
    let numerical = Differences::central().jacobian_observed(loss, &["w"], &inputs, device, print_probe)?.remove(0);
    let analytic = Session::evaluate(&g, &[analytic], device)?.run(&inputs)?.remove(0);
    println!("  {:<8} {:>12} {:>12} {:>14}", "", "numerical", "analytic", "relative error");
    for (element, (n, a)) in numerical.to_f64_vec().iter().zip(analytic.to_f64_vec()).enumerate() {
        let error = (n - a).abs() / n.abs().max(a.abs()).max(1e-8);
        println!("  w[{}, {}]  {n:>12.6} {a:>12.6} {error:>14.1e}", element / 2, element % 2);
    }
    Ok(())
}

/// `softmax(tanh(x w + b)^2)`, row by row.
fn network<'g>(x: &[Expr<'g>]) -> Expr<'g> {
    (x[0].matmul(x[1]) + x[2]).tanh().square().softmax(1)
}

/// The checks of a small network, to the second derivative, in f64.
fn checks() -> Result<(), Error> {
    println!("\ngradcheck and gradgradcheck of softmax(tanh(x w + b)^2):");
    let inputs = [
        Tensor::new([2, 3], vec![0.5, -1.0, 0.25, 1.5, 0.75, -0.5])?,
        Tensor::new([3, 2], vec![0.3, -0.7, 1.1, 0.2, -0.4, 0.9])?,
        Tensor::new([2], vec![0.1, -0.2])?,
    ];
    println!("  {}", gradcheck(network, &inputs)?);
    println!("  {}", gradgradcheck(network, &inputs)?);
    let strict = GradCheck::new().differences(Differences::central().step(1e-5)).tolerances(1e-9, 1e-7);
    println!("  with tolerances far below PyTorch's: {}", strict.function(network, &inputs)?);
    println!("  in forward mode: {}", GradCheck::new().mode(Mode::Forward).function(network, &inputs)?);
    println!("  {}", adjoint(network, &inputs)?);
    Ok(())
}

/// `x^2 e^x`, whose gradient forgets a factor of two in one of its terms.
struct Forgetful;

impl Function for Forgetful {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0].square() * operands[0].exp()
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let x = context.operands()[0];
        vec![Some(upstream * (x + x.square()) * x.exp())] // it should be 2 x + x^2
    }
}

fn a_wrong_gradient() -> Result<(), Error> {
    println!("\na gradient that forgets a factor is caught, and the worst element named:");
    let x = Tensor::new([2, 2], vec![0.5, -1.0, 2.0, 0.0])?;
    let report = gradcheck(|x: &[Expr]| x[0].graph().apply(&Forgetful, &[x[0]]), std::slice::from_ref(&x))?;
    println!("  {report}");
    match report.into_result() {
        Ok(_) => println!("  nobody noticed"),
        Err(error) => println!("  as an error: {error}"),
    }
    println!("\nso is a path that a stop_gradient cuts, x tanh(x) differentiated by one factor only:");
    println!("  {}", gradcheck(|x: &[Expr]| x[0] * x[0].tanh().stop_gradient(), &[x])?);
    Ok(())
}

fn print_probe(probe: &Probe<'_>) {
    let index: Vec<String> = probe.index.iter().map(ToString::to_string).collect();
    println!(
        "  {}[{}]: old {:.6}, {:.6} -> f = {:.8}, {:.6} -> f = {:.8}, slope {:.6}",
        probe.input,
        index.join(", "),
        probe.old,
        probe.lower.at,
        probe.lower.values[0],
        probe.upper.at,
        probe.upper.values[0],
        probe.slopes[0]
    );
}

fn row(numbers: &[f64]) -> String {
    numbers.iter().map(|x| format!("{x:.10}")).collect::<Vec<_>>().join("  ")
}
