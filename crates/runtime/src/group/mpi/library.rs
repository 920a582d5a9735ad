//! The MPI library: found, asked for its version, and called.
//!
//! This and the handles are the only places that call what is not Rust. Every call is made by the thread that initialised MPI.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use super::LIBRARY_VARIABLE;
use super::handles::{Handles, Interface};
use crate::group::{Exchange, GroupError, Values};

/// The names that are tried, one after the other: Open MPI's, and MPICH's.
const NAMES: [&str; 4] = ["libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi.so"];

/// The environment variables by which Open MPI's launcher, and MPICH's, tell how many processes they have started. A library that
/// does not know its launcher takes a process for one on its own.
const LAUNCHED: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// How many processes a launcher of that kind has started, if one has.
fn launched_by(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `MPI_THREAD_FUNNELED`: one thread makes all calls.
const FUNNELED: c_int = 1;

/// No text of a library is longer: MPICH's version may have 8192 characters.
const LONGEST_TEXT: usize = 1 << 14;

/// From so many members on a sum is left to the library: Open MPI's `MPI_Iallreduce` splits a sum of 64 KiB or more among four or more, if the results
/// have a place of their own. Of fewer it brings everything to one and back, so that the values go over each link twice, one after the other
/// (`nbc_iallreduce.c`). These few send each other what they have and add it themselves: the way is taken once, and the order of a sum is that
/// of the ranks.
const LEAST_SPLIT: usize = 4;

/// What is sent to few is sent in pieces of at least so many bytes, and in so many of them at most: enough of them that a bucket of gradients, unless
/// a parameter in it is larger than that, goes in pieces no longer. Open MPI asks the other end before it sends a message of more than about 64 KiB,
/// its header included, and over TCP the answer waits behind what its sender sends itself: two messages that cross each other would go one after the
/// other.
const PIECE_BYTES: usize = 60 << 10;
const MOST_PIECES: usize = 128;

/// The most values that one call takes: its counts are C's `int`.
pub(super) const MOST_VALUES: usize = c_int::MAX as usize;

/// What a worker calls.
pub(super) trait Calls: Send {
    /// What the library calls itself.
    fn version(&self) -> &str;

    /// Initialises MPI; the rank and the size of the group.
    fn start(&self) -> Result<(usize, usize), GroupError>;

    /// Has the library go on with what it was given, where no exchange of this member's is under way that would do so.
    fn progress(&self);

    /// Begins an exchange.
    fn begin(&self, exchange: Exchange, values: Values, size: usize) -> Result<Box<dyn Request>, GroupError>;

    /// Ends MPI. All members must call it.
    fn finish(&self) -> Result<(), GroupError>;
}

/// An exchange that was begun, with the memory that the library works on.
pub(super) trait Request {
    /// What came of it, if it is over.
    fn test(&mut self) -> Result<Option<Values>, GroupError>;

    /// Lets go of an exchange that will not end. Its memory stays, for the library may still write there.
    fn leak(self: Box<Self>);
}

type Code = c_int;

/// The functions of a library whose handles are `H`.
struct Functions<H> {
    init_thread: unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> Code,
    finalize: unsafe extern "C" fn() -> Code,
    comm_rank: unsafe extern "C" fn(H, *mut c_int) -> Code,
    comm_size: unsafe extern "C" fn(H, *mut c_int) -> Code,
    set_errhandler: unsafe extern "C" fn(H, H) -> Code,
    error_string: unsafe extern "C" fn(Code, *mut c_char, *mut c_int) -> Code,
    iallreduce: unsafe extern "C" fn(*const c_void, *mut c_void, c_int, H, H, H, *mut H) -> Code,
    iallgather: unsafe extern "C" fn(*const c_void, c_int, H, *mut c_void, c_int, H, H, *mut H) -> Code,
    ibcast: unsafe extern "C" fn(*mut c_void, c_int, H, c_int, H, *mut H) -> Code,
    ibarrier: unsafe extern "C" fn(H, *mut H) -> Code,
    iprobe: unsafe extern "C" fn(c_int, c_int, H, *mut c_int, *mut c_void) -> Code,
    test: unsafe extern "C" fn(*mut H, *mut c_int, *mut c_void) -> Code,
}

impl<H> Clone for Functions<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Functions<H> {}

/// A library that was loaded, and is never unloaded: MPI leaves threads and handlers behind.
struct Loaded<H> {
    version: String,
    functions: Functions<H>,
    handles: Handles<H>,
}

/// Finds and loads the library.
pub(super) fn load() -> Result<Box<dyn Calls>, GroupError> {
    let named = std::env::var(LIBRARY_VARIABLE).ok();
    let mut names: Vec<&str> = named.as_deref().map_or_else(|| NAMES.to_vec(), |name| vec![name]);
    if launched_by(LAUNCHED[0]).is_none() && launched_by(LAUNCHED[1]).is_some() {
        // MPICH's launcher: its library before Open MPI's, should both be there.
        let others = names.len().min(2) - 1;
        names.rotate_left(others);
    }
    let mut tried = Vec::new();
    for name in names {
        match open(name) {
            Ok(library) => return known(name, library),
            Err(error) => tried.push(format!("{name}: {error}")),
        }
    }
    Err(GroupError::NoLibrary { tried: tried.join("; "), variable: LIBRARY_VARIABLE })
}

/// Opens a library so that the parts that it loads itself find its symbols.
#[cfg(unix)]
fn open(name: &str) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: initialisers of an MPI library are meant to be run in any program; the caller asked for it.
    unsafe { Library::open(Some(Path::new(name)), RTLD_NOW | RTLD_GLOBAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn open(name: &str) -> Result<Library, libloading::Error> {
    // SAFETY: initialisers of an MPI library are meant to be run in any program; the caller asked for it.
    unsafe { Library::new(Path::new(name)) }
}

/// The library behind the interface that it has. Its version is asked for before anything else is looked at.
fn known(path: &str, library: Library) -> Result<Box<dyn Calls>, GroupError> {
    type GetVersion = unsafe extern "C" fn(*mut c_char, *mut c_int) -> Code;
    let absent = |symbol: &str, version: &str, reason: String| {
        let (path, version, symbol) = (path.to_owned(), version.to_owned(), symbol.to_owned());
        GroupError::MissingSymbol { path, version, symbol, reason }
    };
    let get_version: GetVersion = symbol(&library, "MPI_Get_library_version")
        .map_err(|reason| absent("MPI_Get_library_version", "of no known version", reason))?;
    let version = text(|buffer, len| {
        // SAFETY: the buffer is longer than any library's version, and the function may be called before MPI is initialised.
        unsafe { get_version(buffer, len) }
    });
    let interface = Interface::of(path, &version)?;
    let first_line = version.lines().next().unwrap_or_default().to_owned();
    let missing = |symbol: &str, reason: String| absent(symbol, &first_line, reason);
    let calls: Box<dyn Calls> = match interface {
        Interface::OpenMpi => {
            let handles = Handles::of_open_mpi(&library, &missing)?;
            Box::new(Loaded { functions: functions(&library, &missing)?, handles, version: first_line.clone() })
        }
        Interface::Mpich => {
            let handles = Handles::of_mpich();
            Box::new(Loaded {
                functions: functions::<c_int>(&library, &missing)?,
                handles,
                version: first_line.clone(),
            })
        }
    };
    std::mem::forget(library);
    Ok(calls)
}

/// The function of that name, which is of the type `T`.
fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: the types of the functions are those of the MPI standard, with the handles of the interface that the version has.
    unsafe { library.get::<T>(name.as_bytes()) }.map(|symbol| *symbol).map_err(|error| error.to_string())
}

fn functions<H>(library: &Library, missing: &dyn Fn(&str, String) -> GroupError) -> Result<Functions<H>, GroupError> {
    macro_rules! function {
        ($name:literal) => {
            symbol(library, $name).map_err(|reason| missing($name, reason))?
        };
    }
    Ok(Functions {
        init_thread: function!("MPI_Init_thread"),
        finalize: function!("MPI_Finalize"),
        comm_rank: function!("MPI_Comm_rank"),
        comm_size: function!("MPI_Comm_size"),
        set_errhandler: function!("MPI_Comm_set_errhandler"),
        error_string: function!("MPI_Error_string"),
        iallreduce: function!("MPI_Iallreduce"),
        iallgather: function!("MPI_Iallgather"),
        ibcast: function!("MPI_Ibcast"),
        ibarrier: function!("MPI_Ibarrier"),
        iprobe: function!("MPI_Iprobe"),
        test: function!("MPI_Test"),
    })
}

/// The text that a function writes.
fn text(write: impl FnOnce(*mut c_char, *mut c_int) -> Code) -> String {
    let (mut buffer, mut len) = (vec![0u8; LONGEST_TEXT], 0);
    if write(buffer.as_mut_ptr().cast(), &raw mut len) != 0 {
        return String::new();
    }
    buffer.truncate(usize::try_from(len).unwrap_or(0).min(LONGEST_TEXT));
    let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).trim().to_owned()
}

/// How many values of so many bytes each go in one piece, of so many values in all.
fn piece_of(len: usize, width: usize) -> usize {
    (PIECE_BYTES / width.max(1)).max(len.div_ceil(MOST_PIECES)).max(1)
}

impl<H: Copy + 'static> Loaded<H> {
    /// Begins a sum to which each member is sent what the others have, all pieces at once: members must begin the same in the same order.
    fn begin_pieces(&self, mut values: Values, size: usize) -> Result<Box<dyn Request>, GroupError> {
        let Loaded { functions, handles, .. } = self;
        let (len, kind) = (values.len(), kind(handles, &values));
        let width = values.bytes() / len.max(1);
        let piece = piece_of(len, width);
        let mut all = values.zeros(len * size);
        let (from, to) = (address(&mut values).cast::<u8>(), address(&mut all).cast::<u8>());
        let mut requests = Vec::with_capacity(len.div_ceil(piece));
        for start in (0..len).step_by(piece) {
            let count = piece.min(len - start) as c_int;
            let mut request = handles.no_request;
            // What all have of a piece stands together, behind what all have of the pieces before it.
            let (from, to) = (from.wrapping_add(start * width), to.wrapping_add(start * size * width));
            // SAFETY: from there on one list has `count` values, the other as many of each member; both live until the request is over or for
            // ever.
            let code = unsafe {
                (functions.iallgather)(
                    from.cast(),
                    count,
                    kind,
                    to.cast(),
                    count,
                    kind,
                    handles.world,
                    &raw mut request,
                )
            };
            if let Err(error) = self.checked("MPI_Iallgather", code) {
                // The library may still write what was begun.
                Box::new(self.running(requests, values, Results::Summands { all, piece })).leak();
                return Err(error);
            }
            requests.push(request);
        }
        Ok(Box::new(self.running(requests, values, Results::Summands { all, piece })))
    }

    fn running(&self, requests: Vec<H>, values: Values, results: Results) -> Running<H> {
        let (functions, ignore_status) = (self.functions, self.handles.ignore_status);
        Running { functions, ignore_status, requests, over: 0, values, results }
    }

    fn checked(&self, function: &'static str, code: Code) -> Result<(), GroupError> {
        checked(&self.functions, function, code)
    }
}

