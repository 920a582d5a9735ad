//! Transformers: blocks of attention and a feed-forward network, each part added to what it read, and stacks of such blocks.
//!
//! Parameters have the keys that PyTorch's `TransformerEncoderLayer`, `TransformerDecoderLayer` and their stacks give them.
//! What the three kinds of blocks share stands here: their settings, the feed-forward network, and where the norms are.

mod block;
mod layers;
mod stacks;
mod whole;

pub use block::TransformerBlock;
pub use layers::{TransformerDecoderLayer, TransformerEncoderLayer};
pub use stacks::{TransformerDecoder, TransformerEncoder};
pub use whole::{Transformer, TransformerMasks};

use crate::declaration::Init;
use crate::expr::Expr;
use crate::nn::{Activation, LayerNorm, Linear, MultiHeadAttention, Phase, within};

/// What a block is made of.
#[derive(Clone, Debug)]
struct Settings {
    width: usize,
    heads: usize,
    feed_forward: usize,
    dropout: f64,
    activation: Activation,
    eps: f64,
    has_bias: bool,
    is_batch_first: bool,
    is_norm_first: bool,
    /// First values of all matrices, if they are not those of their layers.
    weight: Option<Init>,
}

impl Settings {
    /// PyTorch's defaults.
    fn new(width: usize, heads: usize) -> Settings {
        Settings {
            width,
            heads,
            feed_forward: 2048,
            dropout: 0.1,
            activation: Activation::relu(),
            eps: 1e-5,
            has_bias: true,
            is_batch_first: false,
            is_norm_first: false,
            weight: None,
        }
    }

    fn attention(&self, name: &str, part: &str) -> MultiHeadAttention {
        let attention = MultiHeadAttention::new(within(name, part), self.width, self.heads).dropout(self.dropout);
        let attention = if self.has_bias { attention } else { attention.without_bias() };
        let attention = self.weight.clone().into_iter().fold(attention, MultiHeadAttention::out_weight_init);
        if self.is_batch_first { attention.batch_first() } else { attention }
    }

    fn norm(&self, name: &str, part: &str) -> LayerNorm {
        let norm = LayerNorm::new(within(name, part), [self.width]).eps(self.eps);
        if self.has_bias { norm } else { norm.without_bias() }
    }

    fn linear(&self, name: &str, part: &str, inputs: usize, outputs: usize) -> Linear {
        let linear = Linear::new(within(name, part), inputs, outputs);
        let linear = self.weight.clone().into_iter().fold(linear, Linear::weight_init);
        if self.has_bias { linear } else { linear.without_bias() }
    }

    /// The feed-forward network of each position.
    #[track_caller]
    fn feed_forward<'g>(&self, name: &str, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let inner = self.linear(name, "linear1", self.width, self.feed_forward).apply(x);
        let inner = self.activation.apply(inner).dropout_in(phase, self.dropout);
        self.linear(name, "linear2", self.feed_forward, self.width).apply(inner)
    }

    /// What a part makes of `x`, dropped in part and added to it, with the norm in front of the part or behind the sum.
    #[track_caller]
    fn added<'g>(
        &self,
        x: Expr<'g>,
        norm: &LayerNorm,
        phase: Phase,
        part: impl FnOnce(Expr<'g>) -> Expr<'g>,
    ) -> Expr<'g> {
        if self.is_norm_first {
            x + part(norm.apply(x)).dropout_in(phase, self.dropout)
        } else {
            norm.apply(x + part(x).dropout_in(phase, self.dropout))
        }
    }
}

/// Methods that set what the kinds of layers have in common.
macro_rules! settings {
    ($name:ident) => {
        impl $name {
            /// The feed-forward network has so many features inside. (PyTorch's `dim_feedforward`, 2048 unless said otherwise.)
            #[must_use]
            pub fn feed_forward(mut self, width: usize) -> Self {
                self.settings.feed_forward = width;
                self
            }

            /// The rate at which probabilities, features inside the feed-forward network and the results of the parts are
            /// dropped in training.
            #[must_use]
            pub fn dropout(mut self, dropout: f64) -> Self {
                self.settings.dropout = dropout;
                self
            }

            /// What stands between the two layers of the feed-forward network.
            #[must_use]
            pub fn activation(mut self, activation: Activation) -> Self {
                self.settings.activation = activation;
                self
            }

            /// What is added to the variances of the norms, 1e-5 unless said otherwise.
            #[must_use]
            pub fn eps(mut self, eps: f64) -> Self {
                self.settings.eps = eps;
                self
            }

            /// Without biases: of attention, of the linear layers, and of the norms.
            #[must_use]
            pub fn without_bias(mut self) -> Self {
                self.settings.has_bias = false;
                self
            }

            /// Under another name.
            #[must_use]
            pub fn renamed(mut self, name: impl Into<String>) -> Self {
                self.name = name.into();
                self
            }
        }
    };
}
use settings;
