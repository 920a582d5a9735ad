//! Multilayer perceptrons with ReLU and without bias, mean squared error, gradient descent: from a handful of numbers to
//! 45 GFLOP a step.

use arenagrad::{Error, Expr, Graph, Reduction};

use crate::data::{normal, normal_parameter};
use crate::program::Model;
use crate::update::Update;
use crate::{Kind, Workload};

const UPDATE: Option<Update> = Some(Update::GradientDescent { rate: 1e-3 });

pub(crate) const GAUSSIANS: Workload = Workload {
    name: "gaussians",
    about: "perceptron 2-10-2, batch 1",
    kind: Kind::Model { define: |graph| perceptron(graph, 1, &[2, 10, 2]), update: UPDATE },
};

pub(crate) const MNIST_MLP: Workload = Workload {
    name: "mnist_mlp",
    about: "perceptron 784-256-10, batch 64",
    kind: Kind::Model { define: |graph| perceptron(graph, 64, &[784, 256, 10]), update: UPDATE },
};

pub(crate) const WIDE_MLP: Workload = Workload {
    name: "wide_mlp",
    about: "perceptron of four 1024 x 1024 layers, batch 256",
    kind: Kind::Model { define: |graph| perceptron(graph, 256, &[1024; 5]), update: UPDATE },
};

/// A batch of inputs `x` and targets `t` goes through layers of those widths.
fn perceptron<'g>(graph: &'g Graph, batch: usize, widths: &[usize]) -> Result<Model<'g>, Error> {
    let (first, last) = (widths[0], widths[widths.len() - 1]);
    let (x, t) = (graph.input("x", [batch, first]), graph.input("t", [batch, last]));
    let weights: Vec<Expr<'g>> = widths
        .windows(2)
        .enumerate()
        .map(|(layer, width)| graph.parameter(format!("w{layer}"), [width[0], width[1]], normal_parameter(0.05)))
        .collect();
    let mut h = x.matmul(weights[0]);
    for weight in &weights[1..] {
        h = h.relu().matmul(*weight);
    }
    let inputs = vec![("x", normal(&[batch, first], 1.0, 1)?), ("t", normal(&[batch, last], 1.0, 2)?)];
    Ok(Model { loss: h.mse_loss(t, Reduction::Mean), inputs })
}
