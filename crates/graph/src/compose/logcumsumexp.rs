//! The logarithm of a cumulative sum of exponentials, stable by subtracting the largest element so far.
//!
//! With `m[i]` the largest of `x[0] ..= x[i]` it is `m[i] + ln(s[i])`, where `s[i] = e^(m[i-1]-m[i]) s[i-1] + e^(x[i]-m[i])` is a linear recurrence of
//! numbers that neither overflow nor vanish. Whatever is subtracted changes nothing, so the largest elements enter through `stop_gradient`
//! and the derivatives, of any order, are those of the plain formula.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::op::CumulativeFunction;
use crate::ops::ordered::Walk;

impl<'g> Expr<'g> {
    /// The logarithm of the cumulative sum of exponentials along `axis`: `y[i] = ln(e^x[0] + .. + e^x[i])` (`torch.logcumsumexp`). Shape
    /// and dtype stay. Floats.
    ///
    /// Finite for finite elements, however far apart they are. Of nothing but -inf it is -inf, and from +inf on it is +inf; at the infinities
    /// that make it so the gradient is NaN. The gradient of `x[k]` is the sum of `u[i] e^(x[k]-y[i])` over `i` from `k` on, in linear work. Errors: an
    /// axis that there is not; an expression that holds no floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [3, 4]);
    /// assert_eq!(x.logcumsumexp(-1).shape()?.dims(), &[3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn logcumsumexp(self, axis: isize) -> Expr<'g> {
        const NAME: &str = "logcumsumexp";
        let method = self.enter(NAME);
        let origin = method.origin();
        let Some((shape, dtype)) = self.read(NAME, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op: NAME, operand, dtype, expected });
        }
        let axis = match self.resolve_axis(NAME, &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        let walk = Walk { axis, is_reversed: false, origin };
        let indices = walk.cumulative(CumulativeFunction::ArgMax, self);
        let largest = self.gather_node(indices, axis, origin).stop_gradient();
        let shift = largest.within_finite();
        let before = walk.previous(largest, f64::NEG_INFINITY);
        // Before the first element above -inf there is no sum, and nothing counts beside +inf.
        let factor = before
            .equal(f64::NEG_INFINITY)
            .where_(0.0, largest.equal(f64::INFINITY).where_(1.0, (before - shift).exp()));
        walk.recurrence((self - shift).exp(), factor).log() + shift
    }
}
