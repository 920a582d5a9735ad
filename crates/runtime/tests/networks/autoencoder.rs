//! An autoencoder of images: strided, grouped dilated and transposed convolutions, group and instance normalisation, bilinear
//! upsampling, and the binary cross-entropy against its input.

use arenagrad::nn::{
    Activation, Conv2d, ConvTranspose2d, GroupNorm, InstanceNorm2d, Layer, Phase, Sequential, Upsample,
};
use arenagrad::{Expr, Interpolation, InterpolationMode, Reduction};

use super::reference::{Outputs, Reference};

struct Autoencoder {
    down: Sequential,
    mid: Conv2d,
    up: Sequential,
}

impl Autoencoder {
    fn new() -> Self {
        let twice = Interpolation::by_factor(2.0).mode(InterpolationMode::Linear);
        Autoencoder {
            down: Sequential::new("down")
                .layer(|name| Conv2d::new(name, 2, 8, 3).stride(2).padding(1))
                .layer(|name| GroupNorm::new(name, 2, 8))
                .then(Activation::silu())
                .layer(|name| Conv2d::new(name, 8, 12, 3).stride(2).padding(1))
                .then(Activation::silu()),
            mid: Conv2d::new("mid", 12, 12, 3).padding(2).dilation(2).groups(3),
            up: Sequential::new("up")
                .layer(|name| ConvTranspose2d::new(name, 12, 8, 4).stride(2).padding(1))
                .layer(|name| InstanceNorm2d::new(name, 8).affine())
                .then(Activation::leaky_relu(0.2))
                .then(Upsample::new(twice))
                .layer(|name| Conv2d::new(name, 8, 2, 3).padding(1)),
        }
    }
}

impl Layer for Autoencoder {
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let code = self.mid.apply(self.down.apply(x, phase));
        self.up.apply(code, phase)
    }
}

#[test]
fn an_autoencoder_equals_its_implementation() {
    let network = Autoencoder::new();
    Reference::open("autoencoder").assert_equal(|inputs| {
        let x = inputs.get("x");
        let logits = network.forward(x, Phase::Training);
        let loss = logits.binary_cross_entropy_with_logits(x, Reduction::Mean);
        Outputs::of_loss(loss).with("reconstruction", logits.sigmoid())
    });
}
