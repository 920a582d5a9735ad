//! The workloads, one file each; the multilayer perceptrons, which differ in their sizes only, share one.

mod chain;
mod graph_build;
mod perceptrons;
mod scalar;
mod softmax_xent;
mod tape;

pub(crate) use chain::CHAIN;
pub(crate) use graph_build::GRAPH_BUILD;
pub(crate) use perceptrons::{GAUSSIANS, MNIST_MLP, WIDE_MLP};
pub(crate) use scalar::SCALAR;
pub(crate) use softmax_xent::SOFTMAX_XENT;
pub(crate) use tape::{TAPE_GAUSSIANS, TAPE_SCALAR};
