//! Which parameters the steps of a training function reach: all of them the same, or some only where a batch has what they need.
//!
//! What optimisers count, the updates for Adam's corrections, the batches that have accumulated, the averages, they count once for all parameters that
//! every step reaches. A parameter that some steps do not reach counts alone, as each does in PyTorch. That is only seen when a plan is made
//! that lacks it, or that has it where earlier ones had not: then it goes on from what it had shared, and plans in which it shares are given up.
//! A checkpoint notes all of this, for the first step behind it may be one that reaches less.

use std::collections::{BTreeMap, BTreeSet};

use arenagrad_graph::{Graph, Init};
use serde_json::{Map, Value, json};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::session::Prepared;
use crate::tensor::Tensor;
use crate::train::request::SharedCount;
use crate::train::trained::{Missed, Trained};
use crate::train::trainer::Trainer;
use crate::train::trainer::function::{Body, Parts};
use crate::weights::Weights;

/// The note of a checkpoint that says what the steps of each training function reach, by the function's name.
const NOTE: &str = "arenagrad.trainer.reach";

/// What the steps of a function have trained that were planned so far.
#[derive(Clone, Default)]
pub(super) struct Reach {
    /// What all of them train; nothing before the first.
    always: Option<BTreeSet<String>>,
    /// What one of them trains.
    known: BTreeSet<String>,
    /// What counts alone.
    pub(super) at_times: BTreeSet<String>,
    /// The counts that each parameter has shared.
    shared: BTreeMap<String, Vec<SharedCount>>,
}

impl Reach {
    /// The parameters of which a plan that trains `trained` shows that some steps do not reach them.
    fn newly_at_times(&self, trained: &[String]) -> BTreeSet<String> {
        let Some(always) = &self.always else { return BTreeSet::new() };
        let trained: BTreeSet<&String> = trained.iter().collect();
        let lacking = always.iter().filter(|name| !trained.contains(name));
        let late = trained.iter().copied().filter(|name| !self.known.contains(*name));
        lacking.chain(late).filter(|name| !self.at_times.contains(*name)).cloned().collect()
    }

    /// What a checkpoint notes of it.
    fn noted(&self) -> Value {
        let mut counts: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for count in self.shared.values().flatten() {
            counts.entry(&count.name).or_default().insert(&count.parameter, &count.own);
        }
        json!({ "always": self.always, "at_times": self.at_times, "counts": counts })
    }

    /// What [`Reach::noted`] gave; nothing if it is something else.
    fn of_note(note: &Value) -> Option<Reach> {
        let names = |value: &Value| -> Option<BTreeSet<String>> {
            value.as_array()?.iter().map(|name| Some(name.as_str()?.to_owned())).collect()
        };
        let always = if note["always"].is_null() { None } else { Some(names(&note["always"])?) };
        let at_times = names(&note["at_times"])?;
        let known = always.iter().flatten().chain(&at_times).cloned().collect();
        let mut shared: BTreeMap<String, Vec<SharedCount>> = BTreeMap::new();
        for (name, owns) in note["counts"].as_object()? {
            for (parameter, own) in owns.as_object()? {
                let (name, own) = (name.clone(), own.as_str()?.to_owned());
                let count = SharedCount { parameter: parameter.clone(), name, own };
                shared.entry(parameter.clone()).or_default().push(count);
            }
        }
        Some(Reach { always, known, at_times, shared })
    }

    /// Goes on from what a checkpoint notes: what counts alone there or here does so from now on, and what only one of both always trains.
    fn restore(&mut self, noted: Reach) {
        self.always = match (self.always.take(), noted.always) {
            (Some(here), Some(there)) => Some(here.intersection(&there).cloned().collect()),
            (here, there) => here.or(there),
        };
        self.known.extend(noted.known);
        self.at_times.extend(noted.at_times);
        let always = self.always.iter().flatten().collect::<BTreeSet<_>>();
        let differs = self.known.iter().filter(|name| !always.contains(name)).cloned();
        self.at_times.extend(differs.collect::<Vec<_>>());
        for (parameter, counts) in noted.shared {
            self.shared.entry(parameter).or_insert(counts);
        }
    }

