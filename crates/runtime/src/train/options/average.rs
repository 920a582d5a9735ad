//! Moving averages of weights.

use std::collections::HashMap;
use std::rc::Rc;

use arenagrad_graph::{DType, Expr, Graph, Half, Init, NodeId};

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

    /// What share of an average after so many updates the next weights have. The first average is the weights themselves.
    fn weight_of_next<'g>(&self, count: Expr<'g>) -> Expr<'g> {
        count.equal(0.0).where_(1.0, count.full_like(1.0 - self.decay))
    }

    /// The average of a parameter that some steps do not reach, as it is before this one: at updates that left the parameter as it is the
    /// average came nearer to it, and before the first that reached it both were the same. `own` says by how many updates the average is up to
    /// date, 0 if it was never made, and `count` how many there have been.
    fn caught_up<'g>(
        &self,
        one: &Trained<'g>,
        average: Expr<'g>,
        (own, count): (Expr<'g>, Expr<'g>),
        dtype: DType,
    ) -> Expr<'g> {
        let missed = count - own;
        // Without the logarithm of 0: nothing is left after an update then.
        let left = match self.decay {
            0.0 => missed.equal(0.0).cast(dtype),
            decay => (missed * decay.ln()).exp().cast(dtype),
        };
        let left = own.equal(0.0).where_(0.0, left);
        one.parameter + (average - one.parameter) * left
    }
}

/// The parameters that are stored in 16 bits, and in which.
fn narrow_storages(graph: &Graph) -> HashMap<NodeId, Half> {
    let declared = graph.declarations().into_iter();
    declared.filter_map(|one| Some((one.node, Half::of(one.storage)?))).collect()
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
        let when = |updated: Option<NodeId>, state: Expr<'g>, next: Expr<'g>| match updated {
            Some(updated) => graph.expr(updated).where_(next, state),
            None => next,
        };
        let name = first.settings.scalar_name(AVERAGED);
        let count = graph.state(&name, [], scalar_dtype(&trained)?, Init::Constant(0.0));
        first.settings.note_scalar(count);
        let weight = self.weight_of_next(count).named("average_weight");
        let next_count = when(updated, count, count + 1.0);
        let mut averages = vec![(count, next_count)];
        let next: HashMap<NodeId, Expr<'g>> =
            pairs.iter().filter_map(|(target, next)| Some((target.id().ok()?, *next))).collect();
        let storages = narrow_storages(graph);
        for one in &trained {
            let parameter = one.parameter.id()?;
            let Some(&next) = next.get(&parameter) else { continue };
            // What the parameter will hold.
            let next = storages.get(&parameter).map_or(next, |half| next.rounded_to(*half));
            let dtype = one.parameter.dtype()?;
            let own_update = one.settings.kept.borrow().updated;
            let updated = own_update.or(updated);
            let average = one.state(graph, AVERAGE, 0.0)?;
            let (mut before, mut weight) = (average, weight);
            let (own, is_own) = one.own_scalar(graph, (AVERAGED, 0.0), count)?;
            if is_own && own_update.is_some() {
                // Its updates are others' than those that are counted for all.
                weight = self.weight_of_next(own);
                averages.push((own, when(updated, own, own + 1.0)));
            } else if is_own {
                before = self.caught_up(one, average, (own, count), dtype);
                averages.push((own, when(updated, own, next_count)));
            }
            let mixed = before + (next - before) * weight.cast(dtype);
            averages.push((average, when(updated, average, mixed)));
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
