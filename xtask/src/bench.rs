//! `cargo xtask bench`: the workloads' times, CPU beside GPU, in one table.
//!
//! Criterion measures ([`criterion`]), in the benchmarks of `benches/`; this task runs them and shows the medians that it
//! left ([`table`]), under a head that says on which machine they were taken ([`machine`]). If asked, it sets them beside what
//! other systems took ([`peers`]): the best of these counts ([`comparison`]), also in a picture ([`chart`]).

mod chart;
mod comparison;
mod criterion;
mod figures;
mod machine;
mod peers;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arenagrad::replace_file;
use arenagrad_benches::Phase;
use serde_json::{Value, json};

use self::chart::Chart;
use self::comparison::Comparison;
use self::criterion::{Pace, Place};
use self::machine::Machine;
use self::peers::Peers;

/// What the command line asks for.
pub(crate) struct Options {
    quick: bool,
    json: Option<PathBuf>,
    peers: Option<PathBuf>,
    /// Where the picture of the comparison goes; only beside `peers`.
    svg: Option<PathBuf>,
}

/// What one phase of a workload took on a device, in seconds a call.
struct Measurement {
    workload: &'static str,
    phase: Phase,
    place: Place,
    median: f64,
    /// The bounds of the median's 95 % confidence interval.
    low: f64,
    high: f64,
}

impl Options {
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;

        let mut options = Options { quick: false, json: None, peers: None, svg: None };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("quick") => options.quick = true,
                Long("json") => options.json = Some(arguments.value()?.into()),
                Long("peers") => options.peers = Some(arguments.value()?.into()),
                Long("svg") => options.svg = Some(arguments.value()?.into()),
                other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
            }
        }
        if options.svg.is_some() && options.peers.is_none() {
            return Err("--svg draws how the engine compares: it needs --peers FILE".into());
        }
        Ok(options)
    }
}

/// Measures and prints; the code is 1 if something could not be measured, read or written.
pub(crate) fn run(options: Options) -> ExitCode {
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    // What can be wrong with the command is found before minutes are spent on measuring.
    let peers = options.peers.as_deref().map(Peers::read).transpose()?;
    if let Some(peers) = peers.as_ref().filter(|peers| !peers.know_any_workload()) {
        return Err(format!("{}: none of its workloads is one of ours", peers.path.display()));
    }
    let machine = Machine::find()?;
    let pace = if options.quick { Pace::Quick } else { Pace::Full };
    let measurements = criterion::measure(pace, machine.adapter.is_some())?;

    let comparison = peers.as_ref().map(|peers| Comparison::new(&measurements, peers));
    print!("{machine}\n{}", table::Table { measurements: &measurements, machine: &machine });
    if let Some(comparison) = &comparison {
        print!("\n{comparison}");
    }
    if let Some(path) = &options.json {
        write_json(path, options, &machine, &measurements, peers.as_ref())?;
    }
    if let (Some(path), Some(comparison)) = (&options.svg, &comparison) {
        let chart = Chart { comparison, machine: &machine }.to_string();
        replace_file(path, chart.as_bytes()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn write_json(
    path: &Path,
    options: &Options,
    machine: &Machine,
    measurements: &[Measurement],
    peers: Option<&Peers>,
) -> Result<(), String> {
    let adapter = machine.adapter.as_ref().map(|adapter| {
        json!({
            "name": adapter.name,
            "kind": adapter.kind.to_string(),
            "backend": adapter.backend,
            "driver": adapter.driver,
        })
    });
    let measurements: Vec<Value> = measurements
        .iter()
        .map(|measurement| {
            json!({
                "workload": measurement.workload,
                "phase": measurement.phase.name(),
                "device": measurement.place.name(),
                "median_seconds": measurement.median,
                "low_seconds": measurement.low,
                "high_seconds": measurement.high,
            })
        })
        .collect();
    let peers: Vec<Value> = peers
        .iter()
        .flat_map(|peers| &peers.figures)
        .map(|figure| json!({ "peer": figure.peer, "workload": figure.workload, "seconds": figure.seconds }))
        .collect();
    let document = json!({
        "cpu": { "model": machine.processor, "threads": machine.threads },
        "adapter": adapter,
        "software_adapter": machine.is_software(),
        "quick": options.quick,
        "measurements": measurements,
        "peers": peers,
    });
    replace_file(path, format!("{document:#}\n").as_bytes()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_needs_peers() {
        let parse = |arguments: &[&str]| Options::parse(&mut lexopt::Parser::from_args(arguments));
        let refused = parse(&["--svg", "chart.svg"]).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|reason| reason.contains("--peers")));
        let options = parse(&["--svg", "chart.svg", "--quick", "--peers", "peers.jsonl"]).unwrap();
        assert_eq!(options.svg, Some(PathBuf::from("chart.svg")));
        assert_eq!(options.peers, Some(PathBuf::from("peers.jsonl")));
        assert!(options.quick && options.json.is_none());
    }
}
