//! Adam and AdamW.

use arenagrad_graph::{DType, Expr, Graph, Init};

use crate::error::Error;
use crate::train::hyperparameter::{Hyperparameters, UPDATES};
use crate::train::{Optimizer, Trained, learning_rate_state, scalar_dtype};

/// Adam (Kingma and Ba 2015), as PyTorch's `torch.optim.Adam` defines it:
///
/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
/// `p = p - rate / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)`, with `t` counting updates from 1.
///
/// The defaults are `b1 = 0.9`, `b2 = 0.999`, `epsilon = 1e-8`.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Adam {
    rate: f64,
    betas: (f64, f64),
    epsilon: f64,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019): `p = p (1 - rate decay)` before Adam's update. The default
/// decay is 0.01.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct AdamW {
    adam: Adam,
    decay: f64,
}

/// The correction of both moments in one update.
#[derive(Clone, Copy)]
struct Correction<'g> {
    /// The learning rate over the first moment's correction.
    step_size: Expr<'g>,
    /// The square root of the second moment's correction.
    second: Expr<'g>,
}

impl Adam {
    /// Adam at that learning rate.
    pub fn new(rate: f64) -> Self {
        Adam { rate, betas: (0.9, 0.999), epsilon: 1e-8 }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        Adam { betas: (first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Adam { epsilon, ..self }
    }

    fn update_with<'g>(
        &self,
        graph: &'g Graph,
        trained: &[Trained<'g>],
        decay: f64,
    ) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let Adam { rate, betas: (first, second), epsilon } = *self;
        let numbers = Hyperparameters::of(trained)?;
        numbers.learning_rate(rate)?;
        numbers.fraction("first beta", first)?;
        numbers.fraction("second beta", second)?;
        numbers.not_negative("epsilon", epsilon)?;
        numbers.not_negative("weight decay", decay)?;
        let dtype = scalar_dtype(trained)?;
        let learning_rate = learning_rate_state(graph, rate, dtype);
        // f32 counts to 16,777,216 exactly; by then both corrections have long been 1.
        let count = graph.state(UPDATES, [], dtype, Init::Constant(0.0));
        let number = (count + 1.0).named("updates.next");
        let mut pairs = vec![(count, number)];
        let correction = self.correction(graph, learning_rate, number, dtype);
        let shrink = (1.0 - learning_rate * decay).named("shrink");
        for Trained { name, parameter, gradient } in trained {
            let (shape, dtype) = (parameter.shape()?, parameter.dtype()?);
            let moment = |suffix: &str| graph.state(format!("{name}.{suffix}"), &shape, dtype, Init::Constant(0.0));
            let (m, v) = (moment("first_moment"), moment("second_moment"));
            let g = *gradient;
            let next_m = (m * first + g * (1.0 - first)).named(format!("{name}.first_moment.next"));
            let next_v = (v * second + g * g * (1.0 - second)).named(format!("{name}.second_moment.next"));
            let denominator = next_v.sqrt() / correction.second.cast(dtype) + epsilon;
            let kept = if decay == 0.0 { *parameter } else { *parameter * shrink.cast(dtype) };
            let next = (kept - correction.step_size.cast(dtype) * (next_m / denominator)).named(format!("{name}.next"));
            pairs.extend([(m, next_m), (v, next_v), (*parameter, next)]);
        }
        Ok(pairs)
    }

    /// What makes up for moments that start at 0, in the update of that number, counted from 1.
    fn correction<'g>(
        &self,
        graph: &'g Graph,
        learning_rate: Expr<'g>,
        number: Expr<'g>,
        dtype: DType,
    ) -> Correction<'g> {
        // 1 - beta^t as -expm1(t ln beta): beta itself is not an f32, and 1 - beta would lose its digits.
        let bias = |beta: f64| match beta {
            0.0 => graph.ones([], dtype),
            beta => -(number * beta.ln()).expm1(),
        };
        Correction {
            step_size: (learning_rate / bias(self.betas.0)).named("step_size"),
            second: bias(self.betas.1).sqrt().named("second_correction"),
        }
    }
}

impl AdamW {
    /// AdamW at that learning rate.
    pub fn new(rate: f64) -> Self {
        AdamW { adam: Adam::new(rate), decay: 0.01 }
    }

    /// With other decay rates of the moments, each in [0, 1).
    pub fn betas(self, first: f64, second: f64) -> Self {
        AdamW { adam: self.adam.betas(first, second), ..self }
    }

    /// With another number added to the denominator.
    pub fn epsilon(self, epsilon: f64) -> Self {
        AdamW { adam: self.adam.epsilon(epsilon), ..self }
    }

    /// With another weight decay.
    pub fn weight_decay(self, decay: f64) -> Self {
        AdamW { decay, ..self }
    }
}

impl Optimizer for Adam {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        self.update_with(graph, trained, 0.0)
    }
}

impl Optimizer for AdamW {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        self.adam.update_with(graph, trained, self.decay)
    }
}
