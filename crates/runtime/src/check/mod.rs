//! Checks of graphs and their derivatives: numerical gradients, gradcheck, adjoints, the parity of two devices, and where a NaN
//! comes from.
//!
//! | to find out | use |
//! |---|---|
//! | the gradient of any function without differentiating it | [`Differences`] |
//! | whether the gradients of a graph are right | [`gradcheck`], [`gradgradcheck`], [`GradCheck`] |
//! | whether reverse and forward mode belong together | [`adjoint()`] |
//! | where two devices part | [`parity()`] |
//! | which node made the first NaN or infinity, and on which line it was written | [`anomaly()`] |
//!
//! Checks are views of the engine: a graph is evaluated through a [`crate::Session`], and the derivative that is checked is
//! the one that [`crate::Graph::gradients`] or [`crate::Graph::jvp`] builds. Graphs in f32 are checked in f64, by
//! [`crate::graph::passes::widen`].
//!
//! A check that ran ends in a report, whether it passed or not; `into_result` turns a failed one into a [`CheckError`].
//! Errors are for checks that could not be made.
//!
//! The module does not know whether a function is differentiable where it is checked: at a kink, central differences give
//! the mean of the two slopes, and the report says that they differ.

mod adjoint;
mod anomaly;
mod differences;
mod error;
mod evaluation;
mod function;
mod gradcheck;
mod jacobian;
mod parity;
mod report;

pub use adjoint::{Adjoint, AdjointReport, adjoint};
pub(crate) use anomaly::Search;
pub use anomaly::{Anomaly, AnomalyReport, anomaly};
pub use differences::{DifferenceScheme, Differences, Probe, Sample};
pub use error::CheckError;
pub use gradcheck::{GradCheck, gradcheck, gradgradcheck};
pub use parity::{Divergence, Parity, ParityReport, parity};
pub use report::{Derivative, GradientReport, JacobianPair, Order};
