//! A layer norm of 4096 rows of 1024 numbers, and a weighted sum of it: a mean and a variance along each row, and in the backward
//! pass reductions along rows and columns both.

use arenagrad::{DType, Error, Graph};

use crate::data::normal_parameter;
use crate::program::Model;
use crate::{Kind, Workload};

const ROWS: usize = 4096;
const WIDTH: usize = 1024;

pub(crate) const LAYER_NORM: Workload = Workload {
    name: "layer_norm",
    about: "layer norm of 4096 rows of 1024, and a weighted sum",
    kind: Kind::Model { define, update: None },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let x = graph.parameter("x", [ROWS, WIDTH], normal_parameter(1.0));
    let [scale, shift] = ["scale", "shift"].map(|name| graph.parameter(name, [WIDTH], normal_parameter(1.0)));
    // A state is not differentiated and stays on the device: an input of 16 MiB would be copied at each call.
    let weights = graph.state("weights", [ROWS, WIDTH], DType::F32, normal_parameter(1.0));
    let y = x.layer_norm(-1, Some(scale), Some(shift), 1e-5);
    Ok(Model { loss: (y * weights).sum(..), inputs: Vec::new() })
}
