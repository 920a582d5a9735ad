//! How leaves come to a tape's optimiser: those that it is given, and parameters of the tape that appear later, with the states that waited for
//! them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use crate::error::Error;
use crate::tape::optimizer::members::{Leaf, Members};
use crate::tape::optimizer::{Begun, TapeOptimizer, stored_name};
use crate::tape::record::Record;
use crate::tensor::Tensor;
use crate::train::{LEARNING_RATE, initial_value, listed};
use crate::weights::matches_pattern;

impl TapeOptimizer {
    /// The members as they will be when the parameters of the tape have joined that are new, with what was given to them, and the counts that
    /// begin then.
    pub(super) fn members_to_be(&self) -> Result<(Cow<'_, Members>, Begun), Error> {
        let new = self.new_parameters();
        if new.is_empty() {
            return Ok((Cow::Borrowed(&self.members), Begun::new()));
        }
        let (mut members, first) = (self.members.clone(), self.members.leaves.len());
        members.add(&self.tape, new, &*self.optimizer, self.origin)?;
        let mut begun = self.late_counts(&members, first)?;
        for name in self.given.keys() {
            if let Some(own) = members.own_with_count(name, &*self.optimizer, self.origin)? {
                begun.extend(self.begun_counts(&own)?);
                members.part(own);
            }
        }
        Ok((Cow::Owned(members), begun))
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
        for (name, value) in self.late_counts(&self.members, first)? {
            self.tape.store.set_parameter(&name, value)?;
        }
        self.is_given_new = true;
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
        if !self.is_given_new {
            return Ok(());
        }
        for (name, value) in self.given.clone() {
            self.part_for(&name, &value)?;
        }
        let given = self.given.iter().filter(|(name, _)| self.members.state_named(name).is_some());
        let given: Vec<(String, Tensor)> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.set_states(&given)?;
        self.is_given_new = false;
        Ok(())
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

    /// What the counts begin with of leaves from a place on, which join after the first step, and of which states were given before it: they had been
    /// updated with all others. A count of their own that was given goes before.
    fn late_counts(&self, members: &Members, first: usize) -> Result<Begun, Error> {
        let mut begun = Begun::new();
        if self.given_counts.is_empty() {
            return Ok(begun);
        }
        let names: HashSet<&str> = members.leaves.iter().map(|leaf| leaf.name.as_str()).collect();
        let owner = |state: &'_ String| {
            state.rmatch_indices('.').map(|(dot, _)| dot).find(|dot| names.contains(&state[..*dot]))
        };
        let owners: HashSet<&str> = self.given.keys().filter_map(|state| Some(&state[..owner(state)?])).collect();
        let late = members.leaves.iter().enumerate().skip(first);
        let late = late.filter(|(_, leaf)| leaf.is_trained && owners.contains(leaf.name.as_str()));
        let own = members.own(late.map(|(place, _)| place).collect(), &*self.optimizer, self.origin)?;
        for (shared, count) in &own.counts {
            if let (Some(value), Some(state)) = (self.given_counts.get(shared), own.state_named(count)) {
                begun.insert(stored_name(self.number, count), value.cast(state.storage));
            }
        }
        Ok(begun)
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
