//! Dense layers.

use crate::declaration::Init;
use crate::expr::Expr;
use crate::nn::{Layer, Parameter, Phase};

/// `x W^T + b`: `[.., inputs] -> [.., outputs]`, with the parameters `NAME.weight`, `[outputs, inputs]`, and `NAME.bias`,
/// `[outputs]`. (PyTorch's `torch.nn.Linear`.)
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
    has_bias: bool,
    weight: Init,
}

impl Linear {
    /// A layer of that name from `inputs` to `outputs` features, with a bias.
    pub fn new(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Linear { name: name.into(), inputs, outputs, has_bias: true, weight: uniform_by_inputs(inputs) }
    }

    /// Without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Linear { has_bias: false, ..self }
    }

    /// With other first values of the weight.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        Linear { weight, ..self }
    }

    /// The layer applied to `x`.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let (graph, Ok(dtype)) = (x.graph(), x.dtype()) else { return x };
        let kind = format!("Linear({}, {})", self.inputs, self.outputs);
        graph.layer(kind, &self.name, x, || {
            let shape = [self.outputs, self.inputs];
            let weight = Parameter::new(format!("{}.weight", self.name), shape, self.weight.clone()).of(graph, dtype);
            let product = x.matmul_with(weight, false, true);
            if !self.has_bias {
                return product;
            }
            let init = uniform_by_inputs(self.inputs);
            product + Parameter::new(format!("{}.bias", self.name), [self.outputs], init).of(graph, dtype)
        })
    }
}

impl Layer for Linear {
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// Uniform in `±1 / sqrt(inputs)`, PyTorch's first values of dense and convolutional layers.
pub(super) fn uniform_by_inputs(inputs: usize) -> Init {
    let bound = 1.0 / (inputs.max(1) as f64).sqrt();
    Init::Uniform { low: -bound, high: bound }
}
