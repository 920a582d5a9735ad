//! Functions of matrices, distances and Fourier transforms in mixed precision, whose products are none that may be rounded: the same bits as in full precision,
//! forward and backward, while products beside them are rounded.

use arenagrad::{DType, Device, Expr, Graph, Half, Init, Precision, Session, Sgd, Tensor};

use crate::suite::devices::devices;

type Build = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// Points of which many are near each other and all far from their middle, and more than are compared one by one.
fn distances(w: Expr<'_>) -> Expr<'_> {
    let points = w.reshape([2, 2]).tile([20, 1]) + w.graph().iota([40, 1], 0).cast(DType::F32) * 1e-2;
    points.cdist(points * 1.001, 2.0)
}

/// A transform of 72 elements, by two products.
fn frequencies(w: Expr<'_>) -> Expr<'_> {
    let (real, imaginary) = w.flatten().tile([18]).cumsum(0).rfft(0);
    real.hypot(imaginary)
}

const FUNCTIONS: [(&str, Build); 5] = [
    ("rfft", frequencies),
    ("matrix_exp", |w| w.matrix_exp()),
    ("matrix_power", |w| (w * 0.3).matrix_power(9)),
    ("cdist", distances),
    ("inv", |w| w.inv()),
];

/// The value, and the parameter after a step, of a function and of a product beside it.
fn found(function: Build, device: &Device, precision: Precision) -> [Vec<f64>; 4] {
    let g = Graph::new();
    let w = g.parameter("w", [2, 2], Init::Values(vec![2.3, 1.1, -0.7, 5.9]));
    let v = g.parameter("v", [2, 2], Init::Values(vec![0.1, 0.2, 0.3, 0.7]));
    let (value, product) = (function(w), v.matmul(v));
    let mut session =
        Session::builder(device.clone()).precision(precision.clone()).evaluate(&g, &[value, product]).unwrap();
    let mut values = session.run(&[]).unwrap().into_iter().map(|value: Tensor| value.to_f64_vec());
    let [value_of, product_of] = [values.next().unwrap(), values.next().unwrap()];
    let loss = value.sum(..) + product.matmul(v).sum(..);
    let mut session = Session::builder(device.clone()).precision(precision).train(&g, loss, &Sgd::new(1.0)).unwrap();
    session.step(&[]).unwrap();
    [value_of, product_of, session.parameter("w").unwrap().to_f64_vec(), session.parameter("v").unwrap().to_f64_vec()]
}

#[test]
fn products_in_functions_of_matrices_are_not_rounded() {
    for device in devices() {
        for (name, function) in FUNCTIONS {
            if name == "inv" && !(device.is_cpu() && cfg!(feature = "linear_algebra")) {
                continue;
            }
            let full = found(function, &device, Precision::full());
            let mixed = found(function, &device, Precision::mixed(Half::Bf16));
            assert_eq!(full[0], mixed[0], "{name} on {device}");
            assert_eq!(full[2], mixed[2], "the gradient of {name} on {device}");
            assert!(full[1] != mixed[1] && full[3] != mixed[3], "{name} on {device}: nothing is rounded");
        }
    }
}
