//! Attention of several heads under the keys of PyTorch's `MultiheadAttention`.

use super::{AttentionMasks, AttentionWeights, Heads};
use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Layer, Linear, Parameter, Phase, within};
use crate::shape::Shape;

const OP: &str = "MultiHeadAttention";

/// Attention of several heads (Vaswani et al. 2017): queries, keys and values are projected, each head attends with its share
/// of the features, and what the heads find is projected again. (PyTorch's `torch.nn.MultiheadAttention`, whose keys, layouts,
/// first values and defaults these are.)
///
/// Operands are `[length, batch, width]`, with [`MultiHeadAttention::batch_first`] `[batch, length, width]`, or `[length,
/// width]` without a batch. The parameters are `NAME.in_proj_weight`, `[3 width, width]`, with the rows of queries, keys and
/// values one below the other, `NAME.in_proj_bias`, `[3 width]`, and `NAME.out_proj.weight` and `.bias`. Where keys or values
/// have another width than queries, there are `NAME.q_proj_weight`, `NAME.k_proj_weight` and `NAME.v_proj_weight` in the place
/// of the first. First values: Xavier's uniform ones of the projections, 0 of the biases.
///
/// Dropout drops probabilities, in training. A position that may attend no key at all takes 0, where PyTorch has NaN in some
/// ways of computing it.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{AttentionMasks, AttentionWeights, MultiHeadAttention, Phase};
///
/// let attention = MultiHeadAttention::new("attention", 64, 4).batch_first();
/// let g = Graph::new();
/// let (x, memory) = (g.input("x", [8, 20, 64]), g.input("memory", [8, 30, 64]));
/// let own = attention.apply(x, AttentionMasks::causal(), Phase::Training);
/// let cross = attention.attend(x, memory, memory, AttentionMasks::none(), Phase::Training);
/// assert_eq!((own.shape()?.dims(), cross.shape()?.dims()), (&[8, 20, 64][..], &[8, 20, 64][..]));
/// let masks = AttentionMasks::none();
/// let (_, weights) = attention.attend_with_weights(x, memory, memory, masks, AttentionWeights::PerHead, Phase::Evaluation);
/// assert_eq!(weights.shape()?.dims(), &[8, 4, 20, 30]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MultiHeadAttention {
    name: String,
    width: usize,
    heads: usize,
    key_width: usize,
    value_width: usize,
    has_bias: bool,
    is_batch_first: bool,
    dropout: f64,
    /// First values of the last projection's weight, if they are not a linear layer's.
    out_weight: Option<Init>,
}

impl MultiHeadAttention {
    /// Attention of that name over `width` features in `heads` heads, with biases and without dropout.
    pub fn new(name: impl Into<String>, width: usize, heads: usize) -> Self {
        let name = name.into();
        let (has_bias, is_batch_first, dropout) = (true, false, 0.0);
        MultiHeadAttention {
            name,
            width,
            heads,
            key_width: width,
            value_width: width,
            has_bias,
            is_batch_first,
            dropout,
            out_weight: None,
        }
    }

    /// With other first values of the last projection's weight, `NAME.out_proj.weight`.
    #[must_use]
    pub fn out_weight_init(self, weight: Init) -> Self {
        MultiHeadAttention { out_weight: Some(weight), ..self }
    }

    /// Under another name.
    #[must_use]
    pub fn renamed(self, name: impl Into<String>) -> Self {
        MultiHeadAttention { name: name.into(), ..self }
    }

    /// Keys have so many features. (PyTorch's `kdim`.)
    #[must_use]
    pub fn key_width(self, key_width: usize) -> Self {
        MultiHeadAttention { key_width, ..self }
    }

    /// Values have so many features. (PyTorch's `vdim`.)
    #[must_use]
    pub fn value_width(self, value_width: usize) -> Self {
        MultiHeadAttention { value_width, ..self }
    }

    /// Without biases.
    #[must_use]
    pub fn without_bias(self) -> Self {
        MultiHeadAttention { has_bias: false, ..self }
    }

    /// Operands and result are `[batch, length, width]`.
    #[must_use]
    pub fn batch_first(self) -> Self {
        MultiHeadAttention { is_batch_first: true, ..self }
    }

