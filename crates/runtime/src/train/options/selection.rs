//! Which parameters are trained, and which have another rate or decay.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Trained};
use crate::weights::matches_pattern;

/// An optimiser that trains a part of the parameters: see [`Optimizer::only`] and [`Optimizer::freeze`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Selected<O> {
    inner: O,
    pattern: String,
    /// Whether what has the pattern is trained, or everything else.
    is_trained: bool,
}

/// An optimiser by which some parameters have another rate or decay: see [`Optimizer::scale_rate`] and [`Optimizer::scale_decay`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Scaled<O> {
    inner: O,
    pattern: String,
    rate_factor: f64,
    decay_factor: f64,
}

impl<O> Selected<O> {
    pub(crate) fn only(inner: O, pattern: impl Into<String>) -> Self {
        Selected { inner, pattern: pattern.into(), is_trained: true }
    }

    pub(crate) fn frozen(inner: O, pattern: impl Into<String>) -> Self {
        Selected { inner, pattern: pattern.into(), is_trained: false }
    }
}

impl<O> Scaled<O> {
    pub(crate) fn rate(inner: O, pattern: impl Into<String>, rate_factor: f64) -> Self {
        Scaled { inner, pattern: pattern.into(), rate_factor, decay_factor: 1.0 }
    }

    pub(crate) fn decay(inner: O, pattern: impl Into<String>, decay_factor: f64) -> Self {
        Scaled { inner, pattern: pattern.into(), rate_factor: 1.0, decay_factor }
    }
}

impl<O> Selected<O> {
    /// Whether its own pattern leaves a parameter in.
    fn selects(&self, name: &str) -> bool {
        matches_pattern(&self.pattern, name) == self.is_trained
    }
}

impl<O: Optimizer> Optimizer for Selected<O> {
    /// What is not trained is left out here too, for whoever did not ask before. What the inner one does not train it leaves out itself: a
    /// question to all within at every level would be quadratic in the levels.
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let trained: Vec<Trained<'g>> = trained.iter().filter(|one| self.selects(&one.name)).cloned().collect();
        if trained.is_empty() {
            return Ok(Vec::new());
        }
        self.inner.update(graph, &trained)
    }

    fn trains(&self, name: &str) -> bool {
        self.selects(name) && self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        with_pattern(&self.inner, &self.pattern)
    }
}

impl<O: Optimizer> Optimizer for Scaled<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let numbers = Hyperparameters::of(trained)?;
        numbers.not_negative("factor of the learning rate", self.rate_factor)?;
        numbers.not_negative("factor of the weight decay", self.decay_factor)?;
        let trained: Vec<Trained<'g>> = trained
            .iter()
            .map(|one| {
                let mut one = one.clone();
                if matches_pattern(&self.pattern, &one.name) {
                    one.settings.rate_factor *= self.rate_factor;
                    one.settings.decay_factor *= self.decay_factor;
                }
                one
            })
            .collect();
        self.inner.update(graph, &trained)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        with_pattern(&self.inner, &self.pattern)
    }
}

/// The patterns of an optimiser, and one more.
fn with_pattern(inner: &impl Optimizer, pattern: &str) -> Vec<String> {
    let mut patterns = inner.patterns();
    patterns.push(pattern.to_owned());
    patterns
}
