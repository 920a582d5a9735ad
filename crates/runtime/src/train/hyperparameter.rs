//! The numbers that optimisers are set with: which are refused, whoever gives them.
//!
//! A number must be in its range, and still be there when it is rounded to the dtype that it is used in: a learning rate of
//! 1e300 is infinite in f32, one of 1e-300 is 0, and a momentum next to 1 is 1.

use arenagrad_graph::{DType, Shape};

use crate::error::{Error, Given};
use crate::tensor::Tensor;
use crate::train::Trained;
use crate::train::loss_scale::{EXPECTED_LOSS_SCALE, LOSS_SCALE, is_loss_scale};

/// The name of the state that holds the learning rate.
pub(crate) const LEARNING_RATE: &str = "learning_rate";

/// The name of the state that counts updates.
pub(crate) const UPDATES: &str = "updates";

/// The narrowest dtype that a number must be held in, and who gives it.
pub(crate) struct Hyperparameters {
    dtype: DType,
    given: Given,
}

impl Hyperparameters {
    /// For numbers that are used beside floats of those dtypes.
    pub(crate) fn beside(dtypes: impl IntoIterator<Item = DType>, given: Given) -> Self {
        let narrow = dtypes.into_iter().any(|dtype| dtype != DType::F64);
        Hyperparameters { dtype: if narrow { DType::F32 } else { DType::F64 }, given }
    }

    /// For arguments of an optimiser that updates those parameters.
    pub(crate) fn of(trained: &[Trained<'_>]) -> Result<Self, Error> {
        let dtypes = trained.iter().map(|trained| trained.parameter.dtype()).collect::<Result<Vec<_>, _>>()?;
        Ok(Hyperparameters::beside(dtypes, Given::Argument))
    }

    /// Refuses a learning rate that is negative or not finite.
    pub(crate) fn learning_rate(&self, value: f64) -> Result<(), Error> {
        self.not_negative("learning rate", value)
    }

    /// Refuses a number that is negative or not finite.
    pub(crate) fn not_negative(&self, what: &'static str, value: f64) -> Result<(), Error> {
        self.require(what, value, value.is_finite() && value >= 0.0, "a finite number, 0 or more")?;
        let held = self.dtype.round(value);
        self.require(what, value, held.is_finite() && (held == 0.0) == (value == 0.0), "a number that f32 holds")
    }

    /// Refuses a bound that is negative or NaN. Infinity bounds nothing.
    pub(crate) fn bound(&self, what: &'static str, value: f64) -> Result<(), Error> {
        if value == f64::INFINITY {
            return Ok(());
        }
        self.require(what, value, value >= 0.0, "0 or more, or infinite for no bound")?;
        self.not_negative(what, value)
    }

    /// Refuses a number outside [0, 1).
    pub(crate) fn fraction(&self, what: &'static str, value: f64) -> Result<(), Error> {
        self.require(what, value, (0.0..1.0).contains(&value), "in [0, 1)")?;
        self.require(what, value, self.dtype.round(value) < 1.0, "in [0, 1) when it is rounded to f32")
    }

    /// Refuses a number for which `holds` is false.
    pub(crate) fn require(
        &self,
        what: &'static str,
        value: f64,
        holds: bool,
        expected: &'static str,
    ) -> Result<(), Error> {
        let given = self.given.clone();
        if holds { Ok(()) } else { Err(Error::Hyperparameter { what, value, expected, given }) }
    }

    /// Refuses a value of an optimiser's own scalars that no step of training leaves there. Moments and velocities may be
    /// anything: training that has diverged can be saved and looked at.
    pub(crate) fn state(&self, name: &str, value: &Tensor) -> Result<(), Error> {
        if value.shape() != &Shape::scalar() || !value.dtype().is_float() {
            return Ok(());
        }
        let number = value.item()?;
        // In front of the names of a group's scalars stands that of the group.
        match name.rsplit('.').next().unwrap_or(name) {
            LEARNING_RATE => self.learning_rate(number),
            UPDATES => {
                let counts = number.is_finite() && number >= 0.0 && number.fract() == 0.0;
                self.require("count of updates", number, counts, "a whole number, 0 or more")
            }
            LOSS_SCALE => self.require("loss scale", number, is_loss_scale(number), EXPECTED_LOSS_SCALE),
            _ => Ok(()),
        }
    }
}
