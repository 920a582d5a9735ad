//! Attention whose queries, keys and values are projected by layers of their own, whose names the user chooses.

use super::{AttentionMasks, Heads};
use crate::compose::RotaryEmbedding;
use crate::declaration::Init;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Layer, Linear, Phase, RmsNorm, within};

const OP: &str = "GroupedQueryAttention";

/// Attention with a linear layer for each of queries, keys, values and the result, in which groups of heads may share keys and
/// values (Ainslie et al. 2023): the form of Llama, Mistral, Qwen, Whisper, BERT and most networks of the library transformers.
///
/// Operands are `[batch, length, width]` or `[length, width]`. Defaults are Llama's: the layers are `q_proj`, `k_proj`,
/// `v_proj` and `o_proj`, without biases; every head has keys and values of its own and `width / heads` numbers; positions are
/// not turned.
///
/// ```
/// use arenagrad_graph::{Graph, RotaryEmbedding};
/// use arenagrad_graph::nn::{AttentionMasks, GroupedQueryAttention, Phase};
///
/// // Llama's: 6 heads, of which 3 share keys and values, with rotary positions.
/// let llama = GroupedQueryAttention::new("model.layers.0.self_attn", 48, 6).key_value_heads(2).rotary(RotaryEmbedding::default());
/// // Whisper's: biases everywhere but at the keys.
/// let whisper = GroupedQueryAttention::new("model.decoder.layers.0.encoder_attn", 48, 4)
///     .projections(["q_proj", "k_proj", "v_proj", "out_proj"])
///     .biases([true, false, true, true]);
/// let g = Graph::new();
/// let (x, audio) = (g.input("x", [2, 10, 48]), g.input("audio", [2, 30, 48]));
/// let y = llama.apply(x, AttentionMasks::causal(), Phase::Evaluation);
/// let z = whisper.attend(x, audio, AttentionMasks::none(), Phase::Evaluation);
/// assert_eq!((y.shape()?.dims(), z.shape()?.dims()), (&[2, 10, 48][..], &[2, 10, 48][..]));
/// let keys = g.declaration_named("model.layers.0.self_attn.k_proj.weight").map(|weight| weight.shape);
/// assert_eq!(keys.as_deref(), Some(&[16, 48][..]));
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedQueryAttention {
    name: String,
    width: usize,
    heads: usize,
    key_value_heads: usize,
    head_width: Option<usize>,
    memory_width: usize,
    projections: [String; 4],
    biases: [bool; 4],
    rotary: Option<RotaryEmbedding>,
    rotary_width: Option<usize>,
    norm: Option<f64>,
    scale: Option<f64>,
    dropout: f64,
    weights: Option<Init>,
}

impl GroupedQueryAttention {
    /// Attention of that name over `width` features in `heads` heads.
    pub fn new(name: impl Into<String>, width: usize, heads: usize) -> Self {
        GroupedQueryAttention {
            name: name.into(),
            width,
            heads,
            key_value_heads: heads,
            head_width: None,
            memory_width: width,
            projections: ["q_proj", "k_proj", "v_proj", "o_proj"].map(str::to_owned),
            biases: [false; 4],
            rotary: None,
            rotary_width: None,
            norm: None,
            scale: None,
            dropout: 0.0,
            weights: None,
        }
    }

    /// Under another name.
    #[must_use]
    pub fn renamed(self, name: impl Into<String>) -> Self {
        GroupedQueryAttention { name: name.into(), ..self }
    }

    /// Keys and values have so many heads, each of which serves as many neighbouring heads of the queries as there are more of
    /// these. (transformers' `num_key_value_heads`.)
    #[must_use]
    pub fn key_value_heads(self, key_value_heads: usize) -> Self {
        GroupedQueryAttention { key_value_heads, ..self }
    }

    /// Each head has so many numbers, in the place of `width / heads`. (transformers' `head_dim`.)
    #[must_use]
    pub fn head_width(self, head_width: usize) -> Self {
        GroupedQueryAttention { head_width: Some(head_width), ..self }
    }

    /// What is attended has so many features, where that is another sequence of another width.
    #[must_use]
    pub fn memory_width(self, memory_width: usize) -> Self {
        GroupedQueryAttention { memory_width, ..self }
    }

