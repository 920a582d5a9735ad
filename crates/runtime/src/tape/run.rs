//! Running parts of a tape's arena: plans by structure, and what is done before and after.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use arenagrad_graph::{Graph, GraphError, IndexBound, NodeId, Origin, Structure};

use crate::device::Device;
use crate::error::Error;
use crate::plan::{Plan, Request};
use crate::session::Session;
use crate::tape::record::{End, Place, Record};
use crate::tape::store::{Given, Run, resident_name};
use crate::tape::value::Value;
use crate::tape::{Inner, Variable};
use crate::tensor::Tensor;

/// An arena smaller than this is not worth looking through.
pub(crate) const LEAST_SWEEP: usize = 64;

/// Nor are the nodes worth it of which fewer than this were computed.
const LEAST_COMPUTED: usize = 1024;

/// Values that take less memory than this are not worth it either.
pub(crate) const LEAST_SWEEP_BYTES: usize = 64 << 20;

/// How many plans a tape keeps. A program that records the same few structures over and over never fills it; one whose
/// shapes change each time must not grow without bound.
const MAX_PLANS: usize = 64;

/// Plans by the structure of what they compute; the one that was unused longest makes room for a new one.
#[derive(Default)]
pub(crate) struct Plans {
    by_hash: HashMap<u64, Vec<Prepared>>,
    count: usize,
    uses: u64,
}

struct Prepared {
    key: Vec<u64>,
    session: Session,
    /// The values that its inputs hold: a parameter that did not change need not be copied again.
    written: Vec<Rc<Value>>,
    used: u64,
}

impl Prepared {
    fn run(&mut self, values: Vec<Rc<Value>>) -> Result<Vec<Tensor>, Error> {
        let tensors = values.iter().map(|value| value.tensor()).collect::<Result<Vec<_>, _>>()?;
        let written = std::mem::take(&mut self.written);
        let unchanged = |input: usize| written.get(input).is_some_and(|value| Rc::ptr_eq(value, &values[input]));
        let results = self.session.run_in_order(&tensors, unchanged)?;
        self.written = values;
        Ok(results)
    }
}

impl Plans {
    /// How many plans are kept.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The values of `outputs`, whose structure this is, by a plan that is kept or made for them, of the values of its inputs.
    fn run(
        &mut self,
        graph: &Graph,
        device: &Device,
        (outputs, structure): (&[NodeId], &Structure),
        is_known: impl Fn(NodeId) -> bool,
        values: Vec<Rc<Value>>,
    ) -> Result<Vec<Tensor>, Error> {
        let hash = structure.hash();
        self.uses += 1;
        let known = self.by_hash.get(&hash).and_then(|same| same.iter().position(|p| p.key == structure.key()));
        let position = match known {
            Some(position) => position,
            None => {
                let extracted = graph.extract_until(outputs, is_known)?;
                let expressions: Vec<_> = extracted.outputs.iter().map(|id| extracted.graph.expr(*id)).collect();
                let session = Session::evaluate(&extracted.graph, &expressions, device)?;
                self.make_room();
                self.count += 1;
                let same = self.by_hash.entry(hash).or_default();
                same.push(Prepared { key: structure.key().to_vec(), session, written: Vec::new(), used: 0 });
                same.len() - 1
            }
        };
        let prepared = self.by_hash.get_mut(&hash).and_then(|same| same.get_mut(position));
        let Some(prepared) = prepared else { return Ok(Vec::new()) };
        prepared.used = self.uses;
        prepared.run(values)
    }

    fn make_room(&mut self) {
        if self.count < MAX_PLANS {
            return;
        }
        let oldest = self.by_hash.values().flatten().map(|prepared| prepared.used).min();
        for same in self.by_hash.values_mut() {
            same.retain(|prepared| Some(prepared.used) != oldest);
        }
        self.by_hash.retain(|_, same| !same.is_empty());
        self.count = self.by_hash.values().map(Vec::len).sum();
    }
}

/// What identifies a computation over residents: two that differ in these alone read others.
pub(crate) fn key_of(structure: &Structure, given: &[Given], further: &[u64]) -> Vec<u64> {
    let mut key = Vec::with_capacity(structure.key().len() + given.len() + further.len() + 2);
    key.extend_from_slice(structure.key());
    key.extend(given.iter().map(|given| given.resident.map_or(u64::MAX, u64::from)));
    key.extend_from_slice(further);
    key
}

