//! The table of times, aligned for a terminal, and the legend under it.

use std::fmt;

use arenagrad_benches::{Phase, WORKLOADS, Workload};

use super::Measurement;
use super::criterion::Place;
use super::machine::Machine;
use super::peers::Peers;

/// What is shown.
pub(super) struct Table<'a> {
    pub(super) measurements: &'a [Measurement],
    pub(super) peers: Option<&'a Peers>,
    pub(super) machine: &'a Machine,
}

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// How many of the first columns are text, and so start at their left edge.
const TEXT_COLUMNS: usize = 2;

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.peers.map(Peers::names).unwrap_or_default();
        let mut rows = vec![self.head(&names)];
        for workload in WORKLOADS {
            // The queue of a GPU is the last of its phases, and the one that the CPU has not.
            for phase in [Phase::Build, Phase::Forward, Phase::ForwardBackward, Phase::Step, Phase::QueuedSteps] {
                rows.extend(self.row(workload, phase, &names));
            }
        }
        write_aligned(f, &rows)?;
        self.legend(f, &names)
    }
}

impl Table<'_> {
    fn head(&self, names: &[&str]) -> Vec<String> {
        let mut head: Vec<String> = ["workload", "phase", "CPU", "GPU", "CPU/GPU"].map(str::to_owned).into();
        for name in names {
            head.extend([(*name).to_owned(), format!("{name}/CPU")]);
        }
        head
    }

    /// One phase of a workload; none if it was measured nowhere.
    fn row(&self, workload: &Workload, phase: Phase, names: &[&str]) -> Option<Vec<String>> {
        let median = |place: Place| {
            let found = self
                .measurements
                .iter()
                .find(|found| found.workload == workload.name && found.phase == phase && found.place == place);
            found.map(|found| found.median)
        };
        let (cpu, gpu) = (median(Place::Cpu), median(Place::Gpu));
        if cpu.is_none() && gpu.is_none() {
            return None;
        }
        let on_gpu = match gpu {
            Some(seconds) => time(seconds),
            None if self.machine.adapter.is_none() && workload.phases(true).contains(&phase) => "no adapter".to_owned(),
            None => NOTHING.to_owned(),
        };
        let mut row = vec![workload.name.to_owned(), phase.title().to_owned(), cell(cpu, time), on_gpu];
        row.push(cell(cpu.zip(gpu), |(cpu, gpu)| ratio(cpu / gpu)));
        for name in names {
            let compared = phase == workload.compared_phase();
            let peer = self.peers.filter(|_| compared).and_then(|peers| peers.seconds(name, workload.name));
            row.push(cell(peer, time));
            row.push(cell(peer.zip(cpu), |(peer, cpu)| ratio(peer / cpu)));
        }
        Some(row)
    }

    fn legend(&self, f: &mut fmt::Formatter<'_>, names: &[&str]) -> fmt::Result {
        writeln!(
            f,
            "\nMedians of one call that is finished: its inputs checked and copied, its loss back on the host."
        )?;
        if self.machine.adapter.is_some() {
            writeln!(f, "step, queued: one of many training steps in a row of which only the last is waited for.")?;
            writeln!(f, "CPU/GPU: the CPU's time over the GPU's; above 1 the GPU is faster.")?;
        }
        let Some(peers) = self.peers else { return Ok(()) };
        let path = peers.path.display();
        for name in names {
            writeln!(
                f,
                "{name}/CPU: {name}'s time, from {path}, over this CPU column's; above 1 this engine is faster."
            )?;
        }
        writeln!(f, "A ratio to a peer holds if both were measured on one machine in one sitting.")?;
        let mut unknown: Vec<&str> = peers.figures.iter().map(|figure| figure.workload.as_str()).collect();
        unknown.retain(|name| arenagrad_benches::workload(name).is_none());
        unknown.dedup();
        if !unknown.is_empty() {
            writeln!(f, "Left out, for there is no such workload here: {}.", unknown.join(", "))?;
        }
        Ok(())
    }
}

fn cell<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

/// A time with three digits that count, in the unit that fits.
fn time(seconds: f64) -> String {
    // Rounding comes first: what rounds to 1000 of a unit is 1 of the next.
    let units = [("ns", 1e9), ("us", 1e6), ("ms", 1e3)];
    let fitting = units.into_iter().find(|(_, scale)| seconds * scale < 999.5);
    let (unit, scale) = fitting.unwrap_or(("s", 1.0));
    format!("{} {unit:2}", three_digits(seconds * scale))
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// A ratio with three digits that count, or two below 0.1.
fn ratio(value: f64) -> String {
    match value {
        value if value < 0.00995 => format!("{value:.4}"),
        value if value < 0.0995 => format!("{value:.3}"),
        value => three_digits(value),
    }
}

fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut previous = "";
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            // A workload's name stands beside the first of its phases alone.
            let cell = if column == 0 && cell == previous { "" } else { cell.as_str() };
            let gap = if column == 0 { "" } else { "  " };
            if column < TEXT_COLUMNS {
                line.push_str(&format!("{gap}{cell:<width$}"));
            } else {
                line.push_str(&format!("{gap}{cell:>width$}"));
            }
        }
        writeln!(f, "{}", line.trim_end())?;
        if number == 0 {
            let rule: usize = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
            writeln!(f, "{}", "-".repeat(rule))?;
        }
        previous = row.first().map_or("", String::as_str);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit_that_fits() {
        for (seconds, shown) in [
            (1.234e-9, "1.23 ns"),
            (9.996e-9, "10.0 ns"),
            (135.9e-9, "136 ns"),
            (999.4e-9, "999 ns"),
            (999.6e-9, "1.00 us"),
            (12.34e-6, "12.3 us"),
            (0.4, "400 ms"),
            (2.5, "2.50 s "),
        ] {
            assert_eq!(time(seconds), shown);
        }
    }

    #[test]
    fn ratios_keep_digits_when_they_are_small() {
        for (value, shown) in
            [(0.00141, "0.0014"), (0.0423, "0.042"), (0.5, "0.50"), (1.0, "1.00"), (12.34, "12.3"), (321.0, "321")]
        {
            assert_eq!(ratio(value), shown);
        }
    }

    #[test]
    fn without_an_adapter_the_column_says_so() {
        let machine = Machine { processor: "a processor".to_owned(), threads: 2, adapter: None };
        let measurements = [(Phase::Forward, 1e-6), (Phase::Step, 3e-6)].map(|(phase, median)| Measurement {
            workload: "gaussians",
            phase,
            place: Place::Cpu,
            median,
            low: median,
            high: median,
        });
        let table = Table { measurements: &measurements, peers: None, machine: &machine }.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[2], "gaussians  forward        1.00 us  no adapter        -");
        assert_eq!(lines[3], "           training step  3.00 us  no adapter        -");
    }
}
