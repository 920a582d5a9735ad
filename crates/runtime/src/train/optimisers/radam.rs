//! RAdam.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, ByNumbers, Decay};
use crate::train::{Optimizer, Scalars, Trained};

/// RAdam (Liu et al. 2020), Adam whose steps are not adapted before the variance of the second moment is known well enough, as
/// PyTorch's `torch.optim.RAdam` defines it. With Adam's moments and `r(t) = 2 / (1 - b2) - 1 - 2 t b2^t / (1 - b2^t)`:
///
/// `p = p - rate m / (1 - b1^t) * sqrt(1 - b2^t) / (sqrt(v) + eps) * sqrt((r - 4) (r - 2) r_inf / ((r_inf - 4) (r_inf - 2) r))` where
/// `r(t) > 5`, else `p = p - rate m / (1 - b1^t)`, with `t` counting updates from 1 and `r_inf = 2 / (1 - b2) - 1`.
///
/// The defaults are `b1 = 0.9`, `b2 = 0.999`, `eps = 1e-8` and no weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct RAdam {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    decay: Decay,
    maximize: bool,
}

impl RAdam {
    /// RAdam at that learning rate; PyTorch's default is 0.001.
    pub fn new(rate: f64) -> Self {
        RAdam { rate, betas: (0.9, 0.999), eps: 1e-8, decay: Decay::Penalty(0.0), maximize: false }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        RAdam { betas: (first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        RAdam { eps, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        RAdam { decay: Decay::Penalty(weight_decay), ..self }
    }

    /// With weight decay beside the gradient, as AdamW has it: `p = p (1 - rate weight_decay)` before the update.
    pub fn decoupled_weight_decay(self, weight_decay: f64) -> Self {
        RAdam { decay: Decay::Decoupled(weight_decay), ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        RAdam { maximize: true, ..self }
    }
}

impl Optimizer for RAdam {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &RAdam { rate, betas: (first, second), eps, decay, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("eps", eps)?;
        decay.check(&numbers)?;
        let scalars = Scalars::counted(graph, trained, rate)?;
        let scalar = scalars.dtype()?;
        let first = scalars.momentum(trained).map_or(Beta::Number(first), Beta::Scheduled);
        let mut corrections = ByNumbers::new();
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let number = scalars.number_of_or_first(one);
            let (first_correction, is_known, adapted_size) = corrections.get(number, || {
                let first_correction = first.correction(graph, number, scalar);
                let second_correction = Beta::Number(second).correction(graph, number, scalar).sqrt();
                let (is_known, rectification) = rectification(number, second);
                (first_correction, is_known, (second_correction * rectification).named("rectification"))
            });
            let rate = scalars.rate_with_factor(one.rate_factor());
            let g = decay.gradient(one, maximize);
            let (m, v) = (one.state(graph, "first_moment", 0.0)?, one.state(graph, "second_moment", 0.0)?);
            let next_m = first.mix(m, g, dtype).named(format!("{name}.first_moment.next"));
            let next_v = (v * second + g * g * (1.0 - second)).named(format!("{name}.second_moment.next"));
            let adapted = adapted_size.cast(dtype) / (next_v.sqrt() + eps);
            let step = (rate / first_correction).cast(dtype) * next_m * is_known.where_(adapted, 1.0);
            let next = (decay.kept(one, rate)? - step).named(format!("{name}.next"));
            pairs.extend([(m, next_m), (v, next_v), (parameter, next)]);
        }
        Ok(pairs)
    }
}

/// Whether the variance is known well enough in the update of that number, and the factor of the step then.
fn rectification(number: Expr<'_>, beta: f64) -> (Expr<'_>, Expr<'_>) {
    let limit = 2.0 / (1.0 - beta) - 1.0;
    let length = if beta == 0.0 {
        // beta^number is 0.
        number.full_like(limit)
    } else {
        // limit - 2 t b^t / (1 - b^t) is the difference of two numbers near 2 / (1 - b), of which f32 would keep few digits.
        // With u = -t ln b it is limit - 2 t / u + 2 t / u (1 - u / (e^u - 1)), the last factor u / 2 - u^2 / 12 + ..
        let logarithm = -beta.ln();
        let u = number * logarithm;
        let squared = u * u;
        let series = u * 0.5
            - squared * (1.0 / 12.0 - squared * (1.0 / 720.0 - squared * (1.0 / 30240.0 - squared / 1_209_600.0)));
        // Where the series is taken, the quotient is not, and must not be 0 / 0.
        let is_small = u.less(0.25);
        let direct = 1.0 - u / is_small.where_(1.0, u).expm1();
        (limit - 2.0 / logarithm) + is_small.where_(series, direct) * (2.0 / logarithm)
    };
    let is_known = length.greater(5.0);
    let safe = is_known.where_(length, 6.0);
    let factor = ((safe - 4.0) * (safe - 2.0) / safe * (limit / ((limit - 4.0) * (limit - 2.0)))).sqrt();
    (is_known, factor)
}
