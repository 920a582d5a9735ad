//! What can be wrong with a network, its truth or its training.

use arenagrad::symbolic::{ApplyError, ParseProblem};

/// What went wrong, and in which expression, variable or parameter.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum PrimerError {
    #[error("no expressions were given, so there is no network")]
    NoExpressions,

    #[error("expression {number}, {expression:?}: there is no '=' between a variable and what it is")]
    NoEquals { number: usize, expression: String },

    #[error("expression {number}, {expression:?}: the left side {name:?} is not a name")]
    NotAName { number: usize, expression: String, name: String },

    #[error(
        "expression {number}, {expression:?}: the left side {name:?} is a learnable parameter, because only the names of \
         variables start with x"
    )]
    NotAVariable { number: usize, expression: String, name: String },

    #[error("expression {number}: column {column}: {problem}\n{}", pointed(.expression, *.column))]
    Syntax { number: usize, expression: String, column: usize, problem: ParseProblem },

    #[error("expression {number}, {expression:?}: {name} was already defined by expression {first}")]
    DefinedTwice { number: usize, expression: String, name: String, first: usize },

    #[error("the variables depend on each other in a circle: {}", .cycle.join(" -> "))]
    Cycle { cycle: Vec<String> },

    #[error("no variable is named {name:?}; the network has {known}")]
    UnknownOutput { name: String, known: String },

    #[error("{name} is an independent variable and cannot be an output")]
    IndependentOutput { name: String },

    #[error("output {name} was named twice")]
    RepeatedOutput { name: String },

    #[error("the true value {text:?} is not of the form NAME=NUMBER")]
    TruthForm { text: String },

    #[error("the truth gives {name} twice")]
    RepeatedTruth { name: String },

    #[error("the truth gives no value for {}", .names.join(", "))]
    MissingTruth { names: Vec<String> },

    #[error("the truth gives a value for {name:?}, which is no learnable parameter; the network has {known}")]
    UnknownTruth { name: String, known: String },

    #[error("{what} is {value}, which is not {expected}")]
    OutOfRange { what: String, value: f64, expected: &'static str },

    #[error("the network has no learnable parameters, so there is nothing to train")]
    NoParameters,

    #[error("with the true parameters {variable} is {value} for sample {sample}, where {inputs}")]
    DataNotFinite { variable: String, value: f64, sample: usize, inputs: String },

    #[error(
        "the loss is {loss} before the first update: the network has no value there for some sample; another seed starts \
         elsewhere"
    )]
    StartNotFinite { loss: f64 },

    #[error("the loss is {loss:.4e} after {step} updates: the learning rate is too high here")]
    Diverged { loss: f64, step: usize },

    #[error("{path}: {reason}")]
    File { path: String, reason: String },

    #[error(transparent)]
    Apply(#[from] ApplyError),

    #[error(transparent)]
    Engine(#[from] arenagrad::Error),
}

impl From<arenagrad::GraphError> for PrimerError {
    fn from(error: arenagrad::GraphError) -> Self {
        PrimerError::Engine(error.into())
    }
}

/// The neighbourhood of a column, counted from 1, and a caret under it.
fn pointed(expression: &str, column: usize) -> String {
    const BEFORE: usize = 60;
    const AFTER: usize = 20;
    let skipped = (column - 1).saturating_sub(BEFORE);
    // A tab would move what follows it away from the caret.
    let shown = |character: char| if character.is_whitespace() || character.is_control() { ' ' } else { character };
    let excerpt: String = expression.chars().skip(skipped).take(BEFORE + AFTER).map(shown).collect();
    format!("  {excerpt}\n  {:>width$}", '^', width = column - skipped)
}
