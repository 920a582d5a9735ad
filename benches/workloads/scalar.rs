//! `f = (x + y) z` of three numbers: nothing but the cost of a call.

use arenagrad::{Error, Graph, Init};

use crate::program::Model;
use crate::{Kind, Workload};

pub(crate) const SCALAR: Workload =
    Workload { name: "scalar", about: "(x + y) z of three numbers", kind: Kind::Model { define, update: None } };

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let [x, y, z] =
        [("x", -2.0), ("y", 5.0), ("z", -4.0)].map(|(name, value)| graph.parameter(name, [], Init::Constant(value)));
    Ok(Model { loss: (x + y) * z, inputs: Vec::new() })
}
