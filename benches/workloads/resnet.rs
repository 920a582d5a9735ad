//! ResNet-20 for images of 32 x 32 (He et al. 2015, section 4.2): three stages of three blocks, shortcuts by subsampling and zero channels,
//! and batch norm by the statistics of the batch.

use arenagrad::{Convolution, DType, Error, Expr, Graph, Init};

use crate::data::{indices, normal, normal_parameter};
use crate::program::Model;
use crate::update::Update;
use crate::{Kind, Workload};

const BATCH: usize = 32;
const EXTENT: usize = 32;
const CLASSES: usize = 10;
const WIDTHS: [usize; 3] = [16, 32, 64];
const BLOCKS: usize = 3;

pub(crate) const RESNET: Workload = Workload {
    name: "resnet",
    about: "ResNet-20 for 32 x 32 images, batch 32",
    kind: Kind::Model { define, update: Some(Update::Momentum { rate: 0.01, momentum: 0.9 }) },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let x = graph.input("x", [BATCH, 3, EXTENT, EXTENT]);
    let labels = graph.input_of("labels", [BATCH], DType::I32);
    let mut h = convolved("first", x, [3, WIDTHS[0]], 1, 0.27).relu();
    let mut channels = WIDTHS[0];
    for width in WIDTHS {
        for block in 0..BLOCKS {
            let name = |part: &str| format!("stage{width}.block{block}.{part}");
            let stride = if width == channels { 1 } else { 2 };
            let deviation = |channels: usize| (2.0 / (9 * channels) as f64).sqrt();
            let y = convolved(&name("first"), h, [channels, width], stride, deviation(channels)).relu();
            let y = convolved(&name("second"), y, [width, width], 1, deviation(width));
            let shortcut = if stride == 1 {
                h
            } else {
                let sampled = h.slice_step(2, 0, h.shape()?[2], 2).slice_step(3, 0, h.shape()?[3], 2);
                sampled.pad([(0, 0), (0, width - channels), (0, 0), (0, 0)], 0.0)
            };
            h = (y + shortcut).relu();
            channels = width;
        }
    }
    let weight = graph.parameter("last.weight", [channels, CLASSES], normal_parameter(0.1));
    let bias = graph.parameter("last.bias", [CLASSES], Init::Constant(0.0));
    let loss = h.mean([2, 3]).linear(weight, Some(bias)).cross_entropy(labels);
    let inputs = vec![("x", normal(&[BATCH, 3, EXTENT, EXTENT], 1.0, 1)?), ("labels", indices(&[BATCH], CLASSES, 2)?)];
    Ok(Model { loss, inputs })
}

/// A convolution of 3 x 3 without a bias, and batch norm by the statistics of the batch.
fn convolved<'g>(name: &str, x: Expr<'g>, [from, to]: [usize; 2], stride: usize, deviation: f64) -> Expr<'g> {
    let graph = x.graph();
    let weight = graph.parameter(format!("{name}.weight"), [to, from, 3, 3], normal_parameter(deviation));
    let scale = graph.parameter(format!("{name}.scale"), [to], Init::Constant(1.0));
    let shift = graph.parameter(format!("{name}.shift"), [to], Init::Constant(0.0));
    let y = x.conv2d(weight, None, &Convolution::new().stride(stride).padding(1));
    y.batch_norm(y.batch_statistics(), Some(scale), Some(shift), 1e-5)
}
