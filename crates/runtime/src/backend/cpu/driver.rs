//! A thread of a rayon pool that runs plans for threads outside it.
//!
//! Entering a rayon pool from outside goes through a queue that allocates now and then; a run of a plan must not. So one
//! thread of a pool of this crate waits for work behind a lock: a caller puts a plan and its memory there, by value, and
//! takes them back when they have run. The other threads of the pool are its team, for which a bell rings. While the driver
//! is busy with one caller, another enters the pool the ordinary way.
//!
//! Nothing here knows what a plan is beyond that it can be moved and run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use arenagrad_kernels::cpu::{Bell, lead_team, serve_team};

use super::{CpuExecutable, CpuMemory};

/// Runs all steps on a thread of a rayon pool, so that kernels can divide their work.
pub(super) fn run_in_pool(executable: &mut CpuExecutable, memory: &mut CpuMemory) {
    if rayon::current_thread_index().is_some() {
        executable.run_steps(memory);
        return;
    }
    let Some((driver, _turn)) = free_driver() else {
        rayon::join(|| executable.run_steps(memory), || ());
        return;
    };
    let work = Work::Plan(std::mem::take(executable), std::mem::take(memory));
    let (work, panic) = driver.run(work);
    if let Work::Plan(ran, its) = work {
        (*executable, *memory) = (ran, its);
    }
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// Does `task` on a thread of a rayon pool. It is moved there: what it works on goes with it, and comes back with its result.
pub(super) fn do_in_pool<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> T {
    if rayon::current_thread_index().is_some() {
        return task();
    }
    let Some((driver, _turn)) = free_driver() else {
        return rayon::join(task, || ()).0;
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let work = Work::Task(Box::new(move || {
        // The receiver is there until the task has ended.
        let _ = sender.send(task());
    }));
    if let (_, Some(panic)) = driver.run(work) {
        resume_unwind(panic);
    }
    receiver.recv().unwrap_or_else(|_| unreachable!("a task that does not panic sends its result"))
}

/// What the driver does.
enum Work {
    Plan(CpuExecutable, CpuMemory),
    Task(Box<dyn FnOnce() + Send>),
    Done,
}

/// What a kernel panicked with: it goes on in the caller.
type Panic = Option<Box<dyn Any + Send>>;

/// Work on its way to the driver or back.
enum Exchange {
    Empty,
    Given(Work),
    Done(Work, Panic),
}

struct Driver {
    /// Held by the caller whose work the driver has.
    turn: Mutex<()>,
    exchange: Mutex<Exchange>,
    /// Whether work was given that the driver has not taken.
    is_given: AtomicBool,
    /// Rings when it is.
    given: Bell,
    done: Condvar,
    /// Rings for the other threads of the pool when a kernel divides its work.
    team: Bell,
    /// The pool lives as long as the process.
    pool: rayon::ThreadPool,
}

static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();

/// The driver, if no other caller has it, and its turn.
fn free_driver() -> Option<(&'static Driver, MutexGuard<'static, ()>)> {
    let driver = driver()?;
    match driver.turn.try_lock() {
        Ok(turn) => Some((driver, turn)),
        Err(TryLockError::Poisoned(turn)) => Some((driver, turn.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The driver, started at its first use; none where threads cannot be had.
fn driver() -> Option<&'static Driver> {
    let mut started = false;
    let driver = DRIVER.get_or_init(|| {
        started = true;
        // It is called outside of all pools, where this is the number of the global pool, which a program may have set.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .thread_name(|number| format!("arenagrad-{number}"));
        Some(Driver {
            turn: Mutex::new(()),
            exchange: Mutex::new(Exchange::Empty),
            is_given: AtomicBool::new(false),
            given: Bell::new(),
            done: Condvar::new(),
            team: Bell::new(),
            pool: pool.build().ok()?,
        })
    });
    if let (true, Some(driver)) = (started, driver) {
        driver.pool.spawn_broadcast(move |thread| match thread.index() {
            0 => driver.serve(),
            _ => serve_team(&driver.team),
        });
    }
    driver.as_ref()
}

impl Driver {
    /// Lets the driver do `work`, and gives it back. The caller has the driver's turn.
    fn run(&self, work: Work) -> (Work, Panic) {
        *self.exchange() = Exchange::Given(work);
        self.is_given.store(true, Ordering::Release);
        self.given.ring();
        let mut exchange = self.exchange();
        loop {
            match std::mem::replace(&mut *exchange, Exchange::Empty) {
                Exchange::Done(work, panic) => return (work, panic),
                not_done @ (Exchange::Empty | Exchange::Given(_)) => *exchange = not_done,
            }
            exchange = self.done.wait(exchange).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does what is given, for ever.
    fn serve(&'static self) {
        lead_team(&self.team);
        loop {
            self.given.wait_until(|| self.is_given.swap(false, Ordering::Acquire));
            let given = std::mem::replace(&mut *self.exchange(), Exchange::Empty);
            let Exchange::Given(mut work) = given else { unreachable!("work was given") };
            let run = catch_unwind(AssertUnwindSafe(|| match &mut work {
                Work::Plan(executable, memory) => executable.run_steps(memory),
                Work::Task(_) => {
                    if let Work::Task(task) = std::mem::replace(&mut work, Work::Done) {
                        task();
                    }
                }
                Work::Done => {}
            }));
            *self.exchange() = Exchange::Done(work, run.err());
            self.done.notify_one();
        }
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
