//! What layers say that states become.
//!
//! An update holds from where it is recorded on: what is recorded later reads the node of the state's next value, without a gradient. It is
//! computed when somebody asks, with the next backward pass or with the next step of an optimiser. One that cannot be computed, because its
//! batch is refused, is dropped: the state has the value there that it had before, for what was recorded since too, so that nothing that
//! follows is refused for that batch, and the batches that follow count.
//!
//! A tape is not told where a batch begins. One ends with the backward pass that releases its graph, and where a state is updated
//! anew: a layer that an operation of its own applies twice to a batch makes two of it.
//!
//! The state `step` counts the recorded operations that drew random numbers: each draws others.
//!
//! Invariant: a state is never computed from more than a few applications that were not computed themselves.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use arenagrad_graph::{NodeId, Origin};

use super::{Asked, Parameter, Parameters};
use crate::error::Error;
use crate::tape::Inner;
use crate::tape::record::{Place, Record};
use crate::tape::value::Value;
use crate::tensor::Tensor;

/// How many updates of a state may wait to be computed.
const MOST_WAITING: usize = 8;

/// The name of the state that counts the operations that drew.
const STEP: &str = "step";

/// The updates of a state.
#[derive(Default)]
pub(super) struct Updates {
    /// The tape's epoch at the last, and the number of its batch.
    epoch: u64,
    batch: u64,
    /// Those that wait to be computed: the numbers of their batches, and the nodes of the values that they give.
    waiting: Vec<(u64, NodeId)>,
    /// The value before them.
    before: Option<Rc<Value>>,
}

impl Updates {
    /// That none waits any more.
    fn are_computed(&mut self) {
        self.waiting.clear();
        self.before = None;
    }
}

/// States whose updates wait, and the nodes of their next values.
pub(crate) type Waiting = Vec<(Rc<Record>, NodeId)>;

impl Parameters {
    /// Those of the states whose updates wait that `is_meant` says, and the nodes of their next values, in the order in which they were first
    /// asked for.
    fn waiting(&self, is_meant: impl Fn(&Updates) -> bool) -> Waiting {
        self.list_waiting()
            .filter(|(one, _)| is_meant(&one.updates))
            .map(|(one, node)| (one.record.clone(), node))
            .collect()
    }

    fn list_waiting(&self) -> impl Iterator<Item = (&Parameter, NodeId)> {
        let waiting = self.list.iter().filter(|parameter| !parameter.updates.waiting.is_empty());
        waiting.filter_map(|parameter| match parameter.record.place() {
            Place::Node(node, None) => Some((parameter, node)),
            Place::Node(_, Some(_)) | Place::Value(_) | Place::Poisoned(_) => None,
        })
    }

    /// The nodes of all updates that wait, of which each may be what its state goes back to.
    pub(crate) fn waiting_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.list_waiting().flat_map(|(parameter, _)| parameter.updates.waiting.iter().map(|(_, node)| *node))
    }

    /// The number of the batch that updates of these states are of, in that epoch.
    fn batch_of<'a>(&mut self, mut states: impl Iterator<Item = &'a Rc<Record>>, epoch: u64) -> u64 {
        let batch = self.batch;
        if self.batch_epoch != epoch
            || states.any(|state| self.get_mut(state).is_some_and(|one| one.updates.batch == batch))
        {
            (self.batch, self.batch_epoch) = (batch + 1, epoch);
        }
        self.batch
    }
}

impl Inner {
    /// What an operation that was built asked for: its updates hold from now on.
    pub(crate) fn apply_updates(
        &self,
        asked: &Asked,
        updates: &[(NodeId, NodeId)],
        origin: Origin,
    ) -> Result<(), Error> {
        if !updates.is_empty() {
            self.note_updates(asked, updates, origin)?;
        }
        let counter = self.parameters.borrow().get(STEP).map(|step| step.record.clone());
        if let Some(counter) = counter.filter(|counter| asked.records.iter().any(|record| Rc::ptr_eq(record, counter)))
        {
            let count = self.value_of(&counter)?.tensor()?.item()?;
            // Counting goes on from the least number after the largest, as on a device.
            let next = (count as i32).wrapping_add(1);
            counter.set_place(Place::Value(Value::new(Tensor::scalar(next))));
        }
        Ok(())
    }

    fn note_updates(&self, asked: &Asked, updates: &[(NodeId, NodeId)], origin: Origin) -> Result<(), Error> {
        let of_record = |record: &'_ Rc<Record>| Some((record.node()?, record.clone()));
        let asked_at: HashMap<NodeId, Rc<Record>> = asked.records.iter().filter_map(of_record).collect();
        let epoch = self.epoch.get();
        let states = updates.iter().filter_map(|(state, _)| asked_at.get(state));
        let batch = self.parameters.borrow_mut().batch_of(states, epoch);
        for (state, next) in updates {
            let Some(record) = asked_at.get(state) else { continue };
            // A node that is the state's alone.
            let next = self.graph.attempt(|| self.graph.at(origin, || self.graph.expr(*next).stop_gradient()).id())?;
            if let Some(Parameter { updates, .. }) = self.parameters.borrow_mut().get_mut(record) {
                if updates.waiting.is_empty() {
                    updates.before = record.value();
                }
                (updates.epoch, updates.batch) = (epoch, batch);
                updates.waiting.push((batch, next));
            }
            record.set_place(Place::Node(next, None));
            self.records.borrow_mut().list_placed(record, self.graph.ordinal_bound());
        }
        Ok(())
    }

