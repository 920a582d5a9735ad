//! Activations without straight pieces, and gates. Each keeps shape and dtype, unless said otherwise; floats.

use crate::error::GraphError;
use crate::expr::Expr;

/// The slope and the limit of the self-normalising unit, at which activations tend to mean 0 and variance 1.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

impl<'g> Expr<'g> {
    /// `x tanh(softplus(x))`, by Misra, "Mish" (2019). Finite for every finite `x`.
    #[track_caller]
    pub fn mish(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("mish", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self * self.softplus(1.0, 20.0).tanh_of_kept()
    }

    /// The scaled exponential linear unit, by Klambauer et al., "Self-Normalizing Neural Networks" (2017):
    /// `scale x` above 0, else `scale alpha (e^x - 1)`, with `scale` 1.0507.. and `alpha` 1.6732... The derivative at 0 is `scale alpha`.
    #[track_caller]
    pub fn selu(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("selu", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self.elu(SELU_ALPHA) * SELU_SCALE
    }

    /// The exponential linear unit whose derivative is continuous: `x` above 0, else `alpha (e^(x / alpha) - 1)`. PyTorch's default of
    /// `alpha` is 1.
    ///
    /// Errors: `alpha` is 0 or not finite.
    #[track_caller]
    pub fn celu(self, alpha: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("celu", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if alpha == 0.0 || !alpha.is_finite() {
            return self.graph().refuse("celu", "alpha", alpha, "a finite number other than 0");
        }
        let is_positive = self.greater(0.0);
        let negative_part = is_positive.where_(0.0, self);
        is_positive.where_(self, (negative_part / alpha).expm1() * alpha)
    }

    /// `x / (1 + |x|)`. The derivative is `1 / (1 + |x|)^2`.
    #[track_caller]
    pub fn softsign(self) -> Expr<'g> {
        let Some(method) = self.enter_floats("softsign", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let divisor = self.abs() + 1.0;
        // By the rule of quotients it is a difference of two numbers next to one another where x is large.
        (self / divisor).with_slope(self, 1.0 / (divisor * divisor), method.origin())
    }

    /// `x - tanh(x)`. The derivative is `tanh(x)^2`.
    #[track_caller]
    pub fn tanhshrink(self) -> Expr<'g> {
        let Some(method) = self.enter_floats("tanhshrink", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let tanh = self.tanh_of_kept();
        (self - tanh).with_slope(self, tanh * tanh, method.origin())
    }

    /// The gated linear unit, by Dauphin et al., "Language Modeling with Gated Convolutional Networks" (2016): the first half along
    /// `axis` times the sigmoid of the second, `[.., 2 n, ..] -> [.., n, ..]`.
    ///
    /// Errors: an odd extent, or no axis.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [5, 6]).glu(-1).shape()?.dims(), &[5, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn glu(self, axis: isize) -> Expr<'g> {
        let Some(method) = self.enter_floats("glu", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = method.origin();
        let Some(shape) = self.read("glu", origin, |_, node| node.shape.clone()) else { return self };
        let axis = match self.resolve_axis("glu", &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        let extent = shape[axis];
        if extent % 2 != 0 {
            return self.graph().refuse("glu", "the extent along the axis", extent as f64, "an even number");
        }
        let (axis, half) = (axis as isize, extent / 2);
        self.slice(axis, 0, half) * self.slice(axis, half, extent).gate()
    }

    /// [`Expr::softmax`] of `-x`.
    #[track_caller]
    pub fn softmin(self, axis: isize) -> Expr<'g> {
        let method = self.enter("softmin");
        match self.read("softmin", method.origin(), |_, node| node.dtype) {
            Some(dtype) if !dtype.is_float() => {
                let (origin, op, operand, expected) = (method.origin(), "softmin", self.describe(), "a float");
                self.fail(GraphError::DType { origin, op, operand, dtype, expected })
            }
            Some(_) => (-self).softmax(axis),
            None => self,
        }
    }
}
