//! Ctrl-C as a request to end a run in good order.
//!
//! Within a run the first Ctrl-C (or the signal to terminate, which schedulers of clusters send) is noted and the run ends behind its
//! present step; the second one ends the program at once. Outside of runs both do what they always do. The signals are handled from the
//! first run of a process on; what else handles them is called as before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::Error;
use crate::train::fit::FitError;

/// The signals of a process while a run watches them; when it is dropped, they are what they were before.
///
/// ```no_run
/// use arenagrad::fit::Interrupt;
///
/// let interrupt = Interrupt::watch()?;
/// for step in 0.. {
///     // one step of a training loop
///     if interrupt.is_raised() {
///         break; // and save what there is
///     }
/// }
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Debug)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

/// How many runs of the process watch.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// Raised while no run watches, and by a signal: a signal that finds it raised ends the program.
fn flag() -> Result<&'static Arc<AtomicBool>, Error> {
    static FLAG: OnceLock<Result<Arc<AtomicBool>, String>> = OnceLock::new();
    let registered = FLAG.get_or_init(|| {
        let raised = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the same signal must not find the flag that it raises.
            flag::register_conditional_default(signal, Arc::clone(&raised)).map_err(|error| error.to_string())?;
            flag::register(signal, Arc::clone(&raised)).map_err(|error| error.to_string())?;
        }
        Ok(raised)
    });
    registered.as_ref().map_err(|reason| FitError::Signals { reason: reason.clone() }.into())
}

/// Held while the number of watchers and the flag change together.
static CHANGING: Mutex<()> = Mutex::new(());

impl Interrupt {
    /// Watches until it is dropped. Several may watch at once, and see the same.
    ///
    /// [`FitError::Signals`] if the system does not let the program handle them.
    pub fn watch() -> Result<Interrupt, Error> {
        let flag = flag()?;
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        if WATCHERS.fetch_add(1, Ordering::SeqCst) == 0 {
            flag.store(false, Ordering::SeqCst);
        }
        Ok(Interrupt { flag: Arc::clone(flag) })
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        if WATCHERS.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.flag.store(true, Ordering::SeqCst);
        }
    }
}
