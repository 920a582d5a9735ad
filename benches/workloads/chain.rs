//! A chain of elementwise operations over 4 Mi floats, and its sum: bandwidth, if it is one pass over memory.

use arenagrad::{Error, Graph};

use crate::data::normal_parameter;
use crate::program::Model;
use crate::{Kind, Workload};

const ELEMENTS: usize = 4 << 20;

pub(crate) const CHAIN: Workload = Workload {
    name: "chain",
    about: "12 elementwise operations on 4 Mi floats, and their sum",
    kind: Kind::Model { define, update: None },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let x = graph.parameter("x", [ELEMENTS], normal_parameter(1.0));
    let y = (x * 1.5 + 0.25).relu() - x * 0.5;
    let y = (y * 0.7).tanh() + x * x;
    let y = (y * -0.1).exp() * y - x;
    Ok(Model { loss: y.sum(..), inputs: Vec::new() })
}
