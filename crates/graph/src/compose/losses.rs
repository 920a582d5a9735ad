//! Regression and binary losses. Predictions are `self`; the target has their shape and dtype, else the graph keeps an
//! error: losses do not broadcast.

use crate::expr::Expr;
use crate::node::Origin;

/// The least number that the derivative of a probability's logarithm is divided by: PyTorch's.
const LEAST_PROBABILITY: f64 = 1e-12;

/// What becomes of a loss's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Reduction {
    /// They stay as they are.
    None,
    /// Their mean, a scalar; NaN over no elements.
    #[default]
    Mean,
    /// Their sum, a scalar; 0 over no elements.
    Sum,
}

impl Reduction {
    #[track_caller]
    pub(super) fn of(self, elements: Expr<'_>) -> Expr<'_> {
        match self {
            Reduction::None => elements,
            Reduction::Mean => elements.mean(..),
            Reduction::Sum => elements.sum(..),
        }
    }
}

impl<'g> Expr<'g> {
    /// The squared error, `(x - t)^2`.
    #[track_caller]
    pub fn mse_loss(self, target: Expr<'g>, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_loss("mse_loss", reduction) else {
            return Expr::poisoned(self.graph());
        };
        if self.shape_shared_with(target, "mse_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        reduction.of((self - target).square())
    }

    /// The absolute error, `|x - t|`, with derivative 0 where they are equal.
    #[track_caller]
    pub fn l1_loss(self, target: Expr<'g>, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_loss("l1_loss", reduction) else {
            return Expr::poisoned(self.graph());
        };
        if self.shape_shared_with(target, "l1_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        reduction.of((self - target).abs())
    }

