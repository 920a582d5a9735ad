//! Learning rates that change with the number of updates, as nodes of the training plan: what PyTorch has in
//! `torch.optim.lr_scheduler`, where `step()` is called after each update of the optimiser.
//!
//! A schedule makes the present rate of the base rate, which is the one that the optimiser was made with and that
//! [`crate::Session::set_learning_rate`] sets. Updates are counted by the state `updates`, which a file of parameters holds, so a
//! run that is resumed goes on where it was. The state `learning_rate.scheduled` is the rate of the last update.
//!
//! ```
//! use arenagrad::train::schedules::{Cosine, Schedule};
//! use arenagrad::{AdamW, Device, Graph, Init, Optimizer, Session};
//!
//! let g = Graph::new();
//! let w = g.parameter("w", [3], Init::Constant(1.0));
//! // 100 updates of warm-up from 0 to the rate, then a cosine down to a tenth of it over 900.
//! let schedule = Cosine::new(900).floor(1e-4).after_warm_up(100);
//! let mut session = Session::train(&g, w.square().sum(..), AdamW::new(1e-3).schedule(schedule), Device::cpu())?;
//! session.step(&[])?;
//! session.step(&[])?;
//! assert!((session.parameter("learning_rate.scheduled")?.item()? - 1e-5).abs() < 1e-10);
//! # Ok::<(), arenagrad::Error>(())
//! ```
//!
//! A schedule of one's own implements [`Schedule`], or is a closure: [`from_fn`]. One that depends on what validation gives is
//! no part of the plan: [`ReduceOnPlateau`].

mod cosine;
mod count;
mod decays;
mod joined;
mod one_cycle;
mod plateau;

pub use cosine::{Cosine, CosineRestarts};
pub use count::Count;
pub use decays::{Constant, Exponential, LinearRamp, MultiStep, Polynomial, Step};
pub use joined::{Chained, Joined};
pub use one_cycle::OneCycle;
pub use plateau::{PlateauMode, ReduceOnPlateau};

use std::sync::Arc;

use arenagrad_graph::Expr;

use crate::error::{Error, Given};
use crate::train::Hyperparameters;

/// How a learning rate changes with the number of updates.
pub trait Schedule: Send + Sync {
    /// The rate of an update, of the base rate and the number of updates before this one; both are scalars of one float dtype,
    /// and so is the result.
    ///
    /// Errors: numbers that the schedule was made with and that are out of range. A result that is no such scalar is
    /// [`Error::ScheduleResult`], with the line that made it.
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error>;

    /// The momentum of an update, or Adam's first beta, if the schedule says that too.
    fn momentum<'g>(&self, count: Expr<'g>) -> Result<Option<Expr<'g>>, Error> {
        let _ = count;
        Ok(None)
    }

    /// This schedule after so many updates in which the rate grows evenly from 0 to the base rate: update `k`, counted from 0, has
    /// `base k / updates`. What follows counts from 0 again. To start above 0, write it out: `LinearRamp::new(0.1, 1.0, 100).then(100, rest)`.
    fn after_warm_up(self, updates: impl Count) -> Joined
    where
        Self: Sized + 'static,
    {
        let updates = updates.count();
        LinearRamp::new(0.0, 1.0, updates).then(updates, self)
    }

    /// This schedule for so many updates, and `next` from then on, which counts from 0 and has the base rate for its own: PyTorch's
    /// `SequentialLR`.
    fn then(self, updates: impl Count, next: impl Schedule + 'static) -> Joined
    where
        Self: Sized + 'static,
    {
        Joined::new(Arc::new(self), updates.count(), Arc::new(next))
    }

    /// Both at once: what this schedule gives is the base rate of the other. Where both multiply the rate, so do they together, as
    /// in PyTorch's `ChainedScheduler`.
    fn chain(self, other: impl Schedule + 'static) -> Chained
    where
        Self: Sized + 'static,
    {
        Chained::new(Arc::new(self), Arc::new(other))
    }
}

/// A schedule that a closure computes of the base rate and the number of updates before this one, both scalars: nodes of the plan,
/// like the rest.
///
/// ```
/// use arenagrad::train::schedules::from_fn;
/// use arenagrad::{Optimizer, Sgd};
///
/// let optimizer = Sgd::new(0.1).schedule(from_fn(|rate, count| rate / (count + 1.0).sqrt()));
/// # let _ = optimizer;
/// ```
pub fn from_fn<F>(rate: F) -> FromFn<F>
where
    F: for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g> + Send + Sync,
{
    FromFn { rate }
}

/// What [`from_fn`] makes.
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    rate: F,
}

impl<F> Schedule for FromFn<F>
where
    F: for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g> + Send + Sync,
{
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        one_number("rate", (self.rate)(base, count), base, count)
    }
}

/// What a schedule says, which has the dtype of the base rate and is one number for a count. A mistake within it is told in its stead.
pub(super) fn one_number<'g>(
    what: &'static str,
    result: Expr<'g>,
    base: Expr<'g>,
    count: Expr<'g>,
) -> Result<Expr<'g>, Error> {
    let node = result.graph().node(result.id()?)?;
    let expected = base.dtype()?;
    if node.shape == count.shape()? && node.dtype == expected {
        return Ok(result);
    }
    Err(Error::ScheduleResult { origin: node.origin, what, found: (node.shape, node.dtype), expected })
}

/// Refuses a number of a schedule for which `holds` is false.
fn require(what: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<(), Error> {
    Hyperparameters::beside([], Given::Argument).require(what, value, holds, expected)
}

/// Refuses a number of updates that is 0.
fn require_updates(what: &'static str, updates: u64) -> Result<(), Error> {
    require(what, updates as f64, updates > 0, "1 or more")
}

/// Refuses a factor that is negative or not finite.
fn require_factor(what: &'static str, factor: f64) -> Result<(), Error> {
    require(what, factor, factor.is_finite() && factor >= 0.0, "a finite number, 0 or more")
}

/// Refuses a factor that is negative, or not finite in the dtype of the rates that it is used beside.
fn require_held(what: &'static str, factor: f64, base: Expr<'_>) -> Result<(), Error> {
    require_factor(what, factor)?;
    require(what, factor, dtype_of(base).round(factor).is_finite(), "a number that f32 holds")
}

/// `factor^exponent` for an exponent that is a whole number, 0 or more.
fn power(factor: f64, exponent: Expr<'_>) -> Expr<'_> {
    // By the logarithm: a factor next to 1 is none that f32 holds, and thousands of updates would raise its rounding to their power.
    if factor == 0.0 {
        // 0^0 is 1.
        return exponent.equal(0.0).cast(dtype_of(exponent));
    }
    (exponent * factor.ln()).exp()
}

/// The dtype of a scalar; that of an expression with a mistake, which is told later, is of no account.
fn dtype_of(expr: Expr<'_>) -> arenagrad_graph::DType {
    expr.dtype().unwrap_or(arenagrad_graph::DType::F32)
}
