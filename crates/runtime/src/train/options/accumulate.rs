//! One update from the gradients of several batches.

use std::collections::HashMap;

use arenagrad_graph::{Expr, Graph, Init, NodeId};

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
        first.settings.note_scalar(count);
        let is_last = count.greater_equal(batches - 1.0);
        let mut pairs = vec![(count, is_last.where_(0.0, count + 1.0).named(format!("{name}.next")))];
        let mut averaged = Vec::with_capacity(trained.len());
        // When parameters are updated that count the batches which reach them themselves.
        let mut own = Vec::new();
        let counts_differ = trained.iter().any(|one| one.settings.counts_alone);
        for one in trained {
            let (own_count, is_own) = one.own_scalar(graph, (MICRO_BATCHES, 0.0), count)?;
            if one.settings.updated.replace(Some(is_last.id()?)).is_some() {
                return Err(Error::OptimizerParts { reason: "accumulate is said twice".to_owned() });
            }
            let mut is_last = is_last;
            if is_own {
                is_last = own_count.greater_equal(batches - 1.0);
                pairs.push((own_count, is_last.where_(0.0, own_count + 1.0)));
                one.settings.kept.borrow_mut().updated = Some(is_last.id()?);
                own.push((one, is_last));
            }
            let accumulated = one.state(graph, "accumulated", 0.0)?;
            let sum = accumulated + one.gradient;
            pairs.push((accumulated, is_last.where_(0.0, sum)));
            let mean = sum / batches;
            // What is not updated now is no part of a norm by which others are clipped.
            averaged.push(one.with_gradient(if counts_differ { is_last.where_(mean, 0.0) } else { mean }));
        }
        // A norm is that of each update, whichever of its parameters that is of.
        let mut norms: HashMap<NodeId, Expr<'g>> = HashMap::new();
        // Between two updates everything that the optimiser keeps stays as it is.
        let update = self.inner.update(graph, &averaged)?;
        let updated = |one: &Trained<'g>| one.settings.kept.borrow().updated.map_or(is_last, |own| graph.expr(own));
        for (one, norm) in trained.iter().filter_map(|one| Some((one, one.settings.kept.borrow().norm?))) {
            let own = updated(one);
            norms
                .entry(norm)
                .and_modify(|any| {
                    if any.id() != own.id() {
                        *any = *any | own
                    }
                })
                .or_insert(own);
        }
        let own = own.into_iter().flat_map(|(one, own)| one.own_nodes().into_iter().map(move |node| (node, own)));
        let own: HashMap<NodeId, Expr<'g>> = own.collect();
        for (state, next) in update {
            let node = state.id()?;
            let when = own.get(&node).or_else(|| norms.get(&node)).copied().unwrap_or(is_last);
            pairs.push((state, when.where_(next, state)));
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

/// How far f32 counts.
const MOST_BATCHES: f64 = 16_777_216.0;
