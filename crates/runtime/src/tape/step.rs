//! What backward passes have left to compute, and an optimiser's update of it, as one plan.
//!
//! Where a leaf is held by an optimiser, a backward pass computes nothing: its gradients wait. The step of the optimiser plans what was not
//! computed of the forward pass, the backward pass and the update together, over leaves, gradients and states that stay on the device.
//! Whoever asks for a gradient before has the passes computed without an update.
//!
//! Invariants: what anybody may ask later is computed with the step or keeps the values that it needs. A step that fails changes no
//! leaf, and what waited still waits. No step fails for what belongs to no gradient that it needs: what was recorded from a batch that was
//! refused, and is held still, keeps what it needs and is computed when somebody asks.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};

use arenagrad_graph::{DeclarationKind, Extracted, Init, NodeId, Origin};

use crate::error::Error;
use crate::plan::{Plan, Request, Target};
use crate::tape::Inner;
use crate::tape::record::{Gradient, Place, Record};
use crate::tape::run::key_of;
use crate::tape::store::{Run, resident_name};
use crate::tape::value::Value;
use crate::train::trained::{Missed, MissedOfStep};
use crate::train::{Optimizer, Trained, append_update, refuse_inputs_of_update};

/// An update of leaves by an optimiser.
pub(crate) struct Update<'a> {
    /// The leaves, all with gradients.
    pub(crate) members: Vec<Member<'a>>,
    pub(crate) optimizer: &'a dyn Optimizer,
    /// What identifies the optimiser.
    pub(crate) number: u64,
    /// How many leaves it has, and those that it trains and does not update now.
    pub(crate) leaves: usize,
    pub(crate) missed: &'a dyn Fn() -> Vec<Missed>,
    /// Where the optimiser was made.
    pub(crate) origin: Origin,
    /// What a state of the optimiser is called on the device.
    pub(crate) state_name: &'a dyn Fn(&str) -> String,
}

/// A leaf that is updated.
pub(crate) struct Member<'a> {
    pub(crate) record: &'a Rc<Record>,
    /// The name by which the optimiser knows it.
    pub(crate) name: &'a str,
    /// Whether its updates are not counted with those of others.
    pub(crate) counts_alone: bool,
}

/// A backward pass that waits.
pub(crate) struct Pass {
    /// What it went out from.
    pub(crate) output: Weak<Record>,
    /// The gradients that it gave to leaves of optimisers. Once all have been cleared, nothing waits for it.
    pub(crate) gradients: Vec<NodeId>,
}

/// How many passes there is room for at least, before any is forgotten.
const LEAST_FORGOTTEN: usize = 64;

/// Variables, and nodes that compute something of theirs.
type Wanted = Vec<(Rc<Record>, NodeId)>;

/// What one plan computes.
#[derive(Default)]
struct Work {
    /// Values of variables, and gradients of variables that no optimiser holds: they are read where the plan leaves them.
    values: Wanted,
    gradients: Wanted,
    /// Gradients of leaves that an optimiser holds, and next values of states, at places of their own.
    leaves: Wanted,
    states: Wanted,
    /// The gradients that an update reads, and the nodes at which the updated leaves stand.
    read: Vec<NodeId>,
    updated: Vec<NodeId>,
    /// The places that get new values: of leaves' gradients, of states, of updated leaves.
    overwritten: Vec<u32>,
}

impl Inner {
    /// Computes what backward passes have left, and the value at a node besides.
    pub(crate) fn catch_up(&self, also: Option<NodeId>) -> Result<(), Error> {
        self.advance(None, also)
    }

    /// Computes what backward passes have left, and an update.
    pub(crate) fn advance(&self, update: Option<&Update<'_>>, also: Option<NodeId>) -> Result<(), Error> {
        let work = self.work(update, also)?;
        let Err(error) = self.attempt(work, update) else { return Ok(()) };
        // It may be of a batch whose gradients nobody wants: a state's next value is computed from all that it waits for.
        let is_any_dropped = self.settle_states(&error);
        if error.is_of_device() || !(self.leave_out(&self.work(update, also)?, also)? | is_any_dropped) {
            return Err(error);
        }
        self.attempt(self.work(update, also)?, update)
    }

