//! Define-by-run: the graph is recorded anew at each call, as operators run, and its plan is found again.

use arenagrad::{Error, Reduction, Tensor, Variable};

use crate::data::normal;
use crate::program::TapeModel;
use crate::{Kind, Workload};

pub(crate) const TAPE_SCALAR: Workload = Workload {
    name: "tape_scalar",
    about: "(x + y) z of three numbers, recorded anew at each call",
    kind: Kind::Tape { define: scalar, rate: None },
};

pub(crate) const TAPE_GAUSSIANS: Workload = Workload {
    name: "tape_gaussians",
    about: "perceptron 2-10-2, batch 1, recorded anew at each step",
    kind: Kind::Tape { define: gaussians, rate: Some(1e-3) },
};

fn scalar() -> Result<TapeModel, Error> {
    let parameters = [-2.0f32, 5.0, -4.0].map(Tensor::scalar).to_vec();
    let loss = |parameters: &[Variable], _: &[Variable]| (&parameters[0] + &parameters[1]) * &parameters[2];
    Ok(TapeModel { parameters, inputs: Vec::new(), loss })
}

fn gaussians() -> Result<TapeModel, Error> {
    let parameters = vec![normal(&[2, 10], 3)?, normal(&[10, 2], 4)?];
    let inputs = vec![normal(&[1, 2], 1)?, normal(&[1, 2], 2)?];
    let loss = |w: &[Variable], inputs: &[Variable]| {
        let y = inputs[0].matmul(&w[0]).relu().matmul(&w[1]);
        y.mse_loss(&inputs[1], Reduction::Mean)
    };
    Ok(TapeModel { parameters, inputs, loss })
}
