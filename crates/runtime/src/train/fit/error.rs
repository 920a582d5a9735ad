//! What ends a run of the loop, or keeps it from beginning.

use std::fmt;
use std::path::PathBuf;

use arenagrad_graph::message::short;

/// What ends a run of the loop, or keeps it from beginning.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum FitError {
    #[error(
        "the loss of step {step} (epoch {epoch}, batch {batch} of it) is {loss}, and no step after it can mend that{kept}; \
         to find the operation that makes it, give Trainer::anomaly that batch, with the parameters from before it"
    )]
    NotFinite {
        step: u64,
        /// Counted from 1.
        epoch: u64,
        /// Counted from 1.
        batch: u64,
        loss: f64,
        /// Where parameters from before are, if they were written.
        kept: Kept,
    },

    #[error(
        "the losses of {steps} steps in a row are not finite, at last {loss} of step {step} (epoch {epoch}, batch {batch} of it); the scale of \
         the loss skipped them, and a smaller one does not help{kept}; let Precision::keep_f32 name what leaves the range of 16 bits, \
         or give Trainer::anomaly that batch"
    )]
    AllSkipped {
        /// How many in a row.
        steps: u32,
        step: u64,
        /// Counted from 1.
        epoch: u64,
        /// Counted from 1.
        batch: u64,
        loss: f64,
        /// Where parameters from before are, if they were written.
        kept: Kept,
    },

    #[error("epoch {epoch} has no batch, so there is nothing to train on")]
    NoBatch { epoch: u64 },

    #[error("no metric is named {name:?}, by which the best epoch is to be told; there is {known}")]
    UnknownMetric { name: String, known: String },

    #[error("the {what} of a run is {}, which is not {expected}", short(*.value))]
    Option { what: &'static str, value: f64, expected: &'static str },

    #[error("{path}:{line}: this is no record of a run", path = .path.display())]
    Records { path: PathBuf, line: usize },

    #[error(
        "{path}: the records end at step {found_steps}, with {found_epochs} epochs measured, but last.safetensors beside them is of step \
         {steps}, with {epochs}; without the rest it is not known which epoch was the best: bring the whole file back, or begin anew \
         without resume()",
        path = .path.display()
    )]
    RecordsEnd { path: PathBuf, epochs: u64, steps: u64, found_epochs: u64, found_steps: u64 },

    #[error("{path}: a run cannot go on from this file: {reason}", path = .path.display())]
    Resume { path: PathBuf, reason: String },

    #[error("a run without a folder has nothing to go on from and nowhere to write; name one by folder()")]
    NoFolder,

    #[error("signals cannot be handled: {reason}")]
    Signals { reason: String },

    /// What a closure of the caller reported.
    #[error("{reason}")]
    Caller { reason: String },
}

arenagrad_graph::debug_in_words!(FitError);

impl FitError {
    /// An error of the caller's own, for closures of a loop that fail by something else than this library.
    pub fn caller(error: impl fmt::Display) -> FitError {
        FitError::Caller { reason: error.to_string() }
    }
}

/// Where good parameters are after a run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nowhere.
    Nowhere,
    /// In a file.
    File(PathBuf),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Nowhere => Ok(()),
            Kept::File(path) => write!(f, "; the parameters from before are in {}", path.display()),
        }
    }
}
