//! Parameters with an optimiser of their own.

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::{Optimizer, Trained};
use crate::weights::matches_pattern;

/// Two optimisers, of which one has the parameters of a pattern and the other the rest: see [`Optimizer::group`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct Grouped<O, P> {
    rest: O,
    name: String,
    pattern: String,
    members: P,
}

impl<O, P> Grouped<O, P> {
    pub(crate) fn new(rest: O, name: impl Into<String>, pattern: impl Into<String>, members: P) -> Self {
        Grouped { rest, name: name.into(), pattern: pattern.into(), members }
    }
}

impl<O: Optimizer, P: Optimizer> Optimizer for Grouped<O, P> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let (members, rest): (Vec<Trained<'g>>, Vec<Trained<'g>>) =
            trained.iter().cloned().partition(|one| matches_pattern(&self.pattern, &one.name));
        let members: Vec<Trained<'g>> = members.iter().map(|one| one.in_group(&self.name)).collect();
        let mut pairs = if rest.is_empty() { Vec::new() } else { self.rest.update(graph, &rest)? };
        if !members.is_empty() {
            pairs.extend(self.members.update(graph, &members)?);
        }
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        if matches_pattern(&self.pattern, name) { self.members.trains(name) } else { self.rest.trains(name) }
    }

    fn patterns(&self) -> Vec<String> {
        let mut patterns = self.rest.patterns();
        patterns.push(self.pattern.clone());
        patterns.extend(self.members.patterns());
        patterns
    }
}
