//! Profiles of plans: how long each step takes, how many bytes and floating-point operations it is, and how near that comes to what the machine
//! can do.
//!
//! [`Session::profile`](crate::Session::profile) and [`Trainer::profile`](crate::Trainer::profile) run a plan some times and return a
//! [`Profile`], which prints as a table and writes itself as a trace that opens in Perfetto or `chrome://tracing`. Parameters, states and counters are put back
//! afterwards: a profile trains nothing.
//!
//! ```
//! use arenagrad::{Device, Graph, Init, Session, Sgd, Tensor};
//!
//! let g = Graph::new();
//! let x = g.input("x", [64, 32]);
//! let w = g.parameter("w", [32, 16], Init::XavierUniform);
//! let loss = x.matmul(w).tanh().square().mean(..);
//! let mut session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu())?;
//!
//! let x = Tensor::new([64, 32], vec![0.5f32; 64 * 32])?;
//! let profile = session.profile(&[("x", &x)])?;
//! println!("{profile}");
//! assert_eq!(profile.steps.len(), session.plan().steps().len());
//! assert!(profile.to_trace().contains("traceEvents"));
//! # Ok::<(), arenagrad::Error>(())
//! ```
//!
//! **What is measured.** On the CPU a clock is read between steps. On a GPU each step is a pass between two timestamps of the adapter; where
//! it has none, each step is submitted alone and waited for, which [`Profile::clock`] says. Either way small dispatches of
//! several steps are not joined, as an ordinary run may join them. [`Profile::run`] is the time of ordinary runs, without any clock inside.
//!
//! **Roofline.** A step can take no less time than its operations take at the machine's peak, nor than its bytes take at
//! the bandwidth of memory. The larger of the two, divided by the time that it took, is its share of the roofline
//! (Williams, Waterman and Patterson, "Roofline", 2009). What finds its operands in a cache may exceed 100 %.
//!
//! What this does not know: how steps are run, and what a plan is for.

mod measure;
mod peaks;
mod report;
mod trace;

use std::time::Duration;

use arenagrad_graph::Origin;

use crate::plan::Cost;

pub(crate) use measure::measured;
pub use peaks::Peaks;

/// How a plan is profiled.
///
/// ```
/// use arenagrad::profile::ProfileOptions;
///
/// let options = ProfileOptions { runs: 50, ..ProfileOptions::default() };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileOptions {
    /// How many runs are timed step by step, at least one; as many ordinary runs are timed in between. 20 unless set.
    pub runs: usize,
    /// How many runs come before, whose times do not count: drivers compile and caches fill in them. 3 unless set.
    pub warm_up: usize,
    /// Whether the timestamps of an adapter are used where it has them; without, each step is submitted alone. True unless set.
    pub timestamps: bool,
    /// What the machine can do at most. Measured once for each device of a process unless it is given.
    pub peaks: Option<Peaks>,
}

impl Default for ProfileOptions {
    fn default() -> Self {
        ProfileOptions { runs: 20, warm_up: 3, timestamps: true, peaks: None }
    }
}

/// How long each step of a plan takes, and how near that comes to what the machine can do.
///
/// It prints as a table, a line a step, those of a loop's body beneath it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// The device, as it prints.
    pub device: String,
    /// By what the steps were timed.
    pub clock: Clock,
    /// How many runs were timed step by step.
    pub runs: usize,
    /// The steps, in the order in which they run.
    pub steps: Vec<StepProfile>,
    /// Ordinary runs, from the call until the device is known to be done: without reading inputs or results.
    pub run: Times,
    /// Runs whose steps were timed, likewise.
    pub timed_run: Times,
    /// How long a submit of nothing takes on a GPU until it is known to be done: part of each step's time where each was
    /// submitted alone ([`Clock::Submits`]), else of [`Profile::run`] alone.
    pub empty_submit: Option<Duration>,
    /// What the machine can do at most.
    pub peaks: Peaks,
}

