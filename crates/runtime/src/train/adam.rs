//! Adam and AdamW.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::moments::{Beta, ByFactors, ByNumbers, Decay};
use crate::train::{Optimizer, Scalars, Trained};

/// Adam (Kingma and Ba 2015), as PyTorch's `torch.optim.Adam` defines it:
///
/// `g = gradient + weight_decay p`, `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
/// `p = p - rate / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)`, with `t` counting updates from 1.
///
/// The defaults are `b1 = 0.9`, `b2 = 0.999`, `eps = 1e-8` and no weight decay.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Adam {
    rule: Rule,
    weight_decay: f64,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019): `p = p (1 - rate decay)` before Adam's update. The default
/// decay is 0.01.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct AdamW {
    rule: Rule,
    decay: f64,
}

/// What both have in common.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    rate: f64,
    betas: (f64, f64),
    eps: f64,
    amsgrad: bool,
    maximize: bool,
}

impl Adam {
    /// Adam at that learning rate.
    pub fn new(rate: f64) -> Self {
        Adam { rule: Rule::new(rate), weight_decay: 0.0 }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        Adam { rule: self.rule.betas(first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        Adam { rule: self.rule.eps(eps), ..self }
    }

    /// With an L2 penalty: `weight_decay p` is added to each gradient, and so goes through the moments. For a decay beside them take
    /// [`AdamW`].
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Adam { weight_decay, ..self }
    }

    /// With the largest second moment so far in the denominator (Reddi, Kale and Kumar 2018).
    pub fn amsgrad(self) -> Self {
        Adam { rule: self.rule.amsgrad(), ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Adam { rule: self.rule.maximize(), ..self }
    }
}

impl AdamW {
    /// AdamW at that learning rate.
    pub fn new(rate: f64) -> Self {
        AdamW { rule: Rule::new(rate), decay: 0.01 }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        AdamW { rule: self.rule.betas(first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn eps(self, eps: f64) -> Self {
        AdamW { rule: self.rule.eps(eps), ..self }
    }

    /// With another weight decay.
    pub fn weight_decay(self, decay: f64) -> Self {
        AdamW { decay, ..self }
    }

    /// With the largest second moment so far in the denominator (Reddi, Kale and Kumar 2018).
    pub fn amsgrad(self) -> Self {
        AdamW { rule: self.rule.amsgrad(), ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        AdamW { rule: self.rule.maximize(), ..self }
    }
}

impl Optimizer for Adam {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        self.rule.update(graph, trained, Decay::Penalty(self.weight_decay))
    }
}

impl Optimizer for AdamW {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        self.rule.update(graph, trained, Decay::Decoupled(self.decay))
    }
}

impl Rule {
    fn new(rate: f64) -> Self {
        Rule { rate, betas: (0.9, 0.999), eps: 1e-8, amsgrad: false, maximize: false }
    }

    fn betas(self, first: f64, second: f64) -> Self {
        Rule { betas: (first, second), ..self }
    }

    fn eps(self, eps: f64) -> Self {
        Rule { eps, ..self }
    }

    fn amsgrad(self) -> Self {
        Rule { amsgrad: true, ..self }
    }

    fn maximize(self) -> Self {
        Rule { maximize: true, ..self }
    }

    fn update<'g>(
        &self,
        graph: &'g Graph,
        trained: &[Trained<'g>],
        decay: Decay,
    ) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let &Rule { rate, betas: (first, second), eps, amsgrad, maximize } = self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("eps", eps)?;
        decay.check(&numbers)?;
        let scalars = Scalars::counted(graph, trained, rate)?;
        let dtype = scalars.dtype()?;
        let mut pairs = scalars.updates();
        let first = match scalars.momentum(trained) {
            Some(momentum) => Beta::Scheduled(momentum),
            None => Beta::Number(first),
        };
        let mut step_sizes = ByFactors::default();
        let mut corrections = ByNumbers::new();
        let mut corrected = |number: Expr<'g>, step_sizes: &mut ByFactors<'g>| {
            corrections.get(number, || {
                let first_correction = first.correction(graph, number, dtype);
                let rate = scalars.rate_with_factor(1.0);
                let _ = step_sizes.get(1.0, number, || (rate / first_correction).named("step_size"));
                let second_correction = Beta::Number(second).correction(graph, number, dtype).sqrt();
                (first_correction, second_correction.named("second_correction"))
            })
        };
        for one in trained {
            let number = scalars.number_of_or_first(one);
            let (first_correction, second_correction) = corrected(number, &mut step_sizes);
            let (name, parameter, dtype) = (&one.name, one.parameter, one.parameter.dtype()?);
            let (m, v) = (one.state(graph, "first_moment", 0.0)?, one.state(graph, "second_moment", 0.0)?);
            let g = decay.gradient(one, maximize);
            let rate = scalars.rate_with_factor(one.rate_factor());
            let step_size = step_sizes.get(one.rate_factor(), number, || (rate / first_correction).named("step_size"));
            let next_m = first.mix(m, g, dtype).named(format!("{name}.first_moment.next"));
            let next_v = (v * second + g * g * (1.0 - second)).named(format!("{name}.second_moment.next"));
            pairs.extend([(m, next_m), (v, next_v)]);
            let mut spread = next_v;
            if amsgrad {
                let largest = one.state(graph, "largest_second_moment", 0.0)?;
                spread = largest.maximum(next_v).named(format!("{name}.largest_second_moment.next"));
                pairs.push((largest, spread));
            }
            let denominator = spread.sqrt() / second_correction.cast(dtype) + eps;
            let kept = decay.kept(one, rate)?;
            let next = (kept - step_size.cast(dtype) * (next_m / denominator)).named(format!("{name}.next"));
            pairs.push((parameter, next));
        }
        Ok(pairs)
    }
}