    /// Computes that work, which changes nothing if it fails.
    fn attempt(&self, mut work: Work, update: Option<&Update<'_>>) -> Result<(), Error> {
        if work.outputs().is_empty() {
            self.nothing_waits();
            return Ok(());
        }
        self.place_work(&mut work, update)?;
        let outputs = work.outputs();
        let (values, residents) = {
            let (slots, known) = (self.slots.borrow(), self.known.borrow());
            let is_known = |node: NodeId| slots.get(node).is_some() || known.contains_key(&node);
            let structure = self.graph.structure_until(&outputs, is_known)?;
            let given = self.given(&structure)?;
            let key = key_of(&structure, &given, &work.key(update));
            let read = structure.inputs().iter().zip(&given);
            let residents: HashMap<NodeId, u32> =
                read.filter_map(|(node, given)| Some((*node, given.resident?))).collect();
            let plan = || {
                let name = |node: NodeId| {
                    let number = *residents.get(&node)?;
                    let member = work.updated.iter().position(|updated| *updated == node);
                    let named = update.zip(member).map(|(update, member)| update.members[member].name.to_owned());
                    Some(named.unwrap_or_else(|| resident_name(number)))
                };
                let read = residents.values().map(|number| resident_name(*number)).collect();
                work.plan(
                    self.graph.extract_with_parameters(&outputs, is_known, name)?,
                    read,
                    update,
                    self.device.target(),
                )
            };
            self.rescue(&work)?;
            let run = Run { hash: structure.hash(), key: &key, given: &given, overwritten: &work.overwritten };
            self.store.run(&run, plan).map_err(|error| self.told(error, &outputs, &structure, &given))?
        };
        self.take_results(work, update, values, residents)
    }

    /// Of work that could not be done as a whole: computes alone what belongs to no backward pass whose gradients are wanted, and leaves out
    /// of all work that comes what cannot be. Says whether there is such.
    fn leave_out(&self, work: &Work, also: Option<NodeId>) -> Result<bool, Error> {
        let wanted: HashSet<NodeId> = work.leaves.iter().map(|(_, gradient)| *gradient).collect();
        let is_wanted = |pass: &&Pass| pass.gradients.iter().any(|gradient| wanted.contains(gradient));
        let current: HashSet<*const Record> = {
            let waiting = self.waiting.borrow();
            waiting.iter().filter(is_wanted).map(|pass| pass.output.as_ptr()).collect()
        };
        let mut left_out = Vec::new();
        let mut alone = |node: NodeId| match self.run(&[node]) {
            Ok(values) => values.into_iter().next(),
            Err(error) => {
                left_out.extend(Some(node).filter(|_| !error.is_of_device()));
                None
            }
        };
        for (record, node) in &work.values {
            if also == Some(*node) || current.contains(&Rc::as_ptr(record)) {
                continue;
            }
            if let Some(value) = alone(*node) {
                self.set_computed(record, *node, value)?;
            }
        }
        for (record, node) in &work.gradients {
            if let Some(value) = alone(*node) {
                record.set_computed_gradient(value);
            }
        }
        let is_any = !left_out.is_empty();
        self.left_out.borrow_mut().extend(left_out);
        Ok(is_any)
    }