/// An input of the arena at which nothing stands would be a broken invariant of the tape's.
fn unbound(graph: &Graph, input: NodeId) -> Error {
    debug_assert!(false, "an input without a value");
    match graph.node(input) {
        Ok(node) => GraphError::StaleNode { origin: node.origin, op: "input" }.into(),
        Err(error) => error.into(),
    }
}

impl Inner {
    /// The values of nodes.
    pub(crate) fn run(&self, outputs: &[NodeId]) -> Result<Vec<Rc<Value>>, Error> {
        let (slots, known) = (self.slots.borrow(), self.known.borrow());
        let is_known = |node: NodeId| slots.get(node).is_some() || known.contains_key(&node);
        let structure = self.graph.structure_until(outputs, is_known)?;
        let given = self.given(&structure)?;
        if given.iter().all(|given| given.resident.is_none()) {
            let values = given.iter().map(|given| given.value.clone()).collect();
            let mut plans = self.plans.borrow_mut();
            let results = plans.run(&self.graph, &self.device, (outputs, &structure), is_known, values);
            let results = results.map_err(|error| self.told(error, outputs, &structure, &given))?;
            return Ok(results.into_iter().map(Value::new).collect());
        }
        let key = key_of(&structure, &given, &[]);
        let residents: HashMap<NodeId, u32> =
            structure.inputs().iter().zip(&given).filter_map(|(node, given)| Some((*node, given.resident?))).collect();
        let plan = || {
            let name = |node| residents.get(&node).map(|number| resident_name(*number));
            let extracted = self.graph.extract_with_parameters(outputs, is_known, name)?;
            let outputs = extracted.outputs.clone();
            let request = Request {
                outputs: outputs.clone(),
                stages: vec![("forward", outputs)],
                rest: "rest",
                copies_parameters: true,
                target: self.device.target(),
                ..Request::default()
            };
            Plan::new(&extracted.graph, &request)
        };
        let run = Run { hash: structure.hash(), key: &key, given: &given, overwritten: &[] };
        Ok(self.store.run(&run, plan).map_err(|error| self.told(error, outputs, &structure, &given))?.0)
    }

    /// An error of a run of `outputs`, whose structure this is, as it is told of what was recorded: a plan knows its inputs by their numbers,
    /// and where the first computation of its structure was recorded.
    pub(crate) fn told(&self, error: Error, outputs: &[NodeId], structure: &Structure, given: &[Given]) -> Error {
        let Error::IndexOutOfRange { name, position, value, least, bound, origin } = error else { return error };
        let written = structure.inputs().iter().zip(given).filter(|(_, given)| given.resident.is_none());
        let found = name.parse().ok().and_then(|number| written.map(|(input, given)| (*input, given)).nth(number));
        let input = found.map(|(input, _)| input);
        let tensor = found.and_then(|(_, given)| given.value.tensor().ok());
        let (slots, known) = (self.slots.borrow(), self.known.borrow());
        let is_known = |node: NodeId| slots.get(node).is_some() || known.contains_key(&node);
        // What was run is alive, so this cannot fail.
        let bounds = self.graph.index_bounds_until(outputs, is_known).unwrap_or_default();
        let is_broken = |one: &IndexBound| {
            let is_asked = Some(one.node) == input && (one.least, one.bound) == (least, bound);
            is_asked && tensor.as_ref().is_some_and(|tensor| one.find_outside(tensor.data()) == Some((position, value)))
        };
        let (Some(input), Some(broken)) = (input, bounds.into_iter().find(is_broken)) else {
            return Error::IndexOutOfRange { name, position, value, least, bound, origin };
        };
        let owner = slots.get(input).and_then(|slot| slot.owner.upgrade());
        let name = owner.map(|owner| owner.name().unwrap_or_else(|| owner.kind()));
        let name = name.unwrap_or_else(|| "a leaf that was dropped".to_owned());
        Error::IndexOutOfRange { name, position, value, least, bound, origin: broken.origin.to_string() }
    }

