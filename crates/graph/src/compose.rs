//! What is built from primitives and needs no kernel of its own: activations, softmax, losses, norms, layers, random draws.
//!
//! Every function here is a formula over [`Expr`] operators, so it differentiates, fuses and prints like what a caller
//! would have written by hand. The formulas are chosen to stay finite in f32 wherever the result is finite, and so that
//! their *derivatives* do too: a branch that is not taken is never allowed to compute `0 * inf`.
//!
//! Nodes carry the file and line of the caller of the composition, never a line in here: each public function is `#[track_caller]` and
//! enters its name ([`crate::method`]), which holds that line for whatever is built until it ends.

mod activations;
mod arrange;
mod attention;
mod categorical;
mod classification;
mod contractions;
mod convolution;
mod counts;
mod ctc;
mod diagonals;
mod distances;
mod einsum;
mod embedding;
mod embedding_bag;
mod extremes;
mod filled;
mod finite_differences;
mod floats;
mod fourier;
mod functions;
mod grid_sample;
mod grids;
mod heads;
mod histograms;
mod interpolation;
mod layers;
mod likelihoods;
mod linear_systems;
mod local_response;
mod logcumsumexp;
mod losses;
mod margin_losses;
mod matrix_functions;
mod matrix_norms;
mod matrix_products;
mod missing;
mod norms;
mod padding;
mod parts;
mod piecewise;
mod point_distances;
mod pooling;
mod positions;
mod probability;
mod random;
pub(crate) mod recurrent;
mod resample;
mod rotary;
mod rotary_scaling;
mod scatters;
mod shuffles;
mod smooth;
mod softmax;
mod standing;
mod statistics;
mod vector_norms;

pub use activations::Gelu;
pub use attention::Attention;
pub(crate) use attention::Composed;
pub use classification::CrossEntropy;
pub use convolution::{AxisNumbers, Convolution, ConvolutionPadding, ConvolutionTranspose, SlidingBlocks};
pub use ctc::Ctc;
pub use embedding::EmbeddingOptions;
pub use embedding_bag::{BagMode, EmbeddingBagOptions};
pub use grid_sample::{GridMode, GridPadding, GridSample};
pub use grids::GridOrder;
pub use interpolation::{Interpolation, InterpolationMode};
pub use likelihoods::PoissonNll;
pub use losses::Reduction;
pub use margin_losses::TripletMargin;
pub use matrix_norms::MatrixNorm;
pub use padding::PadMode;
pub use pooling::{PerAxis, Pooling};
pub use rotary::{RotaryEmbedding, RotaryPairs};
pub use rotary_scaling::RotaryScaling;
pub use scatters::ScatterReduction;

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

impl Graph {
    /// Records that a number which a composition was given is not one it can work with.
    #[track_caller]
    pub(crate) fn refuse(&self, op: &'static str, what: &'static str, value: f64, expected: &'static str) -> Expr<'_> {
        let origin = self.origin_or(Origin::here());
        self.finish(Err(GraphError::Argument { origin, op, what, value, expected }))
    }

    /// Whether a number is finite, where any such may be given; if not, it is refused.
    #[track_caller]
    pub(crate) fn allows_finite(&self, op: &'static str, what: &'static str, value: f64) -> bool {
        if !value.is_finite() {
            let _refused = self.refuse(op, what, value, "a finite number");
        }
        value.is_finite()
    }
}

impl<'g> Expr<'g> {
    /// The shape that this expression and `other` share; losses do not broadcast, because a target of another shape is
    /// a mistake far more often than a wish. `None`, and an error in the graph, if they differ.
    #[track_caller]
    fn shape_shared_with(self, other: Expr<'g>, op: &'static str) -> Option<Shape> {
        let origin = self.graph().origin_or(Origin::here());
        self.same_graph(other, op, origin)?;
        let lhs_shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let rhs_shape = other.read(op, origin, |_, node| node.shape.clone())?;
        if lhs_shape == rhs_shape {
            return Some(lhs_shape);
        }
        let (lhs, rhs) = (self.describe(), other.describe());
        self.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape })
    }

    /// [`Expr::shape_shared_with`], for a loss whose operands must be of one dtype too and are not the first to meet: without this question the
    /// mistake would be told of what was computed from them.
    #[track_caller]
    fn form_shared_with(self, other: Expr<'g>, op: &'static str) -> Option<Shape> {
        let origin = self.graph().origin_or(Origin::here());
        let shape = self.shape_shared_with(other, op)?;
        let left = self.read(op, origin, |_, node| node.dtype)?;
        let right = other.read(op, origin, |_, node| node.dtype)?;
        if left == right {
            return Some(shape);
        }
        let (lhs, rhs) = (self.describe(), other.describe());
        self.fail_without(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right })
    }
}
