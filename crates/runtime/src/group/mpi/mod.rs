//! A group of processes that an MPI launcher started: `mpirun -n 4 program`.
//!
//! The library is loaded when a program asks for it, so nothing is needed to build one. One thread makes all calls (`worker`), so the library
//! need not be safe for several, and exchanges go on while the program computes. That a member has died is not told by MPI: sockets
//! between all members (`watch`) close when a process ends, whatever ended it.
//!
//! What this does not know: what is exchanged, and why.

mod handles;
mod library;
mod watch;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Exchange, Group, GroupError, Pending, Values};
use watch::Watch;
use worker::{Job, Message};

/// The environment variable that says where the MPI library is.
pub(super) const LIBRARY_VARIABLE: &str = "ARENAGRAD_MPI_LIBRARY";
/// The environment variable that says by which address the other hosts reach this one.
pub(super) const ADDRESS_VARIABLE: &str = "ARENAGRAD_GROUP_ADDRESS";

/// How long a member of a group waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long an exchange may take while all members are alive: 10 minutes unless said. It ends programs whose members do not make the same
    /// exchanges; a member that is busy elsewhere, such as with a long evaluation, must be back by then.
    pub exchange: Duration,
    /// How long a member may be silent before it counts as lost: 20 seconds unless said. A process that ends is noticed at once; this is for
    /// hosts that lose their power or their network.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { exchange: Duration::from_secs(600), silence: Duration::from_secs(20) }
    }
}

/// This process as a member of the group that an MPI launcher started. Without a launcher it is a group of one.
///
/// The library is Open MPI 4 or 5, or MPICH 3 or 4: `libmpi.so.40`, `libmpi.so.12`, `libmpich.so.12`, `libmpi.so`, or what the environment variable
/// `ARENAGRAD_MPI_LIBRARY` names. It is asked for its version before anything else, and one that is not known is refused by name.
///
/// When this is dropped, the process has left the group, and MPI is finalised once all others have, too. It can be started once in a process.
///
/// ```no_run
/// use arenagrad::group::{Group, Mpi};
///
/// let group = Mpi::start()?;
/// let ranks = group.all_gather(vec![group.rank() as i32].into())?;
/// println!("rank {} of {}: {ranks:?}", group.rank(), group.size());
/// # Ok::<(), arenagrad::group::GroupError>(())
/// ```
pub struct Mpi {
    rank: usize,
    size: usize,
    local_rank: usize,
    library: String,
    jobs: Sender<Message>,
    /// Whether somebody waits for an exchange, which is then looked after without pause.
    awaited: Arc<AtomicBool>,
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Mpi {
    /// Loads the library, and joins the group that the launcher started.
    ///
    /// Errors: no library ([`GroupError::NoLibrary`]), or one whose binary interface is not known ([`GroupError::UnknownLibrary`]); a member that
    /// cannot be reached ([`GroupError::Unreachable`]); a second start.
    pub fn start() -> Result<Mpi, GroupError> {
        Mpi::start_with(Limits::default())
    }

    /// [`Mpi::start`] with other limits of waiting.
    pub fn start_with(limits: Limits) -> Result<Mpi, GroupError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        // What cannot be loaded was not started, and may be tried again.
        let calls = library::load()?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(GroupError::StartedTwice);
        }
        let library = calls.version().to_owned();
        let (jobs, received) = channel();
        let (ready, started) = channel();
        let awaited = Arc::new(AtomicBool::new(false));
        let is_awaited = Arc::clone(&awaited);
        let thread = std::thread::Builder::new()
            .name("arenagrad mpi".to_owned())
            .spawn(move || worker::run(calls, limits, &received, &is_awaited, &ready))
            .map_err(|error| GroupError::System { reason: error.to_string() })?;
        let ended = || GroupError::System { reason: "the thread of MPI ended".to_owned() };
        let worker::Started { rank, size, local_rank, watch } = started.recv().map_err(|_| ended())??;
        Ok(Mpi { rank, size, local_rank, library, jobs, awaited, watch, thread: Some(thread) })
    }

    /// What the library calls itself, such as `Open MPI v4.1.4, ..`.
    pub fn library(&self) -> &str {
        &self.library
    }
}

impl Group for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_rank(&self) -> usize {
        self.local_rank
    }

    fn begin(&self, exchange: Exchange, values: Values) -> Pending {
        let (reply, result) = channel();
        if exchange == Exchange::Sum && !values.is_number() {
            return Pending::ready(Err(GroupError::NoSum { what: "sum", values: values.type_name() }));
        }
        let ended = || GroupError::System { reason: "the thread of MPI ended".to_owned() };
        if self.jobs.send(Message::Job(Job { exchange, values, reply })).is_err() {
            return Pending::ready(Err(ended()));
        }
        let awaited = Arc::clone(&self.awaited);
        Pending::new(move || {
            awaited.store(true, Ordering::Relaxed);
            let result = result.recv().unwrap_or_else(|_| Err(ended()));
            awaited.store(false, Ordering::Relaxed);
            result
        })
    }

    fn abandon(&self, reason: &str) {
        self.watch.abandon(reason);
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.watch.abandon("it panicked");
        }
        // The thread ends when it has said goodbye and finalised, or when nobody is there any more.
        let _ = self.jobs.send(Message::Quit);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mpi { rank, size, library, .. } = self;
        f.debug_struct("Mpi").field("rank", rank).field("size", size).field("library", library).finish()
    }
}
