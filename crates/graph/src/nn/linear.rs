//! Dense layers.

use crate::declaration::Init;
use crate::dtype::DType;
use crate::expr::Expr;
use crate::nn::{Layer, Parameter, Phase, Weighted, within};

/// `x W^T + b`: `[.., inputs] -> [.., outputs]`, with the parameters `NAME.weight`, `[outputs, inputs]`, and `NAME.bias`,
/// `[outputs]`. PyTorch's `torch.nn.Linear`.
///
/// First values are uniform in `±1 / sqrt(inputs)`, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::Linear;
///
/// let head = Linear::new("head", 64, 10);
/// let g = Graph::new();
/// let y = head.apply(g.input("x", [32, 64]));
/// assert_eq!(y.shape()?.dims(), &[32, 10]);
/// assert!(g.declaration_named("head.weight").is_some());
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    name: String,
    inputs: usize,
    outputs: usize,
    weight: Init,
    bias: Option<Init>,
}

impl Linear {
    /// A layer of that name from `inputs` to `outputs` features, with a bias.
    pub fn new(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        let init = uniform_by_inputs(inputs);
        Linear { name: name.into(), inputs, outputs, weight: init.clone(), bias: Some(init) }
    }

    /// Without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Linear { bias: None, ..self }
    }

    /// With other first values of the weight.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        Linear { weight, ..self }
    }

    /// With a bias, and these first values of it.
    #[must_use]
    pub fn bias_init(self, bias: Init) -> Self {
        Linear { bias: Some(bias), ..self }
    }

    /// The weight, `[outputs, inputs]`.
    pub fn weight(&self) -> Parameter {
        Parameter::new(within(&self.name, "weight"), [self.outputs, self.inputs], self.weight.clone())
    }

    /// The bias, `[outputs]`, if there is one.
    pub fn bias(&self) -> Option<Parameter> {
        Some(Parameter::new(within(&self.name, "bias"), [self.outputs], self.bias.clone()?))
    }

    /// The layer applied to `x`.
    ///
    /// Errors: no float; a last axis of other than `inputs` features.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        self.apply_with(x, &|dtype| self.weight().of(x.graph(), dtype))
    }
}

impl Weighted for Linear {
    fn weight(&self) -> Parameter {
        Linear::weight(self)
    }

    #[track_caller]
    fn apply_with<'g>(&self, x: Expr<'g>, weight: &dyn Fn(DType) -> Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter("Linear");
        let Some(dtype) = x.dtype_for_layer("Linear") else { return Expr::poisoned(graph) };
        let kind = format!("Linear({}, {})", self.inputs, self.outputs);
        graph.layer(kind, &self.name, x, || {
            let weight = weight(dtype);
            let is_vector = x.shape().is_ok_and(|shape| shape.rank() == 1);
            let product = match is_vector {
                true => x.unsqueeze(0).matmul_with(weight, false, true).squeeze(0),
                false => x.matmul_with(weight, false, true),
            };
            match self.bias() {
                Some(bias) => product + bias.of(graph, dtype),
                None => product,
            }
        })
    }
}

impl Layer for Linear {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// Uniform in `±1 / sqrt(inputs)`, PyTorch's first values of dense and convolutional layers; 0 without inputs.
pub(super) fn uniform_by_inputs(inputs: usize) -> Init {
    if inputs == 0 {
        return Init::Constant(0.0);
    }
    let bound = 1.0 / (inputs as f64).sqrt();
    Init::Uniform { low: -bound, high: bound }
}
