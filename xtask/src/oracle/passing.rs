//! The list of operators of which every case passes, so that a regression cannot hide behind a case that is called unsupported.
//!
//! The list is a file with PyTorch's name of one operator a line; what follows `#` is a comment. It says nothing of single cases,
//! so it can be held against any directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::report::Tally;

/// Operators of which every case passes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Passing {
    operators: BTreeSet<String>,
    /// Those of which a comment says why not all pass.
    partly: BTreeSet<String>,
}

impl Passing {
    /// Reads a list.
    pub(crate) fn read(path: &Path) -> Result<Passing, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Passing::parse(&text))
    }

    fn parse(text: &str) -> Passing {
        let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let partly = text.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(": ")).map(|(name, _)| name);
        Passing {
            operators: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            partly: partly.map(str::to_owned).collect(),
        }
    }

    /// What of a run contradicts the list: a line for each operator that stands in it and has a case that did not pass, and for each that
    /// passes whole and does not stand in it, unless the list says of it that only some of its cases pass.
    pub(crate) fn contradictions<'a>(&self, run: impl IntoIterator<Item = (&'a str, &'a Tally)>) -> Vec<String> {
        let mut contradictions = Vec::new();
        for (operator, tally) in run {
            match (self.operators.contains(operator), tally.is_whole()) {
                (true, false) => {
                    contradictions
                        .push(format!("{operator} is listed as passing whole, and has cases that do not pass"));
                }
                (false, true) if !self.partly.contains(operator) => {
                    contradictions.push(format!("{operator} passes whole and is not listed"));
                }
                (true, true) | (false, _) => {}
            }
        }
        contradictions
    }

    /// The list after a run, as text: what passed whole is in it, what did not is a comment with the reasons, and what the run had no
    /// cases of stays as it was.
    pub(crate) fn updated<'a>(&self, run: impl IntoIterator<Item = (&'a str, &'a Tally)>, known: &str) -> String {
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for line in known.lines() {
            if let Some((operator, _)) = line.strip_prefix("# ").and_then(|comment| comment.split_once(": ")) {
                lines.insert(operator.to_owned(), line.to_owned());
            }
        }
        for operator in &self.operators {
            lines.insert(operator.clone(), operator.clone());
        }
        for (operator, tally) in run {
            let line = if tally.is_whole() {
                operator.to_owned()
            } else {
                let reasons: Vec<&str> = tally.unsupported.iter().map(|(reason, _)| reason.as_str()).collect();
                let failed = if tally.failed.is_empty() { "" } else { "failed; " };
                format!("# {operator}: {failed}{}", reasons.join("; "))
            };
            lines.insert(operator.to_owned(), line);
        }
        let mut text = lines.into_values().collect::<Vec<_>>().join("\n");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arenagrad_oracle::Outcome;

    fn tally(outcomes: &[Outcome]) -> Tally {
        let mut tally = Tally::default();
        outcomes.iter().for_each(|outcome| tally.add("case", outcome.clone()));
        tally
    }

    #[test]
    fn what_is_listed_must_pass_whole() {
        let whole = tally(&[Outcome::Passed, Outcome::Passed]);
        let partly = tally(&[Outcome::Passed, Outcome::Unsupported("no bytes".into())]);
        let failed = tally(&[Outcome::Failed("wrong".into())]);
        let list = Passing::parse("abs\nadd # both\n\n# mul: no bytes\n");
        assert!(list.contradictions([("abs", &whole), ("mul", &partly), ("div", &failed)]).is_empty());
        assert_eq!(list.contradictions([("abs", &partly), ("add", &failed)]).len(), 2);
        assert_eq!(list.contradictions([("mul", &whole), ("neg", &whole)]), ["neg passes whole and is not listed"]);
    }

    #[test]
    fn a_list_is_written_from_a_run() {
        let whole = tally(&[Outcome::Passed]);
        let partly = tally(&[Outcome::Unsupported("no bytes".into()), Outcome::Unsupported("no bytes".into())]);
        let known = "abs\n# mul: no bytes\n# div: failed; \n";
        let text = Passing::parse(known).updated([("add", &partly), ("mul", &whole)], known);
        assert_eq!(text, "abs\n# add: no bytes\n# div: failed; \nmul\n");
        assert_eq!(Passing::parse(&text).operators, Passing::parse("abs\nmul").operators);
    }
}
