//! Adagrad.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Scalars, Trained};

/// Adagrad (Duchi, Hazan and Singer 2011), as PyTorch's `torch.optim.Adagrad` defines it:
///
/// `g = gradient + weight_decay p`, `s = s + g^2`, `p = p - rate / (1 + (t - 1) rate_decay) * g / (sqrt(s) + eps)`, with `t`
/// counting updates from 1 and `s` beginning at the initial sum.
///
/// The defaults are `eps = 1e-10`, no decay of either kind, and an initial sum of 0.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Adagrad {
    rate: f64,
    rate_decay: f64,
    weight_decay: f64,
    initial_sum: f64,
    eps: f64,
    maximize: bool,
}

impl Adagrad {
    /// Adagrad at that learning rate; PyTorch's default is 0.01.
    pub fn new(rate: f64) -> Self {
        Adagrad { rate, rate_decay: 0.0, weight_decay: 0.0, initial_sum: 0.0, eps: 1e-10, maximize: false }
    }

    /// With a rate that falls with the count of updates; PyTorch's `lr_decay`.
    pub fn rate_decay(self, rate_decay: f64) -> Self {
        Adagrad { rate_decay, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Adagrad { weight_decay, ..self }
    }

    /// With sums of squares that begin at another number, 0 or more; PyTorch's `initial_accumulator_value`.
    pub fn initial_sum(self, initial_sum: f64) -> Self {
        Adagrad { initial_sum, ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        Adagrad { eps, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Adagrad { maximize: true, ..self }
    }
}

impl Optimizer for Adagrad {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Adagrad { rate, rate_decay, weight_decay, initial_sum, eps, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.not_negative("decay of the learning rate", rate_decay)?;
        numbers.not_negative("weight decay", weight_decay)?;
        numbers.not_negative("initial sum of squares", initial_sum)?;
        numbers.not_negative("eps", eps)?;
        let scalars = match rate_decay {
            0.0 => Scalars::new(graph, trained, rate)?,
            _ => Scalars::counted(graph, trained, rate)?,
        };
        let mut pairs = scalars.updates();
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let mut rate = scalars.learning_rate(one)?;
            if let (Some(number), true) = (scalars.number_of(one), rate_decay != 0.0) {
                rate = rate / ((number - 1.0) * rate_decay + 1.0).cast(dtype);
            }
            let g = one.penalised(maximize, weight_decay);
            let sum = one.state(graph, "square_sum", initial_sum)?;
            let next_sum = (sum + g * g).named(format!("{name}.square_sum.next"));
            let next = (parameter - rate * (g / (next_sum.sqrt() + eps))).named(format!("{name}.next"));
            pairs.extend([(sum, next_sum), (parameter, next)]);
        }
        Ok(pairs)
    }
}
