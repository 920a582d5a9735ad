//! One cycle of the rate: up, down, and far below where it began.

use std::f64::consts::FRAC_PI_2;

use arenagrad_graph::{DType, Expr};

use crate::error::Error;
use crate::train::schedules::{Count, Schedule, dtype_of, require, require_updates};

/// PyTorch's `OneCycleLR` (Smith and Topin 2017): from a fraction of the base rate up to it, and down to a small part of where it
/// began, while the momentum (or Adam's first beta) goes the other way. The base rate is what PyTorch calls `max_lr`. After its last
/// update everything stays as it is there.
///
/// The defaults are PyTorch's: 0.3 of the updates go up; the first rate is 1/25 of the base rate and the last 1/10,000 of the
/// first; the momentum is between 0.95 and 0.85; along cosines; two phases.
#[derive(Clone, Debug, PartialEq)]
pub struct OneCycle {
    updates: u64,
    rise: f64,
    first_divisor: f64,
    last_divisor: f64,
    momentum: Option<(f64, f64)>,
    is_linear: bool,
    has_three_phases: bool,
}

/// A part of the cycle: from one value at its start to another at its end.
struct Phase {
    end: f64,
    rates: (f64, f64),
    momenta: (f64, f64),
}

impl OneCycle {
    /// A cycle over so many updates.
    pub fn new(updates: impl Count) -> Self {
        OneCycle {
            updates: updates.count(),
            rise: 0.3,
            first_divisor: 25.0,
            last_divisor: 1e4,
            momentum: Some((0.85, 0.95)),
            is_linear: false,
            has_three_phases: false,
        }
    }

    /// The part of the updates in which the rate rises, in [0, 1]; PyTorch's `pct_start`.
    pub fn rise(self, rise: f64) -> Self {
        OneCycle { rise, ..self }
    }

    /// By what the base rate is divided to give the first rate; PyTorch's `div_factor`.
    pub fn first_divisor(self, first_divisor: f64) -> Self {
        OneCycle { first_divisor, ..self }
    }

    /// By what the first rate is divided to give the last; PyTorch's `final_div_factor`.
    pub fn last_divisor(self, last_divisor: f64) -> Self {
        OneCycle { last_divisor, ..self }
    }

    /// Between which numbers the momentum goes: `least` at the base rate, `most` at both ends.
    pub fn momentum(self, least: f64, most: f64) -> Self {
        OneCycle { momentum: Some((least, most)), ..self }
    }

    /// Leaves the momentum to the optimiser; PyTorch's `cycle_momentum=False`.
    pub fn constant_momentum(self) -> Self {
        OneCycle { momentum: None, ..self }
    }

    /// Along straight lines instead of cosines; PyTorch's `anneal_strategy="linear"`.
    pub fn linear(self) -> Self {
        OneCycle { is_linear: true, ..self }
    }

    /// The way down takes as long as the way up, and ends where that began; the way to the last rate is a phase of its own.
    pub fn three_phases(self) -> Self {
        OneCycle { has_three_phases: true, ..self }
    }

    /// The phases, with rates as factors of the base rate.
    fn phases(&self, dtype: DType) -> Result<Vec<Phase>, Error> {
        require_updates("schedule's number of updates", self.updates)?;
        require("schedule's rise", self.rise, (0.0..=1.0).contains(&self.rise), "in [0, 1]")?;
        for (what, divisor) in
            [("schedule's first divisor", self.first_divisor), ("schedule's last divisor", self.last_divisor)]
        {
            require(what, divisor, divisor.is_finite() && divisor > 0.0, "a finite number above 0")?;
            require(what, divisor, dtype.round(1.0 / divisor).is_finite(), "a number whose reciprocal f32 holds")?;
        }
        let (least, most) = self.momentum.unwrap_or_default();
        for (what, momentum) in [("schedule's least momentum", least), ("schedule's most momentum", most)] {
            require(what, momentum, (0.0..1.0).contains(&momentum), "in [0, 1)")?;
        }
        let updates = self.updates as f64;
        let first = 1.0 / self.first_divisor;
        let last = first / self.last_divisor;
        require(
            "schedule's last divisor",
            self.last_divisor,
            dtype.round(last).is_finite(),
            "a number that leaves a rate f32 holds",
        )?;
        let rise = self.rise * updates - 1.0;
        Ok(if self.has_three_phases {
            vec![
                Phase { end: rise, rates: (first, 1.0), momenta: (most, least) },
                Phase { end: 2.0 * self.rise * updates - 2.0, rates: (1.0, first), momenta: (least, most) },
                Phase { end: updates - 1.0, rates: (first, last), momenta: (most, most) },
            ]
        } else {
            vec![
                Phase { end: rise, rates: (first, 1.0), momenta: (most, least) },
                Phase { end: updates - 1.0, rates: (1.0, last), momenta: (least, most) },
            ]
        })
    }

    /// What the phases give at that count.
    fn along<'g>(&self, count: Expr<'g>, ends: impl Fn(&Phase) -> (f64, f64)) -> Result<Expr<'g>, Error> {
        let phases = self.phases(dtype_of(count))?;
        let mut start = 0.0;
        let mut parts = Vec::with_capacity(phases.len());
        for phase in &phases {
            let (from, to) = ends(phase);
            let length = phase.end - start;
            // A phase without length is at its end.
            let done = if length > 0.0 { ((count - start) / length).minimum(1.0) } else { count.full_like(1.0) };
            // Both shares are computed, for the ends differ so much that one minus the other would lose the smaller.
            let (left, reached) = if self.is_linear {
                (1.0 - done, done)
            } else {
                ((done * FRAC_PI_2).cos().square(), (done * FRAC_PI_2).sin().square())
            };
            parts.push((phase.end, left * from + reached * to));
            start = phase.end;
        }
        let last = parts.pop().map_or(count, |(_, value)| value);
        Ok(parts.into_iter().rev().fold(last, |later, (end, value)| count.less_equal(end).where_(value, later)))
    }
}

impl Schedule for OneCycle {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        Ok(base * self.along(count, |phase| phase.rates)?)
    }

    fn momentum<'g>(&self, count: Expr<'g>) -> Result<Option<Expr<'g>>, Error> {
        match self.momentum {
            Some(_) => Ok(Some(self.along(count, |phase| phase.momenta)?)),
            None => Ok(None),
        }
    }
}
