//! Processes that train together: who one is, and how they exchange values.
//!
//! A [`Group`] is what a program of many processes needs of an engine for messages: a rank, a size, and four exchanges. [`Alone`] is a group
//! of one, so a program needs no branch; [`Threads`] are a group within a process; `Mpi` (the feature `mpi`) loads the MPI library
//! that the machine has. On WebAssembly, where nothing can wait for another, there is `Alone` and no other.
//!
//! Invariants: all members make the same exchanges in the same order, as in MPI; an exchange never waits for ever: a member that ends, or that
//! is killed, ends it with an error that names it; after such an error every further exchange of the group is refused with the same
//! error. This knows no graph, no plan and no device: what is exchanged when is decided by sessions and trainers.

mod alone;
mod error;
mod gathering;
mod header;
#[cfg(feature = "mpi")]
mod mpi;
mod report;
mod share;
mod sums;
#[cfg(not(target_family = "wasm"))]
mod threads;
mod values;

use std::fmt;
use std::time::Duration;

pub use alone::Alone;
pub use error::GroupError;
#[cfg(feature = "mpi")]
pub use mpi::{Limits, Mpi};
pub use report::StepReport;
pub use share::{Share, share_of};
#[cfg(not(target_family = "wasm"))]
pub use threads::Threads;
pub use values::Values;

pub(crate) use gathering::{differing_texts, gather_numbers};
pub(crate) use header::{Header, Intent, Purpose};
pub(crate) use sums::tree_sum;

