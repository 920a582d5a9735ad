//! Values in the place of parameters and states, for as long as something is built: a network as a function of what it is made of.
//!
//! Invariants: values hold for as long as the closure runs that they were given with, also if that panics; of values of one name those
//! that were given last are found. Nothing that has a value is declared.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::shape::Shape;

/// What is given in the place of parameters and states.
#[derive(Debug, Default)]
pub(crate) struct GivenValues {
    values: Vec<GivenValue>,
    /// Where the last value of each name stands.
    last: HashMap<String, usize>,
    /// The names of all that was asked for since the first of the values was given.
    asked_for: Vec<String>,
}

#[derive(Debug)]
struct GivenValue {
    name: String,
    /// None of an expression whose mistake the graph keeps.
    node: Option<NodeId>,
    origin: Origin,
    /// Where the value of its name stands that it hides.
    hidden: Option<usize>,
}

impl GivenValues {
    fn give(&mut self, name: String, node: Option<NodeId>, origin: Origin) {
        let hidden = self.last.insert(name.clone(), self.values.len());
        self.values.push(GivenValue { name, node, origin, hidden });
    }

    /// Takes all but the first `count` values back.
    fn truncate(&mut self, count: usize) {
        for GivenValue { name, hidden, .. } in self.values.drain(count..).rev() {
            match hidden {
                Some(place) => self.last.insert(name, place),
                None => self.last.remove(&name),
            };
        }
    }
}

impl Graph {
    /// Does `build`, in which whoever asks for a parameter or a state of one of these names, as layers do, gets the value of that name. Other names are
    /// declared and found as ever. This is what PyTorch calls `functional_call`: the same network with weights that are computed, such as those
    /// after a step of an inner loop (Finn et al. 2017, "Model-Agnostic Meta-Learning"), or those that another network gives.
    ///
    /// ```
    /// use arenagrad_graph::nn::Linear;
    /// use arenagrad_graph::Graph;
    ///
    /// let g = Graph::new();
    /// let (layer, x) = (Linear::new("layer", 2, 1), g.input("x", [4, 2]));
    /// let loss = layer.apply(x).square().mean(..);
    /// let (names, weights): (Vec<String>, Vec<_>) = g.parameters().into_iter().unzip();
    /// let gradients = g.gradients(&[loss], &[loss.full_like(1.0)], &weights)?;
    /// let stepped = weights.iter().zip(gradients).map(|(weight, gradient)| *weight - 0.1 * gradient);
    /// let adapted: Vec<_> = names.into_iter().zip(stepped).collect();
    /// // Its gradients pass through the step.
    /// let after = g.with_values(&adapted, || layer.apply(x)).square().mean(..);
    /// assert!(g.gradients(&[after], &[after.full_like(1.0)], &weights).is_ok());
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Names stand under the [prefix](Graph::under_prefix) that there is here. The mistakes are the graph's first, as those of operators are: a
    /// value of another shape or dtype than what is asked for ([`GraphError::SharedDeclaration`]); a name that `build` does not ask for, which is mostly a typing
    /// error ([`GraphError::ValueNotAskedFor`]); a name that is given twice.
    #[track_caller]
    pub fn with_values<'g, T>(&'g self, values: &[(impl AsRef<str>, Expr<'g>)], build: impl FnOnce() -> T) -> T {
        /// Takes the values back, also when `build` panics and the graph is used on.
        struct Ended<'a>(&'a Graph, usize);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                let mut given = self.0.given_values.borrow_mut();
                given.truncate(self.1);
                if given.values.is_empty() {
                    given.asked_for.clear();
                }
            }
        }
        let origin = self.origin_or(Origin::here());
        let (before, asked_before) = {
            let given = self.given_values.borrow();
            (given.values.len(), given.asked_for.len())
        };
        let ended = Ended(self, before);
        let mut names = HashSet::with_capacity(values.len());
        for (name, value) in values {
            let name = self.prefixed(name.as_ref().to_owned());
            if !names.insert(name.clone()) {
                let _kept = self.finish(Err(GraphError::DuplicateName { origin, name: name.clone(), first: origin }));
            }
            let value = self.at(origin, || self.require(*value, "with_values").and_then(Expr::id));
            let node = value.map_err(|error| self.finish(Err(error))).ok();
            self.given_values.borrow_mut().give(name, node, origin);
        }
        let result = build();
        let unasked = {
            let given = self.given_values.borrow();
            let asked_for: BTreeSet<&str> = given.asked_for[asked_before..].iter().map(String::as_str).collect();
            let unasked = given.values[before..].iter().find(|value| !asked_for.contains(value.name.as_str()));
            let asked = asked_for.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>();
            unasked.map(|value| (value.name.clone(), asked.join(", ")))
        };
        drop(ended);
        if let Some((name, asked)) = unasked {
            let asked = if asked.is_empty() { "nothing".to_owned() } else { asked };
            let _kept = self.finish(Err(GraphError::ValueNotAskedFor { origin, name, asked }));
        }
        result
    }

    /// The value in the place of a parameter or state, if one was given: that of the last of its name.
    pub(crate) fn given_value(&self, name: &str, shape: &Shape, dtype: DType, origin: Origin) -> Option<Expr<'_>> {
        let (node, first) = {
            let mut given = self.given_values.borrow_mut();
            if given.values.is_empty() {
                return None;
            }
            given.asked_for.push(name.to_owned());
            let value = &given.values[*given.last.get(name)?];
            (value.node, value.origin)
        };
        let Some(node) = node else { return Some(Expr::poisoned(self)) };
        let found = match self.node(node) {
            Ok(found) => found,
            Err(error) => return Some(self.finish(Err(error))),
        };
        if found.shape == *shape && found.dtype == dtype {
            return Some(self.expr(node));
        }
        let (expected, found) = (format!("{dtype}{shape}"), format!("the value {}{}", found.dtype, found.shape));
        Some(self.finish(Err(GraphError::SharedDeclaration { origin, name: name.to_owned(), expected, found, first })))
    }
}
