//! Why a batch cannot be measured.

use arenagrad_graph::message::short;
use arenagrad_graph::{DType, Shape};

/// Why a batch was refused. The metric is what it was before.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum MetricError {
    #[error("{what} hold {found}, not {expected}")]
    DType { what: &'static str, found: DType, expected: &'static str },

    #[error("logits of shape {shape} have no axis of classes; it is axis 1, or axis 0 of rank 1")]
    NoClasses { shape: Shape },

    #[error("{what} have shape {found}, where {beside} have {expected}")]
    ShapesDiffer { what: &'static str, found: Shape, beside: &'static str, expected: Shape },

    #[error("{what} have {found} {unit}, where earlier batches had {expected}")]
    ExtentChanged { what: &'static str, unit: &'static str, found: usize, expected: usize },

    #[error("the logits have {found} classes, and the confusion matrix {expected}")]
    ClassCount { found: usize, expected: usize },

    #[error("element {position} of the {what} is {class}, which is none of the classes 0..{classes}{hint}")]
    NoSuchClass { what: &'static str, position: usize, class: i64, classes: usize, hint: &'static str },

    #[error("element {position} of the {what} is {}, which is neither 0 nor 1", short(*.value))]
    NotBinary { what: &'static str, position: usize, value: f64 },

    #[error("the weight of a mean is {}, which is not a finite number of 0 or more", short(*.weight))]
    Weight { weight: f64 },

    #[error("the threshold of the scores is {threshold}, which no score is above or below")]
    Threshold { threshold: f64 },

    #[error("no label is among the {likeliest} likeliest classes; Accuracy::top takes 1 or more")]
    NoLikeliest { likeliest: usize },
}

arenagrad_graph::debug_in_words!(MetricError);
