//! Dropout for networks that keep mean and variance by themselves, of single elements and of whole channels.
//!
//! What is dropped takes the value that a SELU tends to far below 0, and all is scaled so that of numbers of mean 0 and variance 1
//! mean and variance stay what they were.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Layer, Phase};
use crate::shape::Shape;

/// What a SELU tends to far below 0: minus its scale times its alpha.
const SATURATED: f64 = -1.758_099_340_847_376_6;

/// In training each element `saturated` with probability `rate`, else as it is, and then `a x + b`, where `saturated` is what
/// [`Expr::selu`] tends to far below 0, `a = 1 / sqrt((1 - rate) (1 + rate saturated^2))` and `b = -a rate saturated`: numbers of mean 0 and
/// variance 1 keep both (Klambauer et al. 2017). In evaluation nothing. A rate of 1 gives zeros. PyTorch's `torch.nn.AlphaDropout`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{AlphaDropout, Linear, Phase};
///
/// let (hidden, dropout) = (Linear::new("hidden", 16, 64), AlphaDropout::new(0.1));
/// let g = Graph::new();
/// let y = dropout.apply(hidden.apply(g.input("x", [8, 16])).selu(), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlphaDropout {
    rate: f64,
}

/// [`AlphaDropout`] of whole channels: in training each channel of each sample of `[n, c, ..]` is `saturated` with probability `rate`. PyTorch's
/// `torch.nn.FeatureAlphaDropout`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{FeatureAlphaDropout, Phase};
///
/// let g = Graph::new();
/// let y = FeatureAlphaDropout::new(0.2).apply(g.input("x", [8, 3, 9, 9]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 3, 9, 9]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureAlphaDropout {
    rate: f64,
}

impl AlphaDropout {
    /// A layer that drops each element with that probability.
    pub fn new(rate: f64) -> Self {
        AlphaDropout { rate }
    }

    /// The layer applied to `x`, floats. Errors: a rate outside `0..=1`, in either phase.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        dropped("AlphaDropout", self.rate, usize::MAX, x, phase)
    }
}

impl FeatureAlphaDropout {
    /// A layer that drops each channel with that probability.
    pub fn new(rate: f64) -> Self {
        FeatureAlphaDropout { rate }
    }

    /// The layer applied to `x`, floats. Errors: a rate outside `0..=1`, in either phase; fewer than two axes.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        dropped("FeatureAlphaDropout", self.rate, 2, x, phase)
    }
}

/// `x` with elements dropped that the first so many axes tell apart.
#[track_caller]
fn dropped<'g>(op: &'static str, rate: f64, axes: usize, x: Expr<'g>, phase: Phase) -> Expr<'g> {
    let graph = x.graph();
    let method = graph.enter(op);
    let (origin, poisoned) = (method.origin(), Expr::poisoned(graph));
    if !(0.0..=1.0).contains(&rate) {
        return graph.refuse(op, "the rate", rate, "a number in 0..=1");
    }
    if x.dtype_for_layer(op).is_none() {
        return poisoned;
    }
    let Some(shape) = x.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
    let rank = shape.rank();
    if axes != usize::MAX && rank < axes {
        let (operand, expected) = (x.describe(), "rank 2 or more".to_owned());
        return x.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
    }
    graph.layer(format!("{op}({rate})"), "", x, || {
        if !phase.is_training() || rate == 0.0 {
            return x;
        }
        let one_a_draw: Shape =
            shape.iter().enumerate().map(|(axis, &extent)| if axis < axes { extent } else { 1 }).collect();
        let (step, place) = graph.draw();
        let stays = graph.uniform(&one_a_draw, step, place).greater_equal(rate).broadcast_to(&shape);
        // With a rate that f32 rounds to 1 nothing stays, and the scale would be infinite.
        if DType::F32.round(rate) == 1.0 {
            return stays.where_(x, 0.0);
        }
        let scale = 1.0 / ((1.0 - rate) * (1.0 + rate * SATURATED * SATURATED)).sqrt();
        stays.where_(x, SATURATED) * scale - scale * rate * SATURATED
    })
}

impl Layer for AlphaDropout {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}

impl Layer for FeatureAlphaDropout {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}
