//! Bools that stand in the graph: where they hold is known before anything runs.
//!
//! They are literals and constants, and views of these. What was computed does not stand in the graph, of whatever it was computed.

use smallvec::SmallVec;

use crate::expr::Expr;
use crate::op::{Arrangement, Leaf, Op, Windows};
use crate::requirements::viewed;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// Whether the elements stand in the graph.
    pub(crate) fn stands_in_graph(self) -> bool {
        let arena = self.graph().arena();
        let mut next = self.raw();
        while let Some(node) = next.and_then(|id| arena.nodes.get(id.key)) {
            if let Op::Leaf(leaf) = &node.op {
                return matches!(leaf, Leaf::Literal { .. } | Leaf::Constant { .. });
            }
            next = if let Op::View { operand, .. } = &node.op { Some(*operand) } else { viewed(&node.op) };
        }
        false
    }

    /// The places, in row-major order, at which this tensor is not 0; none if it does not stand in the graph.
    pub(crate) fn places_that_hold(self) -> Option<Vec<usize>> {
        let arena = self.graph().arena();
        let mut id = self.raw()?;
        let elements = arena.nodes.get(id.key)?.shape.elements();
        // From the last to the first: each with the shape that it is of and the shape that it gives.
        let mut views: Vec<(&Arrangement, &Shape, &Shape)> = Vec::new();
        let leaf = loop {
            let node = arena.nodes.get(id.key)?;
            if let Op::View { operand, arrangement } = &node.op {
                views.push((arrangement, &arena.nodes.get(operand.key)?.shape, &node.shape));
                id = *operand;
            } else if let Some(operand) = viewed(&node.op) {
                id = operand;
            } else if let Op::Leaf(leaf) = &node.op {
                break leaf;
            } else {
                return None;
            }
        };
        if let Leaf::Constant { value } = leaf {
            return Some(if *value == 0.0 { Vec::new() } else { (0..elements).collect() });
        }
        let Leaf::Literal { data } = leaf else { return None };
        // Each element is followed to the literal by itself: what lies between may be larger than both.
        let views: Vec<Strided<'_>> =
            views.into_iter().map(|(arrangement, from, to)| Strided::new(arrangement, from, to)).collect();
        let holds: Vec<bool> = data.to_f64_vec().into_iter().map(|element| element != 0.0).collect();
        let origin = |place: usize| views.iter().fold(place, |place, view| view.origin(place));
        Some((0..elements).filter(|&place| holds[origin(place)]).collect())
    }
}

/// Where the elements of a view stand among those of its operand: so far apart along each axis.
struct Strided<'a> {
    shape: &'a Shape,
    first: usize,
    // Distances may be negative, and that of a step that is never taken may be out of all proportion: they wrap.
    strides: SmallVec<[usize; 4]>,
}

impl<'a> Strided<'a> {
    fn new(arrangement: &Arrangement, from: &Shape, to: &'a Shape) -> Self {
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
        Strided { shape: to, first, strides }
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

#[cfg(test)]
mod tests {
    use crate::{DType, Graph};

    #[test]
    fn views_of_what_stands_in_the_graph_stand_there_too() {
        let g = Graph::new();
        let mask = g.literal([2, 3], [true, false, false, false, true, true]);
        assert_eq!(mask.places_that_hold(), Some(vec![0, 4, 5]));
        assert!(mask.slice(1, 1, 3).stands_in_graph() && !(!mask).stands_in_graph());
        assert_eq!(mask.reshape([6]).flip([0]).places_that_hold(), Some(vec![0, 1, 5]));
        assert_eq!(mask.t().places_that_hold(), Some(vec![0, 3, 5]));
        assert_eq!(mask.slice(1, 1, 3).stop_gradient().places_that_hold(), Some(vec![2, 3]));
        assert_eq!(mask.unsqueeze(0).broadcast_to([2, 2, 3]).places_that_hold(), Some(vec![0, 4, 5, 6, 10, 11]));
        assert_eq!(mask.unfold(1, 2, 1).places_that_hold(), Some(vec![0, 5, 6, 7]));
        assert_eq!(g.full([2, 2], 1.0, DType::Bool).slice(0, 0, 1).places_that_hold(), Some(vec![0, 1]));
        assert_eq!(g.full([2, 2], 0.0, DType::Bool).places_that_hold(), Some(Vec::new()));
        assert_eq!(mask.slice(0, 0, 0).places_that_hold(), Some(Vec::new()));
        // What is broadcast on the way need not fit anywhere.
        let wide = mask.unsqueeze(2).broadcast_to([2, 3, 1 << 40]).slice(2, 5, 7);
        assert_eq!(wide.slice(0, 0, 1).places_that_hold(), Some(vec![0, 1]));
        assert_eq!(g.input_of("given", [2], DType::Bool).places_that_hold(), None);
        assert_eq!((!mask).places_that_hold(), None);
    }
}
