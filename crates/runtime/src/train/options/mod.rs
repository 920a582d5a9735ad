//! What is put around an optimiser by the methods of [`Optimizer`](crate::Optimizer): each is an optimiser itself, which changes what
//! the one within is told, or what becomes of its update.
//!
//! An option that is said later stands further out, and so sees gradients first and next values last. Their states have names
//! that a graph must leave to them: `gradient_norm`, `micro_batches`, `averaged`, `learning_rate.scheduled`, and for a parameter `w`
//! the names `w.accumulated` and `w.average`; in front of the scalars of a group stands its name.

mod accumulate;
mod average;
mod clip;
mod group;
mod scheduled;
mod selection;

pub use accumulate::Accumulated;
pub use average::Averaged;
pub use clip::{NormClipped, ValueClipped};
pub use group::Grouped;
pub use scheduled::Scheduled;
pub use selection::{Scaled, Selected};

pub(crate) use average::{AVERAGE, AVERAGED};
pub(crate) use group::parts;
