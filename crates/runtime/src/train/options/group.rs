//! Parameters with an optimiser of their own.

use std::rc::Rc;

use arenagrad_graph::{Expr, Graph};

use crate::error::Error;
use crate::train::trained::{Missed, MissedOfStep};
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

/// What an optimiser of several has for one of them: what of a step it updates, and what of other steps.
pub(crate) struct Part<'g> {
    trained: Vec<Trained<'g>>,
    missed: Rc<MissedOfStep>,
    /// A parameter of the step, whoever updates it: what stands around all of them is said of it.
    any: Option<Trained<'g>>,
}

/// What of a step belongs to the one optimiser of two, and what to the other.
pub(crate) fn parts<'g>(
    trained: &[Trained<'g>],
    is_first: impl Fn(&Trained<'g>) -> bool,
    is_first_missed: impl Fn(&Missed) -> bool,
) -> [Part<'g>; 2] {
    let all = trained.first().map(|one| one.settings.missed.clone()).unwrap_or_default();
    all.is_asked.set(true);
    [true, false].map(|first| {
        let missed = all.parameters.iter().filter(|missed| is_first_missed(missed) == first).cloned();
        let missed = MissedOfStep::new(missed.collect());
        let tell = |mut one: Trained<'g>| {
            one.settings.missed = missed.clone();
            one
        };
        Part {
            trained: trained.iter().filter(|one| is_first(one) == first).cloned().map(tell).collect(),
            any: trained.first().cloned().map(tell),
            missed: missed.clone(),
        }
    })
}

impl<'g> Part<'g> {
    /// The same part, whose scalars have a group's name in front.
    pub(crate) fn in_group(self, name: &str) -> Self {
        let trained = self.trained.iter().map(|one| one.in_group(name)).collect();
        Part { trained, any: self.any.map(|one| one.in_group(name)), missed: self.missed }
    }

    /// The update of this part by its optimiser, which trains what `trains` says. A step that reaches none of its parameters and others do
    /// reach some of is one of its steps all the same, as it is one of PyTorch's schedulers': counts and schedules go on, and no parameter moves.
    pub(crate) fn update(
        &self,
        graph: &'g Graph,
        trains: impl Fn(&str) -> bool,
        update: impl Fn(&[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error>,
    ) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        if !self.trained.is_empty() {
            return update(&self.trained);
        }
        let (Some(any), Some(missed)) = (&self.any, self.missed.parameters.iter().find(|missed| trains(&missed.name)))
        else {
            return Ok(Vec::new());
        };
        let one = any.missing(graph, missed);
        let pairs = update(std::slice::from_ref(&one))?;
        let scalars = one.settings.scalars.borrow();
        Ok(pairs.into_iter().filter(|(target, _)| target.id().is_ok_and(|target| scalars.contains(&target))).collect())
    }
}

impl<O, P> Grouped<O, P> {
    pub(crate) fn new(rest: O, name: impl Into<String>, pattern: impl Into<String>, members: P) -> Self {
        Grouped { rest, name: name.into(), pattern: pattern.into(), members }
    }
}

impl<O: Optimizer, P: Optimizer> Optimizer for Grouped<O, P> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let is_member = |name: &str| matches_pattern(&self.pattern, name);
        let [members, rest] = parts(trained, |one| is_member(&one.name), |missed| is_member(&missed.name));
        let (members, of_members) = (members.in_group(&self.name), |trained: &_| self.members.update(graph, trained));
        let mut pairs =
            rest.update(graph, |name| self.rest.trains(name), |trained| self.rest.update(graph, trained))?;
        pairs.extend(members.update(graph, |name| self.members.trains(name), of_members)?);
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
