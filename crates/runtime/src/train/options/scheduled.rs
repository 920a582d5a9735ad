//! A learning rate that a schedule says.

use std::rc::Rc;
use std::sync::Arc;

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::schedules::Schedule;
use crate::train::trained::{Asked, Scheduling};
use crate::train::{Optimizer, Trained};

/// An optimiser whose rate is scheduled: see [`Optimizer::schedule`].
#[derive(Clone)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Scheduled<O> {
    inner: O,
    schedule: Arc<dyn Schedule>,
}

impl<O> Scheduled<O> {
    pub(crate) fn new(inner: O, schedule: impl Schedule + 'static) -> Self {
        Scheduled { inner, schedule: Arc::new(schedule) }
    }
}

impl<O: Optimizer> Optimizer for Scheduled<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let asked = Rc::new(Asked::default());
        let scheduling = Scheduling { schedule: self.schedule.clone(), asked: asked.clone() };
        let trained: Vec<Trained<'g>> = trained
            .iter()
            .map(|one| {
                let mut one = one.clone();
                one.settings.schedules.push(scheduling.clone());
                one
            })
            .collect();
        let pairs = self.inner.update(graph, &trained)?;
        if trained.is_empty() || pairs.is_empty() {
            // No parameter is updated, though updates may be counted, so nothing is scheduled.
            return Ok(pairs);
        }
        let refused = |reason: &str| Err(Error::OptimizerParts { reason: reason.to_owned() });
        if !asked.rate.get() {
            return refused("a schedule would do nothing for an optimiser whose rate is not of train::Scalars");
        }
        if asked.has_momentum.get() && !asked.momentum.get() {
            return refused(
                "the schedule says a momentum and the optimiser has none; leave it out by constant_momentum",
            );
        }
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}
