//! Where sequences of unequal lengths end, which stand one beside the other in one tensor.
//!
//! A step that is padding of a sequence leaves its states as they are. So a loop over the steps in their order ends with the state of
//! a sequence's own last step, and one in the other order, which meets the padding first, begins there with the first state:
//! nothing is sorted or moved, whatever the lengths are, and one plan serves all of them.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::shape::Shape;

/// Where the sequences of a batch end.
pub(super) struct Ends<'g> {
    /// Which steps belong to each sequence, bool `[steps, batch, 1]`.
    pub(super) inside: Expr<'g>,
    /// 1 for each sequence, but NaN where the length is none: `[batch, 1]`.
    factor: Expr<'g>,
}

impl<'g> Ends<'g> {
    /// Of a `sequence` of shape `[steps, batch, features]`, which is `x` in the layout of the loops, and the caller's lengths: `[batch]`,
    /// or a scalar where there is no batch.
    ///
    /// Errors: lengths of another shape, dtype or graph; lengths that stand in the graph and are none.
    #[track_caller]
    pub(super) fn new(
        x: Expr<'g>,
        sequence: Expr<'g>,
        lengths: Expr<'g>,
        batch: Option<usize>,
        op: &'static str,
    ) -> Option<Ends<'g>> {
        let graph = x.graph();
        let origin = graph.origin_or(crate::Origin::here());
        x.same_graph(lengths, op, origin)?;
        let (lhs_shape, dtype) = lengths.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        if dtype != DType::I32 {
            let (operand, expected) = (lengths.describe(), "i32");
            return x.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let rhs_shape = batch.map_or(Shape::scalar(), |batch| Shape::from([batch]));
        if lhs_shape != rhs_shape {
            let (lhs, rhs) = (lengths.describe(), format!("a length for each sequence of {}", x.describe()));
            return x.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        let steps = sequence.read(op, origin, |_, node| node.shape[0])?;
        let bound = steps.saturating_add(1);
        if let Some(error) = lengths.index_error(op, (0, bound), None, origin) {
            return x.fail_without(error);
        }
        let given = lengths;
        let lengths = if batch.is_some() { lengths } else { lengths.unsqueeze(0) };
        let is_none = graph.at(origin, || lengths.less(0) | lengths.greater(steps as f64));
        let inside = graph.iota([steps, 1], 0).less(lengths).unsqueeze(-1);
        // Those of an input are checked before each run; what is computed shows itself by the NaN.
        given.required_by(is_none, bound, None);
        Some(Ends { inside, factor: is_none.nan_where(x).unsqueeze(-1) })
    }

    /// The sequence as the loops read it: 0 behind the ends. The factor comes first, so that it is the last that a gradient passes: no
    /// choice makes 0 of its NaN.
    #[track_caller]
    pub(super) fn inputs(&self, sequence: Expr<'g>) -> Expr<'g> {
        self.inside.where_(sequence * self.factor, 0.0)
    }

    /// The states of all steps as outputs: 0 behind the ends.
    #[track_caller]
    pub(super) fn outputs(&self, states: Expr<'g>) -> Expr<'g> {
        self.inside.where_(states, 0.0) * self.factor
    }

    /// The last states `[batch, width]`.
    #[track_caller]
    pub(super) fn last(&self, states: Expr<'g>) -> Expr<'g> {
        states * self.factor
    }
}
