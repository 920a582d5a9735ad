//! The cross-entropy of 2048 samples of 2048 logits: reductions along rows.

use arenagrad::{DType, Error, Graph};

use crate::data::{indices, normal_parameter};
use crate::program::Model;
use crate::{Kind, Workload};

const SAMPLES: usize = 2048;
const CLASSES: usize = 2048;

pub(crate) const SOFTMAX_XENT: Workload = Workload {
    name: "softmax_xent",
    about: "cross-entropy of 2048 x 2048 logits",
    kind: Kind::Model { define, update: None },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let logits = graph.parameter("logits", [SAMPLES, CLASSES], normal_parameter(1.0));
    let targets = graph.input_of("labels", [SAMPLES], DType::I32);
    Ok(Model { loss: logits.cross_entropy(targets), inputs: vec![("labels", indices(&[SAMPLES], CLASSES, 1)?)] })
}
