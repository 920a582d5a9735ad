//! The gradient tape: a recorded computation that is asked for gradients.
//!
//! ```text
//! cargo run --release --example gradient_tape -- --device cpu
//! ```

use std::process::ExitCode;

use arenagrad::{Device, Error, GradientTape, Tape, Tensor, Variable};
use arenagrad_examples::device_option::run_on_device;

const ABOUT: &str = "Gradient tapes: one question, several questions, watched constants, and gradients of gradients.";

fn main() -> ExitCode {
    run_on_device("gradient_tape", ABOUT, run)
}

fn run(device: &Device) -> Result<(), Error> {
    println!("\nf = (x + y) z at (-2, 5, -4):");
    let tape = GradientTape::new(device.clone());
    let (x, y, z) = (tape.variable(-2.0), tape.variable(5.0), tape.variable(-4.0));
    let q = &x + &y;
    let f = &q * &z;
    let gradients = tape.gradient(&f, &[&x, &y, &z])?;
    println!("  f = {}", f.item()?);
    for (name, gradient) in ["x", "y", "z"].iter().zip(&gradients) {
        println!("  df/d{name} = {}", shown(gradient.as_ref())?);
    }
    match tape.gradient(&f, &[&q]) {
        Ok(_) => println!("  nobody refused a second question"),
        Err(error) => println!("  a second question: {error}"),
    }

    println!("\na persistent tape answers several: y = x^2, z = y^2 at x = 3:");
    let tape = GradientTape::new(device.clone()).persistent();
    let x = tape.variable(3.0);
    let y = &x * &x;
    let z = &y * &y;
    println!("  dz/dx = {}   (4 x^3)", shown(tape.gradient(&z, &[&x])?[0].as_ref())?);
    println!("  dz/dy = {}   (2 y)", shown(tape.gradient(&z, &[&y])?[0].as_ref())?);
    println!("  dy/dx = {}   (2 x)", shown(tape.gradient(&y, &[&x])?[0].as_ref())?);

    println!("\na constant has no gradient until it is watched: y = c^2 at c = 3:");
    let tape = GradientTape::new(device.clone()).persistent();
    let c = tape.constant(3.0);
    println!("  before: dy/dc = {}", shown(tape.gradient(&c.square(), &[&c])?[0].as_ref())?);
    tape.watch(&c);
    println!("  watched: dy/dc = {}", shown(tape.gradient(&c.square(), &[&c])?[0].as_ref())?);
    let unconnected = tape.variable(1.0);
    println!("  of something else: {}", shown(tape.gradient(&c.square(), &[&unconnected])?[0].as_ref())?);

    println!("\ntwo tapes over one computation give the second derivative: y = x^3 at x = 2:");
    let shared = Tape::new(device.clone());
    let (outer, inner) = (GradientTape::on(&shared), GradientTape::on(&shared));
    let x = outer.variable(2.0);
    let y = &x * &x * &x;
    let first = inner.gradient(&y, &[&x])?;
    println!("  dy/dx = {}   (3 x^2)", shown(first[0].as_ref())?);
    if let Some(first) = &first[0] {
        println!("  d2y/dx2 = {}   (6 x)", shown(outer.gradient(first, &[&x])?[0].as_ref())?);
    }

    println!("\na layer, y = tanh(x w + b), and the gradients of the sum of its squares:");
    let tape = GradientTape::new(device.clone());
    let x = tape.constant(Tensor::new([1, 3], vec![1.0f32, 2.0, 3.0])?);
    let w = tape.variable(Tensor::new([3, 2], vec![0.1f32, -0.2, 0.3, 0.4, -0.5, 0.6])?);
    let b = tape.variable(Tensor::new([2], vec![0.0f32, 0.5])?);
    let loss = (x.matmul(&w) + &b).tanh().square().sum(..);
    for (name, gradient) in ["w", "b"].iter().zip(tape.gradient(&loss, &[&w, &b])?) {
        println!("  dloss/d{name} = {}", shown(gradient.as_ref())?);
    }
    Ok(())
}

/// A gradient as it is printed; `none` where there is none.
fn shown(gradient: Option<&Variable>) -> Result<String, Error> {
    let Some(gradient) = gradient else { return Ok("none".to_owned()) };
    let tensor = gradient.data()?;
    let elements: Vec<String> = tensor.to_f64_vec().iter().map(|x| format!("{}", (x * 1e6).round() / 1e6)).collect();
    Ok(match tensor.shape().dims() {
        [] => elements.concat(),
        [.., columns] => {
            let rows: Vec<String> =
                elements.chunks((*columns).max(1)).map(|row| format!("[{}]", row.join(", "))).collect();
            rows.join(" ")
        }
    })
}
