//! Running the criterion benchmarks and reading what they found.
//!
//! Criterion leaves a directory for each benchmark, `WORKLOAD/PHASE/DEVICE`, with its estimates as JSON. Only files that this
//! run wrote count: what an earlier run left is no measurement of this program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use arenagrad_benches::{Phase, WORKLOADS};
use serde_json::Value;

use super::Measurement;

/// How much time criterion takes for a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// A few minutes for all of them.
    Quick,
    /// As the benchmarks have it by themselves.
    Full,
}

/// Where a benchmark runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Cpu,
    Gpu,
}

/// The package of the benchmarks.
const PACKAGE: &str = "--package=arenagrad-benches";

/// Runs all benchmarks, with a line on standard error for each, and returns their medians.
pub(super) fn measure(pace: Pace, has_adapter: bool) -> Result<Vec<Measurement>, String> {
    let results = results_directory()?;
    build()?;
    let start = SystemTime::now();
    run(pace, &results)?;

    let mut measurements = Vec::new();
    for workload in WORKLOADS {
        for place in [Place::Cpu, Place::Gpu] {
            if place == Place::Gpu && !has_adapter {
                continue;
            }
            for &phase in workload.phases(place == Place::Gpu) {
                measurements.push(read(&results, start, workload.name, phase, place)?);
            }
        }
    }
    Ok(measurements)
}

impl Pace {
    /// Criterion's own options.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Pace::Quick => &[
                "--quiet",
                "--warm-up-time=0.3",
                "--measurement-time=0.9",
                "--sample-size=10",
                // The bootstrap of the confidence intervals takes as long as the measurement, at criterion's 100,000.
                "--nresamples=5000",
            ],
            Pace::Full => &["--quiet", "--nresamples=20000"],
        }
    }
}

impl Place {
    /// Its name in benchmarks and files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Place::Cpu => "cpu",
            Place::Gpu => "gpu",
        }
    }
}

fn cargo() -> Command {
    // Cargo names itself to what it runs; by hand, the one on the path serves.
    Command::new(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
}

/// Where criterion writes: below cargo's target directory, wherever the environment or a configuration puts that.
fn results_directory() -> Result<PathBuf, String> {
    let found = cargo().args(["metadata", "--format-version=1", "--no-deps"]).stderr(Stdio::inherit()).output();
    let found = found.map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&found.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    match metadata["target_directory"].as_str() {
        Some(target) => Ok(Path::new(target).join("criterion")),
        None => Err("cargo metadata: it names no target directory".to_owned()),
    }
}

fn build() -> Result<(), String> {
    // As `cargo bench --no-run` does, without its list of executables.
    match cargo().args(["build", PACKAGE, "--benches", "--profile=bench"]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the benchmarks could not be built ({status})")),
        Err(error) => Err(format!("cargo build: {error}")),
    }
}

fn run(pace: Pace, results: &Path) -> Result<(), String> {
    let mut child = cargo()
        .args(["bench", PACKAGE, "--benches", "--"])
        .args(pace.arguments())
        .env("CRITERION_HOME", results)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo bench: {error}"))?;
    let mut unexpected = Vec::new();
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|error| format!("cargo bench: {error}"))?;
            let line = String::from_utf8_lossy(&line);
            match line.strip_prefix("Benchmarking ") {
                // What follows the name after a colon is the progress within one benchmark.
                Some(benchmark) if !benchmark.contains(": ") => eprintln!("bench: {benchmark}"),
                Some(_) => {}
                None => unexpected.push(line.into_owned()),
            }
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the benchmarks failed ({status}):\n{}", unexpected.join("\n"))),
        Err(error) => Err(format!("cargo bench: {error}")),
    }
}

/// What criterion found for one benchmark, in seconds.
fn read(
    results: &Path,
    start: SystemTime,
    workload: &'static str,
    phase: Phase,
    place: Place,
) -> Result<Measurement, String> {
    let path = results.join(workload).join(phase.name()).join(place.name()).join("new").join("estimates.json");
    let failed = |reason: String| format!("{}: {reason}", path.display());
    let written = fs::metadata(&path).and_then(|data| data.modified()).map_err(|error| failed(error.to_string()))?;
    if written < start {
        return Err(failed("an earlier run wrote it, and this one did not".to_owned()));
    }
    let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let estimates: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let median = &estimates["median"];
    let seconds = |value: &Value| {
        value.as_f64().map(|nanoseconds| nanoseconds * 1e-9).ok_or_else(|| failed("it has no median".to_owned()))
    };
    let interval = &median["confidence_interval"];
    Ok(Measurement {
        workload,
        phase,
        place,
        median: seconds(&median["point_estimate"])?,
        low: seconds(&interval["lower_bound"])?,
        high: seconds(&interval["upper_bound"])?,
    })
}