/// Refuses what a function returned unless it is `MPI_SUCCESS`.
fn checked<H>(functions: &Functions<H>, function: &'static str, code: Code) -> Result<(), GroupError> {
    if code == 0 {
        return Ok(());
    }
    let message = text(|buffer, len| {
        // SAFETY: the buffer is longer than any message.
        unsafe { (functions.error_string)(code, buffer, len) }
    });
    Err(GroupError::Call { function, code, message })
}

impl<H: Copy + 'static> Calls for Loaded<H> {
    fn version(&self) -> &str {
        &self.version
    }

    fn start(&self) -> Result<(usize, usize), GroupError> {
        let Loaded { functions, handles, .. } = self;
        let mut provided = 0;
        // SAFETY: null stands for arguments that the program does not hand on; this thread makes all further calls.
        let code =
            unsafe { (functions.init_thread)(std::ptr::null_mut(), std::ptr::null_mut(), FUNNELED, &raw mut provided) };
        self.checked("MPI_Init_thread", code)?;
        // SAFETY: MPI is initialised, and the handles are the library's own.
        let code = unsafe { (functions.set_errhandler)(handles.world, handles.errors_return) };
        self.checked("MPI_Comm_set_errhandler", code)?;
        let (mut rank, mut size) = (0, 0);
        // SAFETY: as above; the results are written to numbers of this frame.
        let code = unsafe { (functions.comm_rank)(handles.world, &raw mut rank) };
        self.checked("MPI_Comm_rank", code)?;
        // SAFETY: as above.
        let code = unsafe { (functions.comm_size)(handles.world, &raw mut size) };
        self.checked("MPI_Comm_size", code)?;
        let (rank, found) = (rank as usize, size as usize);
        match LAUNCHED.into_iter().find_map(launched_by) {
            Some(launched) if launched != found => {
                let (library, variable) = (self.version.clone(), LIBRARY_VARIABLE);
                Err(GroupError::OtherLauncher { launched, found, library, variable })
            }
            Some(_) | None => Ok((rank, found)),
        }
    }

    fn progress(&self) {
        let mut is_there = 0;
        // Nobody sends such a message. To look for one makes the library read and write what is due.
        // SAFETY: MPI is initialised; the answer is written to a number of this frame, and nobody wants a status.
        let _ =
            unsafe { (self.functions.iprobe)(0, 0, self.handles.world, &raw mut is_there, self.handles.ignore_status) };
    }

    fn begin(&self, exchange: Exchange, mut values: Values, size: usize) -> Result<Box<dyn Request>, GroupError> {
        let Loaded { functions, handles, .. } = self;
        // Open MPI counts what all members gather together by an `int`, too.
        let most_gathered = MOST_VALUES / size.max(1);
        let is_gathered = match exchange {
            Exchange::Gather => true,
            Exchange::Sum => size < LEAST_SPLIT && values.len() <= most_gathered,
            Exchange::Broadcast { .. } | Exchange::Barrier => false,
        };
        let limit = if is_gathered { most_gathered } else { MOST_VALUES };
        if values.len() > limit {
            return Err(GroupError::TooMany { elements: values.len(), limit });
        }
        let (count, kind) = (values.len() as c_int, kind(handles, &values));
        let mut request = handles.no_request;
        let at = &raw mut request;
        let (function, code, results) = match exchange {
            Exchange::Sum if is_gathered => return self.begin_pieces(values, size),
            Exchange::Gather if is_gathered => {
                let mut all = values.zeros(values.len() * size);
                let (from, to) = (address(&mut values), address(&mut all));
                // SAFETY: one list has `count` values, the other as many of each member; both live until the request is over or
                // for ever.
                let code = unsafe { (functions.iallgather)(from, count, kind, to, count, kind, handles.world, at) };
                ("MPI_Iallgather", code, Results::At(all))
            }
            Exchange::Gather | Exchange::Sum => {
                let mut sums = values.clone();
                let (from, to) = (address(&mut values), address(&mut sums));
                // SAFETY: both lists have `count` values of the type, and live until the request is over or for ever.
                let code = unsafe { (functions.iallreduce)(from, to, count, kind, handles.sum, handles.world, at) };
                ("MPI_Iallreduce", code, Results::At(sums))
            }
            Exchange::Broadcast { root } => {
                let list = address(&mut values);
                // SAFETY: the list has `count` values, and lives until the request is over or for ever.
                let code = unsafe { (functions.ibcast)(list, count, kind, root as c_int, handles.world, at) };
                ("MPI_Ibcast", code, Results::InPlace)
            }
            // SAFETY: MPI is initialised, and the handle is the library's own.
            Exchange::Barrier => ("MPI_Ibarrier", unsafe { (functions.ibarrier)(handles.world, at) }, Results::InPlace),
        };
        self.checked(function, code)?;
        Ok(Box::new(self.running(vec![request], values, results)))
    }

    fn finish(&self) -> Result<(), GroupError> {
        // SAFETY: MPI is initialised, and no request is under way.
        let code = unsafe { (self.functions.finalize)() };
        self.checked("MPI_Finalize", code)
    }
}

