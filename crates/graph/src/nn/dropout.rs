//! Dropout, of single elements and of whole channels.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Layer, Phase};
use crate::shape::Shape;

/// In training each element 0 with probability `rate`, else divided by `1 - rate`, by a mask of its own at each place, step and seed
/// of a session; in evaluation nothing. PyTorch's `torch.nn.Dropout`. See [`Expr::dropout_in`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Dropout, Phase};
///
/// let g = Graph::new();
/// let x = g.input("x", [8, 64]);
/// let (dropped, same) = (Dropout::new(0.1).apply(x, Phase::Training), Dropout::new(0.1).apply(x, Phase::Evaluation));
/// assert_ne!(dropped.id()?, x.id()?);
/// assert_eq!(same.id()?, x.id()?);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    rate: f64,
}

/// [`Dropout`] of whole channels: in training each channel of each sample, `[n, c, spatial..]` with `D` spatial axes, is 0 with probability
/// `rate`, else divided by `1 - rate` (Tompson et al. 2015). PyTorch's `torch.nn.Dropout1d`, `Dropout2d` and `Dropout3d`.
///
/// `[c, spatial..]` is one sample without a batch, but over two axes three are taken for `[n, c, l]`, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Dropout2d, Phase};
///
/// let g = Graph::new();
/// let y = Dropout2d::new(0.2).apply(g.input("x", [8, 3, 9, 9]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 3, 9, 9]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelDropout<const D: usize> {
    rate: f64,
}

/// Of channels with one axis. See [`ChannelDropout`].
pub type Dropout1d = ChannelDropout<1>;
/// Of channels with two axes. See [`ChannelDropout`].
pub type Dropout2d = ChannelDropout<2>;
/// Of channels with three axes. See [`ChannelDropout`].
pub type Dropout3d = ChannelDropout<3>;

impl Dropout {
    /// A layer that drops each element with that probability.
    pub fn new(rate: f64) -> Self {
        Dropout { rate }
    }

    /// The layer applied to `x`, floats. Errors: a rate outside `0..=1`, in either phase.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let _method = x.enter("Dropout");
        x.graph().layer(format!("Dropout({})", self.rate), "", x, || x.dropout_in(phase, self.rate))
    }
}

impl<const D: usize> ChannelDropout<D> {
    const METHOD: &str = match D {
        1 => "Dropout1d",
        2 => "Dropout2d",
        _ => "Dropout3d",
    };

    /// A layer that drops each channel with that probability.
    pub fn new(rate: f64) -> Self {
        const { assert!(D >= 1 && D <= 3, "channels have one to three axes") };
        ChannelDropout { rate }
    }

    /// The layer applied to `x`, floats. Errors: a rate outside `0..=1`, in either phase; a rank that is not `D + 2`, nor `D + 1`.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let (graph, op) = (x.graph(), Self::METHOD);
        let method = graph.enter(op);
        let (origin, poisoned) = (method.origin(), Expr::poisoned(graph));
        if !(0.0..=1.0).contains(&self.rate) {
            return graph.refuse(op, "the rate", self.rate, "a number in 0..=1");
        }
        if x.dtype_for_layer(op).is_none() {
            return poisoned;
        }
        let Some(shape) = x.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        let rank = shape.rank();
        if rank != D + 1 && rank != D + 2 {
            let (operand, expected) = (x.describe(), format!("rank {} or {}", D + 1, D + 2));
            return x.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        graph.layer(format!("{op}({})", self.rate), "", x, || {
            if !phase.is_training() || self.rate == 0.0 {
                return x;
            }
            let first_spatial = if rank == D + 2 || D == 2 { 2 } else { 1 };
            let one_a_channel: Shape =
                shape.iter().enumerate().map(|(axis, &extent)| if axis < first_spatial { extent } else { 1 }).collect();
            let (step, place) = graph.draw();
            let stays = graph.uniform(&one_a_channel, step, place).greater_equal(self.rate).broadcast_to(&shape);
            // With a rate that f32 rounds to 1 nothing stays, and a scale would only turn the 0 that comes back into NaN.
            let scaled = if DType::F32.round(self.rate) == 1.0 { x } else { x * (1.0 / (1.0 - self.rate)) };
            stays.where_(scaled, 0.0)
        })
    }
}

impl Layer for Dropout {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}

impl<const D: usize> Layer for ChannelDropout<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}