    /// What stands at the inputs of a structure, and where on the device it is to stand. A place is one input's alone: a leaf's that was used
    /// frozen too, or that has another value by now, stands at several. It is that of the node at which the leaf stands now, if that is
    /// among them, and what the others read is written for the run.
    pub(crate) fn given(&self, structure: &Structure) -> Result<Vec<Given>, Error> {
        let (slots, known) = (self.slots.borrow(), self.known.borrow());
        let mut given: Vec<Given> = Vec::with_capacity(structure.inputs().len());
        let mut holders: HashMap<u32, usize> = HashMap::new();
        for input in structure.inputs() {
            let (value, owner) = match slots.get(*input) {
                Some(slot) => (slot.value.clone(), slot.owner.upgrade()),
                None => (known.get(input).cloned().ok_or_else(|| unbound(&self.graph, *input))?, None),
            };
            // The value of a leaf that an optimiser holds, unless the leaf was given another since, or one that does not fit its place.
            let of_owner = || {
                let owner = owner.as_ref()?;
                let is_current = owner.value().is_some_and(|current| Rc::ptr_eq(&current, &value));
                owner.residents().value.filter(|number| is_current && self.store.fits(*number, &value))
            };
            let mut resident = value.resident().or_else(of_owner);
            if let Some(number) = resident {
                let is_home = owner.is_some_and(|owner| owner.node() == Some(*input));
                match holders.entry(number) {
                    Entry::Vacant(holder) => drop(holder.insert(given.len())),
                    Entry::Occupied(mut holder) if is_home => {
                        let earlier = holder.insert(given.len());
                        given[earlier].resident = None;
                    }
                    Entry::Occupied(_) => resident = None,
                }
            }
            given.push(Given { value, resident });
        }
        Ok(given)
    }

    /// The value of a variable, computed if it is not known.
    pub(crate) fn value_of(&self, record: &Record) -> Result<Rc<Value>, Error> {
        match record.place() {
            Place::Poisoned(error) => Err(error),
            Place::Value(value) | Place::Node(_, Some(value)) => Ok(value),
            Place::Node(node, None) => {
                if self.waits.get() && self.released.borrow().contains(&node) {
                    // It is on the way of a backward pass that waits: what that needs is computed with it.
                    if self.catch_up(Some(node)).is_ok()
                        && let Some(value) = record.value()
                    {
                        return Ok(value);
                    }
                    // Whoever asks for what could not be computed is told. This may be of another batch.
                }
                let value = self.evaluate(node)?;
                record.set_value(value.clone());
                Ok(value)
            }
        }
    }

    /// The nodes of an operation's operands. If one cannot stand in the arena, none is put there.
    pub(crate) fn place<'v>(
        &self,
        operands: &[&'v Variable],
        origin: Origin,
    ) -> Result<(Vec<NodeId>, Vec<&'v Rc<Record>>), Error> {
        let (mut nodes, mut placed) = (Vec::with_capacity(operands.len()), Vec::new());
        for operand in operands {
            let record = operand.record();
            let is_new = record.node().is_none();
            match self.node_of(record, origin) {
                Ok(node) => nodes.push(node),
                Err(error) => {
                    self.displace(&placed);
                    return Err(error);
                }
            }
            if is_new {
                placed.push(record);
            }
        }
        Ok((nodes, placed))
    }

    /// Takes variables that an operation put into the arena out again, if nothing else uses them there.
    pub(crate) fn displace(&self, placed: &[&Rc<Record>]) {
        for record in placed {
            if let Place::Node(node, Some(value)) = record.place()
                && self.graph.remove(node).is_ok()
            {
                self.slots.borrow_mut().forget(node);
                record.set_place(Place::Value(value));
            }
        }
    }

    /// The node of a variable, in a slot if it has none yet.
    pub(crate) fn node_of(&self, record: &Rc<Record>, origin: Origin) -> Result<NodeId, Error> {
        match record.place() {
            Place::Poisoned(error) => Err(error),
            Place::Node(node, _) => Ok(node),
            Place::Value(value) => {
                let node = self.slots.borrow_mut().take_for(&self.graph, record, value.clone(), origin)?;
                self.count_kept(&value);
                record.set_place(Place::Node(node, Some(value)));
                self.records.borrow_mut().list_placed(record, self.graph.ordinal_bound());
                Ok(node)
            }
        }
    }

