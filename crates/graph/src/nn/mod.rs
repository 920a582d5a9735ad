//! Layers of networks: values that know their name and extents, hold no node and borrow no graph. A function can return a
//! network, a struct can hold one, and one network serves any batch size, graph, session and tape.
//!
//! A layer declares its parameters where it is first applied in a graph, under its name (`head.weight`, `head.bias`), and
//! finds them again at the next application. Names and layouts are those of PyTorch's modules. The dtype is that of what
//! it is applied to.
//!
//! Invariants: applying a layer has no effect but on the graph; the same layer in two graphs has the same parameters, because
//! they have the same names. This does not know values, optimisers or sessions.

mod activation;
mod attention;
mod batch_norm;
mod convolution;
mod convolution_transpose;
mod dropout;
mod embedding;
pub mod init;
mod instance_norm;
mod linear;
mod norms;
mod parameter;
mod phase;
mod pooling;
mod recurrent;
mod residual;
mod sequential;
mod shapes;
mod transformer;

pub use activation::{Activation, PRelu};
pub use attention::{AttentionMasks, AttentionWeights, GroupedQueryAttention, MultiHeadAttention};
pub use batch_norm::BatchNorm;
pub use convolution::{Conv, Conv1d, Conv2d, Conv3d};
pub use convolution_transpose::{ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use dropout::{ChannelDropout, Dropout, Dropout1d, Dropout2d, Dropout3d};
pub use embedding::Embedding;
pub use instance_norm::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d};
pub use linear::Linear;
pub use norms::{GroupNorm, LayerNorm, RmsNorm};
pub use parameter::{Parameter, State, within};
pub use phase::Phase;
pub use pooling::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, MaxPool, MaxPool1d, MaxPool2d,
    MaxPool3d,
};
pub use recurrent::{Gru, GruCell, Lstm, LstmCell, Nonlinearity, Rnn, RnnCell};
pub use residual::Residual;
pub use sequential::Sequential;
pub use shapes::{Flatten, Identity, Unflatten, Upsample};
pub use transformer::{
    TransformerBlock, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer,
};

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;

/// A layer of one operand and one result, or a network made of such: what [`Sequential`] chains. The layers of this module that
/// have one operand are; those to which the phase makes no difference have a method `apply(x)` beside it, the others
/// `apply(x, phase)`. [The module](self) shows how to write one.
pub trait Layer {
    /// The layer applied to `x`.
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g>;
}

impl<L: Layer + ?Sized> Layer for &L {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        (**self).forward(x, phase)
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        (**self).forward(x, phase)
    }
}

impl<L: Layer + ?Sized> Layer for Arc<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        (**self).forward(x, phase)
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
