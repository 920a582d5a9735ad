//! When a run has become as good as it gets.

use crate::error::Error;
use crate::train::fit::FitError;

/// Which of two values of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lower one, as of a loss.
    Lower,
    /// The higher one, as of an accuracy.
    Higher,
}

impl Better {
    /// Whether `value` is better than `best` by more than `least`. NaN is better than nothing, and all but NaN is better than it.
    #[must_use]
    pub fn is_better(self, value: f64, best: f64, least: f64) -> bool {
        match self {
            _ if value.is_nan() => false,
            _ if best.is_nan() => true,
            Better::Lower => value < best - least,
            Better::Higher => value > best + least,
        }
    }
}

/// Says when a metric has not become better for some epochs: `EarlyStopping` of Keras and of PyTorch Lightning.
///
/// ```
/// use arenagrad::fit::{Better, EarlyStopping};
///
/// let mut stopping = EarlyStopping::new(Better::Lower, 2).min_delta(0.01)?;
/// let losses = [1.0, 0.8, 0.795, 0.9, 0.7];
/// let stopped = losses.iter().position(|loss| stopping.observe(*loss));
/// assert_eq!(stopped, Some(3)); // 0.795 is better than 0.8, but by less than 0.01
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EarlyStopping {
    better: Better,
    patience: u64,
    min_delta: f64,
    best: f64,
    waited: u64,
}

impl EarlyStopping {
    /// Says so when the metric has not become better for `patience` values in a row; for 0, with the first that is not better.
    #[must_use]
    pub fn new(better: Better, patience: u64) -> Self {
        EarlyStopping { better, patience, min_delta: 0.0, best: f64::NAN, waited: 0 }
    }

    /// A value must be better by more than that to count as better.
    ///
    /// Errors: [`FitError::Option`] for a number that is negative or not finite.
    pub fn min_delta(self, delta: f64) -> Result<Self, Error> {
        require_min_delta(delta)?;
        Ok(EarlyStopping { min_delta: delta, ..self })
    }

    /// Takes the next value, and says whether it is time to stop. NaN is not better than anything.
    #[must_use]
    pub fn observe(&mut self, value: f64) -> bool {
        if self.better.is_better(value, self.best, self.min_delta) {
            self.best = value;
            self.waited = 0;
            return false;
        }
        self.waited += 1;
        self.waited >= self.patience
    }

    /// The best value so far that counted; NaN if there was none.
    #[must_use]
    pub fn best(&self) -> f64 {
        self.best
    }

    /// What it goes on from, as numbers by name, for the values of a [`Checkpoint`](crate::Checkpoint): the best value, and how many came after it.
    /// What it was made with is not among them.
    ///
    /// ```
    /// use arenagrad::fit::{Better, EarlyStopping};
    /// use arenagrad::{Checkpoint, Device, Graph, Init, Session, Sgd};
    ///
    /// let g = Graph::new();
    /// let loss = g.parameter("w", [3], Init::Constant(1.0)).square().sum(..);
    /// let session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu())?;
    /// let mut stopping = EarlyStopping::new(Better::Lower, 2);
    /// assert!(!stopping.observe(0.5) && !stopping.observe(0.7));
    /// let mut checkpoint = session.checkpoint()?;
    /// for (name, number) in stopping.state() {
    ///     checkpoint = checkpoint.with(format!("stopping.{name}"), number);
    /// }
    ///
    /// let checkpoint = Checkpoint::from_bytes(checkpoint.to_bytes()?)?;
    /// let mut resumed = EarlyStopping::new(Better::Lower, 2);
    /// resumed.set_state(|name| checkpoint.number(&format!("stopping.{name}")))?;
    /// assert_eq!(resumed, stopping);
    /// assert!(resumed.observe(0.6));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> [(&'static str, f64); 2] {
        [(BEST, self.best), (WAITED, self.waited as f64)]
    }

    /// Goes on from the numbers that [`EarlyStopping::state`] gave, each of which `number` returns for its name.
    ///
    /// Errors, after which nothing is changed: what `number` reports; a count that is none.
    pub fn set_state(&mut self, number: impl Fn(&str) -> Result<f64, Error>) -> Result<(), Error> {
        let (best, waited) = (number(BEST)?, number(WAITED)?);
        if !((0.0..=MOST_WAITED).contains(&waited) && waited.fract() == 0.0) {
            let (what, expected) = ("count of values that were not better", "a whole number, 0 or more");
            return Err(FitError::Option { what, value: waited, expected }.into());
        }
        (self.best, self.waited) = (best, waited as u64);
        Ok(())
    }
}

