//! Schedules along a cosine.

use std::f64::consts::FRAC_PI_2;

use arenagrad_graph::Expr;

use crate::error::Error;
use crate::train::schedules::{Count, Schedule, require, require_held, require_updates};

/// How many updates an optimiser tells apart, in f64.
const MOST_UPDATES: f64 = 9_007_199_254_740_992.0;

/// From the base rate to a floor along half a cosine, `floor + (base - floor) (1 + cos(pi count / updates)) / 2`: PyTorch's
/// `CosineAnnealingLR` (Loshchilov and Hutter 2017). Like that it goes up again afterwards, to the base rate after twice as many updates;
/// to stay at the floor, end there, or write `Cosine::new(n).then(n, Constant::new(factor, u64::MAX))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cosine {
    updates: u64,
    floor: f64,
}

/// Half cosines from the base rate to a floor, each of which begins at the base rate again, and is a factor longer than the one
/// before: PyTorch's `CosineAnnealingWarmRestarts`.
#[derive(Clone, Debug, PartialEq)]
pub struct CosineRestarts {
    first: u64,
    growth: u64,
    floor: f64,
}

impl Cosine {
    /// Down to 0, or the floor, over so many updates.
    pub fn new(updates: impl Count) -> Self {
        Cosine { updates: updates.count(), floor: 0.0 }
    }

    /// Down to this rate instead of 0: a rate itself, not a factor.
    pub fn floor(self, floor: f64) -> Self {
        Cosine { floor, ..self }
    }
}

impl CosineRestarts {
    /// The first cosine takes so many updates, and the others as many unless [`CosineRestarts::growth`] is set.
    pub fn new(first: impl Count) -> Self {
        CosineRestarts { first: first.count(), growth: 1, floor: 0.0 }
    }

    /// Each cosine takes so many times the updates of the one before.
    pub fn growth(self, growth: impl Count) -> Self {
        CosineRestarts { growth: growth.count(), ..self }
    }

    /// Down to this rate instead of 0: a rate itself, not a factor.
    pub fn floor(self, floor: f64) -> Self {
        CosineRestarts { floor, ..self }
    }
}

impl Schedule for Cosine {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_updates("schedule's number of updates", self.updates)?;
        require_held("schedule's floor", self.floor, base)?;
        let updates = self.updates as f64;
        let left = (updates - count.remainder(2.0 * updates)) / updates;
        Ok(between(base, self.floor, left))
    }
}

impl Schedule for CosineRestarts {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        require_updates("schedule's number of updates", self.first)?;
        require("schedule's growth", self.growth as f64, self.growth > 0, "1 or more")?;
        require_held("schedule's floor", self.floor, base)?;
        let first = self.first as f64;
        if self.growth == 1 {
            return Ok(between(base, self.floor, (first - count.remainder(first)) / first));
        }
        // The cosines grow so fast that there are few of them: each is written out, and begins exactly where it does.
        let (mut start, mut length) = (0.0, first);
        let mut left = (first - count) / first;
        while start + length < MOST_UPDATES {
            start += length;
            length *= self.growth as f64;
            left = count.less(start).where_(left, (start + length - count) / length);
        }
        Ok(between(base, self.floor, left))
    }
}

/// From `to` where `left` is 0, to `from` where it is 1 or -1, along a cosine.
fn between<'g>(from: Expr<'g>, to: f64, left: Expr<'g>) -> Expr<'g> {
    // (1 + cos(pi - pi left)) / 2 is this square, which keeps its digits where it is small.
    let share = (left * FRAC_PI_2).sin().square();
    if to == 0.0 { from * share } else { (from - to) * share + to }
}
