//! The tape as TensorFlow tells it: watch, compute, ask for gradients.

use std::cell::Cell;

use arenagrad_graph::Origin;

use crate::device::Device;
use crate::error::Error;
use crate::tape::{LeafValue, Tape, Variable, backward};

/// A recorded computation that is asked for gradients, as TensorFlow's `GradientTape`.
///
/// Variables made by [`GradientTape::variable`] are watched; constants are not, unless [`GradientTape::watch`] says so before
/// they are used. A tape answers one question and is used up then; a [`GradientTape::persistent`] one answers any number.
/// Gradients are variables themselves, so a tape can be asked for the gradient of a gradient.
///
/// ```
/// use arenagrad::{Device, GradientTape};
///
/// let tape = GradientTape::new(Device::cpu());
/// let (x, y, z) = (tape.variable(-2.0), tape.variable(5.0), tape.variable(-4.0));
/// let f = (&x + &y) * &z;
/// let gradients = tape.gradient(&f, &[&x, &y, &z])?;
/// let values = gradients.iter().flatten().map(|gradient| gradient.item()).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(values, [-4.0, -4.0, 3.0]);
/// assert!(tape.gradient(&f, &[&x]).is_err()); // the tape is used up
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[must_use = "a tape does nothing until it is asked for a gradient"]
pub struct GradientTape {
    tape: Tape,
    persistent: bool,
    used: Cell<bool>,
}

impl GradientTape {
    /// A tape of its own, for one question.
    pub fn new(device: Device) -> GradientTape {
        GradientTape::on(&Tape::new(device))
    }

    /// A view of a tape that is there already, for one question: several views of one tape can each be asked.
    pub fn on(tape: &Tape) -> GradientTape {
        GradientTape { tape: tape.clone(), persistent: false, used: Cell::new(false) }
    }

    /// This tape, for any number of questions.
    pub fn persistent(self) -> GradientTape {
        GradientTape { persistent: true, ..self }
    }

    /// A variable that is watched.
    #[track_caller]
    pub fn variable(&self, value: impl LeafValue) -> Variable {
        self.tape.leaf(value).requires_grad()
    }

    /// A variable that is not watched.
    #[track_caller]
    pub fn constant(&self, value: impl LeafValue) -> Variable {
        self.tape.leaf(value)
    }

    /// Watches a constant: what is computed from it from now on has gradients with respect to it.
    pub fn watch(&self, variable: &Variable) {
        drop(variable.clone().requires_grad());
    }

    /// The gradients of `target` with respect to each of `sources`, of their shapes; `None` for a source that is not watched
    /// or that the target does not depend on. A target of several elements counts as their sum.
    ///
    /// Errors, after which it can be asked again: [`Error::TapeUsed`] on the second question to a tape that is not persistent, and what recording and
    /// differentiating report.
    #[track_caller]
    pub fn gradient(&self, target: &Variable, sources: &[&Variable]) -> Result<Vec<Option<Variable>>, Error> {
        let origin = Origin::here();
        self.answer(|| {
            target.check()?;
            if !target.does_require_grad() {
                return Ok(sources.iter().map(|_| None).collect());
            }
            let is_scalar = target.shape()?.elements() == 1;
            let total = if is_scalar { target.clone() } else { target.unary("sum", origin, |target| target.sum(..)) };
            backward::gradients(&self.tape.inner, &total, None, sources, origin)
        })
    }

    /// As [`GradientTape::gradient`], of `sum of upstream * target`.
    #[track_caller]
    pub fn gradient_with(
        &self,
        target: &Variable,
        upstream: &Variable,
        sources: &[&Variable],
    ) -> Result<Vec<Option<Variable>>, Error> {
        let origin = Origin::here();
        self.answer(|| {
            target.check()?;
            if !target.does_require_grad() {
                return Ok(sources.iter().map(|_| None).collect());
            }
            backward::gradients(&self.tape.inner, target, Some(upstream), sources, origin)
        })
    }

    /// The Jacobian of `target`, of shape `[a..]`, with respect to `source`, of shape `[b..]`: `[a.., b..]`. Errors: as
    /// [`GradientTape::gradient`], and a target or source that is not watched.
    #[track_caller]
    pub fn jacobian(&self, target: &Variable, source: &Variable) -> Result<Variable, Error> {
        let origin = Origin::here();
        self.answer(|| {
            let jacobian = Variable::of(&self.tape.inner, backward::jacobian(&self.tape.inner, target, source, origin));
            jacobian.check()?;
            Ok(jacobian)
        })
    }

    /// Runs `body`, whose operations are not recorded for differentiation.
    pub fn stop_recording<T>(&self, body: impl FnOnce() -> T) -> T {
        self.tape.no_grad(body)
    }

    /// The tape that is asked.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Answers the one question. One that was refused was none: it can be asked again, rightly.
    fn answer<T>(&self, question: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if self.used.get() && !self.persistent {
            return Err(Error::TapeUsed);
        }
        let answer = question()?;
        self.used.set(true);
        Ok(answer)
    }
}
