//! How leaves come to a tape's optimiser: those that it is given, and parameters of the tape that appear later, with the states that waited for
//! them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::error::Error;
use crate::tape::optimizer::members::{Leaf, Members};
use crate::tape::optimizer::{TapeOptimizer, stored_name};
use crate::tape::record::Record;
use crate::tensor::Tensor;
use crate::train::{LEARNING_RATE, initial_value, listed};
use crate::weights::matches_pattern;

impl TapeOptimizer {
    /// The members as they will be when the parameters of the tape have joined that are new, with what was given to them.
    pub(super) fn members_to_be(&self) -> Result<Cow<'_, Members>, Error> {
        let new = self.new_parameters();
        if new.is_empty() {
            return Ok(Cow::Borrowed(&self.members));
        }
        let mut members = self.members.clone();
        members.add(&self.tape, new, &*self.optimizer, self.origin)?;
        for name in self.given.keys() {
            if let Some(own) = members.own_with_count(name, &*self.optimizer, self.origin)? {
                members.part(own);
            }
        }
        Ok(Cow::Owned(members))
    }

    /// Takes the parameters of the tape in that are new, whatever patterns there are.
    pub(super) fn join_new(&mut self) -> Result<(), Error> {
        let new = self.new_parameters();
        self.join(new)?;
        self.set_given()
    }

    /// The parameters of the tape that have not joined and will, and the names that they will have.
    pub(super) fn new_parameters(&self) -> Vec<(Rc<Record>, String)> {
        // Every step asks, and seldom there are any.
        if !self.joins || self.tape.trainable_count() == self.members.leaves.len() {
            return Vec::new();
        }
        let kept = self.tape.trainable();
        self.members.named(kept.into_iter().filter(|record| !self.members.contains(record)).collect())
    }

    /// Refuses a pattern by which leaves were named around the optimiser, and that no leaf's name has, those that are to join among
    /// them: it is a typing error.
    pub(super) fn check_patterns(&mut self, new: &[(Rc<Record>, String)]) -> Result<(), Error> {
        if self.is_matched {
            return Ok(());
        }
        let names = || {
            self.members.leaves.iter().map(|leaf| leaf.name.as_str()).chain(new.iter().map(|(_, name)| name.as_str()))
        };
        let has_none = |pattern: &String| !names().any(|name| matches_pattern(pattern, name));
        match self.optimizer.patterns().into_iter().find(has_none) {
            Some(pattern) => Err(Error::UnmatchedPattern { pattern, known: listed(names()) }),
            None => {
                self.is_matched = true;
                Ok(())
            }
        }
    }

    /// Takes leaves in.
    pub(super) fn join(&mut self, new: Vec<(Rc<Record>, String)>) -> Result<(), Error> {
        if new.is_empty() {
            return Ok(());
        }
        let (first, scalars) = (self.members.leaves.len(), self.members.scalar_dtype());
        self.members.add(&self.tape, new, &*self.optimizer, self.origin)?;
        if self.members.scalar_dtype() != scalars {
            self.widen_scalars()?;
        }
        if let Some(state) = self.members.state_named(LEARNING_RATE)
            && self.tape.store.parameter(&self.stored_name(state))?.is_none()
        {
            self.set_rate()?;
        }
        self.begin_from_given_counts(first)?;
        // From now on the leaves' values have places on the device.
        for Leaf { record, shape, dtype, .. } in self.members.leaves[first..].iter().filter(|leaf| leaf.is_trained) {
            let mut residents = record.residents();
            residents.value = Some(self.tape.store.resident(residents.value, shape, *dtype));
            record.set_residents(residents);
        }
        Ok(())
    }

    /// Sets the states that waited for leaves which have joined. One that does not fit goes on waiting, so that no step is taken
    /// without it.
    pub(super) fn set_given(&mut self) -> Result<(), Error> {
        let names: Vec<String> = self.given.keys().cloned().collect();
        for name in names {
            self.part_for(&name)?;
        }
        let named = self.members.states.iter().map(|state| &state.name);
        let given = named.filter_map(|name| self.given.get(name).map(|value| (name.clone(), value.clone())));
        let given: Vec<(String, Tensor)> = given.collect();
        self.set_states(&given)
    }

    /// The counts that leaves share, before the first step, if states wait for leaves that have not joined by then.
    pub(super) fn counts_to_be_kept(&self) -> Result<Vec<(String, Tensor)>, Error> {
        if self.members.has_begun || self.given.is_empty() {
            return Ok(Vec::new());
        }
        let leaves = self.members.leaves.iter().enumerate();
        let trained = leaves.filter(|(_, leaf)| leaf.is_trained).map(|(place, _)| place).collect();
        let own = self.members.own(trained, &*self.optimizer, self.origin)?;
        let shared: BTreeSet<&String> = own.counts.iter().map(|(shared, _)| shared).collect();
        let value = |shared: &&String| self.tape.store.parameter(&stored_name(self.number, shared)).transpose();
        let values = shared.iter().filter_map(|shared| Some(value(shared)?.map(|value| ((*shared).clone(), value))));
        values.collect()
    }

    /// Has leaves that join after the first step, and of which states were given before it, count from what was given then: they had been
    /// updated with all others. A count of their own that was given goes before.
    fn begin_from_given_counts(&self, first: usize) -> Result<(), Error> {
        if self.given_counts.is_empty() {
            return Ok(());
        }
        let is_given = |leaf: &Leaf| self.given.keys().any(|name| of_leaf(name, &leaf.name));
        let late = self.members.leaves.iter().enumerate().skip(first);
        let late = late.filter(|(_, leaf)| leaf.is_trained && is_given(leaf)).map(|(place, _)| place);
        let own = self.members.own(late.collect(), &*self.optimizer, self.origin)?;
        for (shared, own) in &own.counts {
            if let Some(value) = self.given_counts.get(shared) {
                self.tape.store.set_parameter(&stored_name(self.number, own), value.clone())?;
            }
        }
        Ok(())
    }

    /// Has the scalars in the storage type that they have beside the leaves that there are now. One that is still the number which it
    /// was set to is that number, and not what the narrower type had made of it.
    fn widen_scalars(&self) -> Result<(), Error> {
        for state in &self.members.states {
            let stored = self.stored_name(state);
            let Some(present) = self.tape.store.parameter(&stored)? else { continue };
            if present.storage() == state.storage {
                continue;
            }
            let rate = self.rate.filter(|_| state.name == LEARNING_RATE).map(Tensor::scalar);
            let first = initial_value(&state.init, &stored, &state.shape, state.storage, 0)?;
            let mut known = rate.into_iter().chain([first]);
            let exact = known.find(|exact| exact.cast(present.storage()) == present);
            let value = exact.unwrap_or(present).cast(state.storage);
            self.tape.store.replace_parameter(&stored, value)?;
        }
        Ok(())
    }
}

/// Whether a state is one leaf's alone: the leaf's name, a dot, and more.
fn of_leaf(state: &str, leaf: &str) -> bool {
    state.strip_prefix(leaf).is_some_and(|rest| rest.starts_with('.'))
}
