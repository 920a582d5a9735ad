//! Define-by-run: operators build the graph as they run, and `backward` goes back over it.
//!
//! ```text
//! cargo run --release --example autograd -- --device cpu
//! ```

use std::process::ExitCode;
use std::time::Instant;

use arenagrad::{Device, Error, Tape, Tensor, Variable};
use arenagrad_examples::device_option::run_on_device;

const ABOUT: &str = "Define-by-run differentiation: a = 1, b = 2, c = a + b, d = c + a, and what backward makes of it.";

fn main() -> ExitCode {
    run_on_device("autograd", ABOUT, run)
}

fn run(device: &Device) -> Result<(), Error> {
    let tape = Tape::new(device.clone());
    let a = tape.leaf(1.0).requires_grad();
    let b = tape.leaf(2.0).requires_grad();
    let c = &a + &b;
    let d = &c + &a;

    println!("\nc = a + b, d = c + a:");
    table(&[("a", &a), ("b", &b), ("c", &c), ("d", &d)])?;

    println!("\nd.backward():");
    d.backward()?;
    table(&[("a", &a), ("b", &b), ("c", &c), ("d", &d)])?;

    println!("\nd.backward() once more:");
    match d.backward() {
        Ok(()) => println!("  nobody refused"),
        Err(error) => println!("  error: {error}"),
    }

    println!("\nc and d built anew, without zero_grad, and d.backward():");
    let c = &a + &b;
    let d = &c + &a;
    d.backward()?;
    table(&[("a", &a), ("b", &b), ("c", &c), ("d", &d)])?;

    println!("\nzero_grad(), then d = c + a once more, backward_retained() twice:");
    tape.zero_grad();
    let c = &a + &b;
    let d = &c + &a;
    d.backward_retained()?;
    d.backward_retained()?;
    table(&[("a", &a), ("b", &b), ("c", &c), ("d", &d)])?;

    println!("\nno gradient is wanted of what is detached, or made under no_grad:");
    let detached = c.detach();
    let frozen = tape.no_grad(|| &a * &b);
    table(&[("c.detach()", &detached), ("a * b", &frozen)])?;

    println!("\nan output of several elements takes an upstream gradient:");
    let x = tape.leaf(Tensor::new([3], vec![1.0f32, 2.0, 3.0])?).requires_grad();
    let y = x.square();
    y.backward_with(Tensor::new([3], vec![1.0f32, 0.1, 0.01])?)?;
    println!("  x = {:?}, y = x^2, upstream (1, 0.1, 0.01): x.grad = {:?}", values(&x.data()?), values(&x.grad()?));

    const STEPS: u32 = 10_000;
    let start = Instant::now();
    for _ in 0..STEPS {
        tape.zero_grad();
        let c = &a + &b;
        let d = &c + &a;
        d.backward()?;
    }
    let step = start.elapsed() / STEPS;
    println!("\none such step, recorded, planned from the cache and run: {:.1} us", step.as_secs_f64() * 1e6);
    println!("after {STEPS} steps the arena has {} nodes, and the tape keeps {} plans", tape.len(), tape.plans());
    Ok(())
}

/// What each variable knows of itself.
fn table(variables: &[(&str, &Variable)]) -> Result<(), Error> {
    println!(
        "  {:<10}  {:>4}  {:<13}  {:<7}  {:>9}  {:>4}",
        "", "data", "requires_grad", "grad_fn", "consumers", "grad"
    );
    for (name, variable) in variables {
        let grad = if variable.has_grad() { variable.grad()?.item()?.to_string() } else { "none".to_owned() };
        println!(
            "  {name:<10}  {:>4}  {:<13}  {:<7}  {:>9}  {grad:>4}",
            variable.item()?,
            variable.does_require_grad(),
            variable.grad_fn().unwrap_or("none"),
            variable.consumers(),
        );
    }
    Ok(())
}

fn values(tensor: &Tensor) -> Vec<f64> {
    // f32 elements, as few digits as they have.
    tensor.to_f64_vec().iter().map(|x| (x * 1e6).round() / 1e6).collect()
}
