//! The small examples that texts on automatic differentiation begin with, on every device.

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::run::numbers;
use arenagrad::{DType, Device, Expr, Graph};

fn scalars(graph: &Graph, outputs: &[Expr<'_>], given: &Given, device: &Device) -> Vec<f64> {
    numbers(graph, outputs, given, device).iter().map(|elements| elements[0]).collect()
}

/// `c = a + b`, `d = c + a`: `a` reaches `d` on two ways.
#[test]
fn fan_out_accumulates() {
    for device in devices() {
        let g = Graph::new();
        let (a, b) = (g.input("a", []), g.input("b", []));
        let c = a + b;
        let d = c + a;
        let [da, db] = d.grad([a, b]).unwrap();
        let given = given([("a", vec![1.0]), ("b", vec![2.0])]);
        assert_eq!(scalars(&g, &[c, d], &given, &device), [3.0, 4.0], "{device}");
        // Constants: the plan needs no inputs any more.
        assert_eq!(scalars(&g, &[da, db], &given, &device), [2.0, 1.0], "{device}");
    }
}

/// The same, where the gradient depends on the values.
#[test]
fn fan_out_accumulates_through_products() {
    for device in devices() {
        let g = Graph::new();
        let (a, b) = (g.input("a", []), g.input("b", []));
        let c = a * b;
        let d = c * a + c;
        let [da, db] = d.grad([a, b]).unwrap();
        let given = given([("a", vec![3.0]), ("b", vec![5.0])]);
        // d = a^2 b + a b: by a, 2 a b + b; by b, a^2 + a.
        assert_eq!(scalars(&g, &[d, da, db], &given, &device), [60.0, 35.0, 12.0], "{device}");
    }
}

/// `f = (x + y) z` at (-2, 5, -4).
#[test]
fn sum_times_factor() {
    for device in devices() {
        let g = Graph::new();
        let (x, y, z) = (g.input("x", []), g.input("y", []), g.input("z", []));
        let f = (x + y) * z;
        let [dx, dy, dz] = f.grad([x, y, z]).unwrap();
        let given = given([("x", vec![-2.0]), ("y", vec![5.0]), ("z", vec![-4.0])]);
        assert_eq!(scalars(&g, &[f, dx, dy, dz], &given, &device), [-12.0, -4.0, -4.0, 3.0], "{device}");
    }
}

/// A neuron with a sigmoid, `1 / (1 + e^-(w0 x0 + w1 x1 + w2))`, at weights (2, -3, -3) and inputs (-1, -2).
#[test]
fn sigmoid_neuron() {
    for device in devices() {
        let g = Graph::new();
        let names = ["w0", "x0", "w1", "x1", "w2"];
        let [w0, x0, w1, x1, w2] = names.map(|name| g.input(name, []));
        let f = 1.0 / (1.0 + (-(w0 * x0 + w1 * x1 + w2)).exp());
        let gradients = f.grad([w0, x0, w1, x1, w2]).unwrap();
        let given: Given =
            names.iter().zip([2.0, -1.0, -3.0, -2.0, -3.0]).map(|(n, v)| ((*n).to_owned(), vec![v])).collect();
        let outputs: Vec<Expr<'_>> = std::iter::once(f).chain(gradients).collect();
        let s = 1.0 / (1.0 + (-1.0f64).exp());
        let slope = s * (1.0 - s);
        let expected = [s, -slope, 2.0 * slope, -2.0 * slope, -3.0 * slope, slope];
        for (found, expected) in scalars(&g, &outputs, &given, &device).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{device}: {found}, not {expected}");
        }
    }
}

/// `x^4` by the rule of products, four times over: `4 x^3`, `12 x^2`, `24 x`, `24`.
#[test]
fn derivatives_of_derivatives() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", []);
        let mut f = x * x * x * x;
        let mut outputs = vec![f];
        for _ in 0..4 {
            [f] = f.grad([x]).unwrap();
            outputs.push(f);
        }
        let given = given([("x", vec![3.0])]);
        assert_eq!(scalars(&g, &outputs, &given, &device), [81.0, 108.0, 108.0, 72.0, 24.0], "{device}");
    }
}

/// Rosenbrock's function at (-1, 2), in f64: value, gradient, and the Hessian's rows.
#[test]
fn rosenbrock_hessian() {
    let g = Graph::new();
    let (x, y) = (g.input_of("x", [], DType::F64), g.input_of("y", [], DType::F64));
    let f = (1.0 - x).square() + (y - x.square()).square() * 100.0;
    let [dx, dy] = f.grad([x, y]).unwrap();
    let ([dxx, dxy], [dyx, dyy]) = (dx.grad([x, y]).unwrap(), dy.grad([x, y]).unwrap());
    let given = given([("x", vec![-1.0]), ("y", vec![2.0])]);
    let found = scalars(&g, &[f, dx, dy, dxx, dxy, dyx, dyy], &given, &Device::cpu());
    assert_eq!(found, [104.0, 396.0, 200.0, 402.0, 400.0, 400.0, 200.0]);
}
