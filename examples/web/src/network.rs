//! The network: two convolutions and two linear layers, about 53,000 numbers.

use arenagrad::nn::{Activation, Conv2d, Flatten, Linear, MaxPool2d, Phase, Sequential, Summary};
use arenagrad::{Error, Expr};

use crate::digits::{CLASSES, SIDE};

/// The layers, `[n, 1, 28, 28] -> [n, 10]`.
pub fn layers() -> Sequential {
    Sequential::new("")
        .layer(|name| Conv2d::new(name, 1, 8, 3).padding(1))
        .then(Activation::relu())
        .then(MaxPool2d::new(2))
        .layer(|name| Conv2d::new(name, 8, 16, 3).padding(1))
        .then(Activation::relu())
        .then(MaxPool2d::new(2))
        .then(Flatten::new())
        .layer(|name| Linear::new(name, 16 * (SIDE / 4) * (SIDE / 4), 64))
        .then(Activation::relu())
        .layer(|name| Linear::new(name, 64, CLASSES))
}

/// What the network says of images, `[n, 1, 28, 28] -> [n, 10]`, before the softmax.
pub fn logits(x: Expr<'_>) -> Expr<'_> {
    layers().apply(x, Phase::Evaluation).named("logits")
}

/// The layers as a table and a drawing, for batches of so many images.
pub fn summary(batch: usize) -> Result<Summary, Error> {
    Ok(Summary::of(|graph| logits(graph.input("x", [batch, 1, SIDE, SIDE])))?)
}
