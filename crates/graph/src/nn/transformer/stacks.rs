//! Stacks of a transformer's layers.

use super::{TransformerDecoderLayer, TransformerEncoderLayer};
use crate::expr::Expr;
use crate::nn::{AttentionMasks, Layer, Phase, within};

/// A stack of [`TransformerEncoderLayer`]s, `NAME.layers.0` and so on, with a norm `NAME.norm` behind the last if that is
/// wanted. (PyTorch's `torch.nn.TransformerEncoder`.)
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{AttentionMasks, Phase, TransformerEncoder, TransformerEncoderLayer};
///
/// let layer = TransformerEncoderLayer::new("", 64, 4).batch_first().norm_first();
/// let encoder = TransformerEncoder::new("encoder", layer, 6).norm();
/// let g = Graph::new();
/// let y = encoder.apply(g.input("x", [8, 20, 64]), AttentionMasks::none(), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 20, 64]);
/// assert!(g.declaration_named("encoder.layers.5.linear1.weight").is_some());
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoder {
    name: String,
    layer: TransformerEncoderLayer,
    layers: usize,
    has_norm: bool,
}

/// A stack of [`TransformerDecoderLayer`]s, `NAME.layers.0` and so on, with a norm `NAME.norm` behind the last if that is
/// wanted. (PyTorch's `torch.nn.TransformerDecoder`.)
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{AttentionMasks, Phase, TransformerDecoder, TransformerDecoderLayer};
///
/// let decoder = TransformerDecoder::new("decoder", TransformerDecoderLayer::new("", 64, 4), 6).norm();
/// let g = Graph::new();
/// let (x, memory) = (g.input("x", [20, 8, 64]), g.input("memory", [30, 8, 64]));
/// let y = decoder.apply(x, memory, AttentionMasks::causal(), AttentionMasks::none(), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[20, 8, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformerDecoder {
    name: String,
    layer: TransformerDecoderLayer,
    layers: usize,
    has_norm: bool,
}

/// Methods of both.
macro_rules! stacks {
    ($name:ident, $layer:ident) => {
        impl $name {
            /// A stack of that name of so many layers like `layer`, whose own name does not matter.
            pub fn new(name: impl Into<String>, layer: $layer, layers: usize) -> Self {
                $name { name: name.into(), layer, layers, has_norm: false }
            }

            /// With a norm behind the last layer, whose `eps` and bias are as in the layers.
            #[must_use]
            pub fn norm(self) -> Self {
                $name { has_norm: true, ..self }
            }

            /// The layers, under their names.
            fn named_layers(&self) -> impl Iterator<Item = $layer> + '_ {
                let within_layers = |number: usize| within(&self.name, &format!("layers.{number}"));
                (0..self.layers).map(move |number| self.layer.clone().renamed(within_layers(number)))
            }

            #[track_caller]
            fn normed<'g>(&self, x: Expr<'g>) -> Expr<'g> {
                if self.has_norm { self.layer.last_norm(&self.name).apply(x) } else { x }
            }
        }
    };
}

stacks!(TransformerEncoder, TransformerEncoderLayer);
stacks!(TransformerDecoder, TransformerDecoderLayer);

impl TransformerEncoder {
    /// The stack applied to a sequence, in its shape, each layer with the same masks. Errors as [`TransformerEncoderLayer::apply`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter("TransformerEncoder");
        graph.layer(format!("TransformerEncoder({} layers)", self.layers), &self.name, x, || {
            self.normed(self.named_layers().fold(x, |x, layer| layer.apply(x, masks, phase)))
        })
    }
}

impl TransformerDecoder {
    /// The stack applied to a sequence, in its shape, each layer with the same memory and masks. Errors as
    /// [`TransformerDecoderLayer::apply`].
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
        let _method = graph.enter("TransformerDecoder");
        graph.layer(format!("TransformerDecoder({} layers)", self.layers), &self.name, x, || {
            let each = |x, layer: TransformerDecoderLayer| layer.apply(x, memory, masks, memory_masks, phase);
            self.normed(self.named_layers().fold(x, each))
        })
    }
}

/// The stack with nothing hidden.
impl Layer for TransformerEncoder {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, AttentionMasks::none(), phase)
    }
}