    /// The states whose updates wait to be computed, and the nodes of their next values, in the order in which they were first asked for.
    pub(crate) fn waiting_states(&self) -> Waiting {
        self.parameters.borrow().waiting(|_| true)
    }

    /// Those of them that were last updated since a backward pass released its graph: the next pass goes through what they are computed
    /// from.
    pub(crate) fn recent_states(&self) -> Waiting {
        self.parameters.borrow().waiting(|updates| updates.epoch == self.epoch.get())
    }

    /// That no update of a state waits any more.
    pub(crate) fn states_are_computed(&self) {
        self.parameters.borrow_mut().list.iter_mut().for_each(|parameter| parameter.updates.are_computed());
    }

    /// What states became.
    pub(crate) fn set_states(&self, states: &[(Rc<Record>, NodeId)], values: impl IntoIterator<Item = Rc<Value>>) {
        let mut parameters = self.parameters.borrow_mut();
        for ((record, _), value) in states.iter().zip(values) {
            record.set_place(Place::Value(value));
            if let Some(parameter) = parameters.get_mut(record) {
                parameter.updates.are_computed();
            }
        }
    }

    /// After a run that failed: computes the updates that wait, so that nothing which follows fails for what this batch or an earlier one was.
    /// Where one cannot be computed, its batch counts for no state. Says whether there is such.
    pub(crate) fn settle_states(&self, error: &Error) -> bool {
        let mut is_any_dropped = false;
        if error.is_of_device() {
            return is_any_dropped;
        }
        let states = self.waiting_states();
        let (batches, mut values) = self.updates_by_batch();
        for updates in batches.into_values() {
            let nodes: Vec<NodeId> = updates.iter().map(|(_, node)| *node).collect();
            match self.run(&nodes) {
                Ok(next) => values.extend(updates.iter().map(|(record, _)| Rc::as_ptr(record)).zip(next)),
                Err(error) if error.is_of_device() => return is_any_dropped,
                Err(_) => is_any_dropped = true,
            }
            // What was recorded on these nodes is computed from the values now.
            for (record, node) in updates {
                let stands = values.get(&Rc::as_ptr(&record)).map(|value| self.keep(node, value, false));
                debug_assert!(matches!(stands, Some(Ok(()))), "a state without a value");
            }
        }
        for state in states {
            let value = values.remove(&Rc::as_ptr(&state.0));
            self.set_states(&[state], value);
        }
        is_any_dropped
    }

    /// The updates that wait by their batches, in the order in which they were recorded, and what the states are before them.
    fn updates_by_batch(&self) -> (BTreeMap<u64, Waiting>, HashMap<*const Record, Rc<Value>>) {
        let (parameters, slots) = (self.parameters.borrow(), self.slots.borrow());
        let (mut batches, mut before) = (BTreeMap::<u64, Waiting>::new(), HashMap::new());
        for (Parameter { record, updates, .. }, _) in parameters.list_waiting() {
            // A long run may have kept the value of one.
            let standing = updates.waiting.iter().rposition(|(_, node)| slots.get(*node).is_some());
            let value = match standing.and_then(|place| slots.get(updates.waiting[place].1)) {
                Some(slot) => Some(slot.value.clone()),
                None => updates.before.clone(),
            };
            before.extend(value.map(|value| (Rc::as_ptr(record), value)));
            for (batch, node) in &updates.waiting[standing.map_or(0, |place| place + 1)..] {
                batches.entry(*batch).or_default().push((record.clone(), *node));
            }
        }
        (batches, before)
    }

    /// Before something is recorded from a state or a parameter: has its updates computed that have waited for long enough.
    pub(super) fn settle_updates(&self, record: &Rc<Record>) -> Result<(), Error> {
        let is_due = {
            let parameters = self.parameters.borrow();
            let place = parameters.by_record.get(&Rc::as_ptr(record));
            let updates = place.map(|&place| &parameters.list[place].updates);
            let waiting = updates.filter(|updates| !updates.waiting.is_empty());
            waiting.filter(|_| matches!(record.place(), Place::Node(_, None))).map(|updates| self.is_due(updates))
        };
        match is_due {
            Some(true) => match self.compute_states() {
                // Another refused batch is no mistake of what is recorded now: it counts for no state.
                Err(error) if error.is_of_device() => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
            Some(false) => Ok(()),
            None => {
                self.settle_record(record)?;
                if let Some(parameter) = self.parameters.borrow_mut().get_mut(record) {
                    parameter.updates.are_computed();
                }
                Ok(())
            }
        }
    }

    /// Computes the updates that have waited for long enough, all in one run: what they are computed from is the same.
    fn compute_states(&self) -> Result<(), Error> {
        // What a backward pass left goes through what they are computed from. If it fails, whoever asks for its gradients is told.
        if self.waits.get() && self.catch_up(None).is_ok() {
            return Ok(());
        }
        let due = self.parameters.borrow().waiting(|updates| self.is_due(updates));
        if due.is_empty() {
            return Ok(());
        }
        let nodes: Vec<NodeId> = due.iter().map(|(_, node)| *node).collect();
        let values = self.compute(&nodes, &nodes, true)?;
        self.set_states(&due, values);
        Ok(())
    }

    /// Whether updates have waited for long enough: what was said in this epoch is built on where it stands, and one step computes it all.
    fn is_due(&self, updates: &Updates) -> bool {
        updates.epoch != self.epoch.get() || updates.waiting.len() >= MOST_WAITING
    }
}
