//! What keeps a check from being made, and what a failed one says.

use arenagrad_graph::DType;
use arenagrad_graph::message::short;

use crate::check::report::Derivative;
use crate::check::{AdjointReport, AnomalyReport, Divergence, Order};

/// Why a check could not be made, or what a failed one found.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum CheckError {
    #[error("a step of finite differences must be finite and above 0, but is {}", short(*.step))]
    Step { step: f64 },

    #[error("{input}[{element}] is {}, which a step of {} does not change", short(*.value), short(*.step))]
    StepVanishes { input: String, element: usize, value: f64, step: f64 },

    #[error("{input}[{element}] is {value:?}, from which a step of {step:?} leads past the largest number")]
    StepOverflows { input: String, element: usize, value: f64, step: f64 },

    #[error("the {what} tolerance must be finite and not below 0, but is {}", short(*.value))]
    Tolerance { what: &'static str, value: f64 },

    #[error("{name:?} is neither an input nor a parameter of the graph, which has {known}")]
    UnknownName { name: String, known: String },

    #[error("{name:?} holds {dtype}, by which nothing can be differentiated")]
    NotDifferentiable { name: String, dtype: DType },

    #[error("no value was given for {name:?}")]
    MissingValue { name: String },

    #[error("there is nothing to differentiate by: the outputs depend on no float that is given or trained")]
    NothingToCheck,

    #[error("{order} failed: {failed} of {compared} derivatives differ, worst {worst}")]
    Gradient { order: Order, failed: usize, compared: usize, worst: Box<Derivative> },

    #[error("{0}")]
    Adjoint(Box<AdjointReport>),

    #[error("the devices part at {0}")]
    Parity(Box<Divergence>),

    #[error("{0}")]
    Anomaly(Box<AnomalyReport>),
}

arenagrad_graph::debug_in_words!(CheckError);

/// Tolerances must be finite and not below 0.
pub(super) fn require_tolerances(absolute: f64, relative: f64) -> Result<(), CheckError> {
    for (what, value) in [("absolute", absolute), ("relative", relative)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(CheckError::Tolerance { what, value });
        }
    }
    Ok(())
}
