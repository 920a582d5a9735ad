//! How the parameters of a workload are updated after each step.

use arenagrad::train::Trained;
use arenagrad::{AdamW, Error, Expr, Graph, Optimizer, Sgd};

/// An optimiser with its settings, as a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Update {
    /// Gradient descent.
    GradientDescent { rate: f64 },
    /// Gradient descent with momentum.
    Momentum { rate: f64, momentum: f64 },
    /// AdamW, with this decay on every parameter.
    AdamW { rate: f64, betas: (f64, f64), weight_decay: f64 },
}

impl Optimizer for Update {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        match *self {
            Update::GradientDescent { rate } => Sgd::new(rate).update(graph, trained),
            Update::Momentum { rate, momentum } => Sgd::new(rate).momentum(momentum).update(graph, trained),
            Update::AdamW { rate, betas: (first, second), weight_decay } => {
                AdamW::new(rate).betas(first, second).weight_decay(weight_decay).update(graph, trained)
            }
        }
    }
}
