//! What comes back from a run of a trainer's function.

use crate::error::Error;
use crate::tensor::Tensor;
use crate::train::listed;

/// What a training step of a [`Trainer`](crate::Trainer) returns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The loss before the update.
    pub loss: f64,
    /// What the function reported, under its names, in that order.
    pub metrics: Vec<(String, Tensor)>,
}

/// What [`Trainer::evaluate_with_metrics`](crate::Trainer::evaluate_with_metrics) returns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// What the function returned, in order.
    pub outputs: Vec<Tensor>,
    /// What it reported, under its names, in that order.
    pub metrics: Vec<(String, Tensor)>,
}

impl Outcome {
    /// What the function reported under that name. Errors: [`Error::UnknownMetric`].
    pub fn metric(&self, name: &str) -> Result<&Tensor, Error> {
        find(&self.metrics, name)
    }
}

impl Evaluation {
    /// What the function reported under that name. Errors: [`Error::UnknownMetric`].
    pub fn metric(&self, name: &str) -> Result<&Tensor, Error> {
        find(&self.metrics, name)
    }
}

fn find<'a>(metrics: &'a [(String, Tensor)], name: &str) -> Result<&'a Tensor, Error> {
    metrics.iter().find(|(known, _)| known == name).map(|(_, metric)| metric).ok_or_else(|| {
        let known = listed(metrics.iter().map(|(known, _)| known.as_str()));
        Error::UnknownMetric { name: name.to_owned(), known }
    })
}
