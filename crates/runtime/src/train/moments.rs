//! What optimisers have in common: decaying means of gradients, what makes up for their start at 0, and the decay of weights.

use std::collections::HashMap;

use arenagrad_graph::{DType, Expr, Graph, NodeId};

use crate::error::Error;
use crate::train::Trained;
use crate::train::hyperparameter::Hyperparameters;

/// How much of a mean stays in one update.
#[derive(Clone, Copy)]
pub(super) enum Beta<'g> {
    /// Always as much.
    Number(f64),
    /// What a schedule says.
    Scheduled(Expr<'g>),
}

/// How the weights decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decay {
    /// As an L2 penalty: a part of the gradient.
    Penalty(f64),
    /// Beside the gradient: `p (1 - rate decay)` before the update.
    Decoupled(f64),
}

/// Scalars that depend on the factor of a parameter's rate and on the number of its update: one for all parameters that have the same.
#[derive(Default)]
pub(super) struct ByFactors<'g> {
    /// By the bits of the factor, and the number's node.
    made: HashMap<(u64, Option<NodeId>), Expr<'g>>,
}

/// What depends on the number of a parameter's update: one for all parameters that have the same.
pub(super) struct ByNumbers<T> {
    made: HashMap<Option<NodeId>, T>,
}

impl<'g> Beta<'g> {
    /// `beta mean + (1 - beta) value`, in that dtype.
    pub(super) fn mix(self, mean: Expr<'g>, value: Expr<'g>, dtype: DType) -> Expr<'g> {
        match self {
            Beta::Number(beta) => mean * beta + value * (1.0 - beta),
            Beta::Scheduled(beta) => {
                let beta = beta.cast(dtype);
                mean * beta + value * (1.0 - beta)
            }
        }
    }

    /// `1 - beta^number`: what a mean that began at 0 falls short by.
    pub(super) fn correction(self, graph: &'g Graph, number: Expr<'g>, dtype: DType) -> Expr<'g> {
        // As -expm1(number ln beta): beta itself is not an f32, and 1 - beta would lose its digits.
        match self {
            Beta::Number(0.0) => graph.ones([], dtype),
            Beta::Number(beta) => -(number * beta.ln()).expm1(),
            Beta::Scheduled(beta) => -(number * beta.log()).expm1(),
        }
    }
}

impl Decay {
    /// Refuses a decay that is negative or not finite.
    pub(super) fn check(self, numbers: &Hyperparameters) -> Result<(), Error> {
        let (Decay::Penalty(decay) | Decay::Decoupled(decay)) = self;
        numbers.not_negative("weight decay", decay)
    }

    /// The gradient of a parameter, or its negative where the loss is to grow, with the penalty.
    pub(super) fn gradient<'g>(self, one: &Trained<'g>, maximize: bool) -> Expr<'g> {
        match self {
            Decay::Penalty(decay) => one.penalised(maximize, decay),
            Decay::Decoupled(_) => one.penalised(maximize, 0.0),
        }
    }

    /// What is left of a parameter at that rate, before its update.
    pub(super) fn kept<'g>(self, one: &Trained<'g>, rate: Expr<'g>) -> Result<Expr<'g>, Error> {
        let decay = match self {
            Decay::Penalty(_) => 0.0,
            Decay::Decoupled(decay) => decay * one.decay_factor(),
        };
        if decay == 0.0 {
            return Ok(one.parameter);
        }
        Ok(one.parameter * (1.0 - rate * decay).named("shrink").cast(one.parameter.dtype()?))
    }
}

impl<'g> ByFactors<'g> {
    /// The scalar for that factor and number, made by `make` if there is none yet.
    pub(super) fn get(&mut self, factor: f64, number: Expr<'g>, make: impl FnOnce() -> Expr<'g>) -> Expr<'g> {
        *self.made.entry((factor.to_bits(), number.id().ok())).or_insert_with(make)
    }
}

impl<T: Copy> ByNumbers<T> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        ByNumbers { made: HashMap::new() }
    }

    /// What there is for that number, made by `make` if there is nothing yet.
    pub(super) fn get(&mut self, number: Expr<'_>, make: impl FnOnce() -> T) -> T {
        *self.made.entry(number.id().ok()).or_insert_with(make)
    }
}
