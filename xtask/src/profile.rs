//! `cargo xtask profile`: the steps of a workload's plan, with their times, bytes, operations and shares of the roofline, as a table and
//! as a trace.

use std::path::PathBuf;
use std::process::ExitCode;

use arenagrad::{Device, ProfileOptions};
use arenagrad_benches::{Phase, WORKLOADS, Workload, workload};

/// What the command line asks for.
pub(crate) struct Options {
    workload: &'static Workload,
    phase: Phase,
    on_gpu: bool,
    trace: Option<PathBuf>,
    profile: ProfileOptions,
}

impl Options {
    /// Reads `WORKLOAD [--gpu] [--phase PHASE] [--runs N] [--submits] [--trace FILE]`.
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut chosen, mut phase, mut on_gpu, mut trace) = (None, None, false, None);
        let mut profile = ProfileOptions::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("gpu") => on_gpu = true,
                Long("submits") => profile.timestamps = false,
                Long("runs") => profile.runs = arguments.value()?.parse()?,
                Long("trace") => trace = Some(PathBuf::from(arguments.value()?)),
                Long("phase") => {
                    let name = arguments.value()?.string()?;
                    phase = Some(Phase::named(&name).ok_or_else(|| format!("unknown phase {name:?}"))?);
                }
                Value(name) if chosen.is_none() => chosen = Some(named(&name.string()?)?),
                argument @ (Long(_) | Short(_) | Value(_)) => return Err(argument.unexpected()),
            }
        }
        let workload = chosen.ok_or_else(|| format!("profile needs a workload: {}", names()))?;
        let phase = phase.unwrap_or_else(|| workload.compared_phase());
        if !workload.phases(on_gpu).contains(&phase) {
            return Err(format!("{} has no phase {:?} there", workload.name, phase.name()).into());
        }
        Ok(Options { workload, phase, on_gpu, trace, profile })
    }
}

/// The workload of that name, if it has a plan of its own.
pub(crate) fn named(name: &str) -> Result<&'static Workload, String> {
    let found = workload(name).ok_or_else(|| format!("unknown workload {name:?}; there are {}", names()))?;
    match found.compiled() {
        None if found.compared_phase() == Phase::Build => Err(format!("{name} builds a graph that is never run")),
        None => Ok(found),
        Some(compiled) => {
            Err(format!("{name} is planned anew as it runs: profile {compiled}, which computes the same from one plan"))
        }
    }
}

/// The workloads that have a plan of their own.
pub(crate) fn names() -> String {
    let all = WORKLOADS.iter().filter(|workload| workload.compiled().is_none());
    let planned = all.filter(|workload| workload.compared_phase() != Phase::Build);
    planned.map(|workload| workload.name).collect::<Vec<_>>().join(", ")
}

/// The device that is asked for; a word where there is none.
pub(crate) fn device(on_gpu: bool) -> Result<Device, String> {
    if !on_gpu {
        return Ok(Device::cpu());
    }
    let gpu = arenagrad_benches::gpu().map_err(|error| error.to_string())?;
    gpu.ok_or_else(|| "there is no adapter on this machine".to_owned())
}

/// Profiles the workload and prints the table.
pub(crate) fn run(options: Options) -> ExitCode {
    match profile(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("profile: {error}");
            ExitCode::FAILURE
        }
    }
}

fn profile(options: &Options) -> Result<(), String> {
    let Options { workload, phase, on_gpu, trace, profile } = options;
    let text = |error: arenagrad::Error| error.to_string();
    let device = device(*on_gpu)?;
    let mut program = workload.program(*phase, &device).map_err(text)?;
    let profile = program.profile(profile).map_err(text)?;
    let profile = profile.ok_or_else(|| format!("{} has no plan of its own", workload.name))?;
    println!("{}, {}: {}", workload.name, phase.title(), workload.about);
    print!("{profile}");
    if let Some(path) = trace {
        profile.write_trace(path).map_err(text)?;
        println!("trace: {} (open it in https://ui.perfetto.dev or chrome://tracing)", path.display());
    }
    Ok(())
}
