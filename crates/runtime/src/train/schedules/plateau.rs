//! A rate that falls when something no longer improves: outside of the plan, for it depends on what validation gives.

use crate::error::Error;
use crate::train::schedules::{Count, require, require_factor};

/// The names of the numbers that it goes on from.
const RATE: &str = "rate";
const BEST: &str = "best";
const BAD_OBSERVATIONS: &str = "bad_observations";
const COOLING: &str = "cooling";

/// Up to there every whole number is one of f64.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// Whether less or more of what is observed is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlateauMode {
    /// A loss.
    Least,
    /// An accuracy.
    Most,
}

/// PyTorch's `ReduceLROnPlateau`: the rate is multiplied by a factor when what is observed has not improved for longer than the
/// patience.
///
/// ```
/// use arenagrad::train::schedules::ReduceOnPlateau;
/// use arenagrad::{Device, Graph, Init, Session, Sgd};
///
/// let g = Graph::new();
/// let loss = g.parameter("w", [3], Init::Constant(1.0)).square().sum(..);
/// let mut session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu())?;
/// let mut plateau = ReduceOnPlateau::new(0.1)?.patience(1).factor(0.5)?;
/// for validation_loss in [1.0, 0.9, 0.9, 0.9] {
///     session.step(&[])?;
///     if let Some(rate) = plateau.observe(validation_loss) {
///         session.set_learning_rate(rate)?;
///     }
/// }
/// assert_eq!(plateau.rate(), 0.05);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    rate: f64,
    mode: PlateauMode,
    factor: f64,
    patience: u64,
    threshold: f64,
    is_absolute: bool,
    cooldown: u64,
    least_rate: f64,
    least_change: f64,
    best: f64,
    bad_observations: u64,
    cooling: u64,
}

impl ReduceOnPlateau {
    /// For an optimiser at that learning rate. The defaults are PyTorch's: less is better, a factor of 0.1, a patience of 10, a
    /// relative threshold of 1e-4, no cooldown, no least rate.
    ///
    /// Errors: a rate that is negative or not finite.
    pub fn new(rate: f64) -> Result<Self, Error> {
        require_factor("learning rate", rate)?;
        Ok(ReduceOnPlateau {
            rate,
            mode: PlateauMode::Least,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            is_absolute: false,
            cooldown: 0,
            least_rate: 0.0,
            least_change: 1e-8,
            best: f64::INFINITY,
            bad_observations: 0,
            cooling: 0,
        })
    }

    /// Whether less or more is better.
    #[must_use]
    pub fn mode(self, mode: PlateauMode) -> Self {
        let best = match mode {
            PlateauMode::Least => f64::INFINITY,
            PlateauMode::Most => f64::NEG_INFINITY,
        };
        ReduceOnPlateau { mode, best, ..self }
    }

    /// By what the rate is multiplied. Errors: a factor outside [0, 1).
    pub fn factor(self, factor: f64) -> Result<Self, Error> {
        require("schedule's factor", factor, (0.0..1.0).contains(&factor), "in [0, 1)")?;
        Ok(ReduceOnPlateau { factor, ..self })
    }

    /// How many observations without improvement are borne; the one after them lowers the rate.
    #[must_use]
    pub fn patience(self, patience: impl Count) -> Self {
        ReduceOnPlateau { patience: patience.count(), ..self }
    }

    /// By which part of the best so far an observation must be better to count. Errors: a part that is negative or not finite.
    pub fn threshold(self, threshold: f64) -> Result<Self, Error> {
        require_factor("plateau's threshold", threshold)?;
        Ok(ReduceOnPlateau { threshold, is_absolute: false, ..self })
    }

    /// By how much an observation must be better to count. Errors: a number that is negative or not finite.
    pub fn absolute_threshold(self, threshold: f64) -> Result<Self, Error> {
        require_factor("plateau's threshold", threshold)?;
        Ok(ReduceOnPlateau { threshold, is_absolute: true, ..self })
    }

    /// How many observations after the rate was lowered are not counted against it.
    #[must_use]
    pub fn cooldown(self, cooldown: impl Count) -> Self {
        ReduceOnPlateau { cooldown: cooldown.count(), ..self }
    }

    /// The rate never falls below this. Errors: a rate that is negative or not finite.
    pub fn least_rate(self, least_rate: f64) -> Result<Self, Error> {
        require_factor("least learning rate", least_rate)?;
        Ok(ReduceOnPlateau { least_rate, ..self })
    }

