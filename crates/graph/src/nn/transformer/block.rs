//! A transformer's block with the defaults of today.

use super::TransformerEncoderLayer;
use crate::compose::Gelu;
use crate::expr::Expr;
use crate::nn::{Activation, AttentionMasks, Layer, Phase};

/// A block of a transformer as they are built today: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`, over sequences
/// `[batch, length, width]` or `[length, width]`, with four times the width inside the feed-forward network, the Gaussian error
/// linear unit, and without dropout (Radford et al. 2019).
///
/// Its parameters have the keys of [`TransformerEncoderLayer`], which it is with other defaults, so that weights of the one fit
/// the other.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Layer, Phase, TransformerBlock};
///
/// // The body of a language model: each position reads those before it alone.
/// let blocks: Vec<TransformerBlock> = (0..4).map(|i| TransformerBlock::new(format!("blocks.{i}"), 128, 4).causal().dropout(0.1)).collect();
/// let g = Graph::new();
/// let x = g.input("x", [12, 64, 128]);
/// let y = blocks.iter().fold(x, |x, block| block.forward(x, Phase::Training));
/// assert_eq!(y.shape()?.dims(), &[12, 64, 128]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerBlock {
    layer: TransformerEncoderLayer,
    is_causal: bool,
}

impl TransformerBlock {
    /// A block of that name over `width` features, whose attention has so many heads.
    pub fn new(name: impl Into<String>, width: usize, heads: usize) -> Self {
        let layer = TransformerEncoderLayer::new(name, width, heads).batch_first().norm_first().dropout(0.0);
        let layer = layer.feed_forward(width.saturating_mul(4)).activation(Activation::gelu(Gelu::Erf));
        TransformerBlock { layer, is_causal: false }
    }

    /// No position attends later ones.
    #[must_use]
    pub fn causal(self) -> Self {
        TransformerBlock { is_causal: true, ..self }
    }

    /// The norms stand behind the sums: `norm(x + attention(x))`, as in the first transformers.
    #[must_use]
    pub fn norm_last(self) -> Self {
        TransformerBlock { layer: self.layer.norm_last(), ..self }
    }

    /// The feed-forward network has so many features inside.
    #[must_use]
    pub fn feed_forward(self, width: usize) -> Self {
        TransformerBlock { layer: self.layer.feed_forward(width), ..self }
    }

    /// The rate at which probabilities, features inside the feed-forward network and the results of both parts are dropped in training.
    #[must_use]
    pub fn dropout(self, dropout: f64) -> Self {
        TransformerBlock { layer: self.layer.dropout(dropout), ..self }
    }

    /// What stands between the two layers of the feed-forward network.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        TransformerBlock { layer: self.layer.activation(activation), ..self }
    }

    /// What is added to the variances of the norms, 1e-5 unless said otherwise.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        TransformerBlock { layer: self.layer.eps(eps), ..self }
    }

    /// Without biases: of attention, of the linear layers, and of the norms.
    #[must_use]
    pub fn without_bias(self) -> Self {
        TransformerBlock { layer: self.layer.without_bias(), ..self }
    }

    /// Under another name.
    #[must_use]
    pub fn renamed(self, name: impl Into<String>) -> Self {
        TransformerBlock { layer: self.layer.renamed(name), ..self }
    }

    /// The block applied to a sequence, in its shape, with masks beside its own.
    ///
    /// Errors as [`TransformerEncoderLayer::apply`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        let masks = AttentionMasks { is_causal: self.is_causal || masks.is_causal, ..masks };
        self.layer.apply_as("TransformerBlock", x, masks, phase)
    }
}

/// The block with nothing hidden, or what comes later if it is causal.
impl Layer for TransformerBlock {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, AttentionMasks::none(), phase)
    }
}
