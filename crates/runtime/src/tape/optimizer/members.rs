//! Which leaves an optimiser of a tape has, and which of them are updated together.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use arenagrad_graph::{DType, DeclarationKind, Graph, Init, Origin, Shape, StorageType};

use crate::error::Error;
use crate::tape::Inner;
use crate::tape::record::Record;
use crate::train::{Optimizer, Trained, append_update};

/// The leaves of an optimiser and their groups.
#[derive(Clone, Default)]
pub(super) struct Members {
    pub(super) leaves: Vec<Leaf>,
    pub(super) groups: Vec<Group>,
    /// How many groups there have been.
    pub(super) grouped: u64,
    /// Which records the leaves are.
    known: HashSet<*const Record>,
    /// The dtypes of the leaves, each once.
    dtypes: Vec<DType>,
    /// Where each state is among the groups and in its group, by the name that callers know it by; made when somebody asks.
    places: OnceCell<HashMap<String, (usize, usize)>>,
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
}

/// Leaves that have had gradients at the same steps.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) number: u64,
    /// The leaves' places in the optimiser's list.
    pub(super) members: Vec<usize>,
    pub(super) states: Vec<State>,
    /// Whether a step was taken.
    pub(super) is_begun: bool,
}

/// A state of the optimiser.
#[derive(Clone)]
pub(super) struct State {
    /// The name that the optimiser gave it.
    pub(super) name: String,
    /// Whether it is one leaf's alone.
    pub(super) is_of_leaf: bool,
    pub(super) shape: Shape,
    pub(super) storage: StorageType,
    pub(super) init: Init,
}

/// The names of leaves.
pub(super) struct Names<'a>(HashSet<&'a str>);

impl Members {
    /// Whether a record is one of the leaves.
    pub(super) fn contains(&self, record: &Rc<Record>) -> bool {
        self.known.contains(&Rc::as_ptr(record))
    }

    /// The dtypes of the leaves, each once.
    pub(super) fn dtypes(&self) -> impl Iterator<Item = DType> {
        self.dtypes.iter().copied()
    }

    /// The state that callers know by a name, with its group.
    pub(super) fn state_named(&self, name: &str) -> Option<(&Group, &State)> {
        let places = self.places.get_or_init(|| {
            let groups = self.groups.iter().enumerate();
            let states = groups.flat_map(|(place, group)| {
                group.states.iter().enumerate().map(move |(state, own)| (shown_name(group, own), (place, state)))
            });
            states.collect()
        });
        let &(group, state) = places.get(name)?;
        let group = &self.groups[group];
        Some((group, &group.states[state]))
    }

    /// Notes that the groups have changed.
    pub(super) fn forget_names(&mut self) {
        self.places = OnceCell::new();
    }

    fn note_dtypes(&mut self, first: usize) {
        for leaf in &self.leaves[first..] {
            if !self.dtypes.contains(&leaf.dtype) {
                self.dtypes.push(leaf.dtype);
            }
        }
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

    /// Takes leaves in, and says which group those are in that are trained, if there are such. Those that come before the first step are one
    /// group. If that fails, nothing is changed.
    pub(super) fn add(
        &mut self,
        tape: &Inner,
        new: Vec<(Rc<Record>, String)>,
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<Option<usize>, Error> {
        let first = self.leaves.len();
        let mut leaves = Vec::with_capacity(new.len());
        for (record, name) in new {
            let value = tape.value_of(&record)?;
            let is_trained = optimizer.trains(&name);
            leaves.push(Leaf { record, name, shape: value.shape().clone(), dtype: value.dtype(), is_trained });
        }
        self.known.extend(leaves.iter().map(|leaf| Rc::as_ptr(&leaf.record)));
        self.leaves.extend(leaves);
        self.note_dtypes(first);
        self.forget_names();
        let mut members: Vec<usize> =
            (first..self.leaves.len()).filter(|&place| self.leaves[place].is_trained).collect();
        if members.is_empty() {
            return Ok(None);
        }
        let open = self.groups.iter().position(|group| !group.is_begun);
        if let Some(open) = open {
            members = self.groups[open].members.iter().copied().chain(members).collect();
        }
        let states = match self.states(&members, optimizer, origin) {
            Ok(states) => states,
            Err(error) => {
                for leaf in self.leaves.drain(first..) {
                    self.known.remove(&Rc::as_ptr(&leaf.record));
                }
                self.dtypes.clear();
                self.note_dtypes(0);
                return Err(error);
            }
        };
        match open {
            Some(open) => {
                let group = &mut self.groups[open];
                (group.members, group.states) = (members, states);
                Ok(Some(open))
            }
            None => {
                self.groups.push(Group { number: self.grouped, members, states, is_begun: false });
                self.grouped += 1;
                Ok(Some(self.groups.len() - 1))
            }
        }
    }

    /// The states that the optimiser has beside leaves. Its mistakes are the error, and so is a leaf of a name that it keeps to itself,
    /// which is told at `origin`, where the optimiser was made.
    pub(super) fn states(
        &self,
        members: &[usize],
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<Vec<State>, Error> {
        let graph = Graph::new();
        let mut trained = Vec::with_capacity(members.len());
        for Leaf { name, shape, dtype, .. } in members.iter().map(|&place| &self.leaves[place]) {
            let parameter = graph.at(origin, || graph.parameter_of(name, shape, *dtype, Init::Constant(0.0)));
            let gradient = graph.zeros(shape, *dtype);
            trained.push(Trained::new(name.clone(), parameter, gradient));
        }
        append_update(&graph, &trained, optimizer, &[], origin)?;
        let names = Names::of(&self.leaves);
        let declared = graph.declarations().into_iter().skip(members.len());
        let state = |declaration: arenagrad_graph::Declaration| match declaration.kind {
            DeclarationKind::Input => None,
            DeclarationKind::Parameter { init, .. } => {
                let (name, shape, storage) = (declaration.name, declaration.shape, declaration.storage);
                Some(State { is_of_leaf: names.are_in(&name), name, shape, storage, init })
            }
        };
        Ok(declared.filter_map(state).collect())
    }

    /// Every state once, with its group.
    pub(super) fn named_states(&self) -> impl Iterator<Item = (&Group, &State)> {
        self.groups.iter().flat_map(|group| group.states.iter().map(move |state| (group, state)))
    }
}

impl<'a> Names<'a> {
    pub(super) fn of(leaves: &'a [Leaf]) -> Names<'a> {
        Names(leaves.iter().map(|leaf| leaf.name.as_str()).collect())
    }

    /// Whether a state is one leaf's alone, by its name: the leaf's, a dot, and more.
    pub(super) fn are_in(&self, state: &str) -> bool {
        state.match_indices('.').any(|(dot, _)| self.0.contains(&state[..dot]))
    }
}

/// How errors refer to a leaf: by its place in the optimiser's list, and by its name if it has one.
pub(super) fn described(place: usize, record: &Record) -> String {
    match record.name() {
        Some(name) => format!("leaf {place} of the optimiser, {name:?}"),
        None => format!("leaf {place} of the optimiser"),
    }
}

/// What a state is called to a caller.
pub(super) fn shown_name(group: &Group, state: &State) -> String {
    if state.is_of_leaf || group.number == 0 { state.name.clone() } else { format!("{}.{}", group.number, state.name) }
}
