//! Windows that slide along axes: `y[j.., i..] = x[j step + i dilation]`, how many there are, and their gradient.
//!
//! The gradient of an element is the sum over the windows that it is in. It is put together one axis after the other, the last window
//! first, for then each axis has a sum over its own window's elements alone:
//!
//! - windows that stand side by side without gaps are the elements in order: a reshape;
//! - else each element of a window gives what goes to every step-th element, with zeros between, and these are added up;
//! - where windows are long, one scatter adds everything.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::op::{Extents, Windows};
use crate::ops::{Differentiated, Rule};
use crate::shape::{AxisSet, Shape};

/// The elements of a window from which one scatter is cheaper than a sum of so many tensors.
const LONG: usize = 32;

pub(crate) fn infer(rule: &Rule<'_>, operand: NodeId, windows: &Windows) -> Result<(Shape, DType), GraphError> {
    let Windows { axes, extents, steps, dilations } = windows;
    let (origin, op) = (rule.origin, rule.op);
    let argument =
        |what, value: usize, expected| GraphError::Argument { origin, op, what, value: value as f64, expected };
    for (what, list) in
        [("the number of extents", extents), ("the number of steps", steps), ("the number of dilations", dilations)]
    {
        if list.len() != axes.len() {
            return Err(argument(what, list.len(), "one for each axis"));
        }
    }
    let node = rule.node(operand);
    let mut seen = AxisSet::empty();
    let mut shape: Vec<usize> = node.shape.to_vec();
    for (place, &axis) in axes.iter().enumerate() {
        rule.axis(operand, axis)?;
        if seen.contains(axis) {
            return Err(GraphError::RepeatedAxis { origin, op, axis });
        }
        seen.insert(axis);
        for (what, number, expected) in [
            ("the extent of a window", extents[place], "an extent of at least 1"),
            ("the step", steps[place], "a step of at least 1"),
            ("the dilation", dilations[place], "a dilation of at least 1"),
        ] {
            if number == 0 {
                return Err(argument(what, number, expected));
            }
        }
        let extent = node.shape[axis];
        let span = (extents[place] - 1).saturating_mul(dilations[place]).saturating_add(1);
        if span > extent {
            let (operand, shape) = (rule.describe(operand), node.shape.clone());
            return Err(GraphError::Range { origin, op, operand, shape, axis, extent, start: 0, end: span });
        }
        shape[axis] = (extent - span) / steps[place] + 1;
    }
    shape.extend(extents.iter().copied());
    Ok((Shape::from(shape), node.dtype))
}

pub(crate) fn vjp<'g>(
    operand: NodeId,
    windows: &Windows,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    if !(node.wants)(operand) {
        return;
    }
    let source = node.shape_of(operand);
    // The shape of what is left: windows along the first axes, sums along those that are done.
    let mut shape: Vec<usize> = node.shape.to_vec();
    let mut sum = node.upstream;
    for place in (0..windows.axes.len()).rev() {
        let (axis, extent) = (windows.axes[place], windows.extents[place]);
        let along = Along {
            axis,
            extent,
            // Of one window, or one element, these say nothing, and may be any number.
            step: if node.shape[axis] == 1 { 1 } else { windows.steps[place] },
            dilation: if extent == 1 { 1 } else { windows.dilations[place] },
            elements: source[axis],
        };
        sum = along.overlap_add(sum, &shape, node);
        shape.pop();
        shape[along.axis] = along.elements;
    }
    give(operand, sum);
}

/// Windows along one axis, whose elements are the last axis.
struct Along {
    axis: usize,
    extent: usize,
    step: usize,
    dilation: usize,
    /// The elements of the axis that they slide along.
    elements: usize,
}

impl Along {
    /// `[.., windows, .., extent] -> [.., elements, ..]`: what each element gets from all windows that it is in.
    fn overlap_add<'g>(&self, upstream: Expr<'g>, shape: &[usize], node: &Differentiated<'g, '_>) -> Expr<'g> {
        let Along { axis, extent, step, dilation, .. } = *self;
        let count = shape[axis];
        if extent == 1 {
            let windows = upstream.reshape_node(&Shape::from(&shape[..shape.len() - 1]), node.origin);
            return self.padded(windows, 0, step - 1, &shape[..shape.len() - 1], node);
        }
        if dilation == 1 && step == extent {
            let mut joined: Vec<usize> = shape[..shape.len() - 1].to_vec();
            joined[axis] = count * extent;
            return self.padded(self.joined(upstream, shape, node), 0, 0, &joined, node);
        }
        if extent >= LONG {
            return self.scattered(upstream, shape, node);
        }
        let last = shape.len() as isize - 1;
        let mut total: Option<Expr<'g>> = None;
        for element in 0..extent {
            let of_windows = upstream.select_index(last, element);
            let term = self.padded(of_windows, element * dilation, step - 1, &shape[..shape.len() - 1], node);
            total = Some(total.map_or(term, |total| total + term));
        }
        total.unwrap_or(upstream)
    }

    /// The last axis behind the windows' own, and both as one.
    fn joined<'g>(&self, upstream: Expr<'g>, shape: &[usize], node: &Differentiated<'g, '_>) -> Expr<'g> {
        let (axis, last) = (self.axis, shape.len() - 1);
        let axes = (0..=axis).chain([last]).chain(axis + 1..last).map(|axis| axis as isize);
        let mut joined: Vec<usize> = shape[..last].to_vec();
        joined[axis] *= self.extent;
        upstream.permute(axes.collect::<Vec<isize>>()).reshape_node(&Shape::from(joined), node.origin)
    }

    /// What is of shape `shape` in its place among the elements of the axis, `interior` zeros between neighbours.
    fn padded<'g>(
        &self,
        expr: Expr<'g>,
        low: usize,
        interior: usize,
        shape: &[usize],
        node: &Differentiated<'g, '_>,
    ) -> Expr<'g> {
        let (mut lows, mut interiors): (Extents, Extents) =
            (thin_vec::thin_vec![0; shape.len()], thin_vec::thin_vec![0; shape.len()]);
        (lows[self.axis], interiors[self.axis]) = (low, interior);
        let mut padded = shape.to_vec();
        padded[self.axis] = self.elements;
        expr.pad_node(lows, interiors, 0.0, &Shape::from(padded), node.origin)
    }

    /// All elements of all windows added to zeros by their places.
    fn scattered<'g>(&self, upstream: Expr<'g>, shape: &[usize], node: &Differentiated<'g, '_>) -> Expr<'g> {
        let graph = upstream.graph();
        let dtype = upstream.read("windows", node.origin, |_, node| node.dtype).unwrap_or(DType::F32);
        let count = shape[self.axis];
        let numbers = |axis: usize, factor: usize| {
            graph.iota([count, self.extent], axis) * graph.full([], factor as f64, DType::I32)
        };
        let mut places: Vec<usize> = vec![1; shape.len() - 1];
        places[self.axis] = count * self.extent;
        let mut updates = shape[..shape.len() - 1].to_vec();
        updates[self.axis] *= self.extent;
        let places = (numbers(0, self.step) + numbers(1, self.dilation)).reshape(places).broadcast_to(updates.clone());
        updates[self.axis] = self.elements;
        let zeros = graph.zeros(updates, dtype);
        zeros.scatter_add(self.axis as isize, places, self.joined(upstream, shape, node))
    }
}
