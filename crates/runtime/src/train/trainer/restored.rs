//! Whether the optimiser of a function that is planned after a checkpoint was restored is the one that the checkpoint is of.
//!
//! A function that was not planned when the checkpoint was made has no state in it, and begins anew. Of one that was, all states must be
//! there, and no others; but of a parameter that only one of the plan and the checkpoint has there are none in the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::train::listed;
use crate::train::loss_scale::LOSS_SCALE;
use crate::train::trainer::function::{Body, Function, Parts};
use crate::train::trainer::owners::{OF_NO_OPTIMISER, Owners};
use crate::train::trainer::{Trainer, under};

/// What a restored checkpoint has of optimisers.
pub(super) struct Restored {
    origin: String,
    /// Each state, and whose it is if the checkpoint says so: those of sessions and of earlier versions do not.
    states: BTreeMap<String, Option<String>>,
    /// The names of what is no state of an optimiser.
    parameters: BTreeSet<String>,
}

impl Restored {
    pub(super) fn of(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let mut noted = Owners::noted(checkpoint)?;
        let of_training = checkpoint.names().filter(|name| checkpoint.weights().is_training_state(name));
        let states = of_training
            .filter(|name| !OF_NO_OPTIMISER.contains(name))
            .map(|name| (name.to_owned(), noted.remove(name)))
            .collect();
        let is_state = |name: &&str| checkpoint.weights().is_training_state(name);
        let parameters = checkpoint.names().filter(|name| !is_state(name)).map(str::to_owned).collect();
        Ok(Restored { origin: checkpoint.origin().to_owned(), states, parameters })
    }

    /// Whose a state is, if the checkpoint has it and says so.
    pub(super) fn owner(&self, state: &str) -> Option<&str> {
        self.states.get(state)?.as_deref()
    }
}

impl Trainer<'_> {
    /// Refuses to plan a training function whose optimiser has other states than a checkpoint has of it that was restored before the
    /// function was planned.
    pub(super) fn refuse_other_optimiser(&self, number: usize, parts: &Parts) -> Result<(), Error> {
        let (Some(restored), Body::Training { name, .. }) = (&self.restored, &self.functions[number].body) else {
            return Ok(());
        };
        if self.functions[number].has_run() {
            return Ok(());
        }
        let wanted: BTreeSet<&str> =
            parts.training_state.iter().map(String::as_str).filter(|state| !OF_NO_OPTIMISER.contains(state)).collect();
        let is_own = |state: &str, owner: Option<&str>| match owner {
            Some(owner) => owner == name,
            // The name is all that there is to go by, and a name may be another function's too.
            None => wanted.contains(state) || (could_be_of(name, state) && !self.could_be_anothers(number, state)),
        };
        let trained: BTreeSet<&str> = parts.trained.iter().map(String::as_str).collect();
        // What other steps train has its states then, and what no step had trained has none in the checkpoint.
        let is_in_one_alone = |state: &str| {
            let prefix = if name.is_empty() { String::new() } else { under(name, "") };
            let within = state.strip_prefix(&prefix).unwrap_or(state);
            let mut parents = within.match_indices('.').map(|(end, _)| &within[..end]);
            parents.any(|parent| restored.parameters.contains(parent) != trained.contains(parent))
        };
        let own = restored.states.iter().filter(|(state, owner)| is_own(state, owner.as_deref()));
        let own = own.filter(|(state, _)| wanted.contains(state.as_str()) || !is_in_one_alone(state));
        let kept: BTreeSet<&str> = own.map(|(state, _)| state.as_str()).collect();
        // Gradients alone need the scale of the loss and nothing else.
        let scale = under(name, LOSS_SCALE);
        if kept.iter().all(|state| *state == scale) {
            return Ok(());
        }
        let origin = restored.origin.clone();
        let missing: Vec<&str> = wanted.difference(&kept).copied().filter(|state| !is_in_one_alone(state)).collect();
        if !missing.is_empty() {
            let missing = listed(missing.into_iter());
            return Err(CheckpointError::Missing { origin, missing }.into());
        }
        if kept.difference(&wanted).next().is_some() {
            let unused = listed(kept.difference(&wanted).copied());
            return Err(CheckpointError::Unused { origin, unused }.into());
        }
        Ok(())
    }

    /// Whether a state of which nothing is known but its name may belong to another training function than that: one that is not planned yet, or
    /// that has the state.
    fn could_be_anothers(&self, number: usize, state: &str) -> bool {
        let could_be = |function: &Function<'_>| match &function.body {
            Body::Training { name, .. } if function.has_run() => self.owners.is_of(state, name),
            Body::Training { name, .. } => could_be_of(name, state),
            Body::Evaluation(_) => false,
        };
        let others = self.functions.iter().enumerate().filter(|(other, _)| *other != number);
        others.into_iter().any(|(_, function)| could_be(function))
    }
}

/// Whether a state may be of a function by its name.
fn could_be_of(function: &str, state: &str) -> bool {
    state.starts_with(&under(function, ""))
}
