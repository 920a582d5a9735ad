//! Operations along an axis that depend on the order of the elements there: cumulative functions, linear recurrences, sorting, and
//! searching in what is sorted.
//!
//! | op | y | gradient |
//! |---|---|---|
//! | cumsum | `y[i] = x[0] + .. + x[i]` | the cumulative sum of the upstream from the other end |
//! | cumprod | `y[i] = x[0] .. x[i]` | `y[k-1] s[k]`, with `s[k] = u[k] + x[k+1] s[k+1]`: nothing is divided, so zeros are no matter |
//! | cumargmax, cumargmin | i32: the last index of the largest, smallest of `x[0] ..= x[i]`; NaN beats all | none |
//! | linear_recurrence | `y[i] = f[i] y[i-1] + x[i]`, `y[0] = x[0]` | to x `s[k] = u[k] + f[k+1] s[k+1]`, to f `s[k] y[k-1]` |
//! | argsort | i32: indices in sorted order; equal elements as they stood, NaN largest, both zeros equal | none |
//! | searchsorted | i32: how many elements of the sorted sequence are below a value (or not above it) | none |
//!
//! The derivatives of all are cumulative operations and recurrences again, so those of any order cost linear work. Reversed, all go from the
//! last element to the first. An empty axis gives an empty result.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{CumulativeFunction, Ordered};
use crate::ops::{Differentiated, Pushed, Rule, sum};
use crate::shape::{AxisSet, Shape};

pub(crate) fn infer(rule: &Rule<'_>, ordered: Ordered) -> Result<(Shape, DType), GraphError> {
    match ordered {
        Ordered::Cumulative { function, operand, axis, .. } => infer_cumulative(rule, function, operand, axis),
        Ordered::Recurrence { operand, factors, axis, .. } => {
            let dtype = rule.float(operand)?;
            rule.same_dtype(operand, factors)?;
            let shape = rule.same_shape(operand, factors)?;
            rule.axis(operand, axis)?;
            Ok((shape.clone(), dtype))
        }
        Ordered::ArgSort { operand, axis, count, .. } => infer_argsort(rule, operand, axis, count),
        Ordered::SearchSorted { sequence, values, .. } => infer_searchsorted(rule, sequence, values),
    }
}

fn infer_cumulative(
    rule: &Rule<'_>,
    function: CumulativeFunction,
    operand: NodeId,
    axis: usize,
) -> Result<(Shape, DType), GraphError> {
    let dtype = rule.number(operand)?;
    rule.axis(operand, axis)?;
    let shape = rule.node(operand).shape.clone();
    if !function.gives_indices() {
        return Ok((shape, dtype));
    }
    indexable(rule, &shape, axis)?;
    Ok((shape, DType::I32))
}

fn infer_argsort(rule: &Rule<'_>, operand: NodeId, axis: usize, count: usize) -> Result<(Shape, DType), GraphError> {
    rule.number(operand)?;
    rule.axis(operand, axis)?;
    let shape = &rule.node(operand).shape;
    if count > shape[axis] {
        return Err(GraphError::Range {
            origin: rule.origin,
            op: rule.op,
            operand: rule.describe(operand),
            shape: shape.clone(),
            axis,
            extent: shape[axis],
            start: 0,
            end: count,
        });
    }
    indexable(rule, shape, axis)?;
    Ok((shape.with_extent(axis, count), DType::I32))
}

fn infer_searchsorted(rule: &Rule<'_>, sequence: NodeId, values: NodeId) -> Result<(Shape, DType), GraphError> {
    rule.number(sequence)?;
    rule.same_dtype(sequence, values)?;
    let (sorted, shape) = (&rule.node(sequence).shape, &rule.node(values).shape);
    let Some(last) = sorted.rank().checked_sub(1) else {
        let (op, operand, expected) = (rule.op, rule.describe(sequence), "rank 1 or that of the values".to_owned());
        return Err(GraphError::Rank { origin: rule.origin, op, operand, shape: sorted.clone(), rank: 0, expected });
    };
    if last > 0 {
        // A sequence for each row of values.
        rule.rank(sequence, shape.rank())?;
        if let Some(axis) = (0..last).find(|&axis| sorted[axis] != shape[axis]) {
            return Err(GraphError::Extent {
                origin: rule.origin,
                op: rule.op,
                axis,
                lhs: rule.describe(sequence),
                lhs_shape: sorted.clone(),
                rhs: rule.describe(values),
                rhs_shape: shape.clone(),
                left: sorted[axis],
                right: shape[axis],
            });
        }
    }
    indexable(rule, sorted, last)?;
    Ok((shape.clone(), DType::I32))
}

/// Checks that an i32 holds every index along an axis.
fn indexable(rule: &Rule<'_>, shape: &Shape, axis: usize) -> Result<(), GraphError> {
    match i32::try_from(shape[axis]) {
        Ok(_) => Ok(()),
        Err(_) => Err(GraphError::TooManyElements { origin: rule.origin, op: rule.op, shape: shape.clone() }),
    }
}

pub(crate) fn vjp<'g>(ordered: Ordered, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    match ordered {
        Ordered::Cumulative { function, operand, axis, is_reversed } => {
            if (node.wants)(operand) {
                let walk = Walk { axis, is_reversed, origin: node.origin };
                vjp_cumulative(function, operand, walk, node, give);
            }
        }
        Ordered::Recurrence { operand, factors, axis, is_reversed } => {
            let walk = Walk { axis, is_reversed, origin: node.origin };
            let passed = walk.back().recurrence(node.upstream, walk.next(node.expr(factors), 0.0));
            if (node.wants)(operand) {
                give(operand, passed);
            }
            if (node.wants)(factors) {
                give(factors, passed * walk.previous(node.output, 0.0));
            }
        }
        // Indices carry no gradient.
        Ordered::ArgSort { .. } | Ordered::SearchSorted { .. } => {}
    }
}

