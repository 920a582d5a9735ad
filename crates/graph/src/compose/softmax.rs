//! Softmax, its logarithm, and the logarithm of a sum of exponentials, stable by subtracting the largest element.
//!
//! Subtracting a constant changes none of them, so the largest element enters through `stop_gradient` and the derivatives
//! are those of the plain formulas. Softmax says its gradient itself, by its result alone: the exponentials need not be kept.

use crate::dtype::DType;
use crate::expr::{Axes, Expr};
use crate::function::{Context, Function};
use crate::node::Origin;

impl<'g> Expr<'g> {
    /// `e^x / sum(e^x)` along one axis; shape and dtype stay, and the elements along `axis` sum to 1. Floats.
    ///
    /// A slice with +inf or NaN in it, or with nothing but -inf, gives NaN, as in PyTorch; -inf beside a finite element
    /// gives 0. Over an empty axis there is nothing to compute.
    #[track_caller]
    pub fn softmax(self, axis: isize) -> Expr<'g> {
        let _method = self.enter("softmax");
        match self.centred("softmax", axis) {
            Centred::Empty(same) => same,
            Centred::By(centred) => self.graph().apply(&Softmax { axis }, &[self, centred]),
        }
    }

    /// `ln(softmax(x)) = x - ln(sum(e^x))` along one axis; shape and dtype stay. Floats.
    ///
    /// Finite for finite elements, however far apart they are, where `softmax().log()` would give -inf. Infinite elements
    /// and empty axes: as [`Expr::softmax`].
    #[track_caller]
    pub fn log_softmax(self, axis: isize) -> Expr<'g> {
        let _method = self.enter("log_softmax");
        match self.centred("log_softmax", axis) {
            Centred::Empty(same) => same,
            Centred::By(centred) => centred - centred.exp().sum_keepdims([axis]).log(),
        }
    }

    /// `ln(sum(e^x))` over `axes` (`..` for all), which fall away. Floats.
    ///
    /// +inf where an element is +inf; -inf where all are -inf, or where there are none. The derivative is `e^(x - y)` of the result `y`: NaN
    /// at infinite elements that make the result infinite, and 0 at finite ones beside them, however large.
    #[track_caller]
    pub fn logsumexp(self, axes: impl Axes) -> Expr<'g> {
        let Some(_method) = self.enter_floats("logsumexp", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("logsumexp", origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axes("logsumexp", &shape, &axes, origin) {
            Ok(set) => self.logsumexp_keepdims(set).reshape_node(&shape.without(set), origin),
            Err(error) => self.fail(error),
        }
    }

    /// [`Expr::logsumexp`]; the reduced axes keep extent 1.
    #[track_caller]
    pub fn logsumexp_keepdims(self, axes: impl Axes) -> Expr<'g> {
        let Some(_method) = self.enter_floats("logsumexp_keepdims", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("logsumexp", origin, |_, node| node.shape.clone()) else { return self };
        let set = match self.resolve_axes("logsumexp", &shape, &axes, origin) {
            Ok(set) => set,
            Err(error) => return self.fail(error),
        };
        if shape.contains(&0) {
            // The logarithm of 0, whose slope of infinity would make derivatives NaN that are of nothing.
            return self.exp().sum_keepdims(set) + f64::NEG_INFINITY;
        }
        let shift = self.max_keepdims(set).stop_gradient().within_finite();
        (self - shift).exp().sum_keepdims(set).log() + shift
    }

    /// This, floats, with the largest number of the dtype in the place of infinity, and the least in that of minus infinity. Infinities less
    /// that stay what they are, where less themselves they would be NaN, and all else less it is -inf or 0 at most.
    #[track_caller]
    pub(super) fn within_finite(self) -> Expr<'g> {
        let largest = match self.dtype() {
            Ok(DType::F32) => f64::from(f32::MAX),
            Ok(DType::F64 | DType::I32 | DType::Bool) | Err(_) => f64::MAX,
        };
        self.clamp(Some(-largest), Some(largest))
    }

    /// This less the largest element along `axis`, which makes exponentials safe.
    #[track_caller]
    fn centred(self, op: &'static str, axis: isize) -> Centred<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return Centred::Empty(self);
        };
        if !dtype.is_float() {
            let error = crate::GraphError::DType { origin, op, operand: self.describe(), dtype, expected: "a float" };
            return Centred::Empty(self.fail(error));
        }
        match self.resolve_axis(op, &shape, axis, origin) {
            Ok(_) if shape.contains(&0) => Centred::Empty(self),
            Ok(_) => Centred::By(self - self.max_keepdims([axis]).stop_gradient()),
            Err(error) => Centred::Empty(self.fail(error)),
        }
    }
}

/// Softmax of its first operand, given that less its largest element as the second. The gradient needs nothing but the result `y`:
/// `y (u - sum(u y))` for the upstream gradient `u`.
struct Softmax {
    axis: isize,
}

impl Function for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let exponential = operands[1].exp();
        let result = exponential / exponential.sum_keepdims([self.axis]);
        context.save_for_backward(&[result]);
        result
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let result = context.saved()[0];
        let weighted = (upstream * result).sum_keepdims([self.axis]);
        vec![Some(result * (upstream - weighted)), None]
    }
}

/// What [`Expr::centred`] found.
enum Centred<'g> {
    /// Nothing to compute: the expression has no elements, or is poisoned.
    Empty(Expr<'g>),
    /// The expression less its largest element.
    By(Expr<'g>),
}
