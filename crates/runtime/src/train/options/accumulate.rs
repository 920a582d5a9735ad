//! One update from the gradients of several batches.

use arenagrad_graph::{Expr, Graph, Init};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Trained, scalar_dtype};

/// The name of the state that counts the batches whose gradients have accumulated.
const MICRO_BATCHES: &str = "micro_batches";

/// An optimiser that updates once in several steps: see [`Optimizer::accumulate`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Accumulated<O> {
    inner: O,
    batches: u64,
}

impl<O> Accumulated<O> {
    pub(crate) fn new(inner: O, batches: u64) -> Self {
        Accumulated { inner, batches }
    }
}

impl<O: Optimizer> Optimizer for Accumulated<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let batches = self.batches as f64;
        let holds = (1.0..=MOST_BATCHES).contains(&batches);
        Hyperparameters::of(trained)?.require("number of batches", batches, holds, "in 1..=16777216")?;
        let Some(first) = trained.first() else { return self.inner.update(graph, trained) };
        let name = first.settings.scalar_name(MICRO_BATCHES);
        let count = graph.state(&name, [], scalar_dtype(trained)?, Init::Constant(0.0));
        let is_last = count.greater_equal(batches - 1.0);
        let mut pairs = vec![(count, is_last.where_(0.0, count + 1.0).named(format!("{name}.next")))];
        let mut averaged = Vec::with_capacity(trained.len());
        for one in trained {
            let accumulated = one.state(graph, "accumulated", 0.0)?;
            let sum = accumulated + one.gradient;
            pairs.push((accumulated, is_last.where_(0.0, sum)));
            averaged.push(one.with_gradient(sum / batches));
            if one.settings.updated.replace(Some(is_last.id()?)).is_some() {
                return Err(Error::OptimizerParts { reason: "accumulate is said twice".to_owned() });
            }
        }
        // Between two updates everything that the optimiser keeps stays as it is.
        let update = self.inner.update(graph, &averaged)?;
        pairs.extend(update.into_iter().map(|(state, next)| (state, is_last.where_(next, state))));
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}

/// How far f32 counts.
const MOST_BATCHES: f64 = 16_777_216.0;