/// A hash of bytes that is the same in every process: FNV-1a, of 64 bits (Fowler, Noll, Vo).
pub(crate) fn digest(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The processes that train together, as one of them sees them.
///
/// ```
/// use arenagrad::group::{Group, GroupError, Threads};
///
/// let sum = |member: Threads| member.all_reduce(vec![member.rank() as f32].into())?.to_f32();
/// let sums: Vec<Result<Vec<f32>, GroupError>> = std::thread::scope(|scope| {
///     let members = Threads::new(3).into_iter().map(|member| scope.spawn(move || sum(member)));
///     members.collect::<Vec<_>>().into_iter().filter_map(|thread| thread.join().ok()).collect()
/// });
/// assert_eq!(sums, [Ok(vec![3.0]), Ok(vec![3.0]), Ok(vec![3.0])]); // 0 + 1 + 2
/// ```
pub trait Group: Send + Sync {
    /// The number of this member, from 0.
    fn rank(&self) -> usize;

    /// How many members there are.
    fn size(&self) -> usize;

    /// The number of this member among those on the same host, from 0: for whoever divides what a host has, such as adapters.
    fn local_rank(&self) -> usize {
        self.rank()
    }

    /// Begins an exchange, which goes on while this member does something else. All members begin the same exchanges in the same order, of
    /// values of the same type and number.
    fn begin(&self, exchange: Exchange, values: Values) -> Pending;

    /// Says that this member takes part no more, and why: every other member's exchanges end with an error that names it. Called by
    /// sessions whose step failed in the middle, so that nobody waits for them.
    fn abandon(&self, reason: &str);

    /// The sums of the values at each place over all members; the same bits on each of them.
    ///
    /// Errors: bytes, of which there are no sums; what ended the group.
    fn all_reduce(&self, values: Values) -> Result<Values, GroupError> {
        self.begin(Exchange::Sum, values).wait()
    }

    /// The means of the values at each place over all members. Errors as [`Group::all_reduce`]; integers, whose mean is none.
    fn all_reduce_mean(&self, values: Values) -> Result<Values, GroupError> {
        if !values.is_float() {
            return Err(GroupError::NoSum { what: "mean", values: values.type_name() });
        }
        Ok(self.all_reduce(values)?.divided(self.size() as f64))
    }

    /// What each member has, in the order of their ranks. Members may have different numbers of values, of one type.
    fn all_gather(&self, values: Values) -> Result<Vec<Values>, GroupError> {
        let lengths = gather_numbers(self, [values.len() as u64])?;
        let lengths: Vec<usize> = lengths.into_iter().map(|[len]| len as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let gathered = self.begin(Exchange::Gather, values.padded(longest)).wait()?;
        Ok(lengths.iter().enumerate().map(|(rank, &len)| gathered.part(rank * longest, len)).collect())
    }

    /// What the member `root` has; what the others give is ignored, but for its type.
    fn broadcast(&self, values: Values, root: usize) -> Result<Values, GroupError> {
        if root >= self.size() {
            return Err(GroupError::NoSuchRank { rank: root, size: self.size() });
        }
        let len = Values::from((values.len() as u64).to_le_bytes().to_vec());
        let len = values::number(&self.begin(Exchange::Broadcast { root }, len).wait()?.to_bytes()?) as usize;
        let values = if self.rank() == root { values } else { values.part(0, 0).padded(len) };
        self.begin(Exchange::Broadcast { root }, values).wait()
    }

    /// Returns when all members have called it.
    fn barrier(&self) -> Result<(), GroupError> {
        self.begin(Exchange::Barrier, Values::from(Vec::<u8>::new())).wait().map(drop)
    }
}

impl dyn Group + '_ {
    /// Runs `work` on the first member alone, such as writing a file; the others wait until it is done. If it fails there, everyone has
    /// an error: the first member its own, the others [`GroupError::FirstFailed`] with its text.
    pub fn on_first<E: fmt::Display + From<GroupError>>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let done = if self.rank() == 0 { work() } else { Ok(()) };
        let text = done.as_ref().err().map(E::to_string).unwrap_or_default();
        let failed = done.is_err();
        let told = self.broadcast(Values::from([vec![u8::from(failed)], text.into_bytes()].concat()), 0);
        done?;
        let told = told.and_then(|told| told.to_bytes())?;
        match told.split_first() {
            Some((1, text)) => {
                Err(GroupError::FirstFailed { reason: String::from_utf8_lossy(text).into_owned() }.into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What members do with their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exchange {
    /// Everyone gets the sums at each place. MPI's `MPI_Allreduce` with `MPI_SUM`.
    Sum,
    /// Everyone gets the values of all, one after the other by rank. MPI's `MPI_Allgather`.
    Gather,
    /// Everyone gets the values of one. MPI's `MPI_Bcast`.
    Broadcast {
        /// Whose.
        root: usize,
    },
    /// Nothing is exchanged, but nobody goes on before all have come. MPI's `MPI_Barrier`.
    Barrier,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exchange::Sum => f.write_str("a sum"),
            Exchange::Gather => f.write_str("a gathering"),
            Exchange::Broadcast { root } => write!(f, "a broadcast from rank {root}"),
            Exchange::Barrier => f.write_str("a barrier"),
        }
    }
}

/// An exchange that is under way.
#[must_use = "an exchange is over when it was waited for"]
pub struct Pending {
    finish: Box<dyn FnOnce() -> Result<Done, GroupError> + Send>,
}

/// An exchange that is over.
#[derive(Clone, Debug)]
pub struct Done {
    /// What came of it.
    pub values: Values,
    /// How long it took, from where this member began it.
    pub took: Duration,
}

impl Pending {
    /// An exchange that `finish` waits for.
    pub fn new(finish: impl FnOnce() -> Result<Done, GroupError> + Send + 'static) -> Self {
        Pending { finish: Box::new(finish) }
    }

    /// An exchange that is over.
    pub fn ready(result: Result<Values, GroupError>) -> Self {
        Pending::new(move || result.map(|values| Done { values, took: Duration::ZERO }))
    }

    /// Waits for the end of the exchange. Errors: what ended the group.
    pub fn wait(self) -> Result<Values, GroupError> {
        self.wait_timed().map(|done| done.values)
    }

    /// [`Pending::wait`], and how long the exchange took.
    pub fn wait_timed(self) -> Result<Done, GroupError> {
        (self.finish)()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn Group + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("rank", &self.rank()).field("size", &self.size()).finish()
    }
}
