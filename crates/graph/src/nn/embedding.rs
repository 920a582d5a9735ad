//! Tables of vectors.

use crate::compose;
use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Layer, Parameter, Phase, Weighted, within};

/// A table of `count` vectors, of which indices choose: i32 `[..] -> [.., dimension]`, with the parameter `NAME.weight`,
/// `[count, dimension]`. PyTorch's `torch.nn.Embedding`.
///
/// First values are normal, of mean 0 and deviation 1, as there. Indices carry no dtype of floats, so the table says its own: f32,
/// unless [`Embedding::dtype`] is asked for.
///
/// With [`Embedding::max_norm`] long vectors are shortened where they are read. PyTorch shortens them in the table too, before the forward pass;
/// here the table stays as it is until an optimiser changes it, so that a run computes the same whatever was read before.
///
/// ```
/// use arenagrad_graph::nn::Embedding;
/// use arenagrad_graph::{DType, Graph};
///
/// let tokens = Embedding::new("tokens", 1000, 64).padding(0);
/// let g = Graph::new();
/// let x = tokens.apply(g.input_of("x", [8, 20], DType::I32));
/// assert_eq!(x.shape()?.dims(), &[8, 20, 64]);
/// // The same table as the last layer of a language model:
/// let logits = x.matmul_with(tokens.weight().of(&g, DType::F32), false, true);
/// assert_eq!(logits.shape()?.dims(), &[8, 20, 1000]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    name: String,
    count: usize,
    dimension: usize,
    padding: Option<isize>,
    max_norm: Option<f64>,
    norm_type: f64,
    scales_gradient: bool,
    dtype: DType,
    weight: Init,
}

impl Embedding {
    /// A table of that name, of `count` vectors of `dimension` numbers.
    pub fn new(name: impl Into<String>, count: usize, dimension: usize) -> Self {
        let weight = Init::Normal { mean: 0.0, deviation: 1.0 };
        Embedding {
            name: name.into(),
            count,
            dimension,
            padding: None,
            max_norm: None,
            norm_type: 2.0,
            scales_gradient: false,
            dtype: DType::F32,
            weight,
        }
    }

    /// With an index that means no more than that there is nothing: its vector is 0 at first and gets no gradient, so that it stays
    /// what it is. Negative numbers count from the end. PyTorch's `padding_idx`.
    #[must_use]
    pub fn padding(self, index: isize) -> Self {
        Embedding { padding: Some(index), ..self }
    }

    /// With vectors whose norm is above that shortened to it where they are read: [`EmbeddingOptions`](crate::EmbeddingOptions) has the formula. PyTorch's
    /// `max_norm`, but that the table itself stays as it is.
    #[must_use]
    pub fn max_norm(self, most: f64) -> Self {
        Embedding { max_norm: Some(most), ..self }
    }

    /// With another order of the norm that [`Embedding::max_norm`] bounds than 2. PyTorch's `norm_type`.
    #[must_use]
    pub fn norm_type(self, order: f64) -> Self {
        Embedding { norm_type: order, ..self }
    }

    /// With the gradient of a vector divided by how often it is read. PyTorch's `scale_grad_by_freq`.
    #[must_use]
    pub fn scale_grad_by_freq(self) -> Self {
        Embedding { scales_gradient: true, ..self }
    }

    /// With vectors of another float dtype.
    #[must_use]
    pub fn dtype(self, dtype: DType) -> Self {
        Embedding { dtype, ..self }
    }

    /// With other first values of the vectors, but that of padding.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        Embedding { weight, ..self }
    }

    /// The table, `[count, dimension]`.
    pub fn weight(&self) -> Parameter {
        let init = match self.padding_row() {
            Some(row) => Init::ZeroRow { row, others: Box::new(self.weight.clone()) },
            None => self.weight.clone(),
        };
        Parameter::new(within(&self.name, "weight"), [self.count, self.dimension], init)
    }

    /// The vectors at the i32 `indices`, `[..] -> [.., dimension]`.
    ///
    /// Errors: indices that are not i32; a padding that is no index of the table; a dtype that is no float; a norm that is NaN, or bounded by a
    /// number below 0. Indices of an input are checked at each run.
    #[track_caller]
    pub fn apply<'g>(&self, indices: Expr<'g>) -> Expr<'g> {
        self.apply_with(indices, &|dtype| self.weight().of(indices.graph(), dtype))
    }

    /// The row of padding, if there is one.
    fn padding_row(&self) -> Option<usize> {
        row_of(self.padding?, self.count)
    }
}

impl Weighted for Embedding {
    fn weight(&self) -> Parameter {
        Embedding::weight(self)
    }

    #[track_caller]
    fn apply_with<'g>(&self, indices: Expr<'g>, weight: &dyn Fn(DType) -> Expr<'g>) -> Expr<'g> {
        let graph = indices.graph();
        let method = graph.enter("Embedding");
        if !self.dtype.is_float() {
            let (origin, op, dtype) = (method.origin(), "Embedding", self.dtype);
            let operand = format!("{:?}", within(&self.name, "weight"));
            return indices.fail(GraphError::DType { origin, op, operand, dtype, expected: "a float" });
        }
        if let (Some(index), None) = (self.padding, self.padding_row()) {
            let expected = "an index of the table";
            return graph.refuse("Embedding", "the padding", index as f64, expected);
        }
        graph.layer(format!("Embedding({}, {})", self.count, self.dimension), &self.name, indices, || {
            let options = compose::EmbeddingOptions {
                padding_index: self.padding_row(),
                max_norm: self.max_norm,
                norm_type: self.norm_type,
                scale_grad_by_freq: self.scales_gradient,
            };
            weight(self.dtype).embedding(indices, options)
        })
    }
}

impl Layer for Embedding {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// The row of that index among so many, if it is one; negative numbers count from the end.
pub(super) fn row_of(index: isize, count: usize) -> Option<usize> {
    let row = if index < 0 { index.checked_add_unsigned(count)? } else { index };
    usize::try_from(row).ok().filter(|&row| row < count)
}
