//! What is known of i32 indices before a graph runs: which are in range, which are not, and which each run must check.
//!
//! Views change where elements stand and not what they are, so each question looks through them to where the elements come
//! from; where slices and windows take a part, it is about the elements of that part. What is computed on the device is not
//! known here.

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
            self.graph().arena_mut().require(owner, Requirement { indices, least, bound, except, shown: None });
        }
    }

    /// The error of the first element that stands in the graph and is neither in `least..bound` nor `except`.
    pub(crate) fn index_error(
        self,
        op: &'static str,
        (least, bound): (i32, usize),
        except: Option<i32>,
        origin: Origin,
    ) -> Option<GraphError> {
        let is_inside = |index: i32| index >= least && usize::try_from(index).map_or(true, |index| index < bound);
        let is_outside = |index: i32| except != Some(index) && !is_inside(index);
        let arena = self.graph().arena();
        let id = self.raw()?;
        let (leaf, shown) = arena.shown(id)?;
        let leaf = arena.nodes.get(leaf.key)?;
        let found = if let Op::Leaf(Leaf::Literal { data }) = &leaf.op {
            let found = data.find_integer(is_outside)?;
            match &shown {
                None => Some(found),
                Some(views) => data.find_integer_among(views.places(), is_outside),
            }
        } else if let Op::Leaf(Leaf::Iota { axis }) = &leaf.op {
            let (extent, inner) = (leaf.shape[*axis], leaf.shape.iter().skip(axis + 1).product::<usize>());
            let index_at = |place: usize| (place, (place / inner % extent) as i32);
            match &shown {
                _ if extent <= bound || leaf.shape.elements() == 0 => None,
                // All below the bound are there, and along other axes the same ones come again.
                None => (bound..extent).map(|index| index_at(index * inner)).find(|&(_, index)| is_outside(index)),
                Some(views) => views.places().map(index_at).find(|&(_, index)| is_outside(index)),
            }
        } else if let Op::Leaf(Leaf::Constant { value }) = &leaf.op {
            // A constant of no elements holds no index.
            let holds_any = arena.nodes.get(id.key).is_some_and(|node| node.shape.elements() > 0);
            (holds_any && is_outside(*value as i32)).then_some((0, *value as i32))
        } else {
            None
        };
        let (position, value) = found?;
        Some(GraphError::Index { origin, op, position, value, least, bound })
    }

    /// Whether every element is known to be in `0..extent`, or is checked to be before each run of a node that indexes an axis
    /// of that extent by this.
    pub(crate) fn is_index_below(self, extent: usize) -> bool {
        if self.is_shown_of_input() {
            return true;
        }
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
        } else {
            matches!(op, Op::Leaf(Leaf::Literal { .. } | Leaf::Constant { .. }))
                && self.index_error("gather", (0, extent), None, Origin::here()).is_none()
        }
    }

    /// Whether these are elements of an input, which are checked before each run of a node that requires something of them.
    pub(crate) fn is_shown_of_input(self) -> bool {
        self.raw().is_some_and(|id| self.graph().arena().shown_input(id).is_some())
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