/// The handle of the values' type.
fn kind<H: Copy>(handles: &Handles<H>, values: &Values) -> H {
    match values {
        Values::F32(_) => handles.float,
        Values::F64(_) => handles.double,
        Values::I32(_) => handles.int,
        Values::Bytes(_) => handles.byte,
    }
}

/// Where the values stand. A list that is moved keeps its memory. One without values has none, and what stands for its address may be what
/// a library takes for a word of its own, as Open MPI does 1: it gets the address of something.
fn address(values: &mut Values) -> *mut c_void {
    static NOTHING: u64 = 0;
    if values.is_empty() {
        // Neither read nor written, for there are no values.
        return (&raw const NOTHING).cast_mut().cast();
    }
    match values {
        Values::F32(list) => list.as_mut_ptr().cast(),
        Values::F64(list) => list.as_mut_ptr().cast(),
        Values::I32(list) => list.as_mut_ptr().cast(),
        Values::Bytes(list) => list.as_mut_ptr().cast(),
    }
}

/// An exchange under way.
struct Running<H> {
    functions: Functions<H>,
    ignore_status: *mut c_void,
    /// What it is made of, and how many of these, from the first on, are over.
    requests: Vec<H>,
    over: usize,
    values: Values,
    results: Results,
}

/// Where the results of an exchange are.
enum Results {
    /// Where the values stood.
    InPlace,
    /// In a place of their own.
    At(Values),
    /// They are the sums of what all members have, which is here: of so many values of each in the order of their ranks, and so on.
    Summands { all: Values, piece: usize },
}

