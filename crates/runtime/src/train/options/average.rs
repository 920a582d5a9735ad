//! Moving averages of weights.

use std::rc::Rc;

use arenagrad_graph::{Expr, Graph, Init};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Trained, scalar_dtype};

/// What stands behind the name of a parameter in that of its average.
pub(crate) const AVERAGE: &str = "average";

/// The name of the state that counts the updates that went into the averages.
pub(crate) const AVERAGED: &str = "averaged";

/// An optimiser beside which the weights are averaged: see [`Optimizer::moving_average`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Averaged<O> {
    inner: O,
    decay: f64,
}

impl<O> Averaged<O> {
    pub(crate) fn new(inner: O, decay: f64) -> Self {
        Averaged { inner, decay }
    }
}

impl<O: Optimizer> Optimizer for Averaged<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Hyperparameters::of(trained)?.fraction("decay of the averages", self.decay)?;
        // What the options within say of each parameter is theirs: another one that stands around this hears of it no more.
        let trained: Vec<Trained<'g>> = trained
            .iter()
            .map(|one| {
                let mut one = one.clone();
                one.settings.updated = Rc::default();
                one
            })
            .collect();
        let mut pairs = self.inner.update(graph, &trained)?;
        let Some(first) = trained.first() else { return Ok(pairs) };
        // Where the optimiser within updates once in several steps, so are the averages.
        let updated = first.settings.updated.get();
        if trained.iter().any(|one| one.settings.updated.get() != updated) {
            let reason = "averages of weights that are updated at different steps; put moving_average into each group";
            return Err(Error::OptimizerParts { reason: reason.to_owned() });
        }
        let when_updated = |state: Expr<'g>, next: Expr<'g>| match updated {
            Some(updated) => graph.expr(updated).where_(next, state),
            None => next,
        };
        let name = first.settings.scalar_name(AVERAGED);
        let count = graph.state(&name, [], scalar_dtype(&trained)?, Init::Constant(0.0));
        // The first average is the weights themselves.
        let weight = count.equal(0.0).where_(1.0, count.full_like(1.0 - self.decay)).named("average_weight");
        let mut averages = vec![(count, when_updated(count, count + 1.0))];
        for one in &trained {
            let Some(&(_, next)) = pairs.iter().find(|(target, _)| target.id() == one.parameter.id()) else { continue };
            let average = one.state(graph, AVERAGE, 0.0)?;
            let mixed = average + (next - average) * weight.cast(one.parameter.dtype()?);
            averages.push((average, when_updated(average, mixed)));
        }
        pairs.extend(averages);
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}
