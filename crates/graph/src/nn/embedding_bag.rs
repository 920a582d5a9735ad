//! Tables of vectors that are looked up in bags.

use crate::compose::{self, BagMode};
use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::embedding::row_of;
use crate::nn::{Layer, Parameter, Phase, within};

/// A table of `count` vectors, of which each bag of indices gives the mean, the sum or the largest elements: i32 `[bags, length] ->
/// [bags, dimension]`, with the parameter `NAME.weight`, `[count, dimension]`. PyTorch's `torch.nn.EmbeddingBag`; see
/// [`Expr::embedding_bag`].
///
/// First values are normal, of mean 0 and deviation 1, as there. The table says its own dtype: f32, unless [`EmbeddingBag::dtype`] is
/// asked for. What `max_norm` does to the table says [`Embedding`](crate::nn::Embedding).
///
/// ```
/// use arenagrad_graph::nn::EmbeddingBag;
/// use arenagrad_graph::{BagMode, DType, Graph};
///
/// let words = EmbeddingBag::new("words", 1000, 64).mode(BagMode::Sum).padding(0);
/// let g = Graph::new();
/// let texts = words.apply(g.input_of("texts", [8, 20], DType::I32));
/// assert_eq!(texts.shape()?.dims(), &[8, 64]);
/// // Bags of three, of none and of four words, which stand one behind the other:
/// let several = words.apply_bags(g.input_of("several", [7], DType::I32), Some(&[0, 3, 3]), None);
/// assert_eq!(several.shape()?.dims(), &[3, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingBag {
    name: String,
    count: usize,
    dimension: usize,
    mode: BagMode,
    padding: Option<isize>,
    includes_last_offset: bool,
    max_norm: Option<f64>,
    norm_type: f64,
    scales_gradient: bool,
    dtype: DType,
    weight: Init,
}

impl EmbeddingBag {
    /// A table of that name, of `count` vectors of `dimension` numbers, of which bags give the mean.
    pub fn new(name: impl Into<String>, count: usize, dimension: usize) -> Self {
        EmbeddingBag {
            name: name.into(),
            count,
            dimension,
            mode: BagMode::Mean,
            padding: None,
            includes_last_offset: false,
            max_norm: None,
            norm_type: 2.0,
            scales_gradient: false,
            dtype: DType::F32,
            weight: Init::Normal { mean: 0.0, deviation: 1.0 },
        }
    }

    /// What is made of the vectors of a bag.
    #[must_use]
    pub fn mode(self, mode: BagMode) -> Self {
        EmbeddingBag { mode, ..self }
    }

    /// With an index that is no part of any bag: its vector is 0 at first and stays so. Negative numbers count from the end. PyTorch's
    /// `padding_idx`.
    #[must_use]
    pub fn padding(self, index: isize) -> Self {
        EmbeddingBag { padding: Some(index), ..self }
    }

    /// With offsets whose last is the end of the last bag, instead of the beginning of another one.
    #[must_use]
    pub fn include_last_offset(self) -> Self {
        EmbeddingBag { includes_last_offset: true, ..self }
    }

    /// With vectors whose norm is above that shortened to it where they are read, as [`Embedding::max_norm`](crate::nn::Embedding::max_norm) has
    /// it. PyTorch's `max_norm`.
    #[must_use]
    pub fn max_norm(self, most: f64) -> Self {
        EmbeddingBag { max_norm: Some(most), ..self }
    }

    /// With another order of the norm that [`EmbeddingBag::max_norm`] bounds than 2. PyTorch's `norm_type`.
    #[must_use]
    pub fn norm_type(self, order: f64) -> Self {
        EmbeddingBag { norm_type: order, ..self }
    }

    /// With the gradient of a vector divided by how often it is read; not of the largest elements. PyTorch's `scale_grad_by_freq`.
    #[must_use]
    pub fn scale_grad_by_freq(self) -> Self {
        EmbeddingBag { scales_gradient: true, ..self }
    }

    /// With vectors of another float dtype.
    #[must_use]
    pub fn dtype(self, dtype: DType) -> Self {
        EmbeddingBag { dtype, ..self }
    }

    /// With other first values of the vectors, but that of padding.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        EmbeddingBag { weight, ..self }
    }

    /// The table, `[count, dimension]`.
    pub fn weight(&self) -> Parameter {
        let init = match self.padding_row() {
            Some(row) => Init::ZeroRow { row, others: Box::new(self.weight.clone()) },
            None => self.weight.clone(),
        };
        Parameter::new(within(&self.name, "weight"), [self.count, self.dimension], init)
    }

    /// What bags of one length give, i32 `[bags, length] -> [bags, dimension]`. Errors: those of [`EmbeddingBag::apply_bags`].
    #[track_caller]
    pub fn apply<'g>(&self, indices: Expr<'g>) -> Expr<'g> {
        self.apply_bags(indices, None, None)
    }

    /// What bags give: of indices `[bags, length]`, or of indices `[n]` where bags begin at the offsets, to `[bags, dimension]`. With
    /// weights, of the indices' shape and the table's dtype, each vector counts as often in a sum.
    ///
    /// Errors: those of [`Expr::embedding_bag`]; a padding that is no index of the table; a dtype that is no float. Indices of an input
    /// are checked at each run.
    #[track_caller]
    pub fn apply_bags<'g>(&self, indices: Expr<'g>, offsets: Option<&[usize]>, weights: Option<Expr<'g>>) -> Expr<'g> {
        const OP: &str = "EmbeddingBag";
        let graph = indices.graph();
        let method = graph.enter(OP);
        if !self.dtype.is_float() {
            let (origin, op, dtype) = (method.origin(), OP, self.dtype);
            let operand = format!("{:?}", within(&self.name, "weight"));
            return indices.fail(GraphError::DType { origin, op, operand, dtype, expected: "a float" });
        }
        let padding_index = self.padding_row();
        if let (Some(index), None) = (self.padding, padding_index) {
            return graph.refuse(OP, "the padding", index as f64, "an index of the table");
        }
        let mode = match self.mode {
            BagMode::Sum => "sum",
            BagMode::Mean => "mean",
            BagMode::Max => "max",
        };
        let bags = compose::EmbeddingBagOptions {
            mode: self.mode,
            offsets: offsets.map(<[usize]>::to_vec),
            include_last_offset: self.includes_last_offset && offsets.is_some(),
            padding_index,
            max_norm: self.max_norm,
            norm_type: self.norm_type,
            scale_grad_by_freq: self.scales_gradient,
        };
        graph.layer(format!("{OP}({}, {}, {mode})", self.count, self.dimension), &self.name, indices, || {
            self.weight().of(graph, self.dtype).embedding_bag(indices, weights, bags)
        })
    }

    /// The row of padding, if there is one.
    fn padding_row(&self) -> Option<usize> {
        row_of(self.padding?, self.count)
    }
}

impl Layer for EmbeddingBag {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
