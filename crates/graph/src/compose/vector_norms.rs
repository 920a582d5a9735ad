//! Lengths of vectors, with derivatives that are finite wherever the length has one, and 0 where it is a corner.
//!
//! A p-norm written out, `sum(|x|^p)^(1/p)`, overflows and underflows long before its result does, and its derivative
//! divides by 0 at the zero vector. Here elements are brought near 1 before they are raised to a power, and the gradient is
//! given outright: `sign(x) (|x| / norm)^(p-1)`, of elements that never exceed 1. It is a formula over the elements, so it is
//! differentiated again like any other.

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::Op;
use crate::shape::AxisSet;

/// A length over some axes, which keep extent 1.
pub(crate) struct Length<'g> {
    pub(crate) value: Expr<'g>,
    /// The derivative of the length in each element, of the elements' shape.
    pub(crate) slope: Expr<'g>,
}

impl<'g> Expr<'g> {
    /// The p-norm over `axes` (`..` for all), which fall away: `sum(|x|^p)^(1/p)`; the number of elements other than 0
    /// for a `p` of 0, NaN among them; `max |x|` for infinity, and `min |x|` for minus infinity. Floats. (PyTorch's `linalg.vector_norm`.)
    ///
    /// It overflows only where the result does, and no square or power underflows. The gradient is `sign(x) (|x| / norm)^(p-1)`:
    /// right also where the norm itself is past the largest number. It is 0 where the norm is 0, of any order, and for a `p`
    /// below 1 it is 0 at elements that are 0. Where an element is NaN norm and gradient are NaN (for a `p` of 1 the gradient
    /// only at that element). Where elements are infinite the norm is, and the gradient by the formula: 0 at finite elements
    /// and NaN, which is inf / inf, at infinite ones.
    ///
    /// Of a `p` below 0 an element of 0 makes the norm 0, and its gradient as well; infinite elements have no part in it beside finite ones.
    /// Of minus infinity, as of infinity, ties share the gradient evenly.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let x = g.input("x", [4, 3]);
    /// let (euclidean, harmonic) = (x.norm(2.0, 1), x.norm(-1.0, 1));
    /// assert_eq!((euclidean.shape()?.dims(), harmonic.shape()?.dims()), (&[4][..], &[4][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Errors: `p` is NaN; an expression that holds no floats; a `p` below 0 over no elements, of which none is the smallest.
    #[track_caller]
    pub fn norm(self, p: f64, axes: impl Axes) -> Expr<'g> {
        let method = self.graph().enter("norm");
        let origin = method.origin();
        if p.is_nan() {
            return self.graph().refuse("norm", "p", p, "a number");
        }
        let Some((shape, dtype)) = self.read("norm", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        if !dtype.is_float() {
            let (op, operand, expected) = ("norm", self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let set = match self.resolve_axes("norm", &shape, &axes, origin) {
            Ok(set) => set,
            Err(error) => return self.fail(error),
        };
        if p == 0.0 {
            return self.not_equal(0.0).cast(dtype).sum(set);
        }
        // Without axes each element is a vector of its own.
        if p == f64::NEG_INFINITY || (p < 0.0 && (set.is_empty() || shape.contains(&0))) {
            return self.abs().min(set);
        }
        // Over no elements there is no largest one, and every norm is 0.
        if p == 1.0 || shape.contains(&0) {
            return self.abs().sum(set);
        }
        if p == f64::INFINITY {
            return self.abs().max(set);
        }
        let length = match p {
            2.0 => self.euclidean(set, dtype),
            p if p < 0.0 => self.negative_power_length(p, set),
            p => self.power_length(p, set),
        };
        length.value.with_slope(self, length.slope, origin).reshape_node(&shape.without(set), origin)
    }

    /// The Euclidean length over axes, none of them empty: `sqrt(sum(x^2))`, with the derivative `x / length`.
    ///
    /// Where squares could overflow or lose digits, elements are scaled first, by a power of two and so exactly.
    #[track_caller]
    pub(crate) fn euclidean(self, axes: AxisSet, dtype: DType) -> Length<'g> {
        let Range { large, shrink, small, grow } = Range::of(dtype);
        let largest = self.abs().max_keepdims(axes).stop_gradient();
        let (is_large, is_small) = (largest.greater(large), largest.less(small));
        let one = largest.constant_beside(1.0, Origin::here());
        let scale = is_large.where_(shrink, is_small.where_(grow, one));
        let unscale = is_large.where_(1.0 / shrink, is_small.where_(1.0 / grow, one));
        let scaled = self * scale;
        let sum = scaled.square().sum_keepdims(axes);
        // A root has no finite derivative at 0: there it is taken of 1, and nothing depends on it.
        let is_zero = sum.equal(0.0);
        let length = is_zero.where_(1.0, sum).sqrt();
        Length { value: is_zero.where_(0.0, length * unscale), slope: is_zero.where_(0.0, scaled / length) }
    }

    /// The p-norm over axes, none of them empty, for a finite `p` above 0.
    #[track_caller]
    pub(crate) fn power_length(self, p: f64, axes: AxisSet) -> Length<'g> {
        let magnitude = self.abs();
        let largest = magnitude.max_keepdims(axes).stop_gradient();
        let bound = (largest.equal(0.0) | largest.equal(f64::INFINITY)).where_(1.0, largest);
        let ratio = magnitude / bound;
        // The derivative of |x|^p at 0 is infinite for p < 1: there zeros are left out of the power.
        // So they are of the power p - 1 in the gradient for p < 2, for its own derivative's sake.
        let zeros = if p < 2.0 { Some(ratio.equal(0.0)) } else { None };
        let raised = |x: Expr<'g>, base: Expr<'g>, exponent: f64, origin: Origin| {
            x.graph().at(origin, || match zeros.filter(|_| exponent < 1.0) {
                Some(zeros) => zeros.where_(0.0, zeros.where_(1.0, base).powf(exponent)),
                None => base.powf(exponent),
            })
        };
        let origin = self.graph().origin_or(Origin::here());
        let sum = raised(self, ratio, p, origin).sum_keepdims(axes);
        let is_zero = sum.equal(0.0);
        let length = is_zero.where_(1.0, sum).powf(1.0 / p);
        let share = raised(self, ratio / length, p - 1.0, origin);
        Length { value: is_zero.where_(0.0, length * bound), slope: self.sign() * share }
    }

