//! What is known of i32 indices before a graph runs: which are in range, which are not, and which each run must check.
//!
//! Views change where elements stand and not what they are, so each question looks through them to where the elements come
//! from. What is computed on the device is not known here.

use crate::declaration::Requirement;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Leaf, Op, Ordered};
use crate::requirements::viewed;

impl<'g> Expr<'g> {
    /// The number that every element of this is, if it is a constant or a view of one.
    pub(crate) fn constant(self) -> Option<f64> {
        if let Op::Leaf(Leaf::Constant { value }) = self.source()?.1 { Some(value) } else { None }
    }

    /// Notes that `node` requires these indices to be in `0..bound` or `except`, which is checked before each run if they come
    /// from an input.
    pub(crate) fn required_by(self, node: Expr<'g>, bound: usize, except: Option<i32>) {
        self.required_from(0, node, bound, except);
    }

    /// Notes that `node`, which counts negative ones of these indices from the end, requires them to be in `-bound..bound`.
    pub(crate) fn required_from_end_by(self, node: Expr<'g>, bound: i32) {
        self.required_from(-bound, node, bound as usize, None);
    }

    fn required_from(self, least: i32, node: Expr<'g>, bound: usize, except: Option<i32>) {
        if let (Some(indices), Some(owner)) = (self.raw(), node.raw()) {
            self.graph().arena_mut().require(owner, Requirement { indices, least, bound, except });
        }
    }

    /// The error of the first element that stands in the graph and is neither in `0..bound` nor `except`.
    pub(crate) fn index_error(
        self,
        op: &'static str,
        bound: usize,
        except: Option<i32>,
        origin: Origin,
    ) -> Option<GraphError> {
        let outside = |&index: &i32| except != Some(index) && usize::try_from(index).map_or(true, |i| i >= bound);
        let (_, source) = self.source()?;
        let found = if let Op::Leaf(Leaf::Literal { data }) = source {
            data.find_integer(|index| outside(&index))
        } else if let Op::Leaf(Leaf::Constant { value }) = source {
            // A constant of no elements holds no index.
            let holds_any = self.shape().is_ok_and(|shape| shape.elements() > 0);
            (holds_any && outside(&(value as i32))).then_some((0, value as i32))
        } else {
            None
        };
        let (position, value) = found?;
        Some(GraphError::Index { origin, op, position, value, least: 0, bound })
    }

    /// Whether every element is known to be in `0..extent`, or is checked to be before each run of a node that indexes an axis
    /// of that extent by this.
    pub(crate) fn is_index_below(self, extent: usize) -> bool {
        let Some((node, op)) = self.source() else { return false };
        let is_within = |id: NodeId, axis: usize| self.graph().arena().nodes[id.key].shape[axis] <= extent;
        if let Op::Leaf(Leaf::Iota { axis }) = op {
            is_within(node, axis)
        } else if let Op::ArgMax { operand, axis } = op {
            is_within(operand, axis)
        } else if let Op::Ordered(Ordered::ArgSort { operand, axis, .. } | Ordered::Cumulative { operand, axis, .. }) =
            op
        {
            // Of cumulative operations only those give i32 that give indices, or are of i32 themselves.
            let gives_indices =
                !matches!(op, Op::Ordered(Ordered::Cumulative { function, .. }) if !function.gives_indices());
            gives_indices && is_within(operand, axis)
        } else if matches!(op, Op::Leaf(Leaf::Literal { .. } | Leaf::Constant { .. })) {
            self.index_error("gather", extent, None, Origin::here()).is_none()
        } else {
            matches!(op, Op::Leaf(Leaf::Input { .. }))
        }
    }

    /// The node at the end of the views through which this looks, whose elements are exactly those of this expression.
    pub(crate) fn source(self) -> Option<(NodeId, Op)> {
        let mut id = self.raw()?;
        loop {
            let arena = self.graph().arena();
            let op = &arena.nodes.get(id.key)?.op;
            match viewed(op) {
                Some(operand) => id = operand,
                None => return Some((id, op.clone())),
            }
        }
    }
}
