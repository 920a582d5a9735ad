//! Schedules made of schedules.

use std::sync::Arc;

use arenagrad_graph::Expr;

use crate::error::Error;
use crate::train::schedules::Schedule;

/// One schedule, and another from a count of updates on: what [`Schedule::then`] makes.
#[derive(Clone)]
pub struct Joined {
    first: Arc<dyn Schedule>,
    updates: u64,
    next: Arc<dyn Schedule>,
}

/// One schedule over what another gives: what [`Schedule::chain`] makes.
#[derive(Clone)]
pub struct Chained {
    inner: Arc<dyn Schedule>,
    outer: Arc<dyn Schedule>,
}

impl Joined {
    pub(super) fn new(first: Arc<dyn Schedule>, updates: u64, next: Arc<dyn Schedule>) -> Self {
        Joined { first, updates, next }
    }
}

impl Chained {
    pub(super) fn new(inner: Arc<dyn Schedule>, outer: Arc<dyn Schedule>) -> Self {
        Chained { inner, outer }
    }
}

impl Schedule for Joined {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        // Nothing comes before a first schedule of no updates, whose numbers may be none then.
        if self.updates == 0 {
            return self.next.rate(base, count);
        }
        let updates = self.updates as f64;
        let first = self.first.rate(base, count)?;
        // Where the next has not begun it is computed as of its first update, and not taken.
        let next = self.next.rate(base, (count - updates).maximum(0.0))?;
        Ok(count.less(updates).where_(first, next))
    }

    fn momentum<'g>(&self, count: Expr<'g>) -> Result<Option<Expr<'g>>, Error> {
        if self.updates == 0 {
            return self.next.momentum(count);
        }
        let updates = self.updates as f64;
        let (first, next) = (self.first.momentum(count)?, self.next.momentum((count - updates).maximum(0.0))?);
        match (first, next) {
            (None, None) => Ok(None),
            (Some(first), Some(next)) => Ok(Some(count.less(updates).where_(first, next))),
            (Some(_), None) | (None, Some(_)) => Err(Error::OptimizerParts {
                reason: "of two schedules that follow one another, one says the momentum and the other does not; take it from \
                         OneCycle by constant_momentum"
                    .to_owned(),
            }),
        }
    }
}

impl Schedule for Chained {
    fn rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        self.outer.rate(self.inner.rate(base, count)?, count)
    }

    fn momentum<'g>(&self, count: Expr<'g>) -> Result<Option<Expr<'g>>, Error> {
        let inner = self.inner.momentum(count)?;
        Ok(self.outer.momentum(count)?.or(inner))
    }
}
