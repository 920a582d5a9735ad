//! What is built from primitives and needs no kernel of its own: activations, softmax, losses, norms, layers, random draws.
//!
//! Every function here is a formula over [`Expr`] operators, so it differentiates, fuses and prints like what a caller
//! would have written by hand. The formulas are chosen to stay finite in f32 wherever the result is finite, and so that
//! their *derivatives* do too: a branch that is not taken is never allowed to compute `0 * inf`.
//!
//! Nodes carry the file and line of the caller of the composition, never a line in here: each function is
//! `#[track_caller]`, and none builds nodes inside a closure, through which a caller's location would not pass.

mod activations;
mod arrange;
mod classification;
mod contractions;
mod diagonals;
mod einsum;
mod filled;
mod grids;
mod layers;
mod losses;
mod norms;
mod parts;
mod positions;
mod random;
mod scatters;
mod softmax;
mod vector_norms;

pub use activations::Gelu;
pub use classification::CrossEntropy;
pub use grids::GridOrder;
pub use losses::Reduction;
pub use scatters::ScatterReduction;

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

impl Graph {
    /// Records that a number which a composition was given is not one it can work with.
    #[track_caller]
    fn refuse(&self, op: &'static str, what: &'static str, value: f64, expected: &'static str) -> Expr<'_> {
        let origin = self.origin_or(Origin::here());
        self.finish(Err(GraphError::Argument { origin, op, what, value, expected }))
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
}
