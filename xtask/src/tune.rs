//! `cargo xtask tune`: the ways in which the kernels of a workload's plan can be computed, with their times on this device, the one that is taken, and
//! why no more were tried.

use std::path::PathBuf;
use std::process::ExitCode;

use arenagrad::{Tuning, TuningOptions};
use arenagrad_benches::{Phase, Workload};

use crate::profile::{device, named, names};

/// What the command line asks for.
pub(crate) struct Options {
    workload: &'static Workload,
    on_gpu: bool,
    tuning: TuningOptions,
}

impl Options {
    /// Reads `WORKLOAD [--gpu] [--folder FOLDER] [--patience N] [--other-bits]`.
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut chosen, mut on_gpu, mut tuning) = (None, false, TuningOptions::default());
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("gpu") => on_gpu = true,
                Long("folder") => tuning.folder = Some(PathBuf::from(arguments.value()?)),
                Long("patience") => tuning.patience = arguments.value()?.parse()?,
                Long("other-bits") => tuning.other_bits = true,
                Value(name) if chosen.is_none() => chosen = Some(named(&name.string()?)?),
                argument @ (Long(_) | Short(_) | Value(_)) => return Err(argument.unexpected()),
            }
        }
        let workload = chosen.ok_or_else(|| format!("tune needs a workload: {}", names()))?;
        Ok(Options { workload, on_gpu, tuning })
    }
}

/// Tunes the workload's plan, prints what was found, and times the workload as usual and tuned.
pub(crate) fn run(options: Options) -> ExitCode {
    match tune(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tune: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The calls that are timed of either program, and how many of them come before.
const CALLS: u64 = 10;
const WARM_UP: u64 = 3;

fn tune(Options { workload, on_gpu, tuning }: Options) -> Result<(), String> {
    let text = |error: arenagrad::Error| error.to_string();
    let device = device(on_gpu)?;
    let phase: Phase = workload.compared_phase();
    let mut usual = workload.program(phase, &device).map_err(text)?;
    let tuning = Tuning::new(tuning);
    let mut tuned = workload.program(phase, &device.clone().tuned(&tuning)).map_err(text)?;
    println!("{}, {} on {device}", workload.name, phase.title());
    for found in tuning.found() {
        println!("{found}");
    }
    if tuning.found().is_empty() {
        println!("no kernel of the plan leaves a choice");
    }
    for note in tuning.notes() {
        println!("note: {note}");
    }
    let time = |program: &mut arenagrad_benches::Program| {
        program.time(WARM_UP)?;
        Ok(program.time(CALLS)?.as_secs_f64() / CALLS as f64 * 1e6)
    };
    let (usual, tuned) = (time(&mut usual).map_err(text)?, time(&mut tuned).map_err(text)?);
    println!("a call takes {usual:.1} us as usual, {tuned:.1} us tuned; {} times were taken", tuning.timed());
    Ok(())
}