impl<H: Copy> Request for Running<H> {
    fn test(&mut self) -> Result<Option<Values>, GroupError> {
        while let Some(request) = self.requests.get_mut(self.over) {
            let mut is_over = 0;
            // SAFETY: the request is this one's own, and its memory is here.
            let code = unsafe { (self.functions.test)(request, &raw mut is_over, self.ignore_status) };
            checked(&self.functions, "MPI_Test", code)?;
            if is_over == 0 {
                return Ok(None);
            }
            self.over += 1;
        }
        let mut values = std::mem::replace(&mut self.values, Values::from(Vec::<u8>::new()));
        Ok(Some(match std::mem::replace(&mut self.results, Results::InPlace) {
            Results::InPlace => values,
            Results::At(results) => results,
            Results::Summands { all, piece } => {
                values.become_sums(&all, piece);
                values
            }
        }))
    }

    fn leak(self: Box<Self>) {
        Box::leak(self);
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_PIECES, address, piece_of};
    use crate::group::Values;
    use crate::train::in_group::BUCKET_BYTES;

    #[test]
    fn a_bucket_goes_in_pieces_that_are_sent_without_asking() {
        // A bucket may be somewhat larger: it ends with the parameter that fills it.
        for bytes in [1, 1 << 16, BUCKET_BYTES, BUCKET_BYTES + (2 << 20)] {
            for width in [4, 8] {
                let (len, most) = (bytes / width, (64 << 10) - 256);
                assert!(piece_of(len, width) * width <= most, "{bytes} bytes in values of {width}");
            }
        }
        let len: usize = 1 << 30;
        assert!(len.div_ceil(piece_of(len, 4)) <= MOST_PIECES);
    }

    #[test]
    fn no_values_have_an_address_that_no_library_takes_for_a_word() {
        for mut values in [
            Values::Bytes([][..].into()),
            Values::F32([][..].into()),
            Values::F64([][..].into()),
            Values::I32([][..].into()),
        ] {
            assert!(address(&mut values).addr() > 4096, "{values:?}");
        }
        let mut values = Values::from(vec![7i32]);
        let expected = if let Values::I32(list) = &values { list.as_ptr().addr() } else { 0 };
        assert_eq!(address(&mut values).addr(), expected);
    }
}