    /// Takes note of a plan that is kept.
    fn note(&mut self, parts: &Parts) {
        let trained: BTreeSet<String> = parts.trained.iter().cloned().collect();
        self.always = Some(match self.always.take() {
            Some(always) => always.intersection(&trained).cloned().collect(),
            None => trained.clone(),
        });
        self.known.extend(trained);
        self.at_times.extend(parts.at_times.iter().cloned());
        for count in &parts.shared {
            let counts = self.shared.entry(count.parameter.clone()).or_default();
            if counts.iter().all(|known| known.own != count.own) {
                counts.push(count.clone());
            }
        }
    }
}

impl Trainer<'_> {
    /// The parameters of which a plan of a function shows that some steps do not reach them, so far unseen.
    pub(super) fn newly_at_times(&self, number: usize, parts: &Parts) -> BTreeSet<String> {
        if parts.updates() { self.functions[number].reach.newly_at_times(&parts.trained) } else { BTreeSet::new() }
    }

    /// What the steps of a function update, as far as it is known.
    pub(super) fn reached_so_far(&self, number: usize) -> Vec<Missed> {
        let known = self.functions[number].reach.known.iter();
        let of_name = |name: &String| {
            let (shape, storage) = self.session.described(name)?;
            Some(Missed { name: name.clone(), shape, dtype: storage.value() })
        };
        known.filter_map(of_name).collect()
    }

    /// What the counts that are now a parameter's own begin with, by their names: what the shared ones are.
    pub(super) fn own_counts(&self, number: usize, parts: &Parts) -> Result<Vec<(String, Tensor)>, Error> {
        let shared = &self.functions[number].reach.shared;
        let counts = parts.at_times.iter().filter_map(|name| shared.get(name)).flatten();
        let begun = counts.filter(|count| !self.session.knows(&count.own));
        let value = |count: &SharedCount| Some((count.own.clone(), self.session.present(&count.name)?));
        begun.filter_map(value).map(|(own, value)| Ok((own, value?))).collect()
    }

    /// Takes note of a plan that is kept, and gives up those in which parameters share what they count alone from now on.
    pub(super) fn note_reach(&mut self, number: usize, parts: &Parts) -> Vec<Prepared> {
        if !parts.updates() {
            return Vec::new();
        }
        let function = &mut self.functions[number];
        let is_new = function.reach.always.is_some()
            && parts.trained.iter().any(|trained| !function.reach.known.contains(trained));
        function.reach.note(parts);
        // An optimiser of several has each know what others' steps reach.
        if is_new && parts.depends_on_missed {
            return function.give_up_steps();
        }
        function.give_up_steps_of(&parts.at_times)
    }

    /// What a checkpoint notes of what steps reach; nothing before there is a training function that was planned.
    pub(super) fn reach_note(&self) -> Option<(&'static str, String)> {
        let mut note = Map::new();
        for function in &self.functions {
            if let (Body::Training { name, .. }, Some(_)) = (&function.body, &function.reach.always) {
                note.insert(name.clone(), function.reach.noted());
            }
        }
        if note.is_empty() { None } else { Some((NOTE, Value::from(note).to_string())) }
    }

    /// What the functions reach, in their order, when they go on from a checkpoint. Refuses a note that no trainer writes.
    pub(super) fn restored_reach(&self, checkpoint: &Checkpoint) -> Result<Vec<Reach>, Error> {
        let mut reaches: Vec<Reach> = self.functions.iter().map(|function| function.reach.clone()).collect();
        let Some(text) = checkpoint.note(NOTE) else { return Ok(reaches) };
        let foreign = || {
            let (origin, key, found) = (checkpoint.origin().to_owned(), NOTE.to_owned(), text.to_owned());
            Error::from(CheckpointError::Foreign { origin, key, found })
        };
        let note: Value = serde_json::from_str(text).map_err(|_| foreign())?;
        for (function, reach) in self.functions.iter().zip(&mut reaches) {
            let own = match &function.body {
                Body::Training { name, .. } => note.get(name),
                Body::Evaluation(_) => None,
            };
            if let Some(own) = own {
                reach.restore(Reach::of_note(own).ok_or_else(foreign)?);
            }
        }
        Ok(reaches)
    }

    /// The counts that earlier weights lack because they are shared there and are a parameter's own by what functions reach: what the shared
    /// ones are. A parameter that they lack has shared nothing there.
    pub(super) fn lacking_counts(&self, reaches: &[Reach], weights: &Weights) -> Result<Vec<(String, Tensor)>, Error> {
        let has = |name: &str| weights.contains(name);
        let of_one = |reach: &'_ Reach| {
            let counts = reach.at_times.iter().filter_map(|name| reach.shared.get(name)).flatten();
            let shares = |count: &&SharedCount| has(&count.parameter) && !has(&count.own) && has(&count.name);
            counts.filter(shares).cloned().collect::<Vec<_>>()
        };
        let lacking = reaches.iter().flat_map(of_one);
        lacking.map(|count| Ok((count.own, weights.get(&count.name)?))).collect()
    }

    /// The names of the states that the present optimisers have or will have, when functions reach what a checkpoint says: those of parameters and of groups
    /// that no plan has asked for yet are none of the session's until one does.
    pub(super) fn states_to_come(&self, reaches: &[Reach], checkpoint: &Checkpoint) -> BTreeSet<String> {
        let described = |name: &str| {
            let of_checkpoint = || {
                let value = checkpoint.tensor(name).ok().filter(|_| checkpoint.weights().contains(name))?;
                Some((value.shape().clone(), value.storage()))
            };
            self.session.described(name).or_else(of_checkpoint)
        };
        let mut states = BTreeSet::new();
        for (function, reach) in self.functions.iter().zip(reaches) {
            let Body::Training { name, optimizer, .. } = &function.body else { continue };
            let graph = Graph::new();
            let mut trained = Vec::new();
            for parameter in &reach.known {
                let Some((shape, storage)) = described(parameter) else { continue };
                let dtype = storage.value();
                let present = graph.parameter_of(parameter, &shape, dtype, Init::Constant(0.0));
                let mut one = Trained::new(parameter.clone(), present, graph.zeros(&shape, dtype));
                one.settings.counts_alone = reach.at_times.contains(parameter);
                trained.push(one);
            }
            // An optimiser that refuses them says so when a step is planned.
            if graph.under_prefix(name, || optimizer.update(&graph, &trained)).is_ok() {
                let declared = graph.declarations().into_iter().skip(trained.len());
                states.extend(declared.map(|state| state.name));
            }
        }
        states
    }

    /// Goes on from what a checkpoint notes, and gives up the plans in which parameters share what they count alone from now on.
    pub(super) fn restore_reach(&mut self, reaches: Vec<Reach>) {
        for (number, restored) in reaches.into_iter().enumerate() {
            let Reach { at_times, known, .. } = &self.functions[number].reach;
            let new = restored.at_times.difference(at_times).cloned().collect();
            let knows_more = !restored.known.is_subset(known);
            let function = &mut self.functions[number];
            let given_up = if knows_more { function.give_up_steps() } else { function.give_up_steps_of(&new) };
            for prepared in given_up {
                self.session.drop_outside(prepared);
            }
            self.functions[number].reach = restored;
        }
    }

    /// Whose the counts are that a plan makes some parameter's own.
    pub(super) fn note_owner_of_counts(&mut self, number: usize, counts: &[(String, Tensor)]) {
        if let Body::Training { name, .. } = &self.functions[number].body {
            self.owners.note(counts.iter().map(|(state, _)| state.clone()), name);
        }
    }
}
