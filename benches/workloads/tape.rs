//! Define-by-run: the graph is recorded anew at each call, as operators run, and its plan is found again.

use arenagrad::{Error, Reduction, Tape, Tensor, Variable};

use crate::data::normal;
use crate::program::TapeModel;
use crate::update::Update;
use crate::{Kind, Workload};

const UPDATE: Option<Update> = Some(Update::GradientDescent { rate: 1e-3 });

pub(crate) const TAPE_SCALAR: Workload = Workload {
    name: "tape_scalar",
    about: "(x + y) z of three numbers, recorded anew at each call",
    kind: Kind::Tape { define: scalar, update: None, compiled: "scalar" },
};

pub(crate) const TAPE_GAUSSIANS: Workload = Workload {
    name: "tape_gaussians",
    about: "perceptron 2-10-2, batch 1, recorded anew at each step",
    kind: Kind::Tape { define: || perceptron(1, [2, 10, 2]), update: UPDATE, compiled: "gaussians" },
};

pub(crate) const TAPE_MNIST_MLP: Workload = Workload {
    name: "tape_mnist_mlp",
    about: "perceptron 784-256-10, batch 64, recorded anew at each step",
    kind: Kind::Tape { define: || perceptron(64, [784, 256, 10]), update: UPDATE, compiled: "mnist_mlp" },
};

fn scalar() -> Result<TapeModel, Error> {
    let parameters =
        vec![("x", Tensor::scalar(-2.0f32)), ("y", Tensor::scalar(5.0f32)), ("z", Tensor::scalar(-4.0f32))];
    let loss = |_: &Tape, parameters: &[Variable], _: &[Variable]| (&parameters[0] + &parameters[1]) * &parameters[2];
    Ok(TapeModel { parameters, inputs: Vec::new(), loss })
}

/// Two layers of those widths, with ReLU between them.
fn perceptron(batch: usize, [inputs, hidden, outputs]: [usize; 3]) -> Result<TapeModel, Error> {
    let parameters = vec![("w0", normal(&[inputs, hidden], 0.05, 3)?), ("w1", normal(&[hidden, outputs], 0.05, 4)?)];
    let inputs = vec![("x", normal(&[batch, inputs], 1.0, 1)?), ("t", normal(&[batch, outputs], 1.0, 2)?)];
    let loss = |_: &Tape, w: &[Variable], inputs: &[Variable]| {
        let y = inputs[0].matmul(&w[0]).relu().matmul(&w[1]);
        y.mse_loss(&inputs[1], Reduction::Mean)
    };
    Ok(TapeModel { parameters, inputs, loss })
}
