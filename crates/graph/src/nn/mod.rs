//! Layers of networks: values that know their name and extents, hold no node and borrow no graph. A function can return a
//! network, a struct can hold one, and one network serves any batch size, graph, session and tape.
//!
//! A layer declares its parameters where it is first applied in a graph, under its name (`head.weight`, `head.bias`), and
//! finds them again at the next application. Names and layouts are those of PyTorch's modules. The dtype is that of what
//! it is applied to.
//!
//! A network is a struct of layers, and a method that applies them:
//!
//! ```
//! use arenagrad_graph::nn::{Conv2d, Dropout, Linear, Phase, Summary};
//! use arenagrad_graph::Expr;
//!
//! struct Classifier { conv1: Conv2d, conv2: Conv2d, head: Linear }
//!
//! impl Classifier {
//!     fn new() -> Self {
//!         let (conv1, conv2) = (Conv2d::new("conv1", 1, 8, 3), Conv2d::new("conv2", 8, 16, 3));
//!         Classifier { conv1, conv2, head: Linear::new("head", 16 * 5 * 5, 10) }
//!     }
//!
//!     fn logits<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
//!         let h = self.conv1.apply(x).relu().max_pool2d(2);
//!         let h = self.conv2.apply(h).relu().max_pool2d(2);
//!         self.head.apply(h.flatten_axes(1, -1).dropout_in(phase, 0.1))
//!     }
//! }
//!
//! let net = Classifier::new();
//! let summary = Summary::of(|g| net.logits(g.input("x", [1, 1, 28, 28]), Phase::Evaluation))?;
//! assert_eq!(summary.trainable(), 5258);
//! # Ok::<(), arenagrad_graph::GraphError>(())
//! ```
//!
//! # A layer of one's own
//!
//! A layer that no module has is a struct with a name, and a [`Layer::forward`] that asks for its [`Parameter`]s and computes. Here
//! the features are scaled by what a small network makes of their means (Hu et al. 2018), with a learned temperature:
//!
//! ```
//! use arenagrad_graph::nn::{Layer, Linear, Parameter, Phase, Sequential, within};
//! use arenagrad_graph::{Expr, Graph, Init};
//!
//! struct Excitation { name: String, channels: usize }
//!
//! impl Layer for Excitation {
//!     fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
//!         let temperature = Parameter::new(within(&self.name, "temperature"), [], Init::Constant(1.0)).beside(x);
//!         let gate = Linear::new(within(&self.name, "gate"), self.channels, self.channels);
//!         x * (gate.apply(x.global_avg_pool()) * temperature).sigmoid().unsqueeze(-1).unsqueeze(-1)
//!     }
//! }
//!
//! let net = Sequential::new("net").layer(|name| Excitation { name, channels: 8 });
//! let g = Graph::new();
//! let y = net.apply(g.input("x", [2, 8, 5, 5]), Phase::Training);
//! assert_eq!(y.shape()?.dims(), &[2, 8, 5, 5]);
//! assert!(g.declaration_named("net.0.temperature").is_some());
//! # Ok::<(), arenagrad_graph::GraphError>(())
//! ```
//!
//! To have it in tables and drawings, wrap what it computes into [`Graph::layer`](crate::Graph::layer). A state that it changes in
//! training is a [`State`], and [`Graph::update`](crate::Graph::update) says what it becomes.
//!
//! Invariants: applying a layer has no effect but on the graph; the same layer in two graphs has the same parameters, because
//! they have the same names. This does not know values, optimisers or sessions.

mod activation;
mod adaptive_softmax;
mod alpha_dropout;
mod attention;
mod batch_norm;
mod bilinear;
mod blocks;
mod convolution;
mod convolution_transpose;
mod drawing;
mod dropout;
mod embedding;
mod embedding_bag;
pub mod init;
mod instance_norm;
mod linear;
mod local_response_norm;
mod norms;
mod padding;
mod parameter;
mod phase;
mod pooling;
mod randomised_relu;
mod recurrent;
mod residual;
mod sequential;
mod shapes;
mod shuffles;
mod spectral_norm;
mod summary;
mod transformer;
mod weight_norm;
mod weighted;

