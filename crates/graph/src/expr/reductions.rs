//! Reductions over any axes, and argmax. Each exists in two forms: one drops the reduced axes, `…_keepdims` leaves them with
//! extent 1.

use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::{Op, ReduceFunction};
use crate::shape::AxisSet;

macro_rules! reductions {
    ($($(#[$doc:meta])* $method:ident $keepdims:ident => $function:ident;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(self, axes: impl Axes) -> Expr<'g> {
                let origin = self.graph().origin_or(Origin::here());
                self.drop_axes(&axes, origin, |x, set| x.reduce_node(ReduceFunction::$function, set, origin))
            }

            $(#[$doc])*
            ///
            /// The reduced axes keep extent 1.
            #[track_caller]
            pub fn $keepdims(self, axes: impl Axes) -> Expr<'g> {
                let origin = self.graph().origin_or(Origin::here());
                self.keep_axes(&axes, origin, |x, set| x.reduce_node(ReduceFunction::$function, set, origin))
            }
        )*}
    };
}

reductions! {
    /// The sum over `axes` (`..` for all); over no elements it is 0. Floats and i32.
    sum sum_keepdims => Sum;
    /// The largest element over `axes`; ties share the gradient evenly, and NaN wins. Floats and i32.
    max max_keepdims => Max;
    /// The smallest element over `axes`; ties share the gradient evenly, and NaN wins. Floats and i32.
    min min_keepdims => Min;
}

impl<'g> Expr<'g> {
    /// The mean over `axes` (`..` for all); over no elements it is NaN.
    #[track_caller]
    pub fn mean(self, axes: impl Axes) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        self.drop_axes(&axes, origin, |x, set| x.mean_node(set, 0.0, origin))
    }

    /// The mean over `axes`, which keep extent 1.
    #[track_caller]
    pub fn mean_keepdims(self, axes: impl Axes) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        self.keep_axes(&axes, origin, |x, set| x.mean_node(set, 0.0, origin))
    }

    /// The variance over `axes`: `sum((x - mean)^2) / max(n - correction, 0)`. A correction of 1 is Bessel's, the unbiased
    /// estimate; 0 the population's variance.
    #[track_caller]
    pub fn var(self, axes: impl Axes, correction: f64) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        self.drop_axes(&axes, origin, |x, set| x.var_node(set, correction, origin))
    }

    /// The variance over `axes`, which keep extent 1.
    #[track_caller]
    pub fn var_keepdims(self, axes: impl Axes, correction: f64) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        self.keep_axes(&axes, origin, |x, set| x.var_node(set, correction, origin))
    }

    /// i32: the first index of the largest element along `axis`, which falls away. NaN counts as the largest.
    #[track_caller]
    pub fn argmax(self, axis: isize) -> Expr<'g> {
        let _operation = self.graph().operation();
        let origin = self.graph().origin_or(Origin::here());
        let Some((operand, shape)) = self.read("argmax", origin, |id, node| (id, node.shape.clone())) else {
            return self;
        };
        match self.resolve_axis("argmax", &shape, axis, origin) {
            Ok(axis) => {
                let index = self.insert(Op::ArgMax { operand, axis }, None, None, origin);
                index.reshape_node(&shape.without([axis].into_iter().collect()), origin)
            }
            Err(error) => self.fail(error),
        }
    }

    pub(crate) fn reduce_node(self, function: ReduceFunction, axes: AxisSet, origin: Origin) -> Expr<'g> {
        match self.raw() {
            Some(operand) if !axes.is_empty() => {
                self.insert(Op::Reduce { function, operand, axes }, None, None, origin)
            }
            Some(_) | None => self,
        }
    }

    /// `sum / max(n - correction, 0)` over `axes`, which keep extent 1.
    fn mean_node(self, axes: AxisSet, correction: f64, origin: Origin) -> Expr<'g> {
        let found = self.read("mean", origin, |_, node| {
            (node.dtype, node.shape.iter().enumerate().filter(|(i, _)| axes.contains(*i)).map(|(_, &n)| n).product())
        });
        let Some((dtype, count)) = found else { return self };
        if !dtype.is_float() {
            let operand = self.describe();
            return self.fail(GraphError::DType { origin, op: "mean", operand, dtype, expected: "a float" });
        }
        let count: usize = count;
        let divisor = (count as f64 - correction).max(0.0);
        let sum = self.reduce_node(ReduceFunction::Sum, axes, origin);
        sum.divided_by(divisor, origin)
    }

    fn var_node(self, axes: AxisSet, correction: f64, origin: Origin) -> Expr<'g> {
        use crate::op::BinaryFunction::{Mul, Sub};
        let count = self.read("var", origin, |_, node| {
            let extents = node.shape.iter().enumerate().filter(|(axis, _)| axes.contains(*axis));
            extents.map(|(_, &extent)| extent).product::<usize>()
        });
        if count == Some(1) && correction >= 1.0 {
            // The deviation of one element from itself is 0, and 0 / 0 is NaN, as is its derivative: said outright, because
            // a shader compiler may take anything times what it knows to be 0 for 0.
            return self.reduce_node(ReduceFunction::Sum, axes, origin).binary(Mul, f64::NAN, origin);
        }
        let centred = self.binary(Sub, self.mean_node(axes, 0.0, origin), origin);
        centred.binary(Mul, centred, origin).mean_node(axes, correction, origin)
    }

    /// Division by a number known now: by multiplication where the reciprocal is exact.
    pub(crate) fn divided_by(self, divisor: f64, origin: Origin) -> Expr<'g> {
        use crate::op::BinaryFunction::{Div, Mul};
        let is_power_of_two = divisor.is_normal() && divisor.abs().log2().fract() == 0.0;
        if divisor == 1.0 {
            self
        } else if is_power_of_two {
            self.binary(Mul, 1.0 / divisor, origin)
        } else {
            self.binary(Div, divisor, origin)
        }
    }

    /// Runs a reduction that keeps dimensions, then drops the reduced axes.
    fn drop_axes(self, axes: &impl Axes, origin: Origin, reduce: impl FnOnce(Self, AxisSet) -> Self) -> Expr<'g> {
        let _operation = self.graph().operation();
        let Some(shape) = self.read("reduce", origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axes("reduce", &shape, axes, origin) {
            Ok(set) => reduce(self, set).reshape_node(&shape.without(set), origin),
            Err(error) => self.fail(error),
        }
    }

    fn keep_axes(self, axes: &impl Axes, origin: Origin, reduce: impl FnOnce(Self, AxisSet) -> Self) -> Expr<'g> {
        let _operation = self.graph().operation();
        let Some(shape) = self.read("reduce", origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axes("reduce", &shape, axes, origin) {
            Ok(set) => reduce(self, set),
            Err(error) => self.fail(error),
        }
    }
}
