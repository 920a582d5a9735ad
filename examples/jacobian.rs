//! Vector-valued functions: vector-Jacobian and Jacobian-vector products, Jacobians, Hessians, Hessian-vector products.
//!
//! ```text
//! cargo run --release --example jacobian -- --device cpu
//! ```

use std::process::ExitCode;

use arenagrad::{Device, Error, Expr, Graph, Session, Tensor};
use arenagrad_examples::device_option::run_on_device;

const ABOUT: &str =
    "Vector-valued functions: vjp, jvp, Jacobian, Hessian and Hessian-vector products as graph transforms.";

fn main() -> ExitCode {
    run_on_device("jacobian", ABOUT, run)
}

fn run(device: &Device) -> Result<(), Error> {
    println!("\nf(x) = (x0^2 x1, 5 x0 + sin x1) at (1, 0): the textbook's Jacobian");
    let g = Graph::new();
    let x = g.input("x", [2]);
    let (x0, x1) = (x.select_index(0, 0), x.select_index(0, 1));
    let f = g.stack(&[x0.square() * x1, x0 * 5.0 + x1.sin()], 0);
    let at = Tensor::new([2], vec![1.0f32, 0.0])?;
    let jacobian = f.jacobian(x)?;
    let vjp = f.vjp(g.literal([2], [1.0f32, 2.0]), [x])?[0];
    let jvp = f.jvp([x], [g.literal([2], [1.0f32, 2.0])])?;
    let results = evaluate(device, &g, &[f, jacobian, vjp, jvp], &[("x", &at)])?;
    print_rows("f", &results[0]);
    print_rows("J", &results[1]);
    print_rows("(1, 2) J, reverse mode", &results[2]);
    print_rows("J (1, 2), forward mode", &results[3]);

    println!("\nRosenbrock's function (1 - x)^2 + 100 (y - x^2)^2 at (-1, 2):");
    let g = Graph::new();
    let p = g.input("p", [2]);
    let (x, y) = (p.select_index(0, 0), p.select_index(0, 1));
    let f = (1.0 - x).square() + (y - x.square()).square() * 100.0;
    let at = Tensor::new([2], vec![-1.0f32, 2.0])?;
    let [gradient] = f.grad([p])?;
    let hessian = f.hessian(p)?;
    let [product] = f.hvp([p], [g.literal([2], [1.0f32, -1.0])])?;
    let results = evaluate(device, &g, &[f, gradient, hessian, product], &[("p", &at)])?;
    print_rows("f", &results[0]);
    print_rows("gradient", &results[1]);
    print_rows("Hessian", &results[2]);
    print_rows("Hessian times (1, -1)", &results[3]);

    println!("\nwhat is built: y = tanh(W x), W is 64 x 4, x has 4 elements, y has 64");
    let g = Graph::new();
    let (w, x) = (g.input("w", [64, 4]), g.input("x", [4]));
    let y = w.matmul(x).tanh();
    for (what, output) in [
        ("y itself", y),
        ("dy/dx, 64 x 4: forward mode, 4 tangents at once", y.jacobian(x)?),
        ("d(sum y)/dx, 1 x 4: reverse mode, one gradient", y.sum(..).jacobian(x)?),
        ("d2(sum y)/dx2, 4 x 4: forward over reverse", y.sum(..).hessian(x)?),
    ] {
        let session = Session::evaluate(&g, &[output], device)?;
        println!("  {:<52} {:>2} kernels", what, session.plan().steps().len());
    }
    Ok(())
}

fn evaluate(
    device: &Device,
    graph: &Graph,
    outputs: &[Expr<'_>],
    inputs: &[(&str, &Tensor)],
) -> Result<Vec<Tensor>, Error> {
    Session::evaluate(graph, outputs, device)?.run(inputs)
}

/// A scalar, vector or matrix under its name.
fn print_rows(name: &str, tensor: &Tensor) {
    let columns = tensor.shape().last().copied().unwrap_or(1).max(1);
    for (number, row) in tensor.to_f64_vec().chunks(columns).enumerate() {
        let row: Vec<String> = row.iter().map(|x| format!("{x:>8}")).collect();
        println!("  {:<24} {}", if number == 0 { name } else { "" }, row.join(" "));
    }
}