    /// With `d = |x - t|`: `d^2 / 2` up to `delta`, and `delta * (d - delta / 2)` past it. Errors: `delta` is not above 0.
    #[track_caller]
    pub fn huber_loss(self, target: Expr<'g>, delta: f64, reduction: Reduction) -> Expr<'g> {
        let Some(method) = self.enter_floats("huber_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if delta.is_nan() || delta <= 0.0 {
            return self.graph().refuse("huber_loss", "delta", delta, "a number above 0");
        }
        if self.shape_shared_with(target, "huber_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        reduction.of((self - target).parabola_with_wings(delta, method.origin()))
    }

    /// With `d = |x|`: `d^2 / 2` up to `bound`, which is above 0, and `bound * (d - bound / 2)` past it.
    #[track_caller]
    fn parabola_with_wings(self, bound: f64, origin: Origin) -> Expr<'g> {
        // With c = min(d, bound) both pieces are c (d - c / 2), so that no square of a large element overflows.
        let distance = self.abs();
        let capped = distance.minimum(bound);
        // The derivative is c with the element's sign. Said outright, it has no term of infinity times 0 at an infinite element.
        let slope = self.minimum(bound).maximum(-bound);
        (capped * (distance - capped * 0.5)).with_slope(self, slope, origin)
    }

    /// With `d = |x - t|`: `d^2 / (2 beta)` up to `beta`, and `d - beta / 2` past it; [`Expr::l1_loss`] for a `beta` of 0.
    /// Errors: `beta` is below 0.
    #[track_caller]
    pub fn smooth_l1_loss(self, target: Expr<'g>, beta: f64, reduction: Reduction) -> Expr<'g> {
        let Some(method) = self.enter_floats("smooth_l1_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if beta.is_nan() || beta < 0.0 {
            return self.graph().refuse("smooth_l1_loss", "beta", beta, "a number not below 0");
        }
        if self.shape_shared_with(target, "smooth_l1_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        let difference = self - target;
        if beta == 0.0 {
            return reduction.of(difference.abs());
        }
        reduction.of(difference.parabola_with_wings(beta, method.origin()) / beta)
    }

    /// Of probabilities `p` in [0, 1]: `-(t ln p + (1 - t) ln(1 - p))`, where each logarithm is at least -100 as in PyTorch.
    /// [`Expr::binary_cross_entropy_with_logits`] is the better choice where there are logits.
    ///
    /// The derivative in `p` is `(1 - t) / (1 - p) - t / p`, where neither divisor is below 1e-12, as in PyTorch: next to 0 and 1 the derivative
    /// of a loss of 100 is that of the uncut one, up to 1e12, so that a probability of exactly 0 or 1 that is wrong is learnt from. Where it
    /// agrees with the target the derivative is the formula's, 1 or -1, of which PyTorch has 0 left. By `t` it is the difference of the
    /// logarithms as they were cut off.
    #[track_caller]
    pub fn binary_cross_entropy(self, target: Expr<'g>, reduction: Reduction) -> Expr<'g> {
        let Some(method) = self.enter_floats("binary_cross_entropy", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if self.form_shared_with(target, "binary_cross_entropy").is_none() {
            return Expr::poisoned(self.graph());
        }
        let origin = method.origin();
        let slope = |x: Expr<'g>| x.abs().less(LEAST_PROBABILITY).where_(LEAST_PROBABILITY, x).reciprocal();
        let log_p = self.log().clamp(Some(-100.0), None).with_slope(self, slope(self), origin);
        let log_q = (-self).log1p().clamp(Some(-100.0), None).with_slope(self, -slope(1.0 - self), origin);
        reduction.of((target - 1.0) * log_q - target * log_p)
    }

    /// Of logits `x`: `-(t ln sigmoid(x) + (1 - t) ln(1 - sigmoid(x)))`, finite for every finite `x`, and with all its digits where it
    /// is small. An infinite logit costs nothing if the target agrees with it, 1 with infinity and 0 with minus infinity, and infinity
    /// otherwise. The derivative is `sigmoid(x) - t`; by the target it is `-x`, and 0 where an infinite logit agrees with it.
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(self, target: Expr<'g>, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_floats("binary_cross_entropy_with_logits", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self.binary_cross_entropy_with_logits_weighted(target, None, None, reduction)
    }

    /// [`Expr::binary_cross_entropy_with_logits`] where `weight` scales each element and `pos_weight` the positive term:
    /// `weight * ((1 - t) x + (1 + (pos_weight - 1) t) softplus(-x))`. Both broadcast to the logits' shape. The mean is over
    /// the number of elements, not the weights, as in PyTorch.
    #[track_caller]
    pub fn binary_cross_entropy_with_logits_weighted(
        self,
        target: Expr<'g>,
        weight: Option<Expr<'g>>,
        pos_weight: Option<Expr<'g>>,
        reduction: Reduction,
    ) -> Expr<'g> {
        let Some(_method) = self.enter_floats("binary_cross_entropy_with_logits_weighted", &[weight, pos_weight])
        else {
            return Expr::poisoned(self.graph());
        };
        let Some(shape) = self.form_shared_with(target, "binary_cross_entropy_with_logits") else {
            return Expr::poisoned(self.graph());
        };
        let (op, origin) = ("binary_cross_entropy_with_logits", self.graph().origin_or(Origin::here()));
        if self.same_graph_all(&[weight, pos_weight], op, origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        // softplus(-x) is softplus(-|x|), and for a negative x another -x, which is taken together with (1 - t) x: added up one by one
        // they would cancel, and their infinities be NaN. Both forms are one smooth function, so each may say the derivative at 0.
        let is_negative = self.less(0.0);
        let folded = -is_negative.where_(-self, self).log_sigmoid();
        let (weighted, positives) = match pos_weight {
            Some(pos_weight) => {
                let pos_weight = pos_weight.broadcast_to(&shape);
                (((pos_weight - 1.0) * target + 1.0) * folded, pos_weight * target)
            }
            None => (folded, target),
        };
        let share = is_negative.where_(-positives, 1.0 - target);
        let is_right = share.equal(0.0) & self.abs().equal(f64::INFINITY);
        let elements = share * is_right.where_(0.0, self) + weighted;
        reduction.of(match weight {
            Some(weight) => elements * weight.broadcast_to(&shape),
            None => elements,
        })
    }

    /// The Kullback-Leibler divergence from `self`, which are logarithms of probabilities, to the target: elementwise
    /// `t (ln t - x)`, with 0 for a probability of 0, also beside an `x` of -inf. With `log_target` the target holds logarithms
    /// too: `e^t (t - x)`, with 0 for `t = -inf`. Gradients there are finite: 0 in `x`, and in `t` as far as `x` has one.
    ///
    /// The divergence proper is the sum over the classes: take [`Reduction::Sum`] and divide by the batch, which PyTorch
    /// calls `batchmean`. [`Reduction::Mean`] divides by the number of elements.
    #[track_caller]
    pub fn kl_div(self, target: Expr<'g>, log_target: bool, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_floats("kl_div", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if self.form_shared_with(target, "kl_div").is_none() {
            return Expr::poisoned(self.graph());
        }
        if log_target {
            // Of a probability of 0 the logarithm is -inf, which is kept out of every product.
            let is_zero = target.equal(f64::NEG_INFINITY);
            let logarithm = is_zero.where_(0.0, target);
            let probability = is_zero.where_(0.0, logarithm.exp());
            return reduction.of((logarithm - self).weighted_by(probability));
        }
        // t ln t is 0 at t = 0, though ln 0 is not finite.
        let is_zero = target.equal(0.0);
        let entropy = is_zero.where_(0.0, target * is_zero.where_(1.0, target).log());
        reduction.of(entropy - self.weighted_by(target))
    }

    /// `x * weight`, where a weight of 0 leaves out an infinite `x`: what is impossible does not count, however unlikely it
    /// was held to be. The derivative in `x` is `weight`, and that in the weight 0 where an infinity is left out.
    #[track_caller]
    pub(super) fn weighted_by(self, weight: Expr<'g>) -> Expr<'g> {
        let is_left_out = weight.equal(0.0) & self.abs().equal(f64::INFINITY);
        is_left_out.where_(0.0, self) * weight
    }
}
