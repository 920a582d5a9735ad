//! A gated recurrent unit (Cho et al. 2014) in a loop of 32 steps: many small products, each of which waits for the one before.

use arenagrad::{DType, Error, Expr, Graph, Init, Reduction};

use crate::data::{normal, normal_parameter};
use crate::program::Model;
use crate::update::Update;
use crate::{Kind, Workload};

const STEPS: usize = 32;
const BATCH: usize = 32;
const INPUTS: usize = 64;
const UNITS: usize = 128;

pub(crate) const GRU: Workload = Workload {
    name: "gru",
    about: "gated recurrent unit, 128 units, 32 steps, batch 32",
    kind: Kind::Model { define, update: Some(Update::GradientDescent { rate: 1e-2 }) },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let x = graph.input("x", [STEPS, BATCH, INPUTS]);
    let t = graph.input("t", [BATCH, UNITS]);
    let of_input = graph.parameter("of_input", [INPUTS, 3 * UNITS], normal_parameter(0.1));
    let of_state = graph.parameter("of_state", [UNITS, 3 * UNITS], normal_parameter(0.1));
    let bias = graph.parameter("bias", [3 * UNITS], Init::Constant(0.0));

    let first = graph.zeros([BATCH, UNITS], DType::F32);
    let scanned = graph.scan(&[first], &[x], |state, element| {
        let h = state[0];
        let [reset_x, update_x, new_x] = gates(element[0].linear(of_input, Some(bias)));
        let [reset_h, update_h, new_h] = gates(h.matmul(of_state));
        let reset = (reset_x + reset_h).sigmoid();
        let update = (update_x + update_h).sigmoid();
        let new = (new_x + reset * new_h).tanh();
        (vec![(1.0 - update) * new + update * h], vec![])
    })?;
    let h = scanned.carries[0];
    let inputs = vec![("x", normal(&[STEPS, BATCH, INPUTS], 1.0, 1)?), ("t", normal(&[BATCH, UNITS], 1.0, 2)?)];
    Ok(Model { loss: h.mse_loss(t, Reduction::Mean), inputs })
}

/// The thirds of the last axis: what goes to the reset gate, to the update gate, and to the new state.
fn gates(x: Expr<'_>) -> [Expr<'_>; 3] {
    [0, 1, 2].map(|gate| x.slice(-1, gate * UNITS, (gate + 1) * UNITS))
}
