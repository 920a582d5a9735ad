//! Stochastic gradient descent.

use arenagrad_graph::{Expr, Graph, Init};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Trained, learning_rate_state, scalar_dtype};

/// Stochastic gradient descent, as PyTorch's `torch.optim.SGD` defines it:
///
/// `g = gradient + weight_decay p`, `v = momentum v + g`, `p = p - rate v`, or with Nesterov's variant
/// `p = p - rate (g + momentum v)`. Without momentum there is no `v`.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Sgd {
    rate: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent at that learning rate.
    pub fn new(rate: f64) -> Self {
        Sgd { rate, momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }

    /// With momentum, in [0, 1).
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// With Nesterov's look-ahead; it needs momentum.
    pub fn nesterov(self) -> Self {
        Sgd { nesterov: true, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }
}

impl Optimizer for Sgd {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let Sgd { rate, momentum, weight_decay, nesterov } = *self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("momentum", momentum)?;
        numbers.require("momentum", momentum, momentum > 0.0 || !nesterov, "above 0, as Nesterov's variant needs")?;
        numbers.not_negative("weight decay", weight_decay)?;
        let learning_rate = learning_rate_state(graph, rate, scalar_dtype(trained)?);
        let mut pairs = Vec::new();
        for Trained { name, parameter, gradient, .. } in trained {
            let (shape, dtype) = (parameter.shape()?, parameter.dtype()?);
            let learning_rate = learning_rate.cast(dtype);
            let mut direction = *gradient;
            if weight_decay != 0.0 {
                direction = direction + *parameter * weight_decay;
            }
            if momentum != 0.0 {
                let velocity = graph.state(format!("{name}.velocity"), shape, dtype, Init::Constant(0.0));
                let next = (velocity * momentum + direction).named(format!("{name}.velocity.next"));
                pairs.push((velocity, next));
                direction = if nesterov { direction + next * momentum } else { next };
            }
            let next = (*parameter - learning_rate * direction).named(format!("{name}.next"));
            pairs.push((*parameter, next));
        }
        Ok(pairs)
    }
}
