//! Which training function each state of an optimiser belongs to.
//!
//! States are found by name, and names are made of those of functions, groups and parameters: the rate of a function `head` and that of a group
//! `head` of the first function's optimiser are both `head.learning_rate`. What two functions would keep up together is refused, and a
//! checkpoint says whose its states are, because their names alone do not.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::plan::Plan;
use crate::train::trainer::function::{Body, Parts};
use crate::train::trainer::{Trainer, described};

/// The note of a checkpoint that has the names of the states of each training function, by the function's name.
const NOTE: &str = "arenagrad.trainer.states";

/// States that functions share, whichever optimiser or layer asks for them.
pub(super) const OF_NO_OPTIMISER: [&str; 2] = ["step", "random_seed"];

/// Whose the states of optimisers are.
#[derive(Default)]
pub(super) struct Owners {
    /// The function of each state.
    states: BTreeMap<String, String>,
    /// A function that trains each parameter which any does.
    trained: BTreeMap<String, String>,
}

impl Owners {
    /// Whether a state is that of a function.
    pub(super) fn is_of(&self, state: &str, function: &str) -> bool {
        self.states.get(state).is_some_and(|owner| owner == function)
    }

    /// Notes that states are of a function.
    pub(super) fn note(&mut self, states: impl Iterator<Item = String>, function: &str) {
        self.states.extend(states.map(|name| (name, function.to_owned())));
    }

    /// The states that a checkpoint says are of a function, each with that function. Refuses a note that no trainer writes.
    pub(super) fn noted(checkpoint: &Checkpoint) -> Result<BTreeMap<String, String>, Error> {
        let Some(text) = checkpoint.note(NOTE) else { return Ok(BTreeMap::new()) };
        let functions: BTreeMap<String, Vec<String>> = serde_json::from_str(text).map_err(|_| {
            let (origin, key) = (checkpoint.origin().to_owned(), NOTE.to_owned());
            CheckpointError::Foreign { origin, key, found: text.to_owned() }
        })?;
        let states = functions.into_iter().flat_map(|(function, states)| {
            let pair = move |state: String| (state, function.clone());
            states.into_iter().map(pair)
        });
        Ok(states.collect())
    }
}

impl Trainer<'_> {
    /// Refuses a plan of a training function whose optimiser would keep up a state of another function, or what another trains; and one that
    /// trains what is another's state.
    pub(super) fn refuse_shared_states(&self, number: usize, parts: &Parts, plan: &Plan) -> Result<(), Error> {
        let Body::Training { name: own, .. } = &self.functions[number].body else { return Ok(()) };
        for state in states_of(parts) {
            if let Some(other) = self.owners.states.get(state).filter(|other| *other != own) {
                let (first, second) = (described(other), described(own));
                return Err(Error::SharedState { name: state.clone(), first, second });
            }
            if self.owners.trained.contains_key(state) {
                return Err(reserved(state, self.session.origin_of(state).unwrap_or_default(), own));
            }
        }
        for name in &parts.trained {
            if let Some(other) = self.owners.states.get(name) {
                let declared = plan.declarations.iter().find(|declaration| declaration.name == *name);
                let origin = declared.map(|declaration| declaration.origin.to_string()).unwrap_or_default();
                return Err(reserved(name, &origin, other));
            }
        }
        Ok(())
    }

    /// Notes whose the states of a plan are that is kept.
    pub(super) fn note_owner(&mut self, number: usize, parts: &Parts) {
        let Body::Training { name: own, .. } = &self.functions[number].body else { return };
        let Owners { states, trained } = &mut self.owners;
        states.extend(states_of(parts).map(|name| (name.clone(), own.clone())));
        trained.extend(parts.trained.iter().map(|name| (name.clone(), own.clone())));
    }

    /// What a checkpoint notes of whose its states are; nothing if there are none. What was restored for functions that are not planned
    /// yet stays theirs.
    pub(super) fn owners_note(&self) -> Option<(&'static str, String)> {
        let waiting = self.restored.iter().flat_map(|restored| {
            let owner = |state: &'_ str| Some((state.to_owned(), restored.owner(state)?.to_owned()));
            self.session.waiting_names().filter_map(owner).collect::<Vec<_>>()
        });
        let known = self.owners.states.iter().map(|(state, owner)| (state.clone(), owner.clone()));
        let mut functions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (state, owner) in waiting.chain(known) {
            functions.entry(owner).or_default().push(Value::from(state));
        }
        let note: Map<String, Value> = functions.into_iter().map(|(name, states)| (name, states.into())).collect();
        if note.is_empty() { None } else { Some((NOTE, Value::from(note).to_string())) }
    }
}

/// The states that a function's optimiser keeps for itself.
fn states_of(parts: &Parts) -> impl Iterator<Item = &String> {
    parts.training_state.iter().filter(|name| !OF_NO_OPTIMISER.contains(&name.as_str()))
}

/// The error of a parameter that has the name of a state of a function.
fn reserved(name: &str, origin: &str, function: &str) -> Error {
    let purpose = format!("the state of the optimiser of {}", described(function));
    Error::ReservedName { name: name.to_owned(), origin: origin.to_owned(), purpose }
}
