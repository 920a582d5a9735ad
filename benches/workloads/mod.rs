//! The workloads, one file each; the multilayer perceptrons, which differ in their sizes only, share one.

mod attention;
mod chain;
mod embedding;
mod gpt;
mod graph_build;
mod gru;
mod layer_norm;
mod lenet;
mod ordered;
mod perceptrons;
mod resnet;
mod scalar;
mod softmax_xent;
mod tape;

pub(crate) use attention::ATTENTION;
pub(crate) use chain::CHAIN;
pub(crate) use embedding::EMBEDDING;
pub(crate) use gpt::{GPT, TAPE_GPT};
pub(crate) use graph_build::GRAPH_BUILD;
pub(crate) use gru::GRU;
pub(crate) use layer_norm::LAYER_NORM;
pub(crate) use lenet::LENET;
pub(crate) use ordered::{CUMSUM, SORT, TOPK};
pub(crate) use perceptrons::{GAUSSIANS, MNIST_MLP, WIDE_MLP};
pub(crate) use resnet::RESNET;
pub(crate) use scalar::SCALAR;
pub(crate) use softmax_xent::SOFTMAX_XENT;
pub(crate) use tape::{TAPE_GAUSSIANS, TAPE_MNIST_MLP, TAPE_SCALAR};
