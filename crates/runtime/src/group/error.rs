//! What can go wrong in a group of processes.

/// Why processes cannot train together, or do so no more. Those that end a group name the member by its rank.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum GroupError {
    /// A member ended without a word: it was killed, or its host was.
    #[error("rank {rank} of {size} was lost ({reason}); this is rank {own}")]
    RankLost { rank: usize, size: usize, own: usize, reason: String },

    /// A member said that it takes part no more.
    #[error("rank {rank} of {size} left the group: {reason}; this is rank {own}")]
    RankLeft { rank: usize, size: usize, own: usize, reason: String },

    /// Every member is alive, but an exchange does not end: most likely they do not make the same exchanges.
    #[error(
        "{exchange} of {bytes} bytes did not end within {seconds} s though all {size} ranks are alive; do all of them make the \
         same steps? this is rank {own}"
    )]
    TimedOut { exchange: String, bytes: usize, seconds: u64, size: usize, own: usize },

    /// Two members are not at the same place of their programs.
    #[error(
        "rank {rank} does {theirs}, while rank {own} does {ours}; all ranks must make the same steps in the same order"
    )]
    StepsDiffer { rank: usize, own: usize, theirs: String, ours: String },

    #[error("rank {rank} {theirs}, but rank {own} {ours}: all ranks must build the same network")]
    ParametersDiffer { rank: usize, own: usize, parameter: String, theirs: String, ours: String },

    /// Members would go on with a run from different places.
    #[error(
        "rank {rank} {theirs}, while rank {own} {ours}: every rank reads the run's checkpoint itself; give all of them the same folder, on a disk \
         that their hosts share, or copy rank 0's to each host"
    )]
    StartsDiffer { rank: usize, own: usize, theirs: String, ours: String },

    #[error("parameter {parameter:?} has other bits on rank {rank} than on rank 0; do all ranks run the same program?")]
    ValuesDiffer { rank: usize, parameter: String },

    #[error(
        "rank {rank} was given {found} samples of a batch of {batch}, and its share in {shards} shards is {expected}; see Batches::share"
    )]
    NotItsShare { rank: usize, found: usize, batch: usize, shards: usize, expected: usize },

    #[error(
        "runs that train nothing update the states of each of {size} members alone, and those of a group are the same on all; make the session without \
         a group, or update states in training steps"
    )]
    StatesOfEach { size: usize },

    #[error("rank {rank} was asked for of a group of {size}")]
    NoSuchRank { rank: usize, size: usize },

    #[error("values of type {values} have no {what}")]
    NoSum { what: &'static str, values: &'static str },

    #[error("values are of type {found}, and not {expected}")]
    Type { expected: &'static str, found: &'static str },

    #[error("rank 0 failed: {reason}")]
    FirstFailed { reason: String },

    #[error("a group is cut in at least one shard")]
    NoShards,

    /// On WebAssembly.
    #[error("a group of {size} members cannot be here: they wait for each other, and on WebAssembly nothing can wait")]
    CannotWait { size: usize },

    #[error("{what}: not in the deterministic mode, in which each shard of a batch is computed on its own")]
    NotDeterministic { what: String },

    /// No MPI on the machine.
    #[error(
        "no MPI library was found (tried {tried}); install one, on Debian: apt-get install openmpi-bin libopenmpi3; or say where it is \
         by the environment variable {variable}"
    )]
    NoLibrary { tried: String, variable: &'static str },

    /// An MPI library whose binary interface is not known.
    #[error(
        "{path} is {version:?}, whose binary interface is not known; known are {known}. Say where such a library is by the \
         environment variable {variable}"
    )]
    UnknownLibrary { path: String, version: String, known: &'static str, variable: &'static str },

    #[error("{path}, {version:?}, has no {symbol}: {reason}")]
    MissingSymbol { path: String, version: String, symbol: String, reason: String },

    #[error("{function} of the MPI library failed with code {code}: {message}")]
    Call { function: &'static str, code: i32, message: String },

    /// The launcher is of another MPI than the library: each process is a group of its own.
    #[error(
        "the launcher started {launched} processes, but {library:?} knows of {found}: the launcher is of another MPI; start the program \
         with that library's own, or name the launcher's library by the environment variable {variable}"
    )]
    OtherLauncher { launched: usize, found: usize, library: String, variable: &'static str },

    #[error("MPI was started in this process before, and can be started only once")]
    StartedTwice,

    #[error(
        "rank {rank} cannot be reached at {address}: {reason}; if its host has another address for this network, say it on each host by \
         the environment variable {variable}"
    )]
    Unreachable { rank: usize, address: String, reason: String, variable: &'static str },

    #[error("a thread or socket of the group could not be had: {reason}")]
    System { reason: String },

    #[error("{elements} values are more than one exchange of the MPI library takes, {limit}")]
    TooMany { elements: usize, limit: usize },
}

arenagrad_graph::debug_in_words!(GroupError);