    /// A change of the rate by no more than this is none; PyTorch's `eps`, 1e-8. Errors: a change that is negative or not finite.
    pub fn least_change(self, least_change: f64) -> Result<Self, Error> {
        require_factor("plateau's least change", least_change)?;
        Ok(ReduceOnPlateau { least_change, ..self })
    }

    /// Takes in what validation gave, and returns the new rate if it is another one.
    pub fn observe(&mut self, value: f64) -> Option<f64> {
        if self.is_better(value) {
            self.best = value;
            self.bad_observations = 0;
        } else {
            self.bad_observations += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad_observations = 0;
        }
        if self.bad_observations <= self.patience {
            return None;
        }
        self.cooling = self.cooldown;
        self.bad_observations = 0;
        let lower = (self.rate * self.factor).max(self.least_rate);
        if self.rate - lower <= self.least_change {
            return None;
        }
        self.rate = lower;
        Some(lower)
    }

    /// The present rate.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The best that was observed; infinite before the first observation.
    pub fn best(&self) -> f64 {
        self.best
    }

    /// What it goes on from, as numbers by name, for the values of a [`Checkpoint`](crate::Checkpoint): the rate, the best observation, and
    /// the counts of observations without improvement and of those that are not counted any more. What it was made with is not among them.
    ///
    /// ```
    /// use arenagrad::train::schedules::ReduceOnPlateau;
    /// use arenagrad::{Checkpoint, Device, Graph, Init, Session, Sgd};
    ///
    /// let g = Graph::new();
    /// let loss = g.parameter("w", [3], Init::Constant(1.0)).square().sum(..);
    /// let session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu())?;
    /// let make = || ReduceOnPlateau::new(0.1)?.patience(2).factor(0.5);
    /// let mut plateau = make()?;
    /// for validation_loss in [1.0, 1.0, 1.0] {
    ///     plateau.observe(validation_loss);
    /// }
    /// let mut checkpoint = session.checkpoint()?;
    /// for (name, number) in plateau.state() {
    ///     checkpoint = checkpoint.with(format!("plateau.{name}"), number);
    /// }
    ///
    /// let checkpoint = Checkpoint::from_bytes(checkpoint.to_bytes()?)?;
    /// let mut resumed = make()?;
    /// resumed.set_state(|name| checkpoint.number(&format!("plateau.{name}")))?;
    /// assert_eq!(resumed, plateau);
    /// assert_eq!(resumed.observe(1.0), Some(0.05));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn state(&self) -> [(&'static str, f64); 4] {
        [
            (RATE, self.rate),
            (BEST, self.best),
            (BAD_OBSERVATIONS, self.bad_observations as f64),
            (COOLING, self.cooling as f64),
        ]
    }

    /// Goes on from the numbers that [`ReduceOnPlateau::state`] gave, each of which `number` returns for its name. The optimiser's rate is
    /// its own, and must be restored or set beside.
    ///
    /// Errors, after which nothing is changed: what `number` reports; a rate that is negative or not finite, a best observation that is
    /// no number, a count that is none.
    pub fn set_state(&mut self, number: impl Fn(&str) -> Result<f64, Error>) -> Result<(), Error> {
        let count = |name: &str| {
            let count = number(name)?;
            let is_count = (0.0..=MAX_COUNT).contains(&count) && count.fract() == 0.0;
            require("plateau's count of observations", count, is_count, "a whole number, 0 or more")?;
            Ok::<u64, Error>(count as u64)
        };
        let (rate, best) = (number(RATE)?, number(BEST)?);
        require_factor("learning rate", rate)?;
        require("plateau's best observation", best, !best.is_nan(), "no NaN")?;
        let (bad_observations, cooling) = (count(BAD_OBSERVATIONS)?, count(COOLING)?);
        *self = ReduceOnPlateau { rate, best, bad_observations, cooling, ..self.clone() };
        Ok(())
    }

    /// NaN is never better.
    fn is_better(&self, value: f64) -> bool {
        match (self.mode, self.is_absolute) {
            (PlateauMode::Least, false) => value < self.best * (1.0 - self.threshold),
            (PlateauMode::Least, true) => value < self.best - self.threshold,
            (PlateauMode::Most, false) => value > self.best * (self.threshold + 1.0),
            (PlateauMode::Most, true) => value > self.best + self.threshold,
        }
    }
}