    /// What is left to compute.
    fn work(&self, update: Option<&Update<'_>>, also: Option<NodeId>) -> Result<Work, Error> {
        let mut work = Work { states: self.waiting_states(), ..Work::default() };
        let states = records_of(&work.states);
        let waiting: HashSet<*const Record> = self.waiting.borrow().iter().map(|pass| pass.output.as_ptr()).collect();
        let (slots, released, left_out) = (self.slots.borrow(), self.released.borrow(), self.left_out.borrow());
        let mut records = self.records.borrow_mut();
        for (record, node) in records.with_waiting_gradients() {
            if record.residents().value.is_some() {
                work.leaves.push((record, node));
            } else if !left_out.contains(&node) {
                work.gradients.push((record, node));
            }
        }
        // What no pass waits for and no step must compute is not looked at, however much of it is held.
        let mut candidates: Vec<Rc<Record>> =
            self.waiting.borrow().iter().filter_map(|pass| pass.output.upgrade()).collect();
        candidates.extend(also.into_iter().flat_map(|node| records.at(node)));
        candidates.extend(update.into_iter().flat_map(|_| records.opened()));
        drop(records);
        for record in candidates {
            let itself = Rc::as_ptr(&record);
            let Some(node) = record.uncomputed_node() else { continue };
            if slots.get(node).is_some() || states.contains(&itself) || left_out.contains(&node) {
                continue;
            }
            // After an update it could not be computed any more; and what no gradient flows through lets go of its history so.
            let is_last = update.is_some() && (released.contains(&node) || !record.requires_grad());
            if is_last || also == Some(node) || waiting.contains(&itself) {
                work.values.push((record, node));
            }
        }
        drop(left_out);
        drop((slots, released));
        // In the order in which they were made, so that one computation is one plan.
        for list in [&mut work.values, &mut work.gradients, &mut work.leaves] {
            list.sort_by_key(|(record, _)| record.number());
            list.dedup_by_key(|(record, _)| record.number());
        }
        for Member { record, .. } in update.iter().flat_map(|update| &update.members) {
            work.updated.push(self.node_of(record, Origin::here())?);
            work.read.push(match record.gradient() {
                Some(Gradient::Node(node)) => node,
                Some(Gradient::Value(value)) => {
                    self.slots.borrow_mut().take_constant(&self.graph, value, Origin::here())?
                }
                None => return Err(Error::NoGradient { variable: record.describe() }),
            });
        }
        Ok(work)
    }

    /// Gives what is computed its places on the device.
    fn place_work(&self, work: &mut Work, update: Option<&Update<'_>>) -> Result<(), Error> {
        for (record, node) in &work.leaves {
            let (node, mut residents) = (self.graph.node(*node)?, record.residents());
            residents.gradient = Some(self.store.resident(residents.gradient, &node.shape, node.dtype));
            record.set_residents(residents);
            work.overwritten.extend(residents.gradient);
        }
        let updated = update.iter().flat_map(|update| &update.members).map(|member| member.record);
        let updated: Vec<(&Rc<Record>, NodeId)> = updated.zip(work.updated.iter().copied()).collect();
        for (record, node) in work.states.iter().map(|(record, node)| (record, *node)).chain(updated) {
            let (node, mut residents) = (self.graph.node(node)?, record.residents());
            residents.value = Some(self.store.resident(residents.value, &node.shape, node.dtype));
            record.set_residents(residents);
            work.overwritten.extend(residents.value);
        }
        Ok(())
    }

