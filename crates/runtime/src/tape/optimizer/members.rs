//! Which leaves an optimiser of a tape has, its states beside them, and which leaves count their updates alone.
//!
//! Invariant: a leaf that shares the optimiser's counts with others has been updated by every step since it joined, and joined before the
//! first. Any other leaf has counts of its own.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use arenagrad_graph::{DType, DeclarationKind, Graph, Init, Origin, Shape, StorageType};

use crate::error::Error;
use crate::tape::Inner;
use crate::tape::record::Record;
use crate::train::trained::{Missed, MissedOfStep};
use crate::train::{Optimizer, Trained, append_update};

/// The leaves of an optimiser and its states.
#[derive(Clone, Default)]
pub(super) struct Members {
    pub(super) leaves: Vec<Leaf>,
    pub(super) states: Vec<State>,
    /// Whether a step was taken.
    pub(super) has_begun: bool,
    /// Which records the leaves are.
    known: HashSet<*const Record>,
    /// The dtypes of the leaves, each once.
    dtypes: Vec<DType>,
    /// Where each state is, by its name; made when somebody asks.
    places: OnceCell<HashMap<String, usize>>,
}

/// A leaf that is updated, and what it was when the optimiser was given it.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) record: Rc<Record>,
    /// The name by which the optimiser knows it.
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) dtype: DType,
    /// Whether the optimiser trains what has that name.
    pub(super) is_trained: bool,
    /// Whether there are steps at which it had no gradient.
    pub(super) counts_alone: bool,
}

/// A state of the optimiser.
#[derive(Clone)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) storage: StorageType,
    pub(super) init: Init,
}

/// What leaves have of their own that shared the optimiser's counts so far.
#[derive(Default)]
pub(super) struct Own {
    /// Their places in the list.
    leaves: Vec<usize>,
    states: Vec<State>,
    pub(super) counts: Counts,
}

/// The names of counts that leaves share, each with that of the count which goes on from it where a leaf counts alone.
type Counts = Vec<(String, String)>;

impl Leaf {
    /// What an optimiser of several is told of it at a step that does not update it.
    pub(super) fn described(&self) -> Missed {
        Missed { name: self.name.clone(), shape: self.shape.clone(), dtype: self.dtype }
    }
}

impl Own {
    /// The state of a name among those that the leaves have then.
    pub(super) fn state_named(&self, name: &str) -> Option<&State> {
        self.states.iter().find(|state| state.name == name)
    }
}

impl Members {
    /// Whether a record is one of the leaves.
    pub(super) fn contains(&self, record: &Rc<Record>) -> bool {
        self.known.contains(&Rc::as_ptr(record))
    }

    /// The dtypes of the leaves, each once.
    pub(super) fn dtypes(&self) -> impl Iterator<Item = DType> {
        self.dtypes.iter().copied()
    }

    /// The dtype that the optimiser's scalars have beside the leaves that it trains, whichever of them a step updates.
    pub(super) fn scalar_dtype(&self) -> DType {
        let is_wide = |leaf: &Leaf| leaf.is_trained && leaf.dtype == DType::F64;
        if self.leaves.iter().any(is_wide) { DType::F64 } else { DType::F32 }
    }

    /// The state of a name.
    pub(super) fn state_named(&self, name: &str) -> Option<&State> {
        let places = self
            .places
            .get_or_init(|| self.states.iter().enumerate().map(|(place, state)| (state.name.clone(), place)).collect());
        places.get(name).map(|place| &self.states[*place])
    }

    /// Leaves that are to join, with the names by which the optimiser will know them.
    pub(super) fn named(&self, records: Vec<Rc<Record>>) -> Vec<(Rc<Record>, String)> {
        let mut names: HashSet<String> = self.leaves.iter().map(|leaf| leaf.name.clone()).collect();
        let mut named = Vec::with_capacity(records.len());
        for (record, place) in records.into_iter().zip(self.leaves.len()..) {
            let own = record.name().filter(|name| !name.is_empty() && !names.contains(name));
            let name = own.unwrap_or_else(|| format!("leaf{place}"));
            names.insert(name.clone());
            named.push((record, name));
        }
        named
    }

