//! Whether the optimiser of a function that is planned after a checkpoint was restored is the one that the checkpoint is of.
//!
//! A function that was not planned when the checkpoint was made has no state in it, and begins anew. Of one that was, all states must be
//! there, and no others.

use std::collections::BTreeSet;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::train::listed;
use crate::train::trainer::Trainer;
use crate::train::trainer::function::Body;

/// The states that count the training itself and belong to no optimiser.
const OF_NO_OPTIMISER: [&str; 2] = ["step", "random_seed"];

/// What a restored checkpoint has of optimisers.
pub(super) struct Restored {
    origin: String,
    states: BTreeSet<String>,
}

impl Restored {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let of_training = checkpoint.names().filter(|name| checkpoint.weights().is_training_state(name));
        let states = of_training.filter(|name| !OF_NO_OPTIMISER.contains(name)).map(str::to_owned).collect();
        Restored { origin: checkpoint.origin().to_owned(), states }
    }
}

impl Trainer<'_> {
    /// Refuses to plan a training function whose optimiser has other states than a checkpoint has of it that was restored before the
    /// function was planned.
    pub(super) fn refuse_other_optimiser(&self, number: usize, states: &[String]) -> Result<(), Error> {
        let (Some(restored), Body::Training { name, .. }) = (&self.restored, &self.functions[number].body) else {
            return Ok(());
        };
        // Those of a function stand under its name; the first one's have none, so they are what is left.
        let others: Vec<String> = self
            .functions
            .iter()
            .filter_map(|function| match &function.body {
                Body::Training { name: other, .. } if other != name && !other.is_empty() => Some(format!("{other}.")),
                Body::Training { .. } | Body::Evaluation(_) => None,
            })
            .collect();
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        let is_own = |state: &str| {
            let is_anothers = name.is_empty() && others.iter().any(|other| state.starts_with(other.as_str()));
            state.starts_with(&prefix) && !is_anothers
        };
        let kept: BTreeSet<&str> = restored.states.iter().map(String::as_str).filter(|state| is_own(state)).collect();
        if kept.is_empty() || self.functions[number].has_run() {
            return Ok(());
        }
        let wanted: BTreeSet<&str> =
            states.iter().map(String::as_str).filter(|state| !OF_NO_OPTIMISER.contains(state)).collect();
        let origin = restored.origin.clone();
        if wanted.difference(&kept).next().is_some() {
            let missing = listed(wanted.difference(&kept).copied());
            return Err(CheckpointError::Missing { origin, missing }.into());
        }
        if kept.difference(&wanted).next().is_some() {
            let unused = listed(kept.difference(&wanted).copied());
            return Err(CheckpointError::Unused { origin, unused }.into());
        }
        Ok(())
    }
}
