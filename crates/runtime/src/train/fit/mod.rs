//! The loop around a [`Trainer`](crate::Trainer): epochs, what is shown and written down of them, validation, early stopping, checkpoints.
//!
//! It is a page of code ([`Fit::run`]) over parts that stand for themselves, so a loop of one's own takes what it needs of them:
//!
//! | part | what it does |
//! |---|---|
//! | [`Progress`] | a bar with rate and remaining time, or lines where there is no terminal |
//! | [`EarlyStopping`] | says when a metric has not become better for some epochs |
//! | [`Interrupt`] | Ctrl-C as a request that the loop ends behind its present step |
//! | [`RunFolder`], [`Record`] | what was measured, as lines of JSON |
//! | [`Curves`], [`curves`] | curves as SVG, on axes that can be read ([`Axis`]) |
//! | [`Report`] | the run on one HTML page |
//! | [`EventFile`] | scalars as TensorBoard reads them |
//! | [`metrics`](crate::metrics) | accuracy, F1 and others over a whole data set |
//!
//! The loop knows no data set: it asks a closure for the batches from a [`Position`](crate::data::Position) on. It knows no network either:
//! what is computed is the trainer's matter, and what is measured behind an epoch another closure's.
//!
//! The module is the feature `fit`, which is off by default; it needs indicatif and signal-hook.

mod axis;
mod curves;
mod error;
mod events;
mod folder;
mod interrupt;
mod means;
mod options;
mod progress;
mod record;
mod report;
mod run;
mod start;
mod state;
mod stopping;
mod text;
mod validation;

pub use axis::{Axis, distinct_labels};
pub use curves::{Curves, Panel};
pub use error::{FitError, Kept};
pub use events::EventFile;
pub use folder::RunFolder;
pub use interrupt::Interrupt;
pub use options::{Fit, StepView};
pub use progress::Progress;
pub use record::{Record, RecordKind};
pub use report::{Report, curves};
pub use run::{BestEpoch, FitBatch, FitEnd, FitOutcome};
pub use stopping::{Better, EarlyStopping};
pub use validation::Validation;
