//! Choices of kernels that are measured on the device instead of guessed: how large the tiles of a product are, how many invocations a workgroup
//! has, when an operand is packed.
//!
//! Nothing is measured unless it is asked for: by [`Device::tuned`](crate::Device::tuned), or by the environment variable `ARENAGRAD_TUNING`, which names a
//! folder. Then each kernel of a plan that can be computed in several ways is run in these ways, on its own shapes and on memory of its own, when
//! the plan is made ready. What was found is kept by device, driver and class of shapes (extents rounded up to powers of two), in the process and, where there is a
//! folder, in a file, so that a kernel of a known class is measured no more.
//!
//! ```
//! use arenagrad::{Device, Graph, Init, Session, Sgd, Tensor, Tuning, TuningOptions};
//!
//! let tuning = Tuning::new(TuningOptions::default());
//! let device = Device::cpu().tuned(&tuning);
//! let g = Graph::new();
//! let x = g.input("x", [48, 40]);
//! let w = g.parameter("w", [40, 24], Init::XavierUniform);
//! let loss = x.matmul(w).square().mean(..);
//! let mut session = Session::train(&g, loss, Sgd::new(0.1), device)?;
//! session.step(&[("x", &Tensor::new([48, 40], vec![0.5f32; 48 * 40])?)])?;
//! for found in tuning.found() {
//!     println!("{found}");
//! }
//! # Ok::<(), arenagrad::Error>(())
//! ```
//!
//! **Bits.** Only ways that give the same bits as the usual one are taken, and that they do is checked on the device before one is. So a tuned session computes what
//! an untuned one does. [`TuningOptions::other_bits`] admits ways that add up in another order.
//!
//! **Where it stops.** A candidate must take less time than the best so far by [`TuningOptions::least_gain`]. After [`TuningOptions::patience`] in a row that
//! did not, or when the best comes as near to the roofline as [`TuningOptions::roofline`] says, no more are tried.
//!
//! What this does not know: what a way means to a kernel. That is [`arenagrad_kernels::Choice`].

mod cache;
mod class;
mod measure;
mod search;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::profile::Peaks;
use cache::Cache;

pub(crate) use measure::choices;
pub use search::Stopped;

/// The environment variable that names the folder of the cache, for all devices that are given no [`Tuning`] of their own.
const VARIABLE: &str = "ARENAGRAD_TUNING";

/// What is tried, and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningOptions {
    /// The folder of the file that what was found is kept in; none keeps it in the process alone. None unless set.
    pub folder: Option<PathBuf>,
    /// After how many candidates in a row that were no faster none is tried any more. 3 unless set.
    pub patience: usize,
    /// The share of the roofline from which none is tried any more. 0.9 unless set.
    pub roofline: f64,
    /// By which share of the best time so far a candidate must be faster to be taken: less is what clocks cannot tell. 0.03 unless set.
    pub least_gain: f64,
    /// Whether ways are tried that give other bits, because they add up in another order. False unless set.
    pub other_bits: bool,
}

impl Default for TuningOptions {
    fn default() -> Self {
        TuningOptions { folder: None, patience: 3, roofline: 0.9, least_gain: 0.03, other_bits: false }
    }
}

/// What has been measured, shared by all devices that are tuned by it. Clones are the same.
#[derive(Clone)]
pub struct Tuning {
    options: Arc<TuningOptions>,
    state: Arc<Mutex<State>>,
}

struct State {
    cache: Cache,
    found: Vec<Found>,
    notes: Vec<String>,
    /// How many kernels were timed in some way.
    timed: u64,
}

/// What was found for a class of kernels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The device, its driver and the class that kernels are chosen for.
    pub device: String,
    /// The kernel's stem and its class, such as `matmul f32 1x64x1024x256`.
    pub class: String,
    /// The way that is taken; `usual` if no other is faster.
    pub chosen: String,
    /// What was tried in this process, in order; nothing where it was known.
    pub trials: Vec<Trial>,
    /// Why no more was tried; none where it was known.
    pub stopped: Option<Stopped>,
}

/// A way that was tried.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trial {
    /// The way.
    pub choice: String,
    /// How long a run takes so; none if it was not admitted.
    pub time: Option<Duration>,
    /// Why it was not admitted.
    pub refused: Option<String>,
}

impl Tuning {
    /// A tuning under these options. A file that is there is read now; one that cannot be used is left as it is, and [`Tuning::notes`] says why.
    pub fn new(options: TuningOptions) -> Tuning {
        let mut notes = Vec::new();
        let cache = Cache::open(options.folder.as_deref(), &mut notes);
        let state = State { cache, found: Vec::new(), notes, timed: 0 };
        Tuning { options: Arc::new(options), state: Arc::new(Mutex::new(state)) }
    }

    /// The tuning that the environment variable `ARENAGRAD_TUNING` asks for: what is found is kept in the folder that it names. None if it is not set or blank.
    pub fn from_environment() -> Option<Tuning> {
        static ASKED: OnceLock<Option<Tuning>> = OnceLock::new();
        let asked = || {
            let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.to_string_lossy().trim().is_empty())?;
            Some(Tuning::new(TuningOptions { folder: Some(PathBuf::from(folder)), ..TuningOptions::default() }))
        };
        ASKED.get_or_init(asked).clone()
    }

    /// The options.
    pub fn options(&self) -> &TuningOptions {
        &self.options
    }

    /// What was found or known for the kernels of the plans so far, each class once.
    pub fn found(&self) -> Vec<Found> {
        self.state().found.clone()
    }

    /// What a user should know: why a file was left alone, or why a kernel could not be measured.
    pub fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }

    /// How many times a kernel was timed in some way: none where everything was known.
    pub fn timed(&self) -> u64 {
        self.state().timed
    }

    /// The peaks of a device, where they are known.
    pub(crate) fn peaks(&self, device: &str) -> Option<Peaks> {
        self.state().cache.peaks(device)
    }

    /// Keeps the peaks of a device.
    pub(crate) fn keep_peaks(&self, device: &str, peaks: Peaks) {
        let mut state = self.state();
        let State { cache, notes, .. } = &mut *state;
        cache.set_peaks(device, peaks);
        cache.save(notes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuning").field("options", &self.options).finish_non_exhaustive()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.chosen)?;
        match self.stopped {
            None => write!(f, " (known)")?,
            Some(stopped) => write!(f, " ({stopped})")?,
        }
        for Trial { choice, time, refused } in &self.trials {
            let time = time.map(|time| format!("{:.2} us", time.as_secs_f64() * 1e6)).unwrap_or_default();
            write!(f, "\n    {choice:<20} {time}{}", refused.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}