    /// Takes leaves in: those that come after the first step count alone. If that fails, nothing is changed.
    pub(super) fn add(
        &mut self,
        tape: &Inner,
        new: Vec<(Rc<Record>, String)>,
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<(), Error> {
        let (first, scalars) = (self.leaves.len(), self.scalar_dtype());
        for (record, name) in new {
            let value = match tape.value_of(&record) {
                Ok(value) => value,
                Err(error) => {
                    self.truncate(first);
                    return Err(error);
                }
            };
            let (shape, dtype) = (value.shape().clone(), value.dtype());
            let (is_trained, counts_alone) = (optimizer.trains(&name), self.has_begun);
            self.known.insert(Rc::as_ptr(&record));
            self.leaves.push(Leaf { record, name, shape, dtype, is_trained, counts_alone });
        }
        self.note_dtypes(first);
        // After the first step others may be many, and have what they have; unless their scalars become wider.
        let asked = if self.has_begun && self.scalar_dtype() == scalars { first } else { 0 };
        let asked: Vec<usize> = (asked..self.leaves.len()).filter(|&place| self.leaves[place].is_trained).collect();
        match self.states(&asked, false, optimizer, origin) {
            Ok((states, _)) => {
                self.take_states(states);
                Ok(())
            }
            Err(error) => {
                self.truncate(first);
                Err(error)
            }
        }
    }

    /// Reports the mistakes that an optimiser of nothing has.
    pub(super) fn check_optimizer(&self, optimizer: &dyn Optimizer, origin: Origin) -> Result<(), Error> {
        self.states(&[], false, optimizer, origin).map(drop)
    }

    /// What these leaves have when each counts alone that shares the optimiser's counts so far.
    pub(super) fn own(&self, leaves: Vec<usize>, optimizer: &dyn Optimizer, origin: Origin) -> Result<Own, Error> {
        if leaves.is_empty() {
            return Ok(Own::default());
        }
        let (states, counts) = self.states(&leaves, true, optimizer, origin)?;
        Ok(Own { leaves, states, counts })
    }

    /// Has leaves count alone from now on.
    pub(super) fn part(&mut self, own: Own) {
        for place in own.leaves {
            self.leaves[place].counts_alone = true;
        }
        self.take_states(own.states);
    }

    /// The same leaves, of which these count alone and no others.
    pub(super) fn counting_alone(
        &self,
        names: &BTreeSet<&str>,
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<Members, Error> {
        let mut members = self.clone();
        for leaf in &mut members.leaves {
            leaf.counts_alone = names.contains(leaf.name.as_str());
        }
        let trained: Vec<usize> = (0..self.leaves.len()).filter(|&place| self.leaves[place].is_trained).collect();
        (members.states, members.places) = (Vec::new(), OnceCell::new());
        let (states, _) = members.states(&trained, false, optimizer, origin)?;
        members.take_states(states);
        Ok(members)
    }

    /// What the leaf has whose count that name is once it counts alone, if there is such a leaf, and it does not yet.
    pub(super) fn own_with_count(
        &self,
        name: &str,
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<Option<Own>, Error> {
        let may_part = |leaf: &Leaf| {
            let is_prefix = name.strip_prefix(&leaf.name).is_some_and(|rest| rest.starts_with('.'));
            leaf.is_trained && !leaf.counts_alone && is_prefix
        };
        for place in (0..self.leaves.len()).filter(|&place| may_part(&self.leaves[place])) {
            let own = self.own(vec![place], optimizer, origin)?;
            if own.counts.iter().any(|(_, count)| count == name) {
                return Ok(Some(own));
            }
        }
        Ok(None)
    }

    /// The states that the optimiser has beside leaves, and the counts that these share with others or could. The optimiser's mistakes are the error, and so is a leaf of a name that it keeps to
    /// itself, which is told at `origin`, where the optimiser was made.
    fn states(
        &self,
        members: &[usize],
        count_alone: bool,
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<(Vec<State>, Counts), Error> {
        let graph = Graph::new();
        let asked: HashSet<usize> = members.iter().copied().collect();
        // They make a difference to the dtype of scalars alone.
        let is_any_other = self.dtypes.len() > 1;
        let is_other = |(place, leaf): &(usize, &Leaf)| is_any_other && leaf.is_trained && !asked.contains(place);
        let others = self.leaves.iter().enumerate().filter(is_other);
        let others = MissedOfStep::new(others.map(|(_, leaf)| leaf.described()).collect());
        let mut trained = Vec::with_capacity(members.len());
        for Leaf { name, shape, dtype, counts_alone, .. } in members.iter().map(|&place| &self.leaves[place]) {
            let parameter = graph.at(origin, || graph.parameter_of(name, shape, *dtype, Init::Constant(0.0)));
            let mut one = Trained::new(name.clone(), parameter, graph.zeros(shape, *dtype));
            one.settings.counts_alone = *counts_alone || count_alone;
            one.settings.missed = others.clone();
            trained.push(one);
        }
        append_update(&graph, &trained, optimizer, &[], origin)?;
        let declared = graph.declarations().into_iter().skip(members.len());
        let state = |declaration: arenagrad_graph::Declaration| match declaration.kind {
            DeclarationKind::Input => None,
            DeclarationKind::Parameter { init, .. } => {
                let (name, shape, storage) = (declaration.name, declaration.shape, declaration.storage);
                Some(State { name, shape, storage, init })
            }
        };
        let counts = trained.iter().flat_map(|one| {
            let kept = one.settings.kept.borrow();
            kept.shared.iter().map(|(name, suffix)| (name.clone(), one.state_name(suffix))).collect::<Vec<_>>()
        });
        Ok((declared.filter_map(state).collect(), counts.collect()))
    }

    /// Takes states in; those that are known are what is said of them now.
    fn take_states(&mut self, states: Vec<State>) {
        let mut places = self.places.take().unwrap_or_default();
        if places.len() != self.states.len() {
            places = self.states.iter().enumerate().map(|(place, state)| (state.name.clone(), place)).collect();
        }
        for state in states {
            match places.get(&state.name) {
                Some(place) => self.states[*place] = state,
                None => {
                    places.insert(state.name.clone(), self.states.len());
                    self.states.push(state);
                }
            }
        }
        self.places = OnceCell::from(places);
    }

    /// Lets go of the leaves from a place on.
    fn truncate(&mut self, first: usize) {
        for leaf in self.leaves.drain(first..) {
            self.known.remove(&Rc::as_ptr(&leaf.record));
        }
        self.dtypes.clear();
        self.note_dtypes(0);
    }

    fn note_dtypes(&mut self, first: usize) {
        for leaf in &self.leaves[first..] {
            if !self.dtypes.contains(&leaf.dtype) {
                self.dtypes.push(leaf.dtype);
            }
        }
    }
}

/// How errors refer to a leaf: by its place in the optimiser's list, and by its name if it has one.
pub(super) fn described(place: usize, record: &Record) -> String {
    match record.name() {
        Some(name) => format!("leaf {place} of the optimiser, {name:?}"),
        None => format!("leaf {place} of the optimiser"),
    }
}
