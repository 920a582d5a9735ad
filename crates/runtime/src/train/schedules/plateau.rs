//! A rate that falls when something no longer improves: outside of the plan, for it depends on what validation gives.

use crate::error::Error;
use crate::train::schedules::{require, require_factor};

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
    pub fn patience(self, patience: u64) -> Self {
        ReduceOnPlateau { patience, ..self }
    }

    /// By which part of the best so far an observation must be better to count.
    #[must_use]
    pub fn threshold(self, threshold: f64) -> Self {
        ReduceOnPlateau { threshold, is_absolute: false, ..self }
    }

    /// By how much an observation must be better to count.
    #[must_use]
    pub fn absolute_threshold(self, threshold: f64) -> Self {
        ReduceOnPlateau { threshold, is_absolute: true, ..self }
    }

    /// How many observations after the rate was lowered are not counted against it.
    #[must_use]
    pub fn cooldown(self, cooldown: u64) -> Self {
        ReduceOnPlateau { cooldown, ..self }
    }

    /// The rate never falls below this. Errors: a rate that is negative or not finite.
    pub fn least_rate(self, least_rate: f64) -> Result<Self, Error> {
        require_factor("least learning rate", least_rate)?;
        Ok(ReduceOnPlateau { least_rate, ..self })
    }

    /// A change of the rate by no more than this is none; PyTorch's `eps`, 1e-8.
    #[must_use]
    pub fn least_change(self, least_change: f64) -> Self {
        ReduceOnPlateau { least_change, ..self }
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