/// The names of what [`EarlyStopping::state`] gives.
const BEST: &str = "best";
const WAITED: &str = "waited";

/// The largest count that a number holds exactly.
const MOST_WAITED: f64 = (1u64 << 53) as f64;

/// Refuses what no value can be better by.
pub(super) fn require_min_delta(delta: f64) -> Result<(), Error> {
    if delta.is_finite() && delta >= 0.0 {
        return Ok(());
    }
    Err(FitError::Option { what: "min_delta", value: delta, expected: "a finite number of 0 or more" }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(stopping: EarlyStopping, values: &[f64]) -> Option<usize> {
        let mut stopping = stopping;
        values.iter().position(|value| stopping.observe(*value))
    }

    #[test]
    fn patience_counts_values_that_are_not_better() {
        let values = [0.5, 0.6, 0.6, 0.7, 0.7, 0.7, 0.65, 0.7];
        assert_eq!(stopped(EarlyStopping::new(Better::Higher, 3), &values), Some(6));
        assert_eq!(stopped(EarlyStopping::new(Better::Higher, 2), &values), Some(5));
        assert_eq!(stopped(EarlyStopping::new(Better::Higher, 1), &values), Some(2));
        assert_eq!(stopped(EarlyStopping::new(Better::Higher, 0), &values), Some(2));
        assert_eq!(stopped(EarlyStopping::new(Better::Lower, 7), &values), Some(7));
        assert_eq!(stopped(EarlyStopping::new(Better::Higher, 5), &values), None);
    }

    #[test]
    fn nan_is_never_better_and_anything_is_better_than_nan() {
        let values = [f64::NAN, 2.0, f64::NAN, f64::NAN];
        let mut stopping = EarlyStopping::new(Better::Lower, 2);
        assert_eq!(values.iter().position(|value| stopping.observe(*value)), Some(3));
        assert_eq!(stopping.best(), 2.0);
        assert!(Better::Higher.is_better(f64::NEG_INFINITY, f64::NAN, 0.0));
    }

    #[test]
    fn a_state_is_gone_on_from_whole_or_not_at_all() {
        let mut stopping = EarlyStopping::new(Better::Higher, 3);
        let mut resumed = stopping.clone();
        for value in [0.5, 0.7, 0.6, 0.7, 0.65] {
            let state = stopping.state();
            let number = |name: &str| Ok(state.iter().find(|(known, _)| *known == name).expect("it is given").1);
            resumed.set_state(number).unwrap();
            assert_eq!(resumed.observe(value), stopping.observe(value));
            assert_eq!(resumed, stopping);
        }
        for wrong in [-1.0, 0.5, f64::NAN, f64::INFINITY] {
            let number = |name: &str| Ok(if name == WAITED { wrong } else { 9.0 });
            let error = resumed.set_state(number).unwrap_err();
            assert!(matches!(&error, Error::Fit(FitError::Option { .. })), "{error}");
        }
        assert_eq!(resumed, stopping);
    }

    #[test]
    fn what_no_value_can_be_better_by_is_refused() {
        let stopping = || EarlyStopping::new(Better::Higher, 1);
        for delta in [-5.0, -1e-300, f64::NAN, f64::INFINITY] {
            let error = stopping().min_delta(delta).unwrap_err();
            assert!(matches!(&error, Error::Fit(FitError::Option { what: "min_delta", .. })), "{error}");
        }
        let message = stopping().min_delta(-1e-300).unwrap_err().to_string();
        assert_eq!(message, "the min_delta of a run is -1e-300, which is not a finite number of 0 or more");
        assert_eq!(stopped(stopping().min_delta(0.5).unwrap(), &[1.0, 1.5]), Some(1));
    }
}
