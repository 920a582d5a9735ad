//! A residual network of basic blocks, as torchvision's `ResNet` has it: a stem of 7x7 and a pooling, strided shortcuts of 1x1, and
//! batch normalisation in training, on images of odd extents.

use arenagrad::Expr;
use arenagrad::nn::{BatchNorm, Conv2d, Layer, Linear, Phase, Sequential, within};

use super::reference::{Outputs, Reference};

/// torchvision's `BasicBlock`.
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<Sequential>,
}

impl BasicBlock {
    fn new(name: &str, channels: usize, features: usize, stride: usize) -> Self {
        let conv = |part, channels| Conv2d::new(within(name, part), channels, features, 3).padding(1).without_bias();
        let downsample = || {
            Sequential::new(within(name, "downsample"))
                .layer(|name| Conv2d::new(name, channels, features, 1).stride(stride).without_bias())
                .layer(|name| BatchNorm::new(name, features))
        };
        BasicBlock {
            conv1: conv("conv1", channels).stride(stride),
            bn1: BatchNorm::new(within(name, "bn1"), features),
            conv2: conv("conv2", features),
            bn2: BatchNorm::new(within(name, "bn2"), features),
            downsample: (stride != 1 || channels != features).then(downsample),
        }
    }
}

impl Layer for BasicBlock {
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let h = self.bn1.apply(self.conv1.apply(x), phase).relu();
        let h = self.bn2.apply(self.conv2.apply(h), phase);
        (h + self.downsample.forward(x, phase)).relu()
    }
}

/// The network, and its logits.
pub(super) struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layers: Vec<Sequential>,
    fc: Linear,
}

impl ResNet {
    pub(super) fn new(widths: [usize; 4], classes: usize) -> Self {
        let layer = |place: usize| {
            let channels = widths[place.saturating_sub(1)];
            let stride = if place == 0 { 1 } else { 2 };
            Sequential::new(format!("layer{}", place + 1))
                .layer(|name| BasicBlock::new(&name, channels, widths[place], stride))
        };
        ResNet {
            conv1: Conv2d::new("conv1", 3, widths[0], 7).stride(2).padding(3).without_bias(),
            bn1: BatchNorm::new("bn1", widths[0]),
            layers: (0..widths.len()).map(layer).collect(),
            fc: Linear::new("fc", widths[3], classes),
        }
    }
}

impl Layer for ResNet {
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let stem = self.bn1.apply(self.conv1.apply(x), phase).relu();
        let pooled = stem.max_pool2d(arenagrad::Pooling::new(3).stride(2).padding(1));
        let features = self.layers.iter().fold(pooled, |h, layer| layer.apply(h, phase));
        self.fc.apply(features.global_avg_pool())
    }
}

#[test]
fn a_residual_network_equals_that_of_torchvision() {
    let network = ResNet::new([8, 16, 32, 64], 10);
    Reference::open("resnet").assert_equal(|inputs| {
        let logits = network.forward(inputs.get("x"), Phase::Training);
        Outputs::of_loss(logits.cross_entropy(inputs.get("labels"))).with("logits", logits)
    });
}