    /// The names of the layers of queries, keys, values and the result, behind this layer's own: `["self.query", "self.key",
    /// "self.value", "output.dense"]` are BERT's.
    #[must_use]
    pub fn projections<T: Into<String>>(self, projections: [T; 4]) -> Self {
        GroupedQueryAttention { projections: projections.map(Into::into), ..self }
    }

    /// Whether the layers of queries, keys, values and the result have a bias.
    #[must_use]
    pub fn biases(self, biases: [bool; 4]) -> Self {
        GroupedQueryAttention { biases, ..self }
    }

    /// Queries and keys are turned by their positions, see [`Expr::rotary_embedding`].
    #[must_use]
    pub fn rotary(self, rotary: RotaryEmbedding) -> Self {
        GroupedQueryAttention { rotary: Some(rotary), ..self }
    }

    /// The first so many numbers of each head are turned, and the others left as they are. (transformers'
    /// `partial_rotary_factor` times the width of a head.)
    #[must_use]
    pub fn rotary_width(self, rotary_width: usize) -> Self {
        GroupedQueryAttention { rotary_width: Some(rotary_width), ..self }
    }

    /// Each head's queries and keys are brought to a mean square of 1 and scaled, before they are turned, by the norms `q_norm`
    /// and `k_norm`, with this number under the root. (Qwen 3.)
    #[must_use]
    pub fn query_key_norm(self, eps: f64) -> Self {
        GroupedQueryAttention { norm: Some(eps), ..self }
    }

    /// The products of queries and keys are multiplied by this, in the place of `1 / sqrt(head_width)`. (T5's is 1.)
    #[must_use]
    pub fn scale(self, scale: f64) -> Self {
        GroupedQueryAttention { scale: Some(scale), ..self }
    }

    /// Probabilities are dropped at that rate in training.
    #[must_use]
    pub fn dropout(self, dropout: f64) -> Self {
        GroupedQueryAttention { dropout, ..self }
    }

    /// With other first values of the four weights than [`Linear`]'s.
    #[must_use]
    pub fn weight_init(self, weights: Init) -> Self {
        GroupedQueryAttention { weights: Some(weights), ..self }
    }

