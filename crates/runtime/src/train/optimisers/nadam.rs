//! NAdam.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, Decay};
use crate::train::{Optimizer, Scalars, Trained};

/// By what the momentum grows, in PyTorch's and the paper's schedule of it.
const MOMENTUM_BASE: f64 = 0.96;

/// The name of the state that holds the product of all momenta so far.
const MOMENTUM_PRODUCT: &str = "momentum_product";

/// What an update takes of the count of updates.
#[derive(Clone, Copy)]
struct Factors<'g> {
    product: Expr<'g>,
    next_product: Expr<'g>,
    second_correction: Expr<'g>,
    of_gradient: Expr<'g>,
    of_moment: Expr<'g>,
}

/// NAdam (Dozat 2016), Adam with Nesterov's momentum, as PyTorch's `torch.optim.NAdam` defines it:
///
/// `mu(t) = b1 (1 - 0.96^(t momentum_decay) / 2)`, `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
/// `d = sqrt(v / (1 - b2^t)) + eps`,
/// `p = p - rate (1 - mu(t)) / (1 - mu(1) .. mu(t)) * g / d - rate mu(t + 1) / (1 - mu(1) .. mu(t + 1)) * m / d`,
/// with `t` counting updates from 1. A schedule that says a momentum says `b1`.
///
/// The defaults are `b1 = 0.9`, `b2 = 0.999`, `eps = 1e-8`, `momentum_decay = 0.004` and no weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct NAdam {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    momentum_decay: f64,
    decay: Decay,
    maximize: bool,
}

impl NAdam {
    /// NAdam at that learning rate; PyTorch's default is 0.002.
    pub fn new(rate: f64) -> Self {
        NAdam {
            rate,
            betas: (0.9, 0.999),
            eps: 1e-8,
            momentum_decay: 4e-3,
            decay: Decay::Penalty(0.0),
            maximize: false,
        }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        NAdam { betas: (first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        NAdam { eps, ..self }
    }

    /// With another decay of the momentum's schedule.
    pub fn momentum_decay(self, momentum_decay: f64) -> Self {
        NAdam { momentum_decay, ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        NAdam { decay: Decay::Penalty(weight_decay), ..self }
    }

    /// With weight decay beside the gradient, as AdamW has it: `p = p (1 - rate weight_decay)` before the update.
    pub fn decoupled_weight_decay(self, weight_decay: f64) -> Self {
        NAdam { decay: Decay::Decoupled(weight_decay), ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        NAdam { maximize: true, ..self }
    }
}

impl Optimizer for NAdam {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &NAdam { rate, betas: (first, second), eps, momentum_decay, decay, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("eps", eps)?;
        numbers.not_negative("momentum decay", momentum_decay)?;
        decay.check(&numbers)?;
        let scalars = Scalars::counted(graph, trained, rate)?;
        let scalar = scalars.dtype()?;
        let first = match scalars.momentum(trained) {
            Some(momentum) => Beta::Scheduled(momentum),
            None => Beta::Number(first),
        };
        // A schedule of its own, which begins from the beta that there is.
        let momentum = |number: Expr<'g>| {
            let share = 1.0 - (number * (momentum_decay * MOMENTUM_BASE.ln())).exp() * 0.5;
            match first {
                Beta::Number(first) => share * first,
                Beta::Scheduled(first) => share * first,
            }
        };
        let factors_of = |number: Expr<'g>, product: Option<Expr<'g>>| -> Result<Factors<'g>, Error> {
            let (present, coming) = (momentum(number), momentum(number + 1.0));
            let product = match product {
                Some(product) => product,
                None => scalars.state(graph, trained, MOMENTUM_PRODUCT, 1.0)?,
            };
            let next_product = (product * present).named("momentum_product.next");
            let second_correction = Beta::Number(second).correction(graph, number, scalar);
            let of_gradient = (1.0 - present) / (1.0 - next_product);
            let of_moment = coming / (1.0 - next_product * coming);
            Ok(Factors { product, next_product, second_correction, of_gradient, of_moment })
        };
        let shared = factors_of(scalars.number_or_first(), None)?;
        let mut pairs = scalars.updates();
        pairs.push((shared.product, shared.next_product));
        for one in trained {
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let (product, is_own) = one.own_scalar(graph, (MOMENTUM_PRODUCT, 1.0), shared.product)?;
            let Factors { next_product, second_correction, of_gradient, of_moment, .. } = match is_own {
                true => factors_of(scalars.number_of_or_first(one), Some(product))?,
                false => shared,
            };
            if is_own {
                pairs.push((product, next_product));
            }
            let rate = scalars.rate_with_factor(one.rate_factor());
            let g = decay.gradient(one, maximize);
            let (m, v) = (one.state(graph, "first_moment", 0.0)?, one.state(graph, "second_moment", 0.0)?);
            let next_m = first.mix(m, g, dtype).named(format!("{name}.first_moment.next"));
            let next_v = (v * second + g * g * (1.0 - second)).named(format!("{name}.second_moment.next"));
            let denominator = (next_v / second_correction.cast(dtype)).sqrt() + eps;
            let step = (rate * of_gradient).cast(dtype) * g + (rate * of_moment).cast(dtype) * next_m;
            let next = (decay.kept(one, rate)? - step / denominator).named(format!("{name}.next"));
            pairs.extend([(m, next_m), (v, next_v), (parameter, next)]);
        }
        Ok(pairs)
    }
}
