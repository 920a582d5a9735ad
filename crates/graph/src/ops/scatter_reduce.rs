//! Scatters along one axis by another function than the sum: products, largest and smallest elements. Those that replace have rules of their own:
//! [`crate::ops::scatter_replace`].
//!
//! | op | y | derivative in x | derivative in u |
//! |---|---|---|---|
//! | scatter_mul | x times each `u[.., j, ..]` at `[.., i[.., j, ..], ..]` | the product of the updates of the place | the product of x and the place's other updates |
//! | scatter_max, scatter_min | the largest, smallest of x and the updates of the place; NaN wins | shared evenly by those of both that are equal to y; NaN throughout where y is NaN | as in x |
//!
//! Indices are i32 and carry no gradient. Floats are combined in a fixed order: same device, same bits. An index that was computed may be
//! out of range: its update is left out, and has a derivative of 0.
//!
//! Each element of the result depends on x at its own place and on each update of the place, so both modes go by the two tensors of
//! those derivatives: reverse mode multiplies them with the upstream gradient, gathered to the updates, forward mode with the tangents and
//! adds up what comes to each place.
//!
//! **Products where updates are 0.** Of an update that is not 0 the others' product is the result divided by it. Of the first update of a
//! place that is 0, and of the last, it is the product with that one left out, which depends on the others as it should; any between
//! these has two zeros beside it, and a derivative of 0 that is flat. So first and second derivatives are right wherever the zeros are.

use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Indexing, Op, ScatterFunction};
use crate::ops::indexing::zero_out_of_range;
use crate::ops::{Differentiated, Pushed};
use crate::shape::Shape;

pub(crate) fn vjp<'g>(
    function: ScatterFunction,
    [operand, indices, updates]: [NodeId; 3],
    axis: usize,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let exprs = [operand, indices, updates].map(|id| node.expr(id));
    let scatter = Scatter { exprs, axis, shape: node.shape, origin: node.origin };
    let of_operand = (node.wants)(operand);
    let of_updates = (node.wants)(updates);
    let slopes = scatter.slopes(function, node.output, of_operand, of_updates);
    if let Some(slope) = slopes.operand {
        give(operand, slope.times(node.upstream));
    }
    if let Some(slope) = slopes.updates {
        let gathered = scatter.gathered(node.upstream);
        give(updates, scatter.in_range(slope.times(gathered)));
    }
}

pub(crate) fn jvp<'g>(
    function: ScatterFunction,
    [operand, indices, updates]: [NodeId; 3],
    axis: usize,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let exprs = [operand, indices, updates].map(|id| node.expr(id));
    let scatter = Scatter { exprs, axis, shape: node.shape, origin: node.origin };
    let (of_operand, of_updates) = ((node.tangent)(operand), (node.tangent)(updates));
    let slopes = scatter.slopes(function, node.output, of_operand.is_some(), of_updates.is_some());
    let moved = slopes.operand.zip(of_operand).map(|(slope, tangent)| slope.times(tangent));
    let Some((slope, tangent)) = slopes.updates.zip(of_updates) else { return moved };
    let base = moved.unwrap_or_else(|| node.output.constant_beside(0.0, node.origin));
    Some(scatter.added(base, slope.times(tangent)))
}

/// The operands of a scatter, its axis and the shape of its result.
struct Scatter<'g, 'a> {
    exprs: [Expr<'g>; 3],
    axis: usize,
    shape: &'a Shape,
    origin: Origin,
}

/// How the result depends on elements at their places: a number for each, where it does at all.
struct Slope<'g> {
    /// bool: elements on which nothing depends. A derivative of 0 there, whatever it is multiplied with.
    chosen: Option<Expr<'g>>,
    value: Expr<'g>,
}

/// What was asked for.
struct Slopes<'g> {
    operand: Option<Slope<'g>>,
    updates: Option<Slope<'g>>,
}