pub use activation::{Activation, PRelu};
pub use adaptive_softmax::AdaptiveLogSoftmaxWithLoss;
pub use alpha_dropout::{AlphaDropout, FeatureAlphaDropout};
pub use attention::{AttentionMasks, AttentionWeights, GroupedQueryAttention, MultiHeadAttention};
pub use batch_norm::BatchNorm;
pub use bilinear::Bilinear;
pub use blocks::{Fold, Unfold};
pub use convolution::{Conv, Conv1d, Conv2d, Conv3d};
pub use convolution_transpose::{ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use dropout::{ChannelDropout, Dropout, Dropout1d, Dropout2d, Dropout3d};
pub use embedding::Embedding;
pub use embedding_bag::EmbeddingBag;
pub use instance_norm::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d};
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use norms::{GroupNorm, LayerNorm, RmsNorm};
pub use padding::{Pad, Pad1d, Pad2d, Pad3d, PadAmounts};
pub use parameter::{Parameter, State, within};
pub use phase::Phase;
pub use pooling::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, LpPool, LpPool1d, LpPool2d,
    LpPool3d, MaxPool, MaxPool1d, MaxPool2d, MaxPool3d,
};
pub use randomised_relu::RRelu;
pub use recurrent::{Gru, GruCell, Lstm, LstmCell, Rnn, RnnCell, RnnNonlinearity};
pub use residual::Residual;
pub use sequential::Sequential;
pub use shapes::{Flatten, Identity, Unflatten, Upsample};
pub use shuffles::{ChannelShuffle, PixelShuffle, PixelUnshuffle};
pub use spectral_norm::SpectralNorm;
pub use summary::{Summary, SummaryLayer, SummaryParameter};
pub use transformer::{
    Transformer, TransformerBlock, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks,
};
pub use weight_norm::WeightNorm;
pub use weighted::Weighted;

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;

/// A layer of one operand and one result, or a network made of such: what [`Sequential`] chains. The layers of this module that
/// have one operand are; those to which the phase makes no difference have a method `apply(x)` beside it, the others
/// `apply(x, phase)`. [The module](self) shows how to write one. Where it is applied through a [`Box`], an [`Arc`] or a reference, all that it
/// builds is told at the line of that call, as in a [`Sequential`].
pub trait Layer {
    /// The layer applied to `x`.
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g>;
}

impl<L: Layer + ?Sized> Layer for &L {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        // A call through a pointer does not carry its caller's line.
        x.graph().at(Origin::here(), || (**self).forward(x, phase))
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        // A call through a pointer does not carry its caller's line.
        x.graph().at(Origin::here(), || (**self).forward(x, phase))
    }
}

impl<L: Layer + ?Sized> Layer for Arc<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        // A call through a pointer does not carry its caller's line.
        x.graph().at(Origin::here(), || (**self).forward(x, phase))
    }
}

/// The layer, or nothing done where there is none.
impl<L: Layer> Layer for Option<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        match self {
            Some(layer) => layer.forward(x, phase),
            None => x,
        }
    }
}

impl<'g> Expr<'g> {
    /// The dtype of what a layer is applied to, which its parameters get; `None`, and an error in the graph, if it is no float.
    #[track_caller]
    fn dtype_for_layer(self, op: &'static str) -> Option<DType> {
        let origin = self.graph().origin_or(Origin::here());
        let dtype = self.read(op, origin, |_, node| node.dtype)?;
        if dtype.is_float() {
            return Some(dtype);
        }
        self.fail_without(GraphError::DType { origin, op, operand: self.describe(), dtype, expected: "a float" })
    }
}