fn vjp_cumulative<'g>(
    function: CumulativeFunction,
    operand: NodeId,
    walk: Walk,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let x = node.expr(operand);
    match function {
        CumulativeFunction::Sum => give(operand, walk.back().cumulative(CumulativeFunction::Sum, node.upstream)),
        CumulativeFunction::Product => {
            let passed = walk.back().recurrence(node.upstream, walk.next(x, 0.0));
            give(operand, walk.in_range(node.output, walk.previous(node.output, 1.0), passed));
        }
        CumulativeFunction::ArgMax | CumulativeFunction::ArgMin => {}
    }
}

pub(crate) fn jvp<'g>(ordered: Ordered, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    match ordered {
        Ordered::Cumulative { function, operand, axis, is_reversed } => {
            let walk = Walk { axis, is_reversed, origin: node.origin };
            let tangent = (node.tangent)(operand)?;
            let x = node.expr(operand);
            match function {
                CumulativeFunction::Sum => Some(walk.cumulative(CumulativeFunction::Sum, tangent)),
                CumulativeFunction::Product => Some(walk.recurrence(tangent * walk.previous(node.output, 1.0), x)),
                CumulativeFunction::ArgMax | CumulativeFunction::ArgMin => None,
            }
        }
        Ordered::Recurrence { operand, factors, axis, is_reversed } => {
            let walk = Walk { axis, is_reversed, origin: node.origin };
            let of_factors = (node.tangent)(factors).map(|tangent| tangent * walk.previous(node.output, 0.0));
            let tangent = sum(of_factors, (node.tangent)(operand))?;
            Some(walk.recurrence(tangent, node.expr(factors)))
        }
        Ordered::ArgSort { .. } | Ordered::SearchSorted { .. } => None,
    }
}

/// In which direction an operation goes along which axis.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    pub(crate) axis: usize,
    pub(crate) is_reversed: bool,
    pub(crate) origin: Origin,
}

impl Walk {
    /// The other way.
    fn back(self) -> Walk {
        Walk { is_reversed: !self.is_reversed, ..self }
    }

    pub(crate) fn cumulative<'g>(self, function: CumulativeFunction, x: Expr<'g>) -> Expr<'g> {
        x.cumulative_node(function, self.axis, self.is_reversed, self.origin)
    }

    pub(crate) fn recurrence<'g>(self, x: Expr<'g>, factors: Expr<'g>) -> Expr<'g> {
        x.recurrence_node(factors, self.axis, self.is_reversed, self.origin)
    }

    /// For each place the element at the place before it, and `first` where there is none.
    pub(crate) fn previous<'g>(self, x: Expr<'g>, first: f64) -> Expr<'g> {
        let Some(shape) = x.read("slice", self.origin, |_, node| node.shape.clone()) else { return x };
        let Some(kept) = shape[self.axis].checked_sub(1) else { return x };
        let axis = self.axis as isize;
        let mut amounts = vec![(0, 0); shape.rank()];
        let part = if self.is_reversed {
            amounts[self.axis] = (0, 1);
            x.slice(axis, 1, kept + 1)
        } else {
            amounts[self.axis] = (1, 0);
            x.slice(axis, 0, kept)
        };
        part.pad(amounts, first)
    }

    /// `a b`, each a product of some of the elements whose cumulative products are `products`: 0 where one of them is and the other has left the range
    /// of numbers, for it is a number that is too large. With an infinity among the elements the last of the products is NaN there, and it is none.
    fn in_range<'g>(self, products: Expr<'g>, a: Expr<'g>, b: Expr<'g>) -> Expr<'g> {
        let Some(shape) = products.read("slice", self.origin, |_, node| node.shape.clone()) else { return products };
        let Some(last) = shape[self.axis].checked_sub(1) else { return a * b };
        let (axis, place) = (self.axis as isize, if self.is_reversed { 0 } else { last });
        let whole = products.slice(axis, place, place + 1);
        let is_lost = |zero: Expr<'g>, large: Expr<'g>| zero.equal(0.0) & large.abs().equal(f64::INFINITY);
        let is_lost = (is_lost(a, b) | is_lost(b, a)) & whole.equal(whole);
        // Not the product: its derivatives are those of both.
        is_lost.where_(0.0, a) * is_lost.where_(0.0, b)
    }

    /// For each place the element at the place behind it, and `last` where there is none.
    fn next<'g>(self, x: Expr<'g>, last: f64) -> Expr<'g> {
        self.back().previous(x, last)
    }
}

/// For each element the product of all others over `axes`: of those before it and of those behind it, so that nothing is divided.
pub(crate) fn product_of_others<'g>(x: Expr<'g>, axes: AxisSet, origin: Origin) -> Expr<'g> {
    let Some(shape) = x.read("prod", origin, |_, node| node.shape.clone()) else { return x };
    let order: Vec<usize> = (0..shape.rank()).filter(|&axis| !axes.contains(axis)).chain(axes.iter()).collect();
    let moved: Shape = order.iter().map(|&axis| shape[axis]).collect();
    let joined = x.joined_axes(&shape, axes, origin);
    let walk = Walk { axis: joined.axis, is_reversed: false, origin };
    let products = walk.cumulative(CumulativeFunction::Product, joined.elements);
    let before = walk.previous(products, 1.0);
    let behind = walk.next(walk.back().cumulative(CumulativeFunction::Product, joined.elements), 1.0);
    let others = walk.in_range(products, before, behind);
    if axes.len() == 1 {
        return others;
    }
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
    others.reshape_node(&moved, origin).permute_node(back, origin)
}
