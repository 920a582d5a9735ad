//! What a closure of the caller measures behind each epoch.

use crate::metrics::ConfusionMatrix;

/// What was measured behind an epoch: metrics by name, and a confusion matrix for the page of the run. A list such as
/// `[("accuracy", accuracy.value())]` is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    pub(super) metrics: Vec<(String, f64)>,
    pub(super) confusion: Option<ConfusionMatrix>,
}

impl Validation {
    /// Nothing measured yet.
    #[must_use]
    pub fn new() -> Self {
        Validation::default()
    }

    /// With a metric; one that had the name before is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        let name = name.into();
        match self.metrics.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.metrics.push((name, value)),
        }
        self
    }

    /// The metric of that name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// With a confusion matrix.
    #[must_use]
    pub fn confusion(mut self, confusion: ConfusionMatrix) -> Self {
        self.confusion = Some(confusion);
        self
    }
}

impl<S: Into<String>, const N: usize> From<[(S, f64); N]> for Validation {
    fn from(metrics: [(S, f64); N]) -> Self {
        metrics.into_iter().fold(Validation::new(), |all, (name, value)| all.with(name, value))
    }
}

impl<S: Into<String>> From<Vec<(S, f64)>> for Validation {
    fn from(metrics: Vec<(S, f64)>) -> Self {
        metrics.into_iter().fold(Validation::new(), |all, (name, value)| all.with(name, value))
    }
}
