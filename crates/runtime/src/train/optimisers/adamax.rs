//! Adamax.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, ByNumbers};
use crate::train::{Optimizer, Scalars, Trained};

/// Adamax (Kingma and Ba 2015), Adam by the infinity norm, as PyTorch's `torch.optim.Adamax` defines it:
///
/// `g = gradient + weight_decay p`, `m = b1 m + (1 - b1) g`, `u = max(b2 u, |g| + eps)`, `p = p - rate / (1 - b1^t) * m / u`, with
/// `t` counting updates from 1.
///
/// The defaults are `b1 = 0.9`, `b2 = 0.999`, `eps = 1e-8` and no weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Adamax {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    maximize: bool,
}

impl Adamax {
    /// Adamax at that learning rate; PyTorch's default is 0.002.
    pub fn new(rate: f64) -> Self {
        Adamax { rate, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, maximize: false }
    }

    /// With other decay rates of the mean and of the norm, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        Adamax { betas: (first, second), ..self }
    }

    /// With another number added to the gradient's magnitude.
    pub fn eps(self, eps: f64) -> Self {
        Adamax { eps, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Adamax { weight_decay, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Adamax { maximize: true, ..self }
    }
}

impl Optimizer for Adamax {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Adamax { rate, betas: (first, second), eps, weight_decay, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("eps", eps)?;
        numbers.not_negative("weight decay", weight_decay)?;
        let scalars = Scalars::counted(graph, trained, rate)?;
        let first = scalars.momentum(trained).map_or(Beta::Number(first), Beta::Scheduled);
        let scalar = scalars.dtype()?;
        let mut corrections = ByNumbers::new();
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let number = scalars.number_of_or_first(one);
            let correction = corrections.get(number, || first.correction(graph, number, scalar));
            let g = one.penalised(maximize, weight_decay);
            let m = one.state(graph, "first_moment", 0.0)?;
            let norm = one.state(graph, "infinity_norm", 0.0)?;
            let next_m = first.mix(m, g, dtype).named(format!("{name}.first_moment.next"));
            let next_norm = (norm * second).maximum(g.abs() + eps).named(format!("{name}.infinity_norm.next"));
            let step_size = (scalars.rate_with_factor(one.rate_factor()) / correction).cast(dtype);
            let next = (parameter - step_size * (next_m / next_norm)).named(format!("{name}.next"));
            pairs.extend([(m, next_m), (norm, next_norm), (parameter, next)]);
        }
        Ok(pairs)
    }
}
