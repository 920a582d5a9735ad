//! Activations and other functions of one element. Each keeps shape and dtype; floats, unless said otherwise.

use crate::expr::{Expr, IntoExpr};
use crate::node::Origin;

/// The two customary forms of the Gaussian error linear unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Gelu {
    /// `x / 2 * (1 + erf(x / sqrt 2))`, the definition.
    #[default]
    Erf,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`, within 5e-4 of the definition.
    Tanh,
}

/// Above this, `ln(1 + e^z)` is `z` to the last bit, in f64 as well as in f32: the difference is below `e^-40`.
const SOFTPLUS_IS_LINEAR: f64 = 40.0;

impl<'g> Expr<'g> {
    /// `x * x`. Floats and i32.
    #[track_caller]
    pub fn square(self) -> Expr<'g> {
        let _method = self.enter("square");
        self * self
    }

    /// `1 / x`: infinite at 0.
    #[track_caller]
    pub fn reciprocal(self) -> Expr<'g> {
        let _method = self.enter("reciprocal");
        1.0 / self
    }

    /// `1 / sqrt(x)`: infinite at 0, NaN below.
    #[track_caller]
    pub fn rsqrt(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("rsqrt", &[]) else {
            return Expr::poisoned(self.graph());
        };
        1.0 / self.sqrt()
    }

    /// The tangent, of radians: `sin x / cos x`.
    #[track_caller]
    pub fn tan(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("tan", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self.sin() / self.cos()
    }

    /// `x` above 0, else `slope * x`; the derivative at 0 is `slope`.
    #[track_caller]
    pub fn leaky_relu(self, slope: f64) -> Expr<'g> {
        let _method = self.enter("leaky_relu");
        self.greater(0.0).where_(self, self * slope)
    }

    /// `x` above 0, else `alpha * (e^x - 1)`; the derivative at 0 is `alpha`.
    #[track_caller]
    pub fn elu(self, alpha: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("elu", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let positive = self.greater(0.0);
        // e^x of a large x would overflow, and its derivative times the 0 that comes back here would be NaN.
        let negative_part = positive.where_(0.0, self);
        positive.where_(self, negative_part.expm1() * alpha)
    }

    /// The sigmoid linear unit, `x * sigmoid(x)`, also called swish.
    #[track_caller]
    pub fn silu(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("silu", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self * self.gate()
    }

    /// The Gaussian error linear unit in the form that `form` says.
    #[track_caller]
    pub fn gelu(self, form: Gelu) -> Expr<'g> {
        let Some(_method) = self.enter_floats("gelu", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let gate = match form {
            Gelu::Erf => (self * std::f64::consts::FRAC_1_SQRT_2).erf(),
            Gelu::Tanh => {
                let scale = std::f64::consts::FRAC_2_PI.sqrt();
                (self * (self * self * (0.044715 * scale) + scale)).tanh()
            }
        };
        self * 0.5 * (gate + 1.0)
    }

    /// `ln(1 + e^(beta x)) / beta`, and `x` itself where `beta x > threshold`. PyTorch's defaults are 1 and 20. The
    /// derivative is `sigmoid(beta x)` below the threshold and 1 above. Finite for every finite `x`, whatever the threshold.
    ///
    /// Errors: `beta` is 0 or not finite; `threshold` is NaN.
    #[track_caller]
    pub fn softplus(self, beta: f64, threshold: f64) -> Expr<'g> {
        let Some(method) = self.enter_floats("softplus", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if beta == 0.0 || !beta.is_finite() {
            return self.graph().refuse("softplus", "beta", beta, "a finite number other than 0");
        }
        if threshold.is_nan() {
            return self.graph().refuse("softplus", "the threshold", threshold, "a number");
        }
        let scaled = if beta == 1.0 { self } else { self * beta };
        let linear = scaled.greater(threshold.min(SOFTPLUS_IS_LINEAR));
        // In the linear part e^z might overflow.
        let curved = linear.where_(0.0, scaled).exp().log1p();
        let value = linear.where_(self, if beta == 1.0 { curved } else { curved / beta });
        // That of the formula, e^z / (1 + e^z), has a derivative of two terms that cancel where z is large.
        value.with_slope(self, linear.where_(1.0, scaled.gate()), method.origin())
    }

    /// `ln(sigmoid(x)) = -softplus(-x)`, finite for every finite `x`.
    #[track_caller]
    pub fn log_sigmoid(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("log_sigmoid", &[]) else {
            return Expr::poisoned(self.graph());
        };
        -(-self).softplus(1.0, SOFTPLUS_IS_LINEAR)
    }

    /// The sigmoid, whose derivative is `sigmoid(x) sigmoid(-x)`: for what reads `x` on the way back anyway. [`Expr::sigmoid`] has it from the
    /// value alone, `y (1 - y)`, in which the digits of a `y` next to 1 cancel.
    #[track_caller]
    pub(super) fn gate(self) -> Expr<'g> {
        let value = self.sigmoid();
        value.with_slope(self, value * (-self).sigmoid(), Origin::here())
    }

    /// The hyperbolic tangent with a derivative that keeps its digits far out, as that of [`Expr::gate`] does: with
    /// `1 - tanh(x)^2 = 4 sigmoid(2 x) sigmoid(-2 x)`.
    #[track_caller]
    pub(super) fn tanh_of_kept(self) -> Expr<'g> {
        let double = self * 2.0;
        self.tanh().with_slope(self, double.sigmoid() * (-double).sigmoid() * 4.0, Origin::here())
    }

    /// Each element brought into `min..=max`; `None` leaves that side open. The derivative is 1 inside and at the
    /// bounds, 0 outside. NaN stays NaN. With `min > max` every element becomes `max`. Floats and i32.
    ///
    /// Errors: a bound that is NaN, or that the dtype does not hold.
    #[track_caller]
    pub fn clamp(self, min: Option<f64>, max: Option<f64>) -> Expr<'g> {
        let _method = self.enter("clamp");
        for bound in [min, max].into_iter().flatten() {
            if bound.is_nan() {
                return self.graph().refuse("clamp", "a bound", bound, "a number");
            }
        }
        let raised = match min {
            Some(min) => self.less(min).where_(min, self),
            None => self,
        };
        match max {
            Some(max) => raised.greater(max).where_(max, raised),
            None => raised,
        }
    }

    /// [`Expr::clamp`] with bounds that are tensors (or numbers), broadcast with this one. An element outside passes its
    /// gradient to the bound that it was brought to; one at a bound keeps it. Where a bound is NaN it does not bind.
    #[track_caller]
    pub fn clamp_between(self, min: impl IntoExpr<'g>, max: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.enter("clamp_between");
        let origin = method.origin();
        let (min, max) = (min.into_operand(), max.into_operand());
        if self.same_graph_all(&[min.expr(), max.expr()], "clamp_between", origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        let min = min.beside(self, origin);
        let max = max.beside(self, origin);
        let raised = self.less(min).where_(min, self);
        raised.greater(max).where_(max, raised)
    }
}
