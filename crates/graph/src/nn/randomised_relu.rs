//! A rectifier whose slope is drawn.

use crate::expr::Expr;
use crate::nn::{Layer, Phase};

/// `x` above 0, else a slope times `x`: in training one for each element, uniform in `lower..upper`, drawn anew at each place, step and
/// seed of a session; in evaluation the mean of both bounds (Xu et al. 2015). PyTorch's `torch.nn.RReLU`, with its defaults.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Phase, RRelu};
///
/// let g = Graph::new();
/// let y = RRelu::new().bounds(0.1, 0.3).apply(g.input("x", [8, 64]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RRelu {
    lower: f64,
    upper: f64,
}

impl RRelu {
    /// Slopes from 1/8 to 1/3.
    pub fn new() -> Self {
        RRelu { lower: 1.0 / 8.0, upper: 1.0 / 3.0 }
    }

    /// With slopes between these, finite numbers of which the second is not below the first.
    #[must_use]
    pub fn bounds(self, lower: f64, upper: f64) -> Self {
        RRelu { lower, upper }
    }

    /// The layer applied to `x`, floats. Errors: bounds that are not finite, or of which the upper is below the lower, in either phase.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        const OP: &str = "RRelu";
        let (graph, RRelu { lower, upper }) = (x.graph(), *self);
        let method = graph.enter(OP);
        let poisoned = Expr::poisoned(graph);
        let is_finite = |(what, value)| graph.allows_finite(OP, what, value);
        if ![("the lower bound", lower), ("the upper bound", upper)].into_iter().all(is_finite) {
            return poisoned;
        }
        if upper < lower {
            return graph.refuse(OP, "the upper bound", upper, "a number not below the lower bound");
        }
        let Some(dtype) = x.dtype_for_layer(OP) else { return poisoned };
        let Some(shape) = x.read(OP, method.origin(), |_, node| node.shape.clone()) else { return poisoned };
        graph.layer(format!("RReLU({lower}, {upper})"), "", x, || {
            if !phase.is_training() {
                return x.leaky_relu(lower + (upper - lower) / 2.0);
            }
            let (step, place) = graph.draw();
            let slopes = graph.uniform(shape, step, place).cast(dtype) * (upper - lower) + lower;
            x.less_equal(0.0).where_(x * slopes, x)
        })
    }
}

impl Default for RRelu {
    fn default() -> Self {
        RRelu::new()
    }
}

impl Layer for RRelu {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}
