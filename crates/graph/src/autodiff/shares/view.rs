//! Where the elements of a view stand in the node that it is a view of.
//!
//! Slices, permutations, broadcasts and reshapes of one another are one view: of a slice of a slice, only the node that was
//! sliced first is of interest, and its gradient takes that of the last slice as it is.

use smallvec::SmallVec;

use crate::expr::Expr;
use crate::node::{Node, NodeId, Origin};
use crate::op::{Arrangement, Extents, Op, ReduceFunction};
use crate::region::Region;
use crate::shape::{AxisSet, Shape};

/// What an axis of a view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// That axis of the node.
    Of(usize),
    /// One of extent 1 that stands for none.
    Single,
    /// A repetition of the same elements.
    Repeated,
}

/// All of a tensor under other axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Turn {
    /// Result axis `i` was axis `axes[i]`.
    Permute(Extents),
    /// It was of this shape.
    Reshape(Shape),
}

/// How a node is looked at before it is sliced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Whole {
    /// The shape that it has then.
    pub(crate) shape: Shape,
    /// What made that shape of the node's own.
    turns: Vec<Turn>,
}

/// The most turns before a slice. A view over more of them is one of the node where they end.
const MOST_TURNS: usize = 8;

impl Whole {
    /// A gradient of this shape as one of the node's own.
    pub(crate) fn turned_back<'g>(&self, gradient: Expr<'g>, origin: Origin) -> Expr<'g> {
        self.turns.iter().rev().fold(gradient, |gradient, turn| match turn {
            Turn::Reshape(before) => gradient.reshape_node(before, origin),
            Turn::Permute(axes) => {
                let mut inverse: SmallVec<[isize; 4]> = smallvec::smallvec![0; axes.len()];
                axes.iter().zip(0..).for_each(|(&axis, position)| inverse[axis] = position);
                gradient.permute(inverse)
            }
        })
    }
}

/// A view of a node.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The node.
    pub(crate) node: NodeId,
    /// How it is looked at.
    pub(crate) whole: Whole,
    /// The elements of `whole` that are shown.
    pub(crate) region: Region,
    /// What each axis of the view is.
    axes: SmallVec<[Axis; 4]>,
    /// Whether a slice is among the views, so that a part may be all that is shown.
    pub(crate) is_sliced: bool,
}

impl View {
    /// All of a node.
    pub(crate) fn of(node: NodeId, shape: &Shape) -> View {
        let axes = (0..shape.rank()).map(Axis::Of).collect();
        let whole = Whole { shape: shape.clone(), turns: Vec::new() };
        View { node, whole, region: Region::whole(shape), axes, is_sliced: false }
    }

    /// The view that `view` gives of `operand`, as a view of the node that `self`, of which `operand` is the result, is one of.
    /// `None` if it is no view, or none that a region can say.
    pub(crate) fn through(&self, operand: &Node, view: &Node) -> Option<View> {
        if view.shape.contains(&0) {
            return None;
        }
        let Op::View { arrangement, .. } = &view.op else { return None };
        match arrangement {
            Arrangement::Slice { starts, steps } => Some(self.sliced(starts, steps, &view.shape)),
            Arrangement::Permute { axes } => {
                Some(View { axes: axes.iter().map(|&axis| self.axes[axis]).collect(), ..self.clone() })
            }
            Arrangement::Broadcast => Some(self.repeated(&operand.shape, &view.shape)),
            Arrangement::Reshape => self.reshaped(&operand.shape, &view.shape),
            Arrangement::Flip { .. } | Arrangement::Windows(_) => None,
        }
    }

    fn sliced(&self, starts: &Extents, steps: &Extents, shape: &Shape) -> View {
        let mut view = View { is_sliced: true, ..self.clone() };
        for (position, axis) in self.axes.iter().enumerate() {
            // Of repeated elements it does not matter which are shown, and of one there is no choice.
            let Axis::Of(axis) = *axis else { continue };
            let Region { starts: firsts, steps: strides, extents } = &mut view.region;
            firsts[axis] += starts[position] * strides[axis];
            extents[axis] = shape[position];
            strides[axis] = if shape[position] == 1 { 1 } else { strides[axis] * steps[position] };
        }
        view
    }

    fn repeated(&self, from: &Shape, to: &Shape) -> View {
        let new = to.rank() - from.rank();
        let axes = (0..to.rank()).map(|axis| match axis.checked_sub(new) {
            Some(own) if from[own] == to[axis] => self.axes[own],
            Some(_) | None => Axis::Repeated,
        });
        View { axes: axes.collect(), ..self.clone() }
    }

    fn reshaped(&self, from: &Shape, to: &Shape) -> Option<View> {
        if !self.is_sliced
            && self.whole.turns.len() < MOST_TURNS
            && let Some(whole) = self.turned(from, to)
        {
            return Some(View { whole, ..View::of(self.node, to) });
        }
        // What was sliced bears no other axes than those of one element put in or taken out.
        let mut kept = self.axes.iter().zip(from.iter()).filter(|(_, extent)| **extent != 1);
        let mut axes = SmallVec::new();
        for &extent in to.iter() {
            axes.push(match extent {
                1 => Axis::Single,
                _ => *kept.next().filter(|(_, own)| **own == extent)?.0,
            });
        }
        kept.next().is_none().then(|| View { axes, ..self.clone() })
    }

    /// The node looked at as a view of all of it is, of shape `from` and reshaped to `to`; `None` if some of it is repeated.
    fn turned(&self, from: &Shape, to: &Shape) -> Option<Whole> {
        let own = |axis: &Axis| match axis {
            Axis::Of(axis) => Some(*axis),
            Axis::Single | Axis::Repeated => None,
        };
        let axes = self.axes.iter().map(own).collect::<Option<Extents>>()?;
        let mut turns = self.whole.turns.clone();
        if !axes.iter().enumerate().all(|(position, &axis)| position == axis) {
            turns.push(Turn::Permute(axes));
        }
        // Of two reshapes one after the other, only what was before the first matters.
        if !matches!(turns.last(), Some(Turn::Reshape(_))) {
            turns.push(Turn::Reshape(from.clone()));
        }
        Some(Whole { shape: to.clone(), turns })
    }

    /// The gradient of what is shown, of the view's shape, as one of the region's extents.
    pub(crate) fn ordered<'g>(&self, gradient: Expr<'g>, origin: Origin) -> Expr<'g> {
        let is_repeated = |place: &usize| self.axes[*place] == Axis::Repeated;
        let repeated: AxisSet = (0..self.axes.len()).filter(is_repeated).collect();
        let summed = match repeated.is_empty() {
            true => gradient,
            false => gradient.reduce_node(ReduceFunction::Sum, repeated, origin),
        };
        // Axes of one element first: where they stand does not matter.
        let mut order: SmallVec<[usize; 4]> = (0..self.axes.len()).collect();
        order.sort_by_key(|&place| match self.axes[place] {
            Axis::Of(axis) => axis + 1,
            Axis::Single | Axis::Repeated => 0,
        });
        let own = |place: &usize| matches!(self.axes[*place], Axis::Of(_));
        let is_in_order = order.iter().copied().filter(own).is_sorted();
        let ordered = match is_in_order {
            true => summed,
            false => summed.permute(order.iter().map(|&place| place as isize).collect::<SmallVec<[isize; 4]>>()),
        };
        ordered.reshape_node(&self.region.shape(), origin)
    }
}
