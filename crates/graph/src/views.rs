//! Where the elements of a view of views stand in what is viewed at last.
//!
//! Known here are shapes and distances, and no values. Elements are followed one by one, through views of any size.

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Op, Windows};
use crate::requirements::viewed;
use crate::shape::Shape;

/// Views over one another: the elements of the last of them, as places among those of what the first one views.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Views {
    /// How many elements the last view has.
    elements: usize,
    /// The last view first.
    views: Vec<Strided>,
}

/// A view on the way to a leaf: what it does, the shape that it does it to, and the one that it gives.
pub(crate) type View<'a> = (&'a Arrangement, &'a Shape, &'a Shape);

impl Views {
    /// Views in the order of [`Arena::views_down_to_leaf`], of which the last has so many elements.
    pub(crate) fn new(elements: usize, views: Vec<View<'_>>) -> Self {
        Views { elements, views: views.into_iter().map(|(view, from, to)| Strided::new(view, from, to)).collect() }
    }

    /// Those of the views down to a leaf, the last first, that say which elements are shown: all from the last part that is taken on. What comes
    /// after it shows the same elements in another order, or more often. `None` if no part is taken: then all are shown.
    pub(crate) fn taking(mut views: Vec<View<'_>>) -> Option<Self> {
        let takes = |arrangement: &Arrangement| match arrangement {
            Arrangement::Slice { .. } | Arrangement::Windows(_) => true,
            Arrangement::Reshape | Arrangement::Permute { .. } | Arrangement::Broadcast | Arrangement::Flip { .. } => {
                false
            }
        };
        let last = views.iter().position(|(arrangement, ..)| takes(arrangement))?;
        views.drain(..last);
        Some(Views::new(views[0].2.elements(), views))
    }

    /// These of what shows a leaf through further views, the last of them first: of that leaf.
    pub(crate) fn over(mut self, views: Vec<View<'_>>) -> Self {
        self.views.extend(views.into_iter().map(|(view, from, to)| Strided::new(view, from, to)));
        self
    }

    /// Of each element of the last view, in row-major order, its place in row-major order among those that the first one views.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.elements).map(|place| self.views.iter().fold(place, |place, view| view.origin(place)))
    }

    /// The numbers by which these views are told from others.
    pub(crate) fn for_each_word(&self, mut word: impl FnMut(u64)) {
        word(self.elements as u64);
        word(self.views.len() as u64);
        for Strided { shape, first, strides } in &self.views {
            word(*first as u64);
            word(shape.rank() as u64);
            shape.iter().chain(strides).for_each(|&number| word(number as u64));
        }
    }
}

/// What an op shows elements of, all or some, in whatever order and however often, if it computes nothing.
pub(crate) fn shown_by(op: &Op) -> Option<NodeId> {
    if let Op::View { operand, .. } = op { Some(*operand) } else { viewed(op) }
}

/// The first node on the way down from one that shows no other's elements, and the views on that way from the last to the first. `None` where
/// there is no node of an id.
pub(crate) fn views_down<'a>(
    mut id: NodeId,
    node_of: impl Fn(NodeId) -> Option<&'a Node>,
) -> Option<(NodeId, Vec<View<'a>>)> {
    let mut views = Vec::new();
    loop {
        let node = node_of(id)?;
        let Some(operand) = shown_by(&node.op) else { return Some((id, views)) };
        if let Op::View { arrangement, .. } = &node.op {
            views.push((arrangement, &node_of(operand)?.shape, &node.shape));
        }
        id = operand;
    }
}

impl Arena {
    /// The leaf whose elements a node shows through views, and these from the last to the first; `None` if they are computed.
    pub(crate) fn views_down_to_leaf(&self, id: NodeId) -> Option<(NodeId, Vec<View<'_>>)> {
        let (leaf, views) = views_down(id, |id| self.nodes.get(id.key))?;
        matches!(self.nodes.get(leaf.key)?.op, Op::Leaf(_)).then_some((leaf, views))
    }

    /// The leaf of which a node shows elements, and which those are where it does not show all of them.
    pub(crate) fn shown(&self, id: NodeId) -> Option<(NodeId, Option<Views>)> {
        let (leaf, views) = self.views_down_to_leaf(id)?;
        Some((leaf, Views::taking(views)))
    }
}

/// Where the elements of a view stand among those of its operand: so far apart along each axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Strided {
    shape: Shape,
    first: usize,
    // Distances may be negative, and that of a step that is never taken may be out of all proportion: they wrap.
    strides: SmallVec<[usize; 4]>,
}

impl Strided {
    fn new(arrangement: &Arrangement, from: &Shape, to: &Shape) -> Self {
        let own = from.strides();
        let mut first = 0;
        let strides: SmallVec<[usize; 4]> = match arrangement {
            Arrangement::Reshape => to.strides(),
            Arrangement::Permute { axes } => axes.iter().map(|&axis| own[axis]).collect(),
            Arrangement::Broadcast => {
                let new = std::iter::repeat_n(0, to.rank() - from.rank());
                new.chain((0..from.rank()).map(|axis| if from[axis] == 1 { 0 } else { own[axis] })).collect()
            }
            Arrangement::Slice { starts, steps } => {
                first = starts.iter().zip(&own).map(|(start, stride)| start * stride).sum();
                steps.iter().zip(&own).map(|(&step, &stride)| stride.wrapping_mul(step)).collect()
            }
            Arrangement::Flip { axes } => {
                first = axes.iter().map(|axis| from[axis].saturating_sub(1) * own[axis]).sum();
                (0..from.rank())
                    .map(|axis| if axes.contains(axis) { own[axis].wrapping_neg() } else { own[axis] })
                    .collect()
            }
            Arrangement::Windows(windows) => {
                let Windows { axes, steps, dilations, .. } = &**windows;
                let mut strides: SmallVec<[usize; 4]> = own.clone();
                for (&axis, &step) in axes.iter().zip(steps) {
                    strides[axis] = own[axis].wrapping_mul(step);
                }
                strides.extend(axes.iter().zip(dilations).map(|(&axis, &dilation)| own[axis].wrapping_mul(dilation)));
                strides
            }
        };
        Strided { shape: to.clone(), first, strides }
    }

    /// The place in the operand of the element at a place of the view, both in row-major order.
    fn origin(&self, place: usize) -> usize {
        let mut rest = place;
        let mut origin = self.first;
        for axis in (0..self.shape.rank()).rev() {
            let extent = self.shape[axis];
            origin = origin.wrapping_add(self.strides[axis].wrapping_mul(rest % extent));
            rest /= extent;
        }
        origin
    }
}
