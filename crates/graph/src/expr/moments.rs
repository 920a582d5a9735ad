//! Mean, variance and standard deviation over any axes.
//!
//! Variances are computed from centred elements, in two passes. Centred elements add up to 0, so that a variance does not
//! change with the mean that was subtracted; its gradient is given outright, as `2 (x - mean) / (n - correction)`, and carries
//! none of the rounding with which that 0 would come back through the mean. It is a formula over the elements, mean
//! included, so that further derivatives are right.

use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::AxisSet;

impl<'g> Expr<'g> {
    /// The mean over `axes` (`..` for all); over no elements it is NaN. Floats.
    #[track_caller]
    pub fn mean(self, axes: impl Axes) -> Expr<'g> {
        let method = self.graph().enter("mean");
        let origin = method.origin();
        self.drop_axes("mean", &axes, origin, |x, set| x.mean_node(set, 0.0, origin))
    }

    /// The mean over `axes`, which keep extent 1.
    #[track_caller]
    pub fn mean_keepdims(self, axes: impl Axes) -> Expr<'g> {
        let method = self.graph().enter("mean_keepdims");
        let origin = method.origin();
        self.keep_axes("mean_keepdims", &axes, origin, |x, set| x.mean_node(set, 0.0, origin))
    }

    /// The variance over `axes`: `sum((x - mean)^2) / max(n - correction, 0)`. A correction of 1 is Bessel's, the unbiased
    /// estimate; 0 the population's variance. Floats. The gradient is `2 (x - mean) / max(n - correction, 0)`.
    ///
    /// One element with a correction of 1 has no variance: value and gradient are NaN. Its root has no finite derivative where
    /// all elements are equal: instead of `x.var(..).sqrt()` write [`Expr::std`], or add a number under the root.
    #[track_caller]
    pub fn var(self, axes: impl Axes, correction: f64) -> Expr<'g> {
        let method = self.graph().enter("var");
        let origin = method.origin();
        self.drop_axes("var", &axes, origin, |x, set| x.var_node(set, correction, origin))
    }

    /// [`Expr::var`] over `axes`, which keep extent 1.
    #[track_caller]
    pub fn var_keepdims(self, axes: impl Axes, correction: f64) -> Expr<'g> {
        let method = self.graph().enter("var_keepdims");
        let origin = method.origin();
        self.keep_axes("var_keepdims", &axes, origin, |x, set| x.var_node(set, correction, origin))
    }

    /// The standard deviation over `axes`, the root of [`Expr::var`]: `sqrt(sum((x - mean)^2) / max(n - correction, 0))`. Floats.
    ///
    /// The gradient is `(x - mean) / (max(n - correction, 0) std)`, and 0 where all elements are equal, where
    /// `x.var(..).sqrt()` has NaN. The deviation overflows only where the result does. One element with a correction of 1 has
    /// no deviation: value and gradient are NaN.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [4, 3]);
    /// let deviation = x.std(0, 1.0); // of each column
    /// assert_eq!(deviation.shape()?.dims(), &[3]);
    /// let [gradient] = deviation.sum(..).grad([x])?; // 0 in a column of equal elements
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn std(self, axes: impl Axes, correction: f64) -> Expr<'g> {
        let method = self.graph().enter("std");
        let origin = method.origin();
        self.drop_axes("std", &axes, origin, |x, set| x.std_node(set, correction, origin))
    }

    /// [`Expr::std`] over `axes`, which keep extent 1.
    #[track_caller]
    pub fn std_keepdims(self, axes: impl Axes, correction: f64) -> Expr<'g> {
        let method = self.graph().enter("std_keepdims");
        let origin = method.origin();
        self.keep_axes("std_keepdims", &axes, origin, |x, set| x.std_node(set, correction, origin))
    }

    /// [`Expr::var`] and [`Expr::mean`] over `axes` (`..` for all), which fall away: `(variance, mean)` (`torch.var_mean`). Floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (variance, mean) = g.input("x", [4, 3]).var_mean(0, 1.0);
    /// assert_eq!((variance.shape()?.dims(), mean.shape()?.dims()), (&[3][..], &[3][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn var_mean(self, axes: impl Axes, correction: f64) -> (Expr<'g>, Expr<'g>) {
        let method = self.graph().enter("var_mean");
        let origin = method.origin();
        let spread = self.drop_axes("var_mean", &axes, origin, |x, set| x.var_node(set, correction, origin));
        let mean = self.drop_axes("var_mean", &axes, origin, |x, set| x.mean_node(set, 0.0, origin));
        method.gives(&[spread, mean]);
        (spread, mean)
    }

    /// [`Expr::std`] and [`Expr::mean`] over `axes` (`..` for all), which fall away: `(deviation, mean)` (`torch.std_mean`). Floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (deviation, mean) = g.input("x", [4, 3]).std_mean(.., 1.0);
    /// assert_eq!((deviation.shape()?.rank(), mean.shape()?.rank()), (0, 0));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn std_mean(self, axes: impl Axes, correction: f64) -> (Expr<'g>, Expr<'g>) {
        let method = self.graph().enter("std_mean");
        let origin = method.origin();
        let spread = self.drop_axes("std_mean", &axes, origin, |x, set| x.std_node(set, correction, origin));
        let mean = self.drop_axes("std_mean", &axes, origin, |x, set| x.mean_node(set, 0.0, origin));
        method.gives(&[spread, mean]);
        (spread, mean)
    }

    /// `sum / max(n - correction, 0)` over `axes`, which keep extent 1.
    fn mean_node(self, axes: AxisSet, correction: f64, origin: Origin) -> Expr<'g> {
        let found = self.read("mean", origin, |_, node| node.dtype);
        let (Some(dtype), Some(count)) = (found, self.count(axes, origin)) else { return self };
        if !dtype.is_float() {
            let operand = self.describe();
            return self.fail(crate::GraphError::DType { origin, op: "mean", operand, dtype, expected: "a float" });
        }
        let sum = self.reduce_node(ReduceFunction::Sum, axes, origin);
        sum.divided_by(degrees(count, correction), origin)
    }

    /// [`Expr::var`] over `axes`, which keep extent 1.
    fn var_node(self, axes: AxisSet, correction: f64, origin: Origin) -> Expr<'g> {
        self.centred_and_variance(axes, correction, origin).1
    }

    /// `x - mean` over `axes`, and [`Expr::var`] over them, which keep extent 1.
    pub(crate) fn centred_and_variance(self, axes: AxisSet, correction: f64, origin: Origin) -> (Expr<'g>, Expr<'g>) {
        use crate::op::BinaryFunction::{Mul, Sub};
        let Some(count) = self.count(axes, origin) else { return (self, self) };
        let mean = self.mean_node(axes, 0.0, origin);
        let centred = self.binary(Sub, mean, origin);
        if count == 1 && correction >= 1.0 {
            return (centred, mean.undefined(origin));
        }
        let variance = centred.binary(Mul, centred, origin).mean_node(axes, correction, origin);
        let slope = centred.divided_by(degrees(count, correction), origin).binary(Mul, 2.0, origin);
        (centred, variance.with_slope(self, slope, origin))
    }

    /// [`Expr::std`] over `axes`, which keep extent 1.
    fn std_node(self, axes: AxisSet, correction: f64, origin: Origin) -> Expr<'g> {
        use crate::op::BinaryFunction::Sub;
        let Some(count) = self.count(axes, origin) else { return self };
        let mean = self.mean_node(axes, 0.0, origin);
        let Some(dtype) = mean.read("std", origin, |_, node| node.dtype) else { return mean };
        // The deviation of nothing is the root of 0 / 0, and so is the one element's.
        if count == 0 || (count == 1 && correction >= 1.0) {
            return mean.undefined(origin);
        }
        let length = self.graph().at(origin, || self.binary(Sub, mean, origin).euclidean(axes, dtype));
        let divisor = degrees(count, correction).sqrt();
        let slope = length.slope.divided_by(divisor, origin);
        length.value.divided_by(divisor, origin).with_slope(self, slope, origin)
    }

    /// NaN, with a derivative of NaN: said outright, because a shader compiler may take anything times what it knows to be 0
    /// for 0.
    fn undefined(self, origin: Origin) -> Expr<'g> {
        self.binary(crate::op::BinaryFunction::Mul, f64::NAN, origin)
    }

    /// How many elements are reduced to one.
    fn count(self, axes: AxisSet, origin: Origin) -> Option<usize> {
        self.read("mean", origin, |_, node| {
            let extents = node.shape.iter().enumerate().filter(|(axis, _)| axes.contains(*axis));
            extents.map(|(_, &extent)| extent).product()
        })
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
}

/// What a sum of that many squares is divided by.
fn degrees(count: usize, correction: f64) -> f64 {
    (count as f64 - correction).max(0.0)
}
