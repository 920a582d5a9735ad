//! What a group costs on this machine: the same cores, as one process with several threads, and as several processes with one.
//!
//! No speed-up is measured here, for the cores do not become more.

use std::collections::HashMap;

use super::launch::Launch;

/// How often both are run, in turn, so that both see the same machine; medians count.
const ROUNDS: usize = 7;
const PROCESSES: usize = 2;

/// What a run has measured: microseconds a step, bytes a step, how many exchanges.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    numbers: HashMap<String, f64>,
}

impl Measured {
    pub(super) fn of(&self, name: &str) -> f64 {
        self.numbers.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// Prints the table.
pub(super) fn print() -> Result<(), String> {
    println!(
        "the same {PROCESSES} cores: 1 process of {PROCESSES} threads, and {PROCESSES} processes of 1 (microseconds a step; medians of {ROUNDS} \
         rounds in turn; of the overhead all rounds)\n"
    );
    println!(
        "| network | 1 x {PROCESSES} | {PROCESSES} x 1 | overhead | compute | wait | reduce | bytes a step | exchanges |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (network, steps) in [("mnist_mlp", "1000"), ("gpt", "40")] {
        let arguments = ["--network", network, "--steps", steps];
        let (mut one, mut several) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            one.push(measured(&Launch::alone(&arguments).threads(PROCESSES).run()?)?);
            several.push(measured(&Launch::group(PROCESSES, &arguments).threads(1).run()?)?);
        }
        // Of each round, so that what slows the machine for a while slows both.
        let mut overheads: Vec<f64> =
            one.iter().zip(&several).map(|(one, several)| several.of("step_us") / one.of("step_us") - 1.0).collect();
        overheads.sort_by(f64::total_cmp);
        println!(
            "| {network} | {:.0} | {:.0} | {:+.1} % ({:+.1} to {:+.1}) | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            median(&one, "step_us"),
            median(&several, "step_us"),
            100.0 * overheads[ROUNDS / 2],
            100.0 * overheads[0],
            100.0 * overheads[ROUNDS - 1],
            median(&several, "compute_us"),
            median(&several, "wait_us"),
            median(&several, "reduce_us"),
            median(&several, "bytes"),
            median(&several, "exchanges"),
        );
    }
    Ok(())
}

/// The median of a number of several runs, of which there is one at least.
fn median(runs: &[Measured], name: &str) -> f64 {
    let mut list: Vec<f64> = runs.iter().map(|run| run.of(name)).collect();
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

/// The numbers of the last line, which are pairs of a name and a value.
pub(super) fn measured(text: &str) -> Result<Measured, String> {
    let line = text.lines().find(|line| line.starts_with("step_us "));
    let line = line.ok_or_else(|| format!("no times were printed:\n{text}"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?)));
    Ok(Measured { numbers: pairs.collect() })
}
