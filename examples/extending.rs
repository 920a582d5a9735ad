//! Extending automatic differentiation: functions with gradients of their own, and operators given as one expression.
//!
//! ```text
//! cargo run --release --example extending -- --device cpu
//! ```

use std::process::ExitCode;

use arenagrad::{Context, DType, Device, Error, Expr, Function, Graph, Init, Session, Sgd, Tape, Tensor, parse};
use arenagrad_examples::device_option::run_on_device;

const ABOUT: &str =
    "Functions with gradients of their own, on a tape and in a compiled session, and operators from one expression.";

/// The lecture's SillyTensor: the value goes through an unsigned byte and back, and the quantisation error that this makes is
/// added to the gradient.
struct DoSillyWithTensor;

impl Function for DoSillyWithTensor {
    fn name(&self) -> &'static str {
        "do_silly_with_tensor"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let x = operands[0];
        // A conversion to a byte cuts the fraction off and keeps the lowest eight bits.
        let whole = x.cast(DType::I32).cast(DType::F32);
        let byte = whole - (whole / 256.0).floor() * 256.0;
        context.save_for_backward(&[x - byte]);
        byte
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream + context.saved()[0])]
    }
}

/// Rounds to a grid in the forward pass and lets the gradient pass as if it had not: the straight-through estimator of
/// quantisation-aware training.
struct RoundStraightThrough {
    steps: f64,
}

impl Function for RoundStraightThrough {
    fn name(&self) -> &'static str {
        "round_straight_through"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        (operands[0] * self.steps).round() / self.steps
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream)]
    }
}

fn main() -> ExitCode {
    run_on_device("extending", ABOUT, run)
}

fn run(device: &Device) -> Result<(), Error> {
    silly_tensor(device)?;
    quantised_training(device)?;
    operator_from_an_expression(device)
}

fn silly_tensor(device: &Device) -> Result<(), Error> {
    let values = vec![3.7f32, 4.2, 254.9, 300.5, -1.25];
    println!("\nthe lecture's SillyTensor, through u8 and back; L = sum of y^2:");
    let tape = Tape::new(device.clone());
    let x = tape.leaf(Tensor::new([5], values.clone())?).requires_grad();
    let y = tape.apply(&DoSillyWithTensor, &[&x]);
    y.square().sum(..).backward()?;
    print_row("x", &x.data()?);
    print_row("y", &y.data()?);
    print_row("x.grad on the tape", &x.grad()?);

    let g = Graph::new();
    let x = g.input("x", [5]);
    let y = g.apply(&DoSillyWithTensor, &[x]);
    let [gradient] = y.square().sum(..).grad([x])?;
    let mut session = Session::evaluate(&g, &[gradient], device)?;
    print_row("x.grad compiled", &session.run(&[("x", &Tensor::new([5], values)?)])?[0]);
    println!("  that is 2 y, and the quantisation error x - y added to it");
    Ok(())
}

/// Fits a line with weights that the forward pass sees rounded to eighths.
fn quantised_training(device: &Device) -> Result<(), Error> {
    println!("\ntraining through a rounding: y = w x + b with w and b in eighths, data of w = 0.625, b = -1.5");
    let g = Graph::new();
    let (x, t) = (g.input("x", [16]), g.input("t", [16]));
    let (w, b) = (g.parameter("w", [], Init::Constant(0.0)), g.parameter("b", [], Init::Constant(0.0)));
    let round = RoundStraightThrough { steps: 8.0 };
    let y = g.apply(&round, &[w]) * x + g.apply(&round, &[b]);
    let loss = (y - t).square().mean(..);
    let mut session = Session::train(&g, loss, Sgd::new(0.05), device.clone())?;
    let points: Vec<f32> = (0..16).map(|i| i as f32 / 4.0 - 2.0).collect();
    let targets: Vec<f32> = points.iter().map(|x| 0.625 * x - 1.5).collect();
    let (points, targets) = (Tensor::new([16], points)?, Tensor::new([16], targets)?);
    for step in 0..=100 {
        let loss = session.step(&[("x", &points), ("t", &targets)])?;
        if step % 25 == 0 {
            println!("  step {step:>3}: loss {loss:.6}");
        }
    }
    let rounded = |name: &str| -> Result<f64, Error> { Ok((session.parameter(name)?.item()? * 8.0).round() / 8.0) };
    println!("  rounded: w = {}, b = {}", rounded("w")?, rounded("b")?);
    Ok(())
}

/// An operator from one line: its kernel, its WGSL and all its derivatives are the engine's business.
fn operator_from_an_expression(device: &Device) -> Result<(), Error> {
    const TEXT: &str = "x*sigmoid(beta*x)";
    println!("\nan operator from one expression, swish(x, beta) = {TEXT}:");
    let swish = parse(TEXT)?;
    println!("  d/dx    = {}", swish.diff("x"));
    println!("  d/dbeta = {}", swish.diff("beta"));

    let tape = Tape::new(device.clone());
    let x = tape.leaf(Tensor::new([5], vec![-2.0f32, -0.5, 0.0, 1.0, 3.0])?).requires_grad();
    let beta = tape.leaf(1.5).requires_grad();
    let y = tape.apply_formula("swish", &swish, &[("x", &x), ("beta", &beta)]);
    y.sum(..).backward()?;
    print_row("x", &x.data()?);
    print_row("swish(x, 1.5)", &y.data()?);
    print_row("x.grad", &x.grad()?);
    print_row("beta.grad", &beta.grad()?);

    let g = Graph::new();
    let x = g.input("x", [1024, 64]);
    let beta = g.parameter("beta", [64], Init::Constant(1.0));
    let y = swish.apply(&g, &[("x", x), ("beta", beta)])?;
    let [dx] = y.sum(..).grad([x])?;
    let session = Session::evaluate(&g, &[y, dx], device)?;
    println!("\nin a session the operator and its gradient are {} kernel:", session.plan().steps().len());
    print!("{}", session.plan());
    println!("and for a GPU the engine writes, beside reading, writing and the functions that are called:");
    for module in session.plan().wgsl()?.concat() {
        let lines = module.lines().skip_while(|line| !line.starts_with("fn program("));
        lines.take_while(|line| !line.is_empty()).for_each(|line| println!("  {line}"));
    }
    Ok(())
}

fn print_row(name: &str, tensor: &Tensor) {
    let row: Vec<String> = tensor.to_f64_vec().iter().map(|x| format!("{:>9.2}", x)).collect();
    println!("  {name:<20}{}", row.join(" "));
}
