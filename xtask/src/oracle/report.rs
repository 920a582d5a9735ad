//! What the runs found, a line an operator.

use std::fmt::Write as _;

use arenagrad_oracle::Outcome;

/// The cases of one operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// How many of them a GPU was asked for and has no kernel for.
    pub(crate) on_cpu: usize,
    /// The case and what was wrong with it.
    pub(crate) failed: Vec<(String, String)>,
    /// Each reason, and for how many cases.
    pub(crate) unsupported: Vec<(String, usize)>,
}

impl Tally {
    pub(crate) fn add(&mut self, case: &str, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::PassedOnCpu => {
                self.passed += 1;
                self.on_cpu += 1;
            }
            Outcome::Failed(reason) => self.failed.push((case.to_owned(), reason)),
            Outcome::Unsupported(reason) => match self.unsupported.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => self.unsupported.push((reason, 1)),
            },
        }
    }

    /// Whether there were cases, and all of them passed.
    pub(crate) fn is_whole(&self) -> bool {
        self.passed > 0 && self.failed.is_empty() && self.unsupported.is_empty()
    }

    fn unsupported_cases(&self) -> usize {
        self.unsupported.iter().map(|(_, count)| count).sum()
    }

    /// The operator's line; every failed case has a line of its own below it.
    pub(crate) fn lines(&self, operator: &str, width: usize) -> String {
        let mut counts = Vec::new();
        if self.passed > 0 {
            let on_cpu = match self.on_cpu {
                0 => String::new(),
                count => format!(" ({count} on the CPU alone: a GPU has no kernel for them)"),
            };
            counts.push(format!("{} passed{on_cpu}", self.passed));
        }
        if !self.failed.is_empty() {
            counts.push(format!("{} failed", self.failed.len()));
        }
        for (reason, count) in &self.unsupported {
            counts.push(format!("{count} unsupported ({reason})"));
        }
        let mut lines = format!("{operator:width$}  {}\n", counts.join(", "));
        for (case, reason) in &self.failed {
            let _ = writeln!(lines, "    {case}: {reason}");
        }
        lines
    }
}

/// The last line: how many cases there were of each outcome.
pub(crate) fn summary<'a>(tallies: impl Iterator<Item = &'a Tally>) -> (String, bool) {
    let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
    for tally in tallies {
        passed += tally.passed;
        failed += tally.failed.len();
        unsupported += tally.unsupported_cases();
    }
    (format!("{passed} passed, {failed} failed, {unsupported} unsupported"), failed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_and_reasons_joined() {
        let mut tally = Tally::default();
        tally.add("relu/0", Outcome::Passed);
        tally.add("relu/1", Outcome::Unsupported("no".into()));
        tally.add("relu/2", Outcome::Unsupported("no".into()));
        assert_eq!(summary([&tally].into_iter()), ("1 passed, 0 failed, 2 unsupported".into(), false));
        let mut inverses = Tally::default();
        inverses.add("inv/0", Outcome::PassedOnCpu);
        assert_eq!(inverses.lines("inv", 3), "inv  1 passed (1 on the CPU alone: a GPU has no kernel for them)\n");
        assert_eq!(summary([&inverses].into_iter()), ("1 passed, 0 failed, 0 unsupported".into(), false));
        tally.add("relu/3", Outcome::Failed("cpu f64: output 0: wrong".into()));
        assert_eq!(
            tally.lines("relu", 6),
            "relu    1 passed, 1 failed, 2 unsupported (no)\n    relu/3: cpu f64: output 0: wrong\n"
        );
        assert_eq!(summary([&tally].into_iter()), ("1 passed, 1 failed, 2 unsupported".into(), true));
    }
}
