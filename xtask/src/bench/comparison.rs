//! The engine beside other systems: for each workload, how much longer the fastest of them takes.
//!
//! The figure of a workload is the best peer's time over the CPU's time of the compared phase, so above 1 the engine is the
//! faster one. What is recorded on a tape is compared with the peer that records at each call too, [`EAGER`], on the workload
//! that computes the same: a compiler that plans once does another work.

use std::fmt;

use arenagrad_benches::{Phase, WORKLOADS, Workload};

use super::Measurement;
use super::criterion::Place;
use super::figures::{Align, ratio, time, write_aligned};
use super::peers::Peers;

/// The peer that runs operators as they are called: the name that PyTorch without its compiler has in files of figures.
const EAGER: &str = "pytorch";

/// What stands where a peer has no figure.
const NOTHING: &str = "-";

/// All workloads that were measured on the CPU and that a peer has a figure for.
pub(super) struct Comparison<'a> {
    peers: &'a Peers,
    pub(super) rows: Vec<Row<'a>>,
}

/// One workload beside its peers.
pub(super) struct Row<'a> {
    pub(super) workload: &'static str,
    phase: Phase,
    /// Our time, in seconds.
    pub(super) ours: f64,
    /// The time of each peer, in the order of [`Peers::names`].
    times: Vec<Option<f64>>,
    /// The fastest peer.
    pub(super) best: &'a str,
    pub(super) best_seconds: f64,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(measurements: &[Measurement], peers: &'a Peers) -> Comparison<'a> {
        let rows = WORKLOADS.iter().filter_map(|workload| Row::of(workload, measurements, peers)).collect();
        Comparison { peers, rows }
    }

    /// The workloads of the file that are none of ours, each once.
    fn unknown(&self) -> Vec<&str> {
        let mut unknown: Vec<&str> = Vec::new();
        for figure in &self.peers.figures {
            if arenagrad_benches::workload(&figure.workload).is_none() && !unknown.contains(&figure.workload.as_str()) {
                unknown.push(&figure.workload);
            }
        }
        unknown
    }
}

impl<'a> Row<'a> {
    fn of(workload: &Workload, measurements: &[Measurement], peers: &'a Peers) -> Option<Row<'a>> {
        let phase = workload.compared_phase();
        let ours = measurements
            .iter()
            .find(|found| found.workload == workload.name && found.phase == phase && found.place == Place::Cpu)?
            .median;
        let names = peers.names();
        let seconds = |peer: &str| match workload.compiled() {
            Some(compiled) => peers.seconds(peer, compiled).filter(|_| peer == EAGER),
            None => peers.seconds(peer, workload.name),
        };
        let times: Vec<Option<f64>> = names.iter().map(|name| seconds(name)).collect();
        let present = names.into_iter().zip(&times).filter_map(|(name, time)| time.map(|time| (name, time)));
        let (best, best_seconds) = present.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        Some(Row { workload: workload.name, phase, ours, times, best, best_seconds })
    }

    /// The best peer's time over ours.
    pub(super) fn ratio(&self) -> f64 {
        self.best_seconds / self.ours
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.peers.names();
        let mut head: Vec<String> = ["workload", "phase", "CPU"].map(str::to_owned).into();
        head.extend(names.iter().map(|name| (*name).to_owned()));
        head.extend(["best", "best/CPU"].map(str::to_owned));
        let mut columns = vec![Align::Left, Align::Left, Align::Right];
        columns.extend(names.iter().map(|_| Align::Right));
        columns.extend([Align::Left, Align::Right]);

        let mut rows = vec![head];
        for row in &self.rows {
            let mut cells = vec![row.workload.to_owned(), row.phase.title().to_owned(), time(row.ours)];
            cells.extend(row.times.iter().map(|seconds| seconds.map_or_else(|| NOTHING.to_owned(), time)));
            cells.extend([row.best.to_owned(), ratio(row.ratio())]);
            rows.push(cells);
        }
        write_aligned(f, &columns, &rows)?;

        let path = self.peers.path.display();
        writeln!(
            f,
            "\nbest/CPU: the time of the fastest other system, from {path}, over this CPU's; above 1 this engine"
        )?;
        writeln!(f, "is faster. It holds if both were measured on one machine in one sitting.")?;
        if names.contains(&EAGER) {
            writeln!(
                f,
                "What is recorded on a tape is compared with {EAGER}, which runs operators as they are called too."
            )?;
        }
        match self.unknown()[..] {
            [] => Ok(()),
            ref unknown => writeln!(f, "Left out, for there is no such workload here: {}.", unknown.join(", ")),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::super::peers::Figure;
    use super::*;

    /// Peers with these figures, of a file that is named so.
    pub(crate) fn peers(figures: &[(&str, &str, f64)]) -> Peers {
        let figure = |&(peer, workload, seconds): &(&str, &str, f64)| Figure {
            peer: peer.to_owned(),
            workload: workload.to_owned(),
            seconds,
        };
        Peers { path: PathBuf::from("peers.jsonl"), figures: figures.iter().map(figure).collect() }
    }

    /// What was measured: workload, phase, place, seconds.
    pub(crate) fn measured(entries: &[(&'static str, Phase, Place, f64)]) -> Vec<Measurement> {
        let measurement = |&(workload, phase, place, median)| Measurement {
            workload,
            phase,
            place,
            median,
            low: median,
            high: median,
        };
        entries.iter().map(measurement).collect()
    }

    #[test]
    fn the_fastest_peer_counts_and_a_tape_has_the_eager_one() {
        let peers = peers(&[
            ("pytorch", "gaussians", 53e-6),
            ("jax", "gaussians", 6.1e-6),
            ("pytorch", "chain", 34.8e-3),
            ("torch.compile", "chain", 3.1e-3),
            ("jax", "chain", 3.72e-3),
            ("jax", "scalar", 12e-6),
            ("jax", "diffusion", 1e-3),
            ("pytorch", "diffusion", 1e-3),
        ]);
        let measurements = measured(&[
            ("gaussians", Phase::ForwardBackward, Place::Cpu, 1e-9),
            ("gaussians", Phase::Step, Place::Cpu, 0.61e-6),
            ("chain", Phase::ForwardBackward, Place::Gpu, 1e-9),
            ("chain", Phase::ForwardBackward, Place::Cpu, 6.2e-3),
            ("graph_build", Phase::Build, Place::Cpu, 0.13),
            // Its only peer in the file compiles.
            ("tape_scalar", Phase::ForwardBackward, Place::Cpu, 5e-6),
            ("tape_gaussians", Phase::Step, Place::Cpu, 10.6e-6),
        ]);
        let shown = Comparison::new(&measurements, &peers).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "workload        phase                   CPU  pytorch      jax  torch.compile  best           best/CPU",
                "-----------------------------------------------------------------------------------------------------",
                "gaussians       training step        610 ns  53.0 us  6.10 us              -  jax                10.0",
                "chain           forward + backward  6.20 ms  34.8 ms  3.72 ms        3.10 ms  torch.compile      0.50",
                "tape_gaussians  training step       10.6 us  53.0 us        -              -  pytorch            5.00",
            ]
        );
        assert_eq!(lines.last(), Some(&"Left out, for there is no such workload here: diffusion."));
    }

    #[test]
    fn without_a_figure_there_is_no_row() {
        let peers = peers(&[("jax", "chain", 1.0)]);
        let measurements = measured(&[("scalar", Phase::ForwardBackward, Place::Cpu, 1.0)]);
        assert!(Comparison::new(&measurements, &peers).rows.is_empty());
    }
}
