//! LAMB.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, ByNumbers};
use crate::train::norm::global_norm;
use crate::train::{Optimizer, Scalars, Trained};

/// LAMB (You et al. 2020): Adam whose step for each parameter is as long as the parameter is, for batches of thousands.
///
/// With Adam's moments, corrected for their start: `r = m / (sqrt(v) + eps) + weight_decay p`, `p = p - rate |p| / |r| r`, the
/// norms Euclidean over the whole parameter; where one of them is 0, the quotient is 1. PyTorch has no such optimiser; defaults and
/// corrections are those of the paper and of NVIDIA's implementation: `b1 = 0.9`, `b2 = 0.999`, `eps = 1e-6`, a weight decay of 0.01.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Lamb {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Lamb {
    /// LAMB at that learning rate.
    pub fn new(rate: f64) -> Self {
        Lamb { rate, betas: (0.9, 0.999), eps: 1e-6, weight_decay: 0.01, maximize: false }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        Lamb { betas: (first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        Lamb { eps, ..self }
    }

    /// With another weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Lamb { weight_decay, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Lamb { maximize: true, ..self }
    }
}

impl Optimizer for Lamb {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Lamb { rate, betas: (first, second), eps, weight_decay, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("eps", eps)?;
        numbers.not_negative("weight decay", weight_decay)?;
        let scalars = Scalars::counted(graph, trained, rate)?;
        let scalar = scalars.dtype()?;
        let first = scalars.momentum(trained).map_or(Beta::Number(first), Beta::Scheduled);
        let mut corrections = ByNumbers::new();
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let number = scalars.number_of_or_first(one);
            let (first_correction, second_correction) = corrections.get(number, || {
                let first_correction = first.correction(graph, number, scalar);
                (first_correction, Beta::Number(second).correction(graph, number, scalar).sqrt())
            });
            let g = if maximize { -one.gradient } else { one.gradient };
            let (m, v) = (one.state(graph, "first_moment", 0.0)?, one.state(graph, "second_moment", 0.0)?);
            let next_m = first.mix(m, g, dtype).named(format!("{name}.first_moment.next"));
            let next_v = (v * second + g * g * (1.0 - second)).named(format!("{name}.second_moment.next"));
            let denominator = next_v.sqrt() / second_correction.cast(dtype) + eps;
            let mut direction = next_m / first_correction.cast(dtype) / denominator;
            let decay = weight_decay * one.decay_factor();
            if decay != 0.0 {
                direction = direction + parameter * decay;
            }
            let (length, step_length) = (global_norm(&[parameter], dtype)?, global_norm(&[direction], dtype)?);
            let has_both = length.greater(0.0) & step_length.greater(0.0);
            let trust = has_both.where_(length / has_both.where_(step_length, 1.0), 1.0);
            let step = scalars.learning_rate(one)? * trust * direction;
            pairs.extend([(m, next_m), (v, next_v), (parameter, (parameter - step).named(format!("{name}.next")))]);
        }
        Ok(pairs)
    }
}