    /// Brings those values to the host whose places are taken, and that something may need which is not computed now: a graph that was
    /// recorded from them and not differentiated, or is kept. What was recorded before any of them stood in the arena needs none, and is not
    /// looked at.
    fn rescue(&self, work: &Work) -> Result<(), Error> {
        let Some(since) = self.store.used_since(&work.overwritten) else { return Ok(()) };
        let overwritten: HashSet<u32> = work.overwritten.iter().copied().collect();
        let (slots, released, left_out) = (self.slots.borrow(), self.released.borrow(), self.left_out.borrow());
        let (values, states) = (records_of(&work.values), records_of(&work.states));
        let taken = |value: &Value| value.resident().filter(|number| overwritten.contains(number));
        let needed: RefCell<Vec<u32>> = RefCell::default();
        let mut records = self.records.borrow_mut();
        // A gradient may be younger than the place of what it is of.
        let gradients = records.with_waiting_gradients().into_iter().map(|(_, gradient)| gradient);
        let mut history: Vec<NodeId> = gradients.filter(|gradient| left_out.contains(gradient)).collect();
        records.for_each_placed_since(since, |record| {
            let Some(node) = record.node() else { return };
            if let Some(slot) = slots.get(node) {
                // Of a leaf that is updated the new value stands there.
                let number = taken(&slot.value).filter(|number| record.residents().value != Some(*number));
                needed.borrow_mut().extend(number);
                return;
            }
            let itself = Rc::as_ptr(&record);
            let has_value = record.value().is_some() || values.contains(&itself);
            let is_done = has_value && (released.contains(&node) || !record.requires_grad());
            if !is_done && !states.contains(&itself) {
                history.push(node);
            }
        });
        drop(records);
        if !history.is_empty() {
            let stands = |node: NodeId| match slots.get(node) {
                Some(slot) => {
                    needed.borrow_mut().extend(taken(&slot.value));
                    Some(true)
                }
                None => self.graph.ordinal(node).is_ok_and(|ordinal| ordinal < since).then_some(true),
            };
            self.graph.pending(&history, stands)?;
        }
        needed.into_inner().into_iter().try_for_each(|number| self.store.rescue(number))
    }

    /// Says what was computed.
    fn take_results(
        &self,
        work: Work,
        update: Option<&Update<'_>>,
        values: Vec<Rc<Value>>,
        residents: Vec<Rc<Value>>,
    ) -> Result<(), Error> {
        let (mut values, mut residents) = (values.into_iter(), residents.into_iter());
        for ((record, node), value) in work.values.iter().zip(values.by_ref()) {
            self.set_computed(record, *node, value)?;
        }
        for ((record, _), value) in work.gradients.iter().zip(values) {
            record.set_computed_gradient(value);
        }
        for ((record, _), value) in work.leaves.iter().zip(residents.by_ref()) {
            record.set_computed_gradient(value);
        }
        self.set_states(&work.states, residents.by_ref().take(work.states.len()));
        for (Member { record, .. }, value) in update.iter().flat_map(|update| &update.members).zip(residents) {
            record.set_place(Place::Value(value));
        }
        if update.is_some() {
            self.records.borrow_mut().close();
        }
        self.nothing_waits();
        Ok(())
    }

    /// Says what a variable is. One through which no gradient flows lets go of its history.
    fn set_computed(&self, record: &Record, node: NodeId, value: Rc<Value>) -> Result<(), Error> {
        record.set_value(value.clone());
        if record.requires_grad() { Ok(()) } else { self.keep(node, &value, false) }
    }

    /// Notes that a backward pass waits. Those are forgotten whose output has died, before room is made for more: their gradients may have been
    /// cleared, and then nobody asks for them again.
    pub(crate) fn note_waiting(&self, pass: Pass) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() == waiting.capacity() {
            waiting.retain(|pass| pass.output.strong_count() > 0);
            let alive = waiting.len();
            waiting.reserve(alive.max(LEAST_FORGOTTEN));
        }
        waiting.push(pass);
    }

    fn nothing_waits(&self) {
        self.states_are_computed();
        self.waits.set(false);
        self.waiting.borrow_mut().clear();
    }
}

/// Which records those are.
fn records_of(wanted: &Wanted) -> HashSet<*const Record> {
    wanted.iter().map(|(record, _)| Rc::as_ptr(record)).collect()
}

impl Work {
    /// Everything that the plan computes or reads, in its order.
    fn outputs(&self) -> Vec<NodeId> {
        let lists = [&self.values, &self.gradients, &self.leaves, &self.states];
        let computed = lists.into_iter().flatten().map(|(_, node)| *node);
        computed.chain(self.read.iter().copied()).chain(self.updated.iter().copied()).collect()
    }

