//! What is computed in full precision where all around it is mixed: products whose operands must not be rounded to 16 bits, because they follow
//! one another many times, or because their result is a small difference of large numbers.
//!
//! This does not know what rounds: [`crate::passes::mixed_precision`] asks for each node. What stands in the body of a loop is not told apart.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::{NodeId, Origin};
use crate::op::Op;

/// As long as it is there, all that is built is for full precision.
pub(crate) struct FullPrecision<'g>(&'g Graph);

impl Drop for FullPrecision<'_> {
    fn drop(&mut self) {
        self.0.full_precision.set(self.0.full_precision.get() - 1);
    }
}

impl Graph {
    /// Has all that is built be for full precision, until what is returned goes out of scope.
    pub(crate) fn in_full_precision(&self) -> FullPrecision<'_> {
        self.full_precision.set(self.full_precision.get() + 1);
        FullPrecision(self)
    }

    /// Whether the derivative of a node is computed in full precision, whatever is around it: of what is so itself, and of functions of matrices.
    #[doc(hidden)]
    pub fn has_full_derivative(&self, node: NodeId) -> Result<bool, GraphError> {
        self.read(node, "has_full_derivative", Origin::here(), |found| matches!(found.op, Op::LinearAlgebra { .. }))
            .map(|is_function| is_function || self.arena().full_precision.contains(&node.key))
    }
}
