//! A thread of a rayon pool that runs plans for threads outside it.
//!
//! Entering a rayon pool from outside goes through a queue that allocates now and then; a run of a plan must not. So one
//! thread of a pool of this crate waits for work behind a lock: a caller puts a plan and its memory there, by value, and
//! takes them back when they have run. While the driver is busy with one caller, another enters the pool the ordinary way.
//!
//! Nothing here knows what a plan is beyond that it can be moved and run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError, TryLockError};

use super::{CpuExecutable, CpuMemory};

/// Runs all steps on a thread of a rayon pool, so that kernels can divide their work.
pub(super) fn run_in_pool(executable: &mut CpuExecutable, memory: &mut CpuMemory) {
    if rayon::current_thread_index().is_some() {
        executable.run_steps(memory);
        return;
    }
    let Some(driver) = driver() else {
        rayon::join(|| executable.run_steps(memory), || ());
        return;
    };
    let _turn = match driver.turn.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        Err(TryLockError::WouldBlock) => {
            rayon::join(|| executable.run_steps(memory), || ());
            return;
        }
    };
    let work = Work { executable: std::mem::take(executable), memory: std::mem::take(memory), panic: None };
    let mut exchange = driver.exchange.lock().unwrap_or_else(PoisonError::into_inner);
    *exchange = Exchange::Given(work);
    driver.changed.notify_all();
    let work = loop {
        match std::mem::replace(&mut *exchange, Exchange::Empty) {
            Exchange::Done(work) => break work,
            not_done @ (Exchange::Empty | Exchange::Given(_)) => *exchange = not_done,
        }
        exchange = driver.changed.wait(exchange).unwrap_or_else(PoisonError::into_inner);
    };
    drop(exchange);
    (*executable, *memory) = (work.executable, work.memory);
    if let Some(panic) = work.panic {
        resume_unwind(panic);
    }
}

/// A plan on its way to the driver or back.
struct Work {
    executable: CpuExecutable,
    memory: CpuMemory,
    /// What a kernel panicked with: it goes on in the caller.
    panic: Option<Box<dyn Any + Send>>,
}

enum Exchange {
    Empty,
    Given(Work),
    Done(Work),
}

struct Driver {
    /// Held by the caller whose work the driver has.
    turn: Mutex<()>,
    exchange: Mutex<Exchange>,
    changed: Condvar,
    /// The pool lives as long as the process.
    pool: rayon::ThreadPool,
}

static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();

/// The driver, started at its first use; none where threads cannot be had.
fn driver() -> Option<&'static Driver> {
    let mut started = false;
    let driver = DRIVER.get_or_init(|| {
        started = true;
        // It is called outside of all pools, where this is the number of the global pool, which a program may have set.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .thread_name(|number| format!("arenagrad-{number}"));
        let pool = pool.build().ok()?;
        Some(Driver { turn: Mutex::new(()), exchange: Mutex::new(Exchange::Empty), changed: Condvar::new(), pool })
    });
    if let (true, Some(driver)) = (started, driver) {
        driver.pool.spawn(move || driver.serve());
    }
    driver.as_ref()
}

impl Driver {
    /// Runs what is given, for ever.
    fn serve(&self) {
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *exchange, Exchange::Empty) {
                Exchange::Given(mut work) => {
                    drop(exchange);
                    let Work { executable, memory, panic } = &mut work;
                    *panic = catch_unwind(AssertUnwindSafe(|| executable.run_steps(memory))).err();
                    exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
                    *exchange = Exchange::Done(work);
                    self.changed.notify_all();
                }
                not_given @ (Exchange::Empty | Exchange::Done(_)) => *exchange = not_given,
            }
            exchange = self.changed.wait(exchange).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
