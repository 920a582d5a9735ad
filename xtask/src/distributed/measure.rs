//! What a group costs on this machine: the same cores, as one process with several threads, and as several processes with one.
//!
//! No speed-up is measured here, for the cores do not become more.

use std::collections::HashMap;

use super::launch::Launch;

/// How often each is run, in turn, so that all see the same machine; the best of each counts.
const ROUNDS: usize = 3;
const PROCESSES: usize = 2;

/// What a run has measured, in microseconds a step, and bytes a step.
#[derive(Clone, Debug)]
struct Measured {
    numbers: HashMap<String, f64>,
}

impl Measured {
    fn of(&self, name: &str) -> f64 {
        self.numbers.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// Prints the table.
pub(super) fn print() -> Result<(), String> {
    println!(
        "the same {PROCESSES} cores: 1 process of {PROCESSES} threads, and {PROCESSES} processes of 1 (microseconds a step)\n"
    );
    println!(
        "| network | 1 x {PROCESSES} | {PROCESSES} x 1 | overhead | compute | wait | reduce | bytes a step | exchanges |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (network, steps) in [("mnist_mlp", "400"), ("gpt", "40")] {
        let arguments = ["--network", network, "--steps", steps];
        let (mut one, mut several) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            one.push(measured(&Launch::alone(&arguments).threads(PROCESSES).run()?)?);
            several.push(measured(&Launch::group(PROCESSES, &arguments).threads(1).run()?)?);
        }
        let (one, several) = (best(one)?, best(several)?);
        let (alone, together) = (one.of("step_us"), several.of("step_us"));
        println!(
            "| {network} | {alone:.0} | {together:.0} | {:+.1} % | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            100.0 * (together / alone - 1.0),
            several.of("compute_us"),
            several.of("wait_us"),
            several.of("reduce_us"),
            several.of("bytes"),
            several.of("exchanges"),
        );
    }
    Ok(())
}

/// The run with the shortest step.
fn best(runs: Vec<Measured>) -> Result<Measured, String> {
    let best = runs.into_iter().min_by(|a, b| a.of("step_us").total_cmp(&b.of("step_us")));
    best.ok_or_else(|| "nothing was run".to_owned())
}

/// The numbers of the last line, which are pairs of a name and a value.
fn measured(text: &str) -> Result<Measured, String> {
    let line = text.lines().find(|line| line.starts_with("step_us "));
    let line = line.ok_or_else(|| format!("no times were printed:\n{text}"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?)));
    Ok(Measured { numbers: pairs.collect() })
}
