//! `cargo xtask distributed`: processes that train together over the machine's MPI library, which no test of one process can show.
//!
//! Several processes must follow one, with the same bits in the deterministic mode; and when one is killed, at any place of a step, every other must
//! end with an error that names it, and the checkpoint must be whole. `--measure` prints what a group costs instead.
//!
//! All run the example `distributed`, as `cargo` has built it beside this program.

mod kills;
mod launch;
mod measure;

use std::process::ExitCode;

use launch::Launch;
pub(crate) use launch::find_or_install;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// How often a process is killed.
    kills: u64,
    measures: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Options { kills: 50, measures: false };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("kills") => options.kills = arguments.value()?.parse()?,
                Long("measure") => options.measures = true,
                other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let done = find_or_install().and_then(|library| {
        println!("distributed: {library}");
        if options.measures { measure::print() } else { hold(options.kills) }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("distributed: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Holds processes to what they promise; one is killed so many times.
pub(crate) fn hold(kills: u64) -> Result<(), String> {
    follow()?;
    kills::hold(kills)
}

/// The greatest relative difference of the losses of several processes from those of one.
const TOLERANCE: f64 = 1e-6;

/// Losses of several processes against those of one.
fn follow() -> Result<(), String> {
    // Neither 3 nor 4 divides them.
    let arguments = ["--steps", "100", "--batch", "22"];
    let expected = losses(&Launch::alone(&arguments).run()?)?;
    for ranks in [2, 3] {
        let found = losses(&Launch::group(ranks, &arguments).run()?)?;
        // The largest difference; one that is no number stays.
        let worse = |worst: f64, next: f64| if worst.is_nan() || next <= worst { worst } else { next };
        let worst = expected.iter().zip(&found).map(|(a, b)| ((a.0 - b.0) / a.0).abs()).fold(0.0, worse);
        println!("distributed: {ranks} processes follow one over {} steps: losses differ by {worst:.1e}", found.len());
        if found.len() != expected.len() || worst.is_nan() || worst > TOLERANCE {
            return Err(format!("the losses of {ranks} processes differ by {worst:e} from those of one"));
        }
    }
    let arguments = ["--steps", "20", "--batch", "22", "--shards", "4"];
    let expected = losses(&Launch::alone(&arguments).run()?)?;
    for ranks in 1..=4 {
        let found = losses(&Launch::group(ranks, &arguments).run()?)?;
        if found.iter().map(|(_, bits)| bits).ne(expected.iter().map(|(_, bits)| bits)) {
            return Err(format!("in the deterministic mode {ranks} processes have other bits than one"));
        }
    }
    println!("distributed: 1 to 4 processes have the same bits in the deterministic mode");
    Ok(())
}

/// The losses that the example prints, and their bits.
fn losses(text: &str) -> Result<Vec<(f64, String)>, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("loss "));
    let losses: Option<Vec<_>> = lines
        .map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        })
        .collect();
    losses.filter(|losses| !losses.is_empty()).ok_or_else(|| format!("no losses were printed:\n{text}"))
}
