//! Adadelta.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Scalars, Trained};

/// Adadelta (Zeiler 2012), as PyTorch's `torch.optim.Adadelta` defines it:
///
/// `g = gradient + weight_decay p`, `v = rho v + (1 - rho) g^2`, `d = sqrt(u + eps) / sqrt(v + eps) g`,
/// `u = rho u + (1 - rho) d^2`, `p = p - rate d`.
///
/// The defaults are `rho = 0.9`, `eps = 1e-6` and no weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Adadelta {
    rate: f64,
    rho: f64,
    eps: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Adadelta {
    /// Adadelta at that learning rate; the paper's, and PyTorch's default, is 1.
    pub fn new(rate: f64) -> Self {
        Adadelta { rate, rho: 0.9, eps: 1e-6, weight_decay: 0.0, maximize: false }
    }

    /// With another decay of both means, in [0, 1).
    pub fn rho(self, rho: f64) -> Self {
        Adadelta { rho, ..self }
    }

    /// With another number added under both roots.
    pub fn eps(self, eps: f64) -> Self {
        Adadelta { eps, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Adadelta { weight_decay, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Adadelta { maximize: true, ..self }
    }
}

impl Optimizer for Adadelta {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Adadelta { rate, rho, eps, weight_decay, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("rho", rho)?;
        numbers.not_negative("eps", eps)?;
        numbers.not_negative("weight decay", weight_decay)?;
        let scalars = Scalars::new(graph, trained, rate)?;
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter) = (&one.name, one.parameter);
            let g = one.penalised(maximize, weight_decay);
            let v = one.state(graph, "second_moment", 0.0)?;
            let squared_updates = one.state(graph, "squared_updates", 0.0)?;
            let next_v = (v * rho + g * g * (1.0 - rho)).named(format!("{name}.second_moment.next"));
            let delta = (squared_updates + eps).sqrt() / (next_v + eps).sqrt() * g;
            let next_updates =
                (squared_updates * rho + delta * delta * (1.0 - rho)).named(format!("{name}.squared_updates.next"));
            let next = (parameter - scalars.learning_rate(one)? * delta).named(format!("{name}.next"));
            pairs.extend([(v, next_v), (squared_updates, next_updates), (parameter, next)]);
        }
        Ok(pairs)
    }
}