impl<'g> Slope<'g> {
    fn times(self, factor: Expr<'g>) -> Expr<'g> {
        let product = factor * self.value;
        self.chosen.map_or(product, |chosen| chosen.where_(product, 0.0))
    }
}

impl<'g> Scatter<'g, '_> {
    fn slopes(&self, function: ScatterFunction, output: Expr<'g>, of_operand: bool, of_updates: bool) -> Slopes<'g> {
        match function {
            ScatterFunction::Mul => self.of_product(output, of_operand, of_updates),
            ScatterFunction::Max | ScatterFunction::Min => self.of_extreme(output, of_operand, of_updates),
            ScatterFunction::Replace => unreachable!("a scatter that replaces has a rule of its own"),
        }
    }

    fn of_extreme(&self, output: Expr<'g>, of_operand: bool, of_updates: bool) -> Slopes<'g> {
        let [operand, _, updates] = self.exprs;
        let value = self.gathered(output);
        let equal = [operand.equal(output), updates.equal(value)];
        let ones = |equal: Expr<'g>, beside: Expr<'g>| {
            equal.where_(beside.constant_beside(1.0, self.origin), beside.constant_beside(0.0, self.origin))
        };
        let count = self.added(ones(equal[0], operand), ones(equal[1], updates));
        // NaN alone differs from itself. It is equal to nothing, and says nothing of any element: all of its place have it.
        let is_nan = output.not_equal(output);
        let share = is_nan.where_(f64::NAN, 1.0 / count);
        Slopes {
            operand: of_operand.then(|| Slope { chosen: Some(equal[0] | is_nan), value: share }),
            updates: of_updates
                .then(|| Slope { chosen: Some(equal[1] | value.not_equal(value)), value: self.gathered(share) }),
        }
    }

    fn of_product(&self, output: Expr<'g>, of_operand: bool, of_updates: bool) -> Slopes<'g> {
        let [operand, _, updates] = self.exprs;
        let of_operand = of_operand.then(|| {
            let ones = operand.constant_beside(1.0, self.origin);
            Slope { chosen: None, value: self.scattered(ScatterFunction::Mul, ones, updates) }
        });
        if !of_updates {
            return Slopes { operand: of_operand, updates: None };
        }
        let is_zero = updates.equal(0.0);
        let (first, last) = self.ends(is_zero);
        let without = |left_out: Expr<'g>| {
            self.gathered(self.scattered(ScatterFunction::Mul, operand, left_out.where_(1.0, updates)))
        };
        let divided = self.gathered(output) / is_zero.where_(1.0, updates);
        let zero = updates.constant_beside(0.0, self.origin);
        let of_zeros = first.where_(without(first), last.where_(without(last), zero));
        Slopes { operand: of_operand, updates: Some(Slope { chosen: None, value: is_zero.where_(of_zeros, divided) }) }
    }

    /// Which updates are the first and the last of those of their place that are `wanted`.
    fn ends(&self, wanted: Expr<'g>) -> (Expr<'g>, Expr<'g>) {
        let [operand, _, updates] = self.exprs;
        let graph = operand.graph();
        let Some(shape) = updates.read("scatter_mul", self.origin, |_, node| node.shape.clone()) else {
            return (wanted, wanted);
        };
        let place = graph.iota(&shape, self.axis);
        let end = |function: ScatterFunction, beyond: f64| {
            let none = graph.full(self.shape, beyond, crate::DType::I32);
            let ends = self.scattered(function, none, wanted.where_(place, place.constant_beside(beyond, self.origin)));
            wanted & place.equal(self.gathered(ends))
        };
        (end(ScatterFunction::Min, f64::from(i32::MAX)), end(ScatterFunction::Max, -1.0))
    }

    /// What stands at the place of each update. Out of range it is NaN, or 0 of integers.
    fn gathered(&self, from: Expr<'g>) -> Expr<'g> {
        let [_, indices, _] = self.exprs;
        match (from.raw(), indices.raw()) {
            (Some(operand), Some(indices)) => {
                let op = Op::Indexing(Indexing::Gather { operand, indices, axis: self.axis });
                from.insert(op, None, None, self.origin)
            }
            (None, _) | (_, None) => Expr::poisoned(from.graph()),
        }
    }

    /// What goes to updates, with 0 for those whose index is out of range.
    fn in_range(&self, expr: Expr<'g>) -> Expr<'g> {
        zero_out_of_range(expr, self.exprs[1], self.shape[self.axis])
    }

    fn added(&self, base: Expr<'g>, updates: Expr<'g>) -> Expr<'g> {
        self.insert(base, updates, |operand, indices, updates, axis| Indexing::ScatterAdd {
            operand,
            indices,
            updates,
            axis,
        })
    }

    fn scattered(&self, function: ScatterFunction, base: Expr<'g>, updates: Expr<'g>) -> Expr<'g> {
        self.insert(base, updates, |operand, indices, updates, axis| Indexing::ScatterReduce {
            function,
            operand,
            indices,
            updates,
            axis,
        })
    }

    fn insert(
        &self,
        base: Expr<'g>,
        updates: Expr<'g>,
        op: impl FnOnce(NodeId, NodeId, NodeId, usize) -> Indexing,
    ) -> Expr<'g> {
        match (base.raw(), self.exprs[1].raw(), updates.raw()) {
            (Some(operand), Some(indices), Some(updates)) => {
                base.insert(Op::Indexing(op(operand, indices, updates, self.axis)), None, None, self.origin)
            }
            _ => Expr::poisoned(base.graph()),
        }
    }
}