    /// Probabilities are dropped at that rate in training.
    #[must_use]
    pub fn dropout(self, dropout: f64) -> Self {
        MultiHeadAttention { dropout, ..self }
    }

    /// Attention of a sequence's positions among themselves.
    ///
    /// Errors as [`MultiHeadAttention::attend`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, masks: AttentionMasks<'g>, phase: Phase) -> Expr<'g> {
        self.attend(x, x, x, masks, phase)
    }

    /// Attention of `query`'s positions to those of `key`, from which they take of `value`: of the shape of `query`.
    ///
    /// Errors: operands of rank 1 or of more than 3, or of different ranks, batches, dtypes or graphs; another number of
    /// features than the layer's; heads that do not divide the width; masks that do not fit (see [`AttentionMasks`]); a rate of
    /// dropout outside `0..=1`.
    #[track_caller]
    pub fn attend<'g>(
        &self,
        query: Expr<'g>,
        key: Expr<'g>,
        value: Expr<'g>,
        masks: AttentionMasks<'g>,
        phase: Phase,
    ) -> Expr<'g> {
        self.attended([query, key, value], masks, phase, None).0
    }

    /// [`MultiHeadAttention::attend`], and the probabilities with which each position attends each key, those that were dropped
    /// being 0. (PyTorch's `need_weights`.) For operands without a batch they have no axis for it.
    #[track_caller]
    pub fn attend_with_weights<'g>(
        &self,
        query: Expr<'g>,
        key: Expr<'g>,
        value: Expr<'g>,
        masks: AttentionMasks<'g>,
        weights: AttentionWeights,
        phase: Phase,
    ) -> (Expr<'g>, Expr<'g>) {
        self.attended([query, key, value], masks, phase, Some(weights))
    }

    /// The result and the weights, poisoned if they are not wanted.
    #[track_caller]
    fn attended<'g>(
        &self,
        operands: [Expr<'g>; 3],
        masks: AttentionMasks<'g>,
        phase: Phase,
        wanted: Option<AttentionWeights>,
    ) -> (Expr<'g>, Expr<'g>) {
        let graph = operands[0].graph();
        let _method = graph.enter(OP);
        let poisoned = Expr::poisoned(graph);
        let mut weights = poisoned;
        let kind = format!("{OP}({}, {})", self.width, self.heads);
        let result = graph.layer(kind, &self.name, operands[0], || {
            let Some((result, of_heads)) = self.build(operands, masks, phase, wanted) else { return poisoned };
            weights = of_heads.unwrap_or(poisoned);
            result
        });
        (result, weights)
    }

    #[track_caller]
    fn build<'g>(
        &self,
        operands: [Expr<'g>; 3],
        masks: AttentionMasks<'g>,
        phase: Phase,
        wanted: Option<AttentionWeights>,
    ) -> Option<(Expr<'g>, Option<Expr<'g>>)> {
        let (dtype, is_batched) = self.check(operands)?;
        let [query, of_keys, value] = self.projected(operands, dtype).map(|projected| {
            let batch_first = match (is_batched, self.is_batch_first) {
                (false, _) => projected.unsqueeze(0),
                (true, true) => projected,
                (true, false) => projected.transpose(0, 1),
            };
            batch_first.split_heads(self.heads)
        });
        let heads = Heads { query, key: of_keys, value, scale: None, dropout: self.dropout };
        let (attended, weights) = heads.attended(masks, phase, wanted.is_some(), OP)?;
        let attended = match (is_batched, self.is_batch_first) {
            (false, _) => attended.squeeze(0),
            (true, true) => attended,
            (true, false) => attended.transpose(0, 1),
        };
        let weights = wanted.zip(weights).map(|(wanted, weights)| {
            let weights = if is_batched { weights } else { weights.squeeze(0) };
            match wanted {
                AttentionWeights::Averaged => weights.mean(-3),
                AttentionWeights::PerHead => weights,
            }
        });
        let out = Linear::new(within(&self.name, "out_proj"), self.width, self.width);
        let out = self.out_weight.clone().into_iter().fold(out, Linear::weight_init);
        let out = if self.has_bias { out.bias_init(Init::Constant(0.0)) } else { out.without_bias() };
        Some((out.apply(attended), weights))
    }

    /// The dtype of the operands, and whether they have an axis for the batch.
    #[track_caller]
    fn check<'g>(&self, operands: [Expr<'g>; 3]) -> Option<(DType, bool)> {
        let query = operands[0];
        let origin = query.graph().origin_or(crate::Origin::here());
        let mut first = None;
        for (operand, width) in operands.into_iter().zip([self.width, self.key_width, self.value_width]) {
            query.same_graph(operand, OP, origin)?;
            let (shape, dtype) = operand.read(OP, origin, |_, node| (node.shape.clone(), node.dtype))?;
            let rank = shape.rank();
            let (of, expected) = *first.get_or_insert((dtype, rank));
            if rank != expected || !(2..=3).contains(&rank) {
                let expected =
                    if (2..=3).contains(&expected) { format!("rank {expected}") } else { "rank 2 or 3".to_owned() };
                let operand = operand.describe();
                return query.fail_without(GraphError::Rank { origin, op: OP, operand, shape, rank, expected });
            }
            if dtype != of {
                let (lhs, rhs) = (query.describe(), operand.describe());
                return query.fail_without(GraphError::DTypesDiffer {
                    origin,
                    op: OP,
                    lhs,
                    left: of,
                    rhs,
                    right: dtype,
                });
            }
            if !dtype.is_float() {
                let (operand, expected) = (operand.describe(), "a float");
                return query.fail_without(GraphError::DType { origin, op: OP, operand, dtype, expected });
            }
            if shape[rank - 1] != width {
                let (lhs, rhs, left) = (operand.describe(), format!("the width of {:?}", self.name), shape[rank - 1]);
                let (axis, lhs_shape, rhs_shape, right) = (rank - 1, shape, Shape::from([width]), width);
                let op = OP;
                let error = GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right };
                return query.fail_without(error);
            }
        }
        first.map(|(dtype, rank)| (dtype, rank == 3))
    }

    /// Queries, keys and values, projected: one product for those that are of one operand.
    #[track_caller]
    fn projected<'g>(&self, operands: [Expr<'g>; 3], dtype: DType) -> [Expr<'g>; 3] {
        let graph = operands[0].graph();
        let width = self.width;
        let declare = |part: &str, shape: &[usize], init: Init| {
            Parameter::new(within(&self.name, part), shape, init).of(graph, dtype)
        };
        let bias = || {
            let bias = self.has_bias.then(|| declare("in_proj_bias", &[3 * width], Init::Constant(0.0)));
            move |product: Expr<'g>, parts: [usize; 2]| match bias {
                Some(bias) => product + bias.slice(0, parts[0] * width, parts[1] * width),
                None => product,
            }
        };
        if self.key_width != width || self.value_width != width {
            let weights =
                [("q_proj_weight", width), ("k_proj_weight", self.key_width), ("v_proj_weight", self.value_width)];
            let weights = weights.map(|(part, inputs)| declare(part, &[width, inputs], Init::XavierUniform));
            let plus_bias = bias();
            let mut part = 0;
            return operands.map(|operand| {
                part += 1;
                plus_bias(operand.matmul_with(weights[part - 1], false, true), [part - 1, part])
            });
        }
        let weight = declare("in_proj_weight", &[3 * width, width], Init::XavierUniform);
        let plus_bias = bias();
        let product = |operand: Expr<'g>, parts: [usize; 2]| {
            let rows = weight.slice(0, parts[0] * width, parts[1] * width);
            plus_bias(operand.matmul_with(rows, false, true), parts)
        };
        let part = |of_several: Expr<'g>, part: usize| of_several.slice(-1, part * width, (part + 1) * width);
        let [query, key, value] = operands;
        match (query.raw() == key.raw(), key.raw() == value.raw()) {
            (true, true) => {
                let all = product(query, [0, 3]);
                [part(all, 0), part(all, 1), part(all, 2)]
            }
            (false, true) => {
                let both = product(key, [1, 3]);
                [product(query, [0, 1]), part(both, 0), part(both, 1)]
            }
            (_, false) => [product(query, [0, 1]), product(key, [1, 2]), product(value, [2, 3])],
        }
    }
}

/// Attention of a sequence to itself, nothing hidden.
impl Layer for MultiHeadAttention {
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, AttentionMasks::none(), phase)
    }
}
