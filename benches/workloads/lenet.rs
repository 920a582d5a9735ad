//! A small convolutional network in the manner of LeNet (LeCun et al. 1998): two convolutions with max pooling and one linear layer.

use arenagrad::{Convolution, DType, Error, Graph};

use crate::data::{indices, normal, normal_parameter};
use crate::program::Model;
use crate::update::Update;
use crate::{Kind, Workload};

const BATCH: usize = 64;
const EXTENT: usize = 28;
const CLASSES: usize = 10;

pub(crate) const LENET: Workload = Workload {
    name: "lenet",
    about: "two convolutions of 8 and 16 channels with max pooling, a linear layer, batch 64 of 28 x 28",
    kind: Kind::Model { define, update: Some(Update::GradientDescent { rate: 1e-3 }) },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let x = graph.input("x", [BATCH, 1, EXTENT, EXTENT]);
    let labels = graph.input_of("labels", [BATCH], DType::I32);
    let first = graph.parameter("first", [8, 1, 3, 3], normal_parameter(0.2));
    let second = graph.parameter("second", [16, 8, 3, 3], normal_parameter(0.1));
    let last = graph.parameter("last", [400, CLASSES], normal_parameter(0.05));

    let h = x.conv2d(first, None, &Convolution::new()).relu().max_pool2d(2);
    let h = h.conv2d(second, None, &Convolution::new()).relu().max_pool2d(2);
    let loss = h.reshape([BATCH, 400]).matmul(last).cross_entropy(labels);
    let inputs = vec![("x", normal(&[BATCH, 1, EXTENT, EXTENT], 1.0, 1)?), ("labels", indices(&[BATCH], CLASSES, 2)?)];
    Ok(Model { loss, inputs })
}
