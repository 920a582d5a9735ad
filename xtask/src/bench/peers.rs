//! What other systems took for the same workloads: a file of JSON lines, `{"peer": "pytorch", "workload": "scalar",
//! "seconds": 5.5e-5}`.
//!
//! Such a figure is of the workload's compared phase: a training step, or loss and gradients where there is no update. It is
//! for whoever wrote the file to have measured it on this machine.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The figures of a file.
pub(super) struct Peers {
    pub(super) path: PathBuf,
    pub(super) figures: Vec<Figure>,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) peer: String,
    pub(super) workload: String,
    pub(super) seconds: f64,
}

impl Peers {
    /// Reads a file; what is wrong with it is named by file and line.
    pub(super) fn read(path: &Path) -> Result<Peers, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let figures = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| Figure::parse(line).map_err(|reason| format!("{shown}:{}: {reason}", number + 1)))
            .collect::<Result<Vec<_>, _>>()?;
        if figures.is_empty() {
            return Err(format!("{shown}: there are no figures in it"));
        }
        Ok(Peers { path: path.to_owned(), figures })
    }

    /// Whether there is a figure of a workload that is measured here.
    pub(super) fn know_any_workload(&self) -> bool {
        self.figures.iter().any(|figure| arenagrad_benches::workload(&figure.workload).is_some())
    }

    /// The systems, in the order of their first lines.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.peer.as_str()) {
                names.push(&figure.peer);
            }
        }
        names
    }

    /// What a system took for a workload. Where the file has several lines for it, the last one counts.
    pub(super) fn seconds(&self, peer: &str, workload: &str) -> Option<f64> {
        let found = self.figures.iter().rev().find(|figure| figure.peer == peer && figure.workload == workload);
        found.map(|figure| figure.seconds)
    }
}

impl Figure {
    fn parse(line: &str) -> Result<Figure, String> {
        let object: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
        let text = |key: &str| match object[key].as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            Some(_) | None => Err(format!("{key:?} must be a text that is not empty")),
        };
        let (peer, workload) = (text("peer")?, text("workload")?);
        match object["seconds"].as_f64() {
            Some(seconds) if seconds > 0.0 && seconds.is_finite() => Ok(Figure { peer, workload, seconds }),
            Some(_) | None => Err("\"seconds\" must be a number above 0".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_figures() {
        let figure = Figure::parse(r#"{"peer": "jax", "workload": "chain", "seconds": 0.0048}"#);
        let expected = Figure { peer: "jax".to_owned(), workload: "chain".to_owned(), seconds: 0.0048 };
        assert_eq!(figure, Ok(expected));
    }

    #[test]
    fn what_is_no_figure_is_refused_with_the_reason() {
        for (line, part) in [
            ("{", "not JSON"),
            ("[1]", "\"peer\""),
            (r#"{"peer": "jax", "seconds": 1}"#, "\"workload\""),
            (r#"{"peer": "jax", "workload": "chain"}"#, "\"seconds\""),
            (r#"{"peer": "jax", "workload": "chain", "seconds": -1}"#, "above 0"),
            (r#"{"peer": "jax", "workload": "chain", "seconds": "1"}"#, "above 0"),
        ] {
            let reason = Figure::parse(line).unwrap_err();
            assert!(reason.contains(part), "{line}: {reason}");
        }
    }
}