    /// Evaluates operands that were recorded before a backward pass and not computed since, and cuts them from a graph that
    /// was released, so that nothing is ever built on one: a loop that carries a state along holds one step, not all. A leaf
    /// that was a constant when it was used before, or is one now, takes another slot.
    pub(crate) fn settle(&self, operands: &[&Variable]) -> Result<(), Error> {
        operands.iter().try_for_each(|operand| self.settle_record(operand.record()))
    }

    pub(crate) fn settle_record(&self, record: &Rc<Record>) -> Result<(), Error> {
        let Some(node) = record.node() else { return Ok(()) };
        let is_leaf = record.is_leaf() && record.requires_grad();
        if self.slots.borrow().get(node).is_none() && (record.epoch() < self.epoch.get() || is_leaf) {
            self.value_of(record)?;
            self.cut_if_done(record);
        }
        // What an operation made stays what it was when it was recorded; a leaf may be asked for gradients, or for none.
        let slots = self.slots.borrow();
        if let Some(slot) = slots.get(node)
            && record.is_leaf()
            && slot.end != End::of(record)
        {
            record.set_place(Place::Value(slot.value.clone()));
        }
        Ok(())
    }

    /// Takes a variable whose value is known out of the arena, if no gradient can flow through it any more.
    fn cut_if_done(&self, record: &Record) {
        if let Place::Node(node, Some(value)) = record.place()
            && self.slots.borrow().get(node).is_none()
            && (record.is_leaf() || self.released.borrow().contains(&node))
        {
            record.set_place(Place::Value(value));
        }
    }

    /// Gives back what no living variable needs, if the arena has grown enough for that to be worth its time. Never while an
    /// operation is being recorded: what it has built so far belongs to no variable yet.
    pub(crate) fn sweep_if_grown(&self) {
        // Ordinals, not nodes: what was refused and removed has used some up, and declarations with them.
        let nodes = self.graph.ordinal_bound();
        let is_due = nodes >= self.sweep_at.get()
            || self.kept_bytes.get() >= self.sweep_at_bytes.get()
            || self.computed.get() >= (nodes / 2).max(LEAST_COMPUTED);
        if is_due && !self.building.get() {
            self.sweep();
        }
    }

    fn sweep(&self) {
        self.records.borrow_mut().for_each_placed(|record| self.cut_if_done(record));
        let standing = self.standing();
        let needed: Vec<NodeId> = standing.iter().copied().collect();
        // Nodes of living variables are alive, so this cannot fail.
        let retained = self.graph.retain(&needed);
        debug_assert_eq!(retained, Ok(()));
        let is_used = |node: NodeId| self.graph.users(node).is_ok_and(|users| users > 0);
        // A gradient may be the value of a leaf itself.
        self.slots.borrow_mut().free(|node| is_used(node) || standing.contains(&node));
        self.records.borrow_mut().after_sweep();
        for slot in self.slots.borrow_mut().take_surplus(self.graph.len()) {
            let removed = self.graph.remove(slot);
            debug_assert_eq!(removed, Ok(()));
        }
        self.released.borrow_mut().retain(|node| self.graph.ordinal(*node).is_ok());
        self.left_out.borrow_mut().retain(|node| self.graph.ordinal(*node).is_ok());
        self.known.borrow_mut().retain(|node, _| self.graph.ordinal(*node).is_ok());
        let known: usize = self.known.borrow().values().map(|value| value.bytes()).sum();
        self.kept_bytes.set(known + self.slots.borrow().bytes());
        self.sweep_at_bytes.set((2 * self.kept_bytes.get()).max(LEAST_SWEEP_BYTES));
        self.computed.set(0);
        self.sweep_at.set((2 * self.graph.len()).max(LEAST_SWEEP));
    }

    /// Counts a value that the tape keeps until the next sweep, at the least.
    pub(crate) fn count_kept(&self, value: &Value) {
        self.kept_bytes.set(self.kept_bytes.get() + value.bytes());
    }
}
