//! PyTorch's whole transformer: an encoder, and a decoder that attends to what it made.

use super::{
    Settings, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer, settings,
};
use crate::expr::Expr;
use crate::nn::{Activation, AttentionMasks, Phase, init, within};

/// An encoder of a source and a decoder of a target that attends to it, each a stack of layers with a norm behind the last (Vaswani et al.
/// 2017). (PyTorch's `torch.nn.Transformer`, whose keys, first values and defaults these are.)
///
/// The parameters are those of `NAME.encoder`, a [`TransformerEncoder`], and of `NAME.decoder`, a [`TransformerDecoder`]. Unless said
/// otherwise there are six layers in each, 2048 features inside the feed-forward networks, a relu, and dropout of 0.1. First values of all
/// matrices are Xavier's uniform ones. It has no embedding, no positions and no last layer, as there.
///
/// Sequences are `[length, batch, width]`, with [`Transformer::batch_first`] `[batch, length, width]`, or `[length, width]`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Phase, Transformer, TransformerMasks};
///
/// let transformer = Transformer::new("transformer", 64, 4).layers(2, 3).feed_forward(128).batch_first();
/// let g = Graph::new();
/// let (source, target) = (g.input("source", [8, 20, 64]), g.input("target", [8, 30, 64]));
/// let y = transformer.apply(source, target, TransformerMasks::causal(), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 30, 64]);
/// assert!(g.declaration_named("transformer.decoder.layers.2.multihead_attn.out_proj.weight").is_some());
/// assert!(g.declaration_named("transformer.encoder.norm.weight").is_some());
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transformer {
    name: String,
    settings: Settings,
    encoder_layers: usize,
    decoder_layers: usize,
}

/// What each of a [`Transformer`]'s attentions may not see.
#[derive(Clone, Copy, Debug)]
pub struct TransformerMasks<'g> {
    /// Of the source's positions among themselves.
    pub source: AttentionMasks<'g>,
    /// Of the target's positions among themselves.
    pub target: AttentionMasks<'g>,
    /// Of the target's positions to what the encoder made of the source. Padding of the source is to be said here too.
    pub memory: AttentionMasks<'g>,
}

impl TransformerMasks<'_> {
    /// Everything is seen.
    #[must_use]
    pub fn none() -> Self {
        let none = AttentionMasks::none();
        TransformerMasks { source: none, target: none, memory: none }
    }

    /// No position of the target sees those behind it, as where the next token is to be predicted; everything else is seen.
    #[must_use]
    pub fn causal() -> Self {
        TransformerMasks { target: AttentionMasks::causal(), ..TransformerMasks::none() }
    }
}

settings!(Transformer);

impl Transformer {
    /// A transformer of that name over `width` features, whose attentions have so many heads. PyTorch's own defaults are 512 and 8.
    pub fn new(name: impl Into<String>, width: usize, heads: usize) -> Self {
        let mut settings = Settings::new(width, heads);
        settings.weight = Some(init::xavier_uniform(1.0));
        Transformer { name: name.into(), settings, encoder_layers: 6, decoder_layers: 6 }
    }

    /// With so many layers in the encoder and in the decoder.
    #[must_use]
    pub fn layers(self, encoder: usize, decoder: usize) -> Self {
        Transformer { encoder_layers: encoder, decoder_layers: decoder, ..self }
    }

    /// Sequences are `[batch, length, width]`.
    #[must_use]
    pub fn batch_first(mut self) -> Self {
        self.settings.is_batch_first = true;
        self
    }

    /// The norms stand in front of the parts, and what was read is added as it is (pre-norm).
    #[must_use]
    pub fn norm_first(mut self) -> Self {
        self.settings.is_norm_first = true;
        self
    }

    /// The encoder, whose result is the memory of the decoder.
    #[must_use]
    pub fn encoder(&self) -> TransformerEncoder {
        let layer = TransformerEncoderLayer::of(self.settings.clone());
        TransformerEncoder::new(within(&self.name, "encoder"), layer, self.encoder_layers).norm()
    }

    /// The decoder: where tokens are made one after the other, it is applied for each to the memory that the encoder made once.
    #[must_use]
    pub fn decoder(&self) -> TransformerDecoder {
        let layer = TransformerDecoderLayer::of(self.settings.clone());
        TransformerDecoder::new(within(&self.name, "decoder"), layer, self.decoder_layers).norm()
    }

    /// What the decoder makes of `target` beside what the encoder made of `source`: of the shape of `target`.
    ///
    /// Errors: those of [`MultiHeadAttention::attend`](crate::nn::MultiHeadAttention::attend); a rate of dropout outside `0..=1`.
    #[track_caller]
    pub fn apply<'g>(&self, source: Expr<'g>, target: Expr<'g>, masks: TransformerMasks<'g>, phase: Phase) -> Expr<'g> {
        let graph = target.graph();
        let _method = graph.enter("Transformer");
        let kind = format!("Transformer({}, {})", self.settings.width, self.settings.heads);
        graph.layer(kind, &self.name, target, || {
            let memory = self.encoder().apply(source, masks.source, phase);
            self.decoder().apply(target, memory, masks.target, masks.memory, phase)
        })
    }
}
