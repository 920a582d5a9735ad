//! Lion.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, Decay};
use crate::train::{Optimizer, Scalars, Trained};

/// Lion (Chen et al. 2023): steps of one length, in the direction of the sign of a mean of gradients.
///
/// `p = p (1 - rate weight_decay)`, `p = p - rate sign(b1 m + (1 - b1) g)`, `m = b2 m + (1 - b2) g`. The sign of 0 is 0. Rates are those of AdamW
/// over three to ten, and decays larger by as much.
///
/// The defaults are `b1 = 0.9`, `b2 = 0.99` and no weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Lion {
    rate: f64,
    betas: (f64, f64),
    weight_decay: f64,
    maximize: bool,
}

impl Lion {
    /// Lion at that learning rate; the authors' default is 1e-4.
    pub fn new(rate: f64) -> Self {
        Lion { rate, betas: (0.9, 0.99), weight_decay: 0.0, maximize: false }
    }

    /// With other numbers: how much of the mean is in the direction, and how much of it stays; each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        Lion { betas: (first, second), ..self }
    }

    /// With weight decay beside the gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Lion { weight_decay, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Lion { maximize: true, ..self }
    }
}

impl Optimizer for Lion {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Lion { rate, betas: (first, second), weight_decay, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("weight decay", weight_decay)?;
        let scalars = Scalars::new(graph, trained, rate)?;
        let first = scalars.momentum(trained).map_or(Beta::Number(first), Beta::Scheduled);
        let decay = Decay::Decoupled(weight_decay);
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let g = decay.gradient(one, maximize);
            let m = one.state(graph, "first_moment", 0.0)?;
            let direction = first.mix(m, g, dtype).sign();
            let next_m = (m * second + g * (1.0 - second)).named(format!("{name}.first_moment.next"));
            let kept = decay.kept(one, scalars.rate_with_factor(one.rate_factor()))?;
            let next = (kept - scalars.learning_rate(one)? * direction).named(format!("{name}.next"));
            pairs.extend([(m, next_m), (parameter, next)]);
        }
        Ok(pairs)
    }
}