    /// Attention of a sequence's positions among themselves; rotary positions count from 0.
    ///
    /// Errors: an operand of rank 1 or of more than 3; another number of features than the layer's; heads that do not divide
    /// the width where no [`GroupedQueryAttention::head_width`] is given, or that are no multiple of the keys' and values';
    /// masks that do not fit (see [`AttentionMasks`]); a rate of dropout outside `0..=1`.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        self.attended(x, x, None, masks, phase)
    }

    /// [`GroupedQueryAttention::apply`] for positions that do not count from 0: `[length]`, or `[batch, length]`, numbers of
    /// i32 or of the dtype of `x`. Without [`GroupedQueryAttention::rotary`] they make no difference.
    #[track_caller]
    pub fn apply_at<'g>(&self, x: Expr<'g>, positions: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        self.attended(x, x, Some(positions), masks, phase)
    }

    /// Attention of `x`'s positions to those of another sequence, `[batch, keys, memory width]`. Rotary positions of both count from 0.
    ///
    /// Errors as [`GroupedQueryAttention::apply`]; besides operands of different ranks, batches, dtypes or graphs.
    #[track_caller]
    pub fn attend<'g>(&self, x: Expr<'g>, memory: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        self.attended(x, memory, None, masks, phase)
    }

    #[track_caller]
    fn attended<'g>(
        &self,
        x: Expr<'g>,
        memory: Expr<'g>,
        positions: Option<Expr<'g>>,
        masks: AttentionMasks<'g>,
        phase: Phase,
    ) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter(OP);
        let kind = format!("{OP}({}, {})", self.width, self.heads);
        let kind = if self.key_value_heads == self.heads {
            kind
        } else {
            format!("{}, {})", &kind[..kind.len() - 1], self.key_value_heads)
        };
        let build = || self.build(x, memory, positions, masks, phase).unwrap_or(Expr::poisoned(graph));
        graph.layer(kind, &self.name, x, build)
    }

    #[track_caller]
    fn build<'g>(
        &self,
        x: Expr<'g>,
        memory: Expr<'g>,
        positions: Option<Expr<'g>>,
        masks: AttentionMasks<'g>,
        phase: Phase,
    ) -> Option<Expr<'g>> {
        let origin = x.graph().origin_or(crate::Origin::here());
        x.same_graph(memory, OP, origin)?;
        let mut first = None;
        for operand in [x, memory] {
            let (shape, dtype) = operand.read(OP, origin, |_, node| (node.shape.clone(), node.dtype))?;
            let rank = shape.rank();
            let (of, expected) = *first.get_or_insert((dtype, rank));
            if rank != expected || !(2..=3).contains(&rank) {
                let expected = if rank != expected { format!("rank {expected}") } else { "rank 2 or 3".to_owned() };
                let operand = operand.describe();
                return x.fail_without(GraphError::Rank { origin, op: OP, operand, shape, rank, expected });
            }
            if dtype != of {
                let (lhs, rhs) = (x.describe(), operand.describe());
                return x.fail_without(GraphError::DTypesDiffer { origin, op: OP, lhs, left: of, rhs, right: dtype });
            }
        }
        if let (None, Some(width)) = (&self.rotary, self.rotary_width) {
            let (what, expected) = ("the width that is turned", "rotary positions, by `rotary`");
            return x.fail_without(GraphError::Argument { origin, op: OP, what, value: width as f64, expected });
        }
        let is_batched = first.is_some_and(|(_, rank)| rank == 3);
        let shape = x.read(OP, origin, |_, node| node.shape.clone())?;
        let head_width = match self.head_width {
            Some(head_width) => head_width,
            None if self.heads != 0 && self.width.is_multiple_of(self.heads) => self.width / self.heads,
            None => {
                let (operand, features, heads) = (x.describe(), self.width, self.heads);
                return x.fail_without(GraphError::UnevenHeads { origin, op: OP, operand, shape, features, heads });
            }
        };
        let linear = |place: usize, inputs: usize, outputs: usize| {
            let layer = Linear::new(within(&self.name, &self.projections[place]), inputs, outputs);
            let layer = if self.biases[place] { layer } else { layer.without_bias() };
            match &self.weights {
                Some(init) => layer.weight_init(init.clone()),
                None => layer,
            }
        };
        let projected = |place: usize, operand: Expr<'g>, inputs: usize, heads: usize| {
            let of_heads = linear(place, inputs, heads.saturating_mul(head_width)).apply(operand);
            let of_heads = if is_batched { of_heads } else { of_heads.unsqueeze(0) };
            of_heads.split_heads(heads)
        };
        // A batch of positions, to stand beside heads.
        let positions = positions.map(|positions| match positions.shape() {
            Ok(shape) if shape.rank() == 2 => positions.unsqueeze(1),
            Ok(_) | Err(_) => positions,
        });
        let turned = |of_heads: Expr<'g>| match (self.rotary, self.rotary_width) {
            (Some(rotary), None) => of_heads.rotary_embedding(positions, rotary),
            (Some(rotary), Some(width)) => {
                let rest = of_heads.slice(-1, width, head_width);
                let first = of_heads.slice(-1, 0, width).rotary_embedding(positions, rotary);
                of_heads.graph().concat(&[first, rest], -1)
            }
            (None, _) => of_heads,
        };
        let normed = |of_heads: Expr<'g>, part: &str| match self.norm {
            Some(eps) => RmsNorm::new(within(&self.name, part), [head_width]).eps(eps).apply(of_heads),
            None => of_heads,
        };
        let heads = Heads {
            query: turned(normed(projected(0, x, self.width, self.heads), "q_norm")),
            key: turned(normed(projected(1, memory, self.memory_width, self.key_value_heads), "k_norm")),
            value: projected(2, memory, self.memory_width, self.key_value_heads),
            scale: self.scale,
            dropout: self.dropout,
        };
        let (attended, _) = heads.attended(masks, phase, false, OP)?;
        let attended = if is_batched { attended } else { attended.squeeze(0) };
        Some(linear(3, self.heads.saturating_mul(head_width), self.width).apply(attended))
    }
}

/// Attention of a sequence to itself, nothing hidden.
impl Layer for GroupedQueryAttention {
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, AttentionMasks::none(), phase)
    }
}
