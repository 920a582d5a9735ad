//! The repository's own tasks, run as `cargo xtask TASK`. Each task is one module; this file only tells them apart.

mod adapters;
mod bench;
mod budget;
mod ci;
mod cpu_time;
mod debian;
mod device;
mod distributed;
mod oracle;
mod profile;
mod tune;
mod web;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK [OPTIONS]

tasks:
  adapters                              list the adapters that wgpu finds on this machine
  bench [--quick] [--json FILE] [--peers FILE [--svg FILE]]
                                        time the workloads on the CPU and on an adapter, in one table; beside other systems'
                                        figures, in a second one and as a chart
  budget [--dependencies]               what a program on arenagrad costs: dependencies, size, time to build;
                                        with --dependencies only what needs no build
  ci [--packages]                       everything that a change must pass before it is merged; with --packages the
                                        packages are verified in full although no version changed
  device [--gpu] [--size N]             what a device can do and what the engine makes of it, in a few figures
  distributed [--steps N] [--kills N] [--measure] [--slow]
                                        processes that train together over MPI, held to one process (for 100 steps unless said), and to
                                        what they say when one is killed (50 times in a step, 50 times saving); or the cost of a
                                        group, as a table; or that over slow networks
  oracle DIR .. [--device cpu|gpu|all] [--passing FILE] [--write-passing FILE]
                                        hold the operators to the PyTorch cases in DIR/*.jsonl, and to a list of those of which
                                        every case passes; or write that list
  profile WORKLOAD [--gpu] [--phase PHASE] [--runs N] [--submits] [--trace FILE]
                                        time the steps of a workload's plan: a table, and a trace that opens in Perfetto; build
                                        with --release for times that mean something
  tune WORKLOAD [--gpu] [--folder FOLDER] [--patience N] [--other-bits]
                                        time the ways in which the kernels of a workload's plan can be computed, and say which is taken
  web [--out DIR] [--simd] [--serve PORT] [--test [--only NAME]]
                                        build the page of examples/web into a folder of static files, serve it to a browser of this
                                        machine, or hold it to the native CPU in headless Chromium; --simd: its CPU computes with vectors

options:
  -h, --help                            print this text";

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs the task that the command line names. An error here is one of the command line; what a task itself finds wrong
/// it prints, and returns as the exit code 1.
fn run(mut arguments: lexopt::Parser) -> Result<ExitCode, lexopt::Error> {
    use lexopt::prelude::*;

    let Some(first) = arguments.next()? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    match first {
        Short('h') | Long("help") => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Value(task) => match task.string()?.as_str() {
            "adapters" => {
                ends(&mut arguments)?;
                Ok(adapters::run())
            }
            "bench" => Ok(bench::run(bench::Options::parse(&mut arguments)?)),
            "budget" => {
                let only_dependencies = flag(&mut arguments, "dependencies")?;
                Ok(budget::run(only_dependencies))
            }
            "ci" => {
                let verify_packages = flag(&mut arguments, "packages")?;
                Ok(ci::run(verify_packages))
            }
            "device" => Ok(device::run(device::Options::parse(&mut arguments)?)),
            "tune" => Ok(tune::run(tune::Options::parse(&mut arguments)?)),
            "profile" => Ok(profile::run(profile::Options::parse(&mut arguments)?)),
            "distributed" => Ok(distributed::run(&distributed::Options::parse(&mut arguments)?)),
            "oracle" => Ok(oracle::run(oracle::Options::parse(&mut arguments)?)),
            "web" => Ok(web::run(&web::Options::parse(&mut arguments)?)),
            unknown => Err(format!("unknown task {unknown:?}").into()),
        },
        option @ (Short(_) | Long(_)) => Err(option.unexpected()),
    }
}

/// Whether the rest of the command line is this option, or nothing.
fn flag(arguments: &mut lexopt::Parser, name: &str) -> Result<bool, lexopt::Error> {
    match arguments.next()? {
        None => Ok(false),
        Some(lexopt::Arg::Long(long)) if long == name => ends(arguments).map(|()| true),
        Some(argument) => Err(argument.unexpected()),
    }
}

/// Refuses anything that is left on the command line.
fn ends(arguments: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
    match arguments.next()? {
        None => Ok(()),
        Some(argument) => Err(argument.unexpected()),
    }
}
