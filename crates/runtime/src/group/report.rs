//! What a step cost, told apart.

use std::fmt;
use std::time::Duration;

/// What the last step of a session in a group cost: [`Trainer::group_report`](crate::Trainer::group_report).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepReport {
    /// How long this member computed, the reading and writing of what is exchanged included.
    pub compute: Duration,
    /// How long it stood still for exchanges: for their way, and for slower members.
    pub wait: Duration,
    /// How long exchanges were under way in all, most of it while this member computed.
    pub reduce: Duration,
    /// How many bytes this member gave to exchanges.
    pub bytes: u64,
    /// How many exchanges there were.
    pub exchanges: u32,
}

impl StepReport {
    /// Adds an exchange that took so long, of which this member waited so long.
    pub(crate) fn exchanged(&mut self, bytes: usize, took: Duration, waited: Duration) {
        self.bytes += bytes as u64;
        self.reduce += took;
        self.wait += waited;
        self.exchanges += 1;
    }
}

impl fmt::Display for StepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepReport { compute, wait, reduce, bytes, exchanges } = self;
        write!(f, "compute {compute:.1?}, wait {wait:.1?}, reduce {reduce:.1?}, {bytes} bytes in {exchanges} exchanges")
    }
}