/// A step of a [`Profile`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepProfile {
    /// The stage of the work, such as `forward`.
    pub stage: &'static str,
    /// The kernel's stem and its extents, such as `matmul 64x784x256`.
    pub kernel: String,
    /// The elementwise functions fused into the kernel, in order.
    pub fused: Vec<&'static str>,
    /// What it computes: names, dtypes and shapes.
    pub computes: String,
    /// Where in the caller's source its first result was written.
    pub origin: Option<Origin>,
    /// How long it takes in a run: for a step of a loop's body, in all rounds together.
    pub time: Times,
    /// When it began in the run whose whole time is the median, from that run's beginning on.
    pub start: Duration,
    /// How long it took in that run.
    pub spent: Duration,
    /// Bytes that are read and written if each element that is touched moves once, at the size of its dtype, and the cost in simple
    /// operations. In all rounds together for a step of a loop's body.
    pub cost: Cost,
    /// Floating-point operations: one for each addition, multiplication, division and function of a float, two for each multiply-add
    /// of a product. In all rounds together for a step of a loop's body.
    pub flops: u64,
    /// The steps of a loop's body; empty for a kernel.
    pub body: Vec<StepProfile>,
}

/// Times of some runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// As many runs took longer as took less.
    pub median: Duration,
    /// The shortest.
    pub least: Duration,
}

/// By what the steps of a plan are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// The host's clock, read between steps.
    Host,
    /// The adapter's timestamps before and behind each step, or each dispatch of a loop's body.
    Timestamps,
    /// The host's clock around a submit of each step alone, for an adapter without timestamps: the time of a submit is part of
    /// each step's. Steps of a loop's body are not timed.
    Submits,
}

impl Times {
    /// Of runs that took so long.
    pub(crate) fn of(mut runs: Vec<Duration>) -> Times {
        runs.sort_unstable();
        let median = runs.get(runs.len() / 2).copied().unwrap_or_default();
        Times { median, least: runs.first().copied().unwrap_or_default() }
    }
}

impl StepProfile {
    /// Bytes that it reads and writes, each element that is touched once.
    pub fn bytes(&self) -> u64 {
        (self.cost.read as u64).saturating_add(self.cost.written as u64)
    }

    /// Floating-point operations a second, by the median of its times.
    pub fn flops_per_second(&self) -> f64 {
        rate(self.flops, self.time.median)
    }

    /// Bytes read and written a second, by the median of its times.
    pub fn bytes_per_second(&self) -> f64 {
        rate(self.bytes(), self.time.median)
    }

    /// The least time that its operations and bytes could take, divided by the time that it takes: see [`crate::profile`]. NaN for a
    /// step that takes no time that a clock shows, or that a clock did not see.
    pub fn roofline_share(&self, peaks: &Peaks) -> f64 {
        peaks.least_seconds(self.flops, self.bytes()) / self.time.median.as_secs_f64()
    }
}

impl Profile {
    /// The time of all steps: the sum of their medians.
    pub fn steps_time(&self) -> Duration {
        self.steps.iter().map(|step| step.time.median).sum()
    }

    /// What an ordinary run takes beyond its steps, in seconds: entering threads, recording and submitting commands, waiting. Below
    /// zero where dispatches that were joined take less than they did one by one.
    pub fn overhead_seconds(&self) -> f64 {
        self.run.median.as_secs_f64() - self.steps_time().as_secs_f64()
    }

    /// The floating-point operations of a run.
    pub fn flops(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.flops))
    }

    /// The bytes that the steps of a run read and write.
    pub fn bytes(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.bytes()))
    }

    /// The least time that the steps could take one after the other, divided by the time that an ordinary run takes.
    pub fn roofline_share(&self) -> f64 {
        let least: f64 = self.steps.iter().map(|step| self.peaks.least_seconds(step.flops, step.bytes())).sum();
        least / self.run.median.as_secs_f64()
    }
}

/// So many of something in that time, a second. NaN for no time.
fn rate(amount: u64, time: Duration) -> f64 {
    if time.is_zero() { f64::NAN } else { amount as f64 / time.as_secs_f64() }
}
