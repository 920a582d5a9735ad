//! Schedules that multiply the base rate by a factor of the count.

use arenagrad_graph::Expr;

use crate::error::Error;
use crate::train::schedules::{Count, Schedule, dtype_of, power, require, require_held, require_updates};

/// The base rate times a factor for the first updates, then the base rate: PyTorch's `ConstantLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    factor: f64,
    updates: u64,
}

/// The base rate times `factor^(count / size)`, the quotient rounded down: PyTorch's `StepLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    size: u64,
    factor: f64,
}

/// The base rate times `factor^n`, with `n` the milestones that are reached: PyTorch's `MultiStepLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    milestones: Vec<u64>,
    factor: f64,
}

/// The base rate times `factor^count`: PyTorch's `ExponentialLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct Exponential {
    factor: f64,
}

/// The base rate times a factor that goes evenly from one number to another over so many updates, and stays there: PyTorch's
/// `LinearLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearRamp {
    start: f64,
    end: f64,
    updates: u64,
}

/// The base rate times `(1 - count / updates)^power`, and 0 afterwards: PyTorch's `PolynomialLR`.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    updates: u64,
    power: f64,
}

impl Constant {
    /// The base rate times `factor` for `updates` updates. PyTorch's defaults are 1/3 and 5.
    pub fn new(factor: f64, updates: impl Count) -> Self {
        Constant { factor, updates: updates.count() }
    }
}

impl Step {
    /// Every `size` updates another factor, 0.1 unless set.
    pub fn new(size: impl Count) -> Self {
        Step { size: size.count(), factor: 0.1 }
    }

    /// With another factor, 0 or more.
    pub fn factor(self, factor: f64) -> Self {
        Step { factor, ..self }
    }
}

impl MultiStep {
    /// A factor, 0.1 unless set, from each of these counts of updates on. One that is listed twice counts twice.
    pub fn new(milestones: impl IntoIterator<Item = impl Count>) -> Self {
        MultiStep { milestones: milestones.into_iter().map(Count::count).collect(), factor: 0.1 }
    }

    /// With another factor, 0 or more.
    pub fn factor(self, factor: f64) -> Self {
        MultiStep { factor, ..self }
    }
}

impl Exponential {
    /// The factor of each update, 0 or more.
    pub fn new(factor: f64) -> Self {
        Exponential { factor }
    }
}

impl LinearRamp {
    /// From the base rate times `start` to the base rate times `end` over `updates` updates. PyTorch's defaults are 1/3, 1 and 5.
    pub fn new(start: f64, end: f64, updates: impl Count) -> Self {
        LinearRamp { start, end, updates: updates.count() }
    }
}

impl Polynomial {
    /// From the base rate to 0 over so many updates, evenly unless another power is set.
    pub fn new(updates: impl Count) -> Self {
        Polynomial { updates: updates.count(), power: 1.0 }
    }

    /// With another power, 0 or more.
    pub fn power(self, power: f64) -> Self {
        Polynomial { power, ..self }
    }
}

impl Schedule for Constant {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_held("schedule's factor", self.factor, base)?;
        Ok(count.less(self.updates as f64).where_(base * self.factor, base))
    }
}

impl Schedule for Step {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_updates("schedule's number of updates in a step", self.size)?;
        require_held("schedule's factor", self.factor, base)?;
        // A half is added so that a quotient that should be whole is not rounded below it.
        Ok(base * power(self.factor, ((count + 0.5) / self.size as f64).floor()))
    }
}

impl Schedule for MultiStep {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_held("schedule's factor", self.factor, base)?;
        let dtype = dtype_of(count);
        let reached = self.milestones.iter().map(|&milestone| count.greater_equal(milestone as f64).cast(dtype));
        Ok(match reached.reduce(|sum, next| sum + next) {
            Some(reached) => base * power(self.factor, reached),
            None => base,
        })
    }
}

impl Schedule for Exponential {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_held("schedule's factor", self.factor, base)?;
        Ok(base * power(self.factor, count))
    }
}

impl Schedule for LinearRamp {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_held("schedule's start", self.start, base)?;
        require_held("schedule's end", self.end, base)?;
        require_updates("schedule's number of updates", self.updates)?;
        let updates = self.updates as f64;
        let factor = count.minimum(updates) * ((self.end - self.start) / updates) + self.start;
        // The end is the number itself, and not what sums and products come to.
        Ok(base * count.less(updates).where_(factor, self.end))
    }
}

impl Schedule for Polynomial {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_updates("schedule's number of updates", self.updates)?;
        let holds = self.power.is_finite() && self.power >= 0.0;
        require("schedule's power", self.power, holds, "a finite number, 0 or more")?;
        let updates = self.updates as f64;
        let left = (updates - count.minimum(updates)) / updates;
        Ok(base * left.powf(self.power))
    }
}
