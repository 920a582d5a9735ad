//! `cargo xtask distributed`: processes that train together over the machine's MPI library, which no test of one process can show.
//!
//! Several processes must follow one, with the same bits in the deterministic mode; and when one is killed, at any place of a step, every other must
//! end with an error that names it, and the checkpoint must be whole. `--measure` prints what a group costs instead, and `--slow` what it costs over
//! slow networks.
//!
//! All run the example `distributed`, which `cargo` is told to build first, in the profile of this program: times are those of `--release`,
//! `cargo run --release -p xtask -- distributed --measure`.

mod follow;
mod kills;
mod launch;
mod measure;
mod slow;

use std::process::ExitCode;

pub(crate) use launch::find_or_install;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How often a process is killed at each of two places.
    kills: u64,
    /// How many steps several processes follow one.
    steps: u64,
    task: Task,
}

/// What is done with processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Hold,
    Measure,
    Slow,
}

impl Options {
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Options { kills: 50, steps: 100, task: Task::Hold };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("kills") => options.kills = arguments.value()?.parse()?,
                Long("steps") => options.steps = arguments.value()?.parse()?,
                Long("measure") => options.task = Task::Measure,
                Long("slow") => options.task = Task::Slow,
                other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let done = find_or_install().and_then(|library| {
        println!("distributed: {library}");
        match options.task {
            Task::Hold => hold(options.steps, options.kills),
            Task::Measure => launch::build().and_then(|()| measure::print()),
            Task::Slow => launch::build().and_then(|()| slow::print()),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("distributed: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Holds processes to what they promise: so many steps like one, and after so many kills at each of two places.
pub(crate) fn hold(steps: u64, kills: u64) -> Result<(), String> {
    launch::build()?;
    follow::hold(steps)?;
    kills::hold(kills)
}
