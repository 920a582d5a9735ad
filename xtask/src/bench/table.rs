//! The table of times, aligned for a terminal, and the legend under it.

use std::fmt;

use arenagrad_benches::{Phase, WORKLOADS, Workload};

use super::Measurement;
use super::criterion::Place;
use super::figures::{Align, ratio, time, write_aligned};
use super::machine::Machine;

/// What is shown.
pub(super) struct Table<'a> {
    pub(super) measurements: &'a [Measurement],
    pub(super) machine: &'a Machine,
}

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

const COLUMNS: [(&str, Align); 5] = [
    ("workload", Align::Left),
    ("phase", Align::Left),
    ("CPU", Align::Right),
    ("GPU", Align::Right),
    ("CPU/GPU", Align::Right),
];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![COLUMNS.map(|(title, _)| title.to_owned()).to_vec()];
        for workload in WORKLOADS {
            // The queue of a GPU is the last of its phases, and the one that the CPU has not.
            let phases = [Phase::Build, Phase::Forward, Phase::ForwardBackward, Phase::Step, Phase::QueuedSteps];
            let measured = phases.into_iter().filter_map(|phase| self.row(workload, phase));
            for (number, cells) in measured.enumerate() {
                // A workload's name stands beside the first of its phases alone.
                let name = if number == 0 { workload.name } else { "" };
                rows.push([vec![name.to_owned()], cells].concat());
            }
        }
        write_aligned(f, &COLUMNS.map(|(_, align)| align), &rows)?;

        writeln!(
            f,
            "\nMedians of one call that is finished: its inputs checked and copied, its loss back on the host."
        )?;
        if self.machine.adapter.is_some() {
            writeln!(f, "step, queued: one of many training steps in a row of which only the last is waited for.")?;
            writeln!(f, "CPU/GPU: the CPU's time over the GPU's; above 1 the GPU is faster.")?;
        }
        Ok(())
    }
}

impl Table<'_> {
    /// One phase of a workload, without the workload's name; none if it was measured nowhere.
    fn row(&self, workload: &Workload, phase: Phase) -> Option<Vec<String>> {
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
        let faster = cell(cpu.zip(gpu), |(cpu, gpu)| ratio(cpu / gpu));
        Some(vec![phase.title().to_owned(), cell(cpu, time), on_gpu, faster])
    }
}

fn cell<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let table = Table { measurements: &measurements, machine: &machine }.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[2], "gaussians  forward        1.00 us  no adapter        -");
        assert_eq!(lines[3], "           training step  3.00 us  no adapter        -");
    }
}