    /// The p-norm over axes, none of them empty, for a finite `p` below 0.
    ///
    /// The smallest element counts most. By it all are divided, so that powers of the rest vanish and none overflows.
    #[track_caller]
    fn negative_power_length(self, p: f64, axes: AxisSet) -> Length<'g> {
        let magnitude = self.abs();
        let smallest = magnitude.min_keepdims(axes).stop_gradient();
        let is_zero = smallest.equal(0.0);
        let bound = (is_zero | smallest.equal(f64::INFINITY)).where_(1.0, smallest);
        // A power of 0 is infinite: beside a 0 all powers are those of 1, and nothing depends on them.
        let ratio = is_zero.where_(1.0, magnitude / bound);
        let length = ratio.powf(p).sum_keepdims(axes).powf(1.0 / p);
        let share = (ratio / length).powf(p - 1.0);
        Length { value: is_zero.where_(0.0, length * bound), slope: is_zero.where_(0.0, self.sign() * share) }
    }

    /// This value, differentiated as if each element of it had `slope` for its derivative in the elements of `operand` that
    /// it was made of. `slope` has the operand's shape, to which this broadcasts.
    pub(crate) fn with_slope(self, operand: Expr<'g>, slope: Expr<'g>, origin: Origin) -> Expr<'g> {
        let graph: &'g Graph = self.graph();
        let origin = graph.origin_or(origin);
        let found = self.read("custom_gradient", origin, |id, node| (id, node.shape.clone(), node.dtype));
        let (Some((value, shape, dtype)), Some(operand)) = (found, operand.raw()) else {
            return Expr::poisoned(graph);
        };
        let (upstream, placeholder) = match graph.placeholder(&shape, dtype, origin) {
            Ok(found) => found,
            Err(error) => return self.fail(error),
        };
        let Some(gradient) = graph.at(origin, || slope * placeholder).raw() else { return Expr::poisoned(graph) };
        let op = Op::CustomGradient { value, operands: [operand].into(), upstream, gradients: [gradient].into() };
        self.insert(op, None, None, origin)
    }
}

/// Between which magnitudes squares of a dtype can be added up as they are, and the powers of two that bring others there.
struct Range {
    large: f64,
    shrink: f64,
    small: f64,
    grow: f64,
}

impl Range {
    /// Squares of elements in `small..=large`, and of scaled ones, are normal numbers, and 2^31 of them do not overflow;
    /// elements whose squares are lost beside the largest one's do not change the sum.
    fn of(dtype: DType) -> Range {
        let power = |exponent: i32| 2f64.powi(exponent);
        match dtype {
            DType::F64 => Range { large: power(450), shrink: power(-700), small: power(-400), grow: power(600) },
            DType::F32 | DType::I32 | DType::Bool => {
                Range { large: power(40), shrink: power(-88), small: power(-45), grow: power(90) }
            }
        }
    }
}
