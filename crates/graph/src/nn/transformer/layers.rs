//! The layers of PyTorch's transformer.

use super::{Settings, settings};
use crate::expr::Expr;
use crate::nn::{Activation, AttentionMasks, Layer, LayerNorm, Phase};

/// A layer of a transformer's encoder: attention of the sequence to itself, and a feed-forward network of each position, each
/// added to what it read (Vaswani et al. 2017). (PyTorch's `torch.nn.TransformerEncoderLayer`, whose keys and defaults these
/// are.)
///
/// Sequences are `[length, batch, width]`, with [`TransformerEncoderLayer::batch_first`] `[batch, length, width]`, or `[length,
/// width]`. The parameters are those of `NAME.self_attn`, a [`MultiHeadAttention`](crate::nn::MultiHeadAttention), of
/// `NAME.linear1` and `NAME.linear2`, and of the norms `NAME.norm1` behind attention and `NAME.norm2` behind the feed-forward
/// network; with [`TransformerEncoderLayer::norm_first`] they stand in front. Unless said otherwise there are 2048 features
/// inside the feed-forward network, a relu, and dropout of 0.1.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{AttentionMasks, Phase, TransformerEncoderLayer};
///
/// let layer = TransformerEncoderLayer::new("layer", 64, 4).feed_forward(128).batch_first();
/// let g = Graph::new();
/// let y = layer.apply(g.input("x", [8, 20, 64]), AttentionMasks::none(), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 20, 64]);
/// assert!(g.declaration_named("layer.self_attn.in_proj_weight").is_some());
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoderLayer {
    name: String,
    settings: Settings,
}

/// A layer of a transformer's decoder: attention of the sequence to itself, to a memory that an encoder made, and a
/// feed-forward network, each added to what it read. (PyTorch's `torch.nn.TransformerDecoderLayer`, whose keys and defaults
/// these are.)
///
/// All is as of [`TransformerEncoderLayer`]; the attention to the memory is `NAME.multihead_attn`, its norm `NAME.norm2`, and
/// that of the feed-forward network `NAME.norm3`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{AttentionMasks, Phase, TransformerDecoderLayer};
///
/// let layer = TransformerDecoderLayer::new("layer", 64, 4).batch_first();
/// let g = Graph::new();
/// let (x, memory) = (g.input("x", [8, 20, 64]), g.input("memory", [8, 30, 64]));
/// let y = layer.apply(x, memory, AttentionMasks::causal(), AttentionMasks::none(), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 20, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerDecoderLayer {
    name: String,
    settings: Settings,
}

settings!(TransformerEncoderLayer);
settings!(TransformerDecoderLayer);

/// Methods of both that a block has other defaults for.
macro_rules! layouts {
    ($name:ident) => {
        impl $name {
            /// A layer of that name over `width` features, whose attention has so many heads.
            pub fn new(name: impl Into<String>, width: usize, heads: usize) -> Self {
                $name { name: name.into(), settings: Settings::new(width, heads) }
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

            /// The norms stand behind the sums (post-norm), as they do unless said otherwise.
            #[must_use]
            pub fn norm_last(mut self) -> Self {
                self.settings.is_norm_first = false;
                self
            }

            /// A layer of these settings, whose name a stack gives.
            pub(super) fn of(settings: Settings) -> Self {
                $name { name: String::new(), settings }
            }

            /// The norm behind a stack of such layers.
            pub(super) fn last_norm(&self, name: &str) -> LayerNorm {
                self.settings.norm(name, "norm")
            }
        }
    };
}

layouts!(TransformerEncoderLayer);
layouts!(TransformerDecoderLayer);

impl TransformerEncoderLayer {
    /// The layer applied to a sequence, in its shape.
    ///
    /// Errors: those of [`MultiHeadAttention::attend`](crate::nn::MultiHeadAttention::attend); a rate of dropout outside `0..=1`.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        self.apply_as("TransformerEncoderLayer", x, masks, phase)
    }

    /// [`TransformerEncoderLayer::apply`] under the name of a layer that is made of it.
    #[track_caller]
    pub(super) fn apply_as<'g>(
        &self,
        op: &'static str,
        x: Expr<'g>,
        masks: AttentionMasks<'g>,
        phase: Phase,
    ) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter(op);
        let (settings, name) = (&self.settings, self.name.as_str());
        let kind = format!("{op}({}, {})", settings.width, settings.heads);
        graph.layer(kind, name, x, || {
            let attention = settings.attention(name, "self_attn");
            let own = |x| attention.apply(x, masks, phase);
            let x = settings.added(x, &settings.norm(name, "norm1"), phase, own);
            settings.added(x, &settings.norm(name, "norm2"), phase, |x| settings.feed_forward(name, x, phase))
        })
    }
}

impl TransformerDecoderLayer {
    /// The layer applied to a sequence, in its shape, with a memory, `[keys, batch, width]` in the layout of `x`, and the masks
    /// of both. The masks of a language model are [`AttentionMasks::causal`] for the sequence, none for the memory.
    ///
    /// Errors: those of [`MultiHeadAttention::attend`](crate::nn::MultiHeadAttention::attend); a rate of dropout outside `0..=1`.
    #[track_caller]
    pub fn apply<'g>(
        &self,
        x: Expr<'g>,
        memory: Expr<'g>,
        masks: AttentionMasks<'g>,
        memory_masks: AttentionMasks<'g>,
        phase: Phase,
    ) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter("TransformerDecoderLayer");
        let (settings, name) = (&self.settings, self.name.as_str());
        let kind = format!("TransformerDecoderLayer({}, {})", settings.width, settings.heads);
        graph.layer(kind, name, x, || {
            let attention = settings.attention(name, "self_attn");
            let own = |x| attention.apply(x, masks, phase);
            let x = settings.added(x, &settings.norm(name, "norm1"), phase, own);
            let attention = settings.attention(name, "multihead_attn");
            let cross = |x| attention.attend(x, memory, memory, memory_masks, phase);
            let x = settings.added(x, &settings.norm(name, "norm2"), phase, cross);
            settings.added(x, &settings.norm(name, "norm3"), phase, |x| settings.feed_forward(name, x, phase))
        })
    }
}

/// The layer with nothing hidden.
impl Layer for TransformerEncoderLayer {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, AttentionMasks::none(), phase)
    }
}
