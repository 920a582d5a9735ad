//! RMSprop.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Scalars, Trained};

/// RMSprop (Tieleman and Hinton 2012), as PyTorch's `torch.optim.RMSprop` defines it:
///
/// `g = gradient + weight_decay p`, `v = alpha v + (1 - alpha) g^2`, `p = p - rate g / (sqrt(v) + eps)`. Centred, the variance
/// `s = alpha (s + (1 - alpha) (g - m)^2)` stands in the place of `v`, where `m = alpha m + (1 - alpha) g` is the mean, here that of the steps
/// before. It is the same number as `v - m^2`, which loses its digits where gradients hardly change. With momentum, `b = momentum b + g / (sqrt(v) + eps)` and
/// `p = p - rate b`.
///
/// The defaults are `alpha = 0.99`, `eps = 1e-8`, no momentum, not centred.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct RmsProp {
    rate: f64,
    alpha: f64,
    eps: f64,
    weight_decay: f64,
    momentum: f64,
    centered: bool,
    maximize: bool,
}

impl RmsProp {
    /// RMSprop at that learning rate; PyTorch's default is 0.01.
    pub fn new(rate: f64) -> Self {
        RmsProp { rate, alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false, maximize: false }
    }

    /// With another decay of the mean square, in [0, 1).
    pub fn alpha(self, alpha: f64) -> Self {
        RmsProp { alpha, ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        RmsProp { eps, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        RmsProp { weight_decay, ..self }
    }

    /// With momentum, in [0, 1).
    pub fn momentum(self, momentum: f64) -> Self {
        RmsProp { momentum, ..self }
    }

    /// By the deviation of the gradients instead of their size.
    pub fn centered(self) -> Self {
        RmsProp { centered: true, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        RmsProp { maximize: true, ..self }
    }
}

impl Optimizer for RmsProp {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &RmsProp { rate, alpha, eps, weight_decay, momentum, centered, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("alpha", alpha)?;
        numbers.not_negative("eps", eps)?;
        numbers.not_negative("weight decay", weight_decay)?;
        numbers.fraction("momentum", momentum)?;
        let scalars = Scalars::new(graph, trained, rate)?;
        let scheduled = scalars.momentum(trained);
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let g = one.penalised(maximize, weight_decay);
            let spread = if centered {
                let (m, s) = (one.state(graph, "first_moment", 0.0)?, one.state(graph, "variance", 0.0)?);
                let next_m = (m * alpha + g * (1.0 - alpha)).named(format!("{name}.first_moment.next"));
                let deviation = g - m;
                let next_s = (s + deviation * deviation * (1.0 - alpha)) * alpha;
                let next_s = next_s.named(format!("{name}.variance.next"));
                pairs.extend([(m, next_m), (s, next_s)]);
                next_s
            } else {
                let v = one.state(graph, "second_moment", 0.0)?;
                let next_v = (v * alpha + g * g * (1.0 - alpha)).named(format!("{name}.second_moment.next"));
                pairs.push((v, next_v));
                next_v
            };
            let mut direction = g / (spread.sqrt() + eps);
            if momentum != 0.0 || scheduled.is_some() {
                let velocity = one.state(graph, "velocity", 0.0)?;
                let kept = match scheduled {
                    Some(momentum) => velocity * momentum.cast(dtype),
                    None => velocity * momentum,
                };
                direction = (kept + direction).named(format!("{name}.velocity.next"));
                pairs.push((velocity, direction));
            }
            let next = (parameter - scalars.learning_rate(one)? * direction).named(format!("{name}.next"));
            pairs.push((parameter, next));
        }
        Ok(pairs)
    }
}
