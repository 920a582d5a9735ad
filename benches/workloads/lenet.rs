//! A small convolutional network in the manner of LeNet (LeCun et al. 1998): two convolutions with max pooling and one linear layer.

use arenagrad::{Convolution, DType, Error, Expr, Graph};

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

    let h = halved(x.conv2d(first, None, &Convolution::new()).relu())?;
    let h = halved(h.conv2d(second, None, &Convolution::new()).relu())?;
    let loss = h.reshape([BATCH, 400]).matmul(last).cross_entropy(labels);
    let inputs = vec![("x", normal(&[BATCH, 1, EXTENT, EXTENT], 1.0, 1)?), ("labels", indices(&[BATCH], CLASSES, 2)?)];
    Ok(Model { loss, inputs })
}

/// The largest of each two by two elements of the last two axes; a last one of an odd number is left out.
fn halved(x: Expr<'_>) -> Result<Expr<'_>, Error> {
    let shape = x.shape()?;
    let [n, c, h, w] = [shape[0], shape[1], shape[2] / 2, shape[3] / 2];
    let whole = x.slice(2, 0, 2 * h).slice(3, 0, 2 * w);
    Ok(whole.reshape([n, c, h, 2, w, 2]).max([3, 5]))
}
