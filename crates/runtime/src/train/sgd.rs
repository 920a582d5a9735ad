//! Stochastic gradient descent.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Scalars, Trained};

/// Stochastic gradient descent, as PyTorch's `torch.optim.SGD` defines it:
///
/// `g = gradient + weight_decay p`, `v = momentum v + (1 - dampening) g`, `p = p - rate v`, or with Nesterov's variant
/// `p = p - rate (g + momentum v)`. The first `v` is `g` itself, whatever the dampening. Without momentum there is no `v`.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Sgd {
    rate: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
}

impl Sgd {
    /// Plain gradient descent at that learning rate.
    pub fn new(rate: f64) -> Self {
        Sgd { rate, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false }
    }

    /// With momentum, in [0, 1).
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// With less of each gradient but the first in the velocity: `1 - dampening` of it, a number in [0, 1]. Not with Nesterov's
    /// variant.
    pub fn dampening(self, dampening: f64) -> Self {
        Sgd { dampening, ..self }
    }

    /// With Nesterov's look-ahead; it needs momentum.
    pub fn nesterov(self) -> Self {
        Sgd { nesterov: true, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Sgd { maximize: true, ..self }
    }
}

impl Optimizer for Sgd {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Sgd { rate, momentum, dampening, weight_decay, nesterov, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("momentum", momentum)?;
        numbers.require("momentum", momentum, momentum > 0.0 || !nesterov, "above 0, as Nesterov's variant needs")?;
        numbers.require("dampening", dampening, (0.0..=1.0).contains(&dampening), "in [0, 1]")?;
        numbers.require("dampening", dampening, dampening == 0.0 || !nesterov, "0, as Nesterov's variant needs")?;
        numbers.not_negative("weight decay", weight_decay)?;
        // The first velocity is the whole gradient, so with dampening the first update is told from the others.
        let scalars = match dampening {
            0.0 => Scalars::new(graph, trained, rate)?,
            _ => Scalars::counted(graph, trained, rate)?,
        };
        let scheduled = scalars.momentum(trained);
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let learning_rate = scalars.learning_rate(one)?;
            let mut direction = one.penalised(maximize, weight_decay);
            if momentum != 0.0 || scheduled.is_some() {
                let velocity = one.state(graph, "velocity", 0.0)?;
                let times_momentum = |value: Expr<'g>| match scheduled {
                    Some(momentum) => value * momentum.cast(dtype),
                    None => value * momentum,
                };
                let added = match scalars.number_of(one) {
                    Some(number) if dampening != 0.0 => direction * (1.0 - number.greater(1.0).cast(dtype) * dampening),
                    Some(_) | None => direction,
                };
                let next = (times_momentum(velocity) + added).named(format!("{name}.velocity.next"));
                pairs.push((velocity, next));
                direction = if nesterov { direction + times_momentum(next) } else { next };
            }
            let next = (parameter - learning_rate * direction).named(format!("{name}.next"));
            pairs.push((parameter, next));
        }
        Ok(pairs)
    }
}
