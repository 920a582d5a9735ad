//! Layers of two operands that are multiplied with one another.

use crate::declaration::Init;
use crate::expr::Expr;
use crate::nn::linear::uniform_by_inputs;
use crate::nn::{Parameter, within};

/// `y[.., o] = sum over i, j of left[.., i] W[o, i, j] right[.., j] + b[o]`: `[.., lefts], [.., rights] -> [.., outputs]`, with the parameters
/// `NAME.weight`, `[outputs, lefts, rights]`, and `NAME.bias`, `[outputs]`. PyTorch's `torch.nn.Bilinear`; see [`Expr::bilinear`].
///
/// First values are uniform in `±1 / sqrt(lefts)`, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::Bilinear;
///
/// let score = Bilinear::new("score", 16, 8, 3);
/// let g = Graph::new();
/// let y = score.apply(g.input("question", [5, 16]), g.input("answer", [5, 8]));
/// assert_eq!(y.shape()?.dims(), &[5, 3]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bilinear {
    name: String,
    lefts: usize,
    rights: usize,
    outputs: usize,
    weight: Init,
    bias: Option<Init>,
}

impl Bilinear {
    /// A layer of that name from so many features of the left and of the right operand to `outputs`, with a bias.
    pub fn new(name: impl Into<String>, lefts: usize, rights: usize, outputs: usize) -> Self {
        let init = uniform_by_inputs(lefts);
        Bilinear { name: name.into(), lefts, rights, outputs, weight: init.clone(), bias: Some(init) }
    }

    /// Without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Bilinear { bias: None, ..self }
    }

    /// With other first values of the weight.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        Bilinear { weight, ..self }
    }

    /// With a bias, and these first values of it.
    #[must_use]
    pub fn bias_init(self, bias: Init) -> Self {
        Bilinear { bias: Some(bias), ..self }
    }

    /// The weight, `[outputs, lefts, rights]`.
    pub fn weight(&self) -> Parameter {
        let shape = [self.outputs, self.lefts, self.rights];
        Parameter::new(within(&self.name, "weight"), shape, self.weight.clone())
    }

    /// The bias, `[outputs]`, if there is one.
    pub fn bias(&self) -> Option<Parameter> {
        Some(Parameter::new(within(&self.name, "bias"), [self.outputs], self.bias.clone()?))
    }

    /// The layer applied to both. Errors: no float; axes in front that differ; last axes of other features than the layer's.
    #[track_caller]
    pub fn apply<'g>(&self, left: Expr<'g>, right: Expr<'g>) -> Expr<'g> {
        let graph = left.graph();
        let _method = graph.enter("Bilinear");
        let Some(dtype) = left.dtype_for_layer("Bilinear") else { return Expr::poisoned(graph) };
        let kind = format!("Bilinear({}, {}, {})", self.lefts, self.rights, self.outputs);
        graph.layer(kind, &self.name, left, || {
            let bias = self.bias().map(|bias| bias.of(graph, dtype));
            left.bilinear(right, self.weight().of(graph, dtype), bias)
        })
    }
}