    /// What identifies the work beside the structure of what it computes.
    fn key(&self, update: Option<&Update<'_>>) -> Vec<u64> {
        let lists = [&self.values, &self.gradients, &self.leaves, &self.states];
        let mut key = vec![update.map_or(u64::MAX, |update| update.number)];
        key.extend(lists.map(|list| list.len() as u64));
        key.push(self.updated.len() as u64);
        key.extend(self.overwritten.iter().map(|number| u64::from(*number)));
        if let Some(update) = update {
            key.push(update.leaves as u64);
            key.extend(update.members.iter().map(|member| u64::from(member.counts_alone)));
        }
        key
    }

    /// The plan of what was taken out of the arena for it, where residents have those names.
    fn plan(
        &self,
        extracted: Extracted,
        mut residents: HashSet<String>,
        update: Option<&Update<'_>>,
        target: Target,
    ) -> Result<Plan, Error> {
        let Extracted { graph, outputs, .. } = extracted;
        let read_back = self.values.len() + self.gradients.len();
        let (results, rest) = outputs.split_at(read_back);
        let (next, rest) = rest.split_at(self.leaves.len() + self.states.len());
        let (gradients, parameters) = rest.split_at(self.read.len());
        let mut members: HashMap<&str, u32> = HashMap::new();
        let mut updates = Vec::new();
        if let Some(Update { members: updated, optimizer, origin, missed, .. }) = update {
            let missed = MissedOfStep::new(missed());
            let numbers = &self.overwritten[next.len()..];
            members.extend(updated.iter().map(|member| member.name).zip(numbers.iter().copied()));
            let nodes = parameters.iter().zip(gradients);
            let trained: Vec<Trained<'_>> = updated
                .iter()
                .zip(nodes)
                .map(|(Member { name, counts_alone, .. }, (parameter, gradient))| {
                    let (parameter, gradient) = (graph.expr(*parameter), graph.expr(*gradient));
                    let mut one = Trained::new(*name, parameter, gradient);
                    (one.settings.counts_alone, one.settings.missed) = (*counts_alone, missed.clone());
                    one
                })
                .collect();
            let declared = graph.declarations().len();
            updates = append_update(&graph, &trained, *optimizer, &[], *origin)?;
            // A tape has no inputs that an update could read.
            refuse_inputs_of_update(&graph, declared, &updates)?;
        }
        let declarations = graph.declarations();
        let mut new = declarations.len() as u32..;
        let declared: HashMap<&str, u32> =
            declarations.iter().map(|declaration| declaration.name.as_str()).zip(0..).collect();
        for (number, next) in self.overwritten.iter().zip(next) {
            let (name, node) = (resident_name(*number), graph.node(*next)?);
            let declaration = match declared.get(name.as_str()) {
                Some(declaration) => Some(*declaration),
                None => {
                    graph.parameter_of(&name, node.shape, node.dtype, Init::Constant(0.0)).id()?;
                    new.next()
                }
            };
            updates.extend(declaration.map(|declaration| (declaration, *next)));
            residents.insert(name);
        }
        let request = Request {
            outputs: results.to_vec(),
            updates,
            rest: "step",
            copies_parameters: true,
            target,
            ..Request::default()
        };
        let mut plan = Plan::new(&graph, &request)?;
        for declaration in &mut plan.declarations {
            let DeclarationKind::Parameter { .. } = &declaration.kind else { continue };
            let is_state = !residents.contains(&declaration.name);
            declaration.name = match (members.get(declaration.name.as_str()), update) {
                (Some(number), _) => resident_name(*number),
                (None, Some(update)) if is_state => (update.state_name)(&declaration.name),
                (None, _) => continue,
            };
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::LEAST_FORGOTTEN;
    use crate::{Device, Sgd, Tape, TapeOptimizer};

    #[test]
    fn passes_whose_gradients_are_cleared_are_forgotten() {
        let tape = Tape::new(Device::cpu());
        let w = tape.leaf(1.0).requires_grad();
        let optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
        for _ in 0..10 * LEAST_FORGOTTEN {
            w.square().backward().unwrap();
            optimizer.zero_grad();
        }
        assert!(tape.inner.waiting.borrow().len() <= 2 * LEAST_FORGOTTEN);
    }
}
