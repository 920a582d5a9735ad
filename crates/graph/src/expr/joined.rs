//! Several axes as one, for operations that go along a single axis.

use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::{Arrangement, Op};
use crate::shape::{AxisSet, Shape};

/// An expression whose elements along some axes stand along one.
pub(crate) struct Joined<'g> {
    /// The elements. Where the caller named one axis, it is where it was; several are one at the end, in row-major order.
    pub(crate) elements: Expr<'g>,
    /// The axis.
    pub(crate) axis: usize,
    /// How many elements there are along it.
    pub(crate) extent: usize,
    /// The shape that is left without the axes.
    kept: Shape,
}

impl<'g> Joined<'g> {
    /// A result of extent 1 along the axis, without that.
    pub(crate) fn without_axis(&self, result: Expr<'g>, origin: Origin) -> Expr<'g> {
        result.reshape_node(&self.kept, origin)
    }
}

impl<'g> Expr<'g> {
    /// The axes that a caller named as one; none, with an error in the graph, if they are not to be had.
    pub(crate) fn joined(self, op: &'static str, axes: &impl Axes, origin: Origin) -> Option<Joined<'g>> {
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        match self.resolve_axes(op, &shape, axes, origin) {
            Ok(set) => Some(self.joined_axes(&shape, set, origin)),
            Err(error) => self.fail_without(error),
        }
    }

    /// [`Expr::joined`] for what only some elements have, and what errors call that.
    pub(crate) fn joined_some(
        self,
        op: &'static str,
        function: &'static str,
        axes: &impl Axes,
        origin: Origin,
    ) -> Option<Joined<'g>> {
        let (shape, set) = self.some_axes(op, function, axes, origin)?;
        Some(self.joined_axes(&shape, set, origin))
    }

    /// The shape, and the axes that a caller named, none of which may be empty.
    pub(crate) fn some_axes(
        self,
        op: &'static str,
        function: &'static str,
        axes: &impl Axes,
        origin: Origin,
    ) -> Option<(Shape, AxisSet)> {
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let set = match self.resolve_axes(op, &shape, axes, origin) {
            Ok(set) => set,
            Err(error) => return self.fail_without(error),
        };
        match set.iter().find(|&axis| shape[axis] == 0) {
            Some(axis) => {
                let operand = self.describe();
                self.fail_without(GraphError::EmptyAxis { origin, op, function, operand, shape, axis })
            }
            None => Some((shape, set)),
        }
    }

    /// Those axes as one, of an expression of that shape.
    pub(crate) fn joined_axes(self, shape: &Shape, axes: AxisSet, origin: Origin) -> Joined<'g> {
        let kept = shape.without(axes);
        let extent = axes.iter().fold(1usize, |extent, axis| extent.saturating_mul(shape[axis]));
        if let (1, Some(axis)) = (axes.len(), axes.iter().next()) {
            return Joined { elements: self, axis, extent, kept };
        }
        let order: Vec<usize> = (0..shape.rank()).filter(|&axis| !axes.contains(axis)).chain(axes.iter()).collect();
        let flat: Shape = kept.iter().copied().chain([extent]).collect();
        let is_in_order = order.iter().enumerate().all(|(place, &axis)| place == axis);
        let moved = if is_in_order { self } else { self.permute_node(order, origin) };
        Joined { elements: moved.reshape_node(&flat, origin), axis: kept.rank(), extent, kept }
    }

    /// Result axis `i` is axis `order[i]`.
    pub(crate) fn permute_node(self, order: Vec<usize>, origin: Origin) -> Expr<'g> {
        let Some(operand) = self.raw() else { return self };
        let arrangement = Arrangement::Permute { axes: order.into() };
        self.insert(Op::View { operand, arrangement }, None, None, origin)
    }
}
