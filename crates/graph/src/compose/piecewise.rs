//! Activations made of straight pieces. Each keeps shape and dtype; floats. At a corner the derivative is that of the piece which PyTorch
//! takes there.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::shape::AxisSet;

impl<'g> Expr<'g> {
    /// Each element brought into `min..=max`, with derivative 1 strictly inside and 0 at the bounds and outside, which is
    /// [`Expr::clamp`] but for the bounds. NaN stays NaN.
    ///
    /// Errors: a bound that is NaN; `min` above `max`.
    #[track_caller]
    pub fn hardtanh(self, min: f64, max: f64) -> Expr<'g> {
        let _method = self.enter("hardtanh");
        if min.is_nan() {
            return self.graph().refuse("hardtanh", "min", min, "a number");
        }
        if max.is_nan() || max < min {
            return self.graph().refuse("hardtanh", "max", max, "a number not below min");
        }
        self.less_equal(min).where_(min, self.greater_equal(max).where_(max, self))
    }

    /// [`Expr::hardtanh`] between 0 and 6.
    #[track_caller]
    pub fn relu6(self) -> Expr<'g> {
        let _method = self.enter("relu6");
        self.hardtanh(0.0, 6.0)
    }

    /// A sigmoid of straight pieces: 0 up to -3, `x / 6 + 1/2` in between, and 1 from 3 on. The derivative is 1/6 strictly in between.
    #[track_caller]
    pub fn hardsigmoid(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("hardsigmoid", &[]) else {
            return Expr::poisoned(self.graph());
        };
        // Bounded before 3 is added: next to a corner the sum rounds to the corner.
        (self.hardtanh(-3.0, 3.0) + 3.0) / 6.0
    }

    /// `x` times [`Expr::hardsigmoid`] of it, by Howard et al., "Searching for MobileNetV3" (2019). The derivative is 0 up to -3,
    /// `x / 3 + 1/2` in between, and 1 from 3 on.
    #[track_caller]
    pub fn hardswish(self) -> Expr<'g> {
        let Some(method) = self.enter_floats("hardswish", &[]) else {
            return Expr::poisoned(self.graph());
        };
        // Said outright: the product's own derivative has a term of infinity times 0 at an infinite element.
        let slope = self.less_equal(-3.0).where_(0.0, self.greater_equal(3.0).where_(1.0, self / 3.0 + 0.5));
        (self * self.hardsigmoid()).with_slope(self, slope, method.origin())
    }

    /// 0 where `|x|` is at most `lambda`, else `x`, with derivatives 0 and 1. PyTorch's default is 0.5. With a `lambda` below 0
    /// nothing is made 0. NaN stays NaN.
    ///
    /// Errors: `lambda` is NaN.
    #[track_caller]
    pub fn hardshrink(self, lambda: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("hardshrink", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if lambda.is_nan() {
            return self.graph().refuse("hardshrink", "lambda", lambda, "a number");
        }
        self.abs().less_equal(lambda).where_(0.0, self)
    }

    /// 0 where `|x|` is at most `lambda`, else `x` brought nearer to 0 by it, with derivatives 0 and 1. PyTorch's default is 0.5. NaN
    /// stays NaN.
    ///
    /// Errors: `lambda` is below 0 or NaN.
    #[track_caller]
    pub fn softshrink(self, lambda: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("softshrink", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if lambda.is_nan() || lambda < 0.0 {
            return self.graph().refuse("softshrink", "lambda", lambda, "a number not below 0");
        }
        self.abs().less_equal(lambda).where_(0.0, self - self.sign() * lambda)
    }

    /// `x` above the threshold, else `value`, with derivatives 1 and 0. NaN stays NaN.
    ///
    /// Errors: `threshold` is NaN.
    #[track_caller]
    pub fn threshold(self, threshold: f64, value: f64) -> Expr<'g> {
        let _method = self.enter("threshold");
        if threshold.is_nan() {
            return self.graph().refuse("threshold", "the threshold", threshold, "a number");
        }
        self.less_equal(threshold).where_(value, self)
    }

    /// `x` above 0, else `weight x`, by He et al., "Delving Deep into Rectifiers" (2015): the weight is one number, `[]` or `[1]`, or one
    /// for each channel, `[c]` of `[n, c, ..]`. The derivative in `x` at 0 is the weight.
    ///
    /// Errors: a weight of another shape.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, Init};
    /// let g = Graph::new();
    /// let weight = g.parameter("weight", [3], Init::Constant(0.25));
    /// let y = g.input("x", [8, 3, 5]).prelu(weight);
    /// assert_eq!(y.shape()?.dims(), &[8, 3, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn prelu(self, weight: Expr<'g>) -> Expr<'g> {
        let Some(method) = self.enter_floats("prelu", &[Some(weight)]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        let shapes = (
            self.read("prelu", origin, |_, node| node.shape.clone()),
            weight.read("prelu", origin, |_, node| node.shape.clone()),
        );
        let (Some(shape), Some(weights)) = shapes else { return poisoned };
        let channel: AxisSet = [1].into_iter().collect();
        let weight = if weights.rank() <= 1 && weights.elements() == 1 {
            weight.reshape([])
        } else if shape.rank() >= 2 {
            weight.along_axes("prelu", &shape, channel)
        } else {
            let (lhs, rhs) = (self.describe(), weight.describe());
            let (op, lhs_shape, rhs_shape) = ("prelu", shape, weights);
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        };
        let is_positive = self.greater(0.0);
        // Neither the product nor its derivative ever sees a large element.
        is_positive.where_(self, is_positive.where_(0.0, self) * weight)
    }
}
