//! What a tape knows of a variable, and where values stand in its arena.
//!
//! A *slot* is an input node of the arena and the value that stands there. Slots are reused: an input that no node uses any
//! more takes the next value of its shape and dtype.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use arenagrad_graph::{DType, GraphError, NodeId, Origin, OwnedGraph, Shape};

use crate::error::Error;
use crate::tape::Inner;
use crate::tape::value::Value;
use crate::tensor::Tensor;

/// A variable, shared by its handles.
pub(crate) struct Record {
    place: RefCell<Place>,
    gradient: RefCell<Option<Gradient>>,
    requires_grad: Cell<bool>,
    /// Whether gradients end here. What an operation made becomes a leaf when it is asked to require a gradient by itself.
    is_leaf: Cell<bool>,
    /// The op that made it.
    function: Option<&'static str>,
    consumers: Cell<u32>,
    /// The tape's epoch when it was recorded.
    epoch: u64,
    /// How many variables the tape made before it.
    number: u64,
    /// Where it was made.
    origin: Origin,
    /// What errors call it, if it was given a name.
    name: RefCell<Option<String>>,
    /// In which of the lists of the tape's records it is.
    pub(super) lists: Lists,
    /// Where on the device its value is kept, and its gradient, if they have places of their own there.
    residents: Cell<Residents>,
}

/// Which lists of a tape's records a variable is in: see [`Records`].
#[derive(Default)]
pub(super) struct Lists {
    pub(super) placed: Cell<bool>,
    pub(super) open: Cell<bool>,
    pub(super) with_gradients: Cell<bool>,
    pub(super) waiting_gradients: Cell<bool>,
}

/// The numbers of the places on the device that a leaf has.
#[derive(Clone, Copy, Default)]
pub(crate) struct Residents {
    pub(crate) value: Option<u32>,
    pub(crate) gradient: Option<u32>,
}

/// Where a variable's value is.
#[derive(Clone)]
pub(crate) enum Place {
    /// Nowhere in the arena: the value is known, and gets a slot when it is used.
    Value(Rc<Value>),
    /// At this node of the arena; known if it is a slot, or was computed.
    Node(NodeId, Option<Rc<Value>>),
    /// Nowhere, for it is a mistake.
    Poisoned(Error),
}

impl Place {
    /// The place of what was recorded.
    pub(crate) fn of(recorded: Result<NodeId, Error>) -> Place {
        match recorded {
            Ok(node) => Place::Node(node, None),
            Err(error) => Place::Poisoned(error),
        }
    }
}

/// A gradient that has reached a variable.
#[derive(Clone)]
pub(crate) enum Gradient {
    /// Computed.
    Value(Rc<Value>),
    /// A node that computes it when somebody asks.
    Node(NodeId),
}

impl Record {
    /// A variable with a value that no operation made.
    pub(crate) fn leaf(tape: &Rc<Inner>, value: Tensor, requires_grad: bool, origin: Origin) -> Rc<Record> {
        Record::new(tape, Place::Value(Value::new(value)), requires_grad, None, origin)
    }

    /// What an operation made.
    pub(crate) fn result(
        tape: &Rc<Inner>,
        place: Place,
        requires_grad: bool,
        function: &'static str,
        origin: Origin,
    ) -> Rc<Record> {
        Record::new(tape, place, requires_grad, requires_grad.then_some(function), origin)
    }

    fn new(
        tape: &Rc<Inner>,
        place: Place,
        requires_grad: bool,
        function: Option<&'static str>,
        origin: Origin,
    ) -> Rc<Record> {
        let mut records = tape.records.borrow_mut();
        let record = Rc::new(Record {
            place: RefCell::new(place),
            gradient: RefCell::new(None),
            requires_grad: Cell::new(requires_grad),
            is_leaf: Cell::new(function.is_none()),
            function,
            consumers: Cell::new(0),
            epoch: tape.epoch.get(),
            number: records.next_number(),
            origin,
            name: RefCell::new(None),
            lists: Lists::default(),
            residents: Cell::default(),
        });
        if record.node().is_some() {
            records.list_placed(&record, tape.graph.ordinal_bound());
        }
        record
    }

    pub(crate) fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    pub(crate) fn set_place(&self, place: Place) {
        *self.place.borrow_mut() = place;
    }

    /// The node of the arena at which the variable stands, if it stands there.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match &*self.place.borrow() {
            Place::Node(node, _) => Some(*node),
            Place::Value(_) | Place::Poisoned(_) => None,
        }
    }

    /// The value, if it is known.
    pub(crate) fn value(&self) -> Option<Rc<Value>> {
        match &*self.place.borrow() {
            Place::Value(value) | Place::Node(_, Some(value)) => Some(value.clone()),
            Place::Node(_, None) | Place::Poisoned(_) => None,
        }
    }

    /// The node at which the variable's value is to be computed, if it is not known.
    pub(crate) fn uncomputed_node(&self) -> Option<NodeId> {
        match &*self.place.borrow() {
            Place::Node(node, None) => Some(*node),
            Place::Node(_, Some(_)) | Place::Value(_) | Place::Poisoned(_) => None,
        }
    }

    /// Keeps the value that was computed at the variable's node.
    pub(crate) fn set_value(&self, computed: Rc<Value>) {
        if let Place::Node(_, value) = &mut *self.place.borrow_mut() {
            *value = Some(computed);
        }
    }

    pub(crate) fn gradient(&self) -> Option<Gradient> {
        self.gradient.borrow().clone()
    }

    /// For one that is in the lists of those that have gradients: see [`Records::set_gradient`].
    pub(super) fn set_listed_gradient(&self, gradient: Gradient) {
        *self.gradient.borrow_mut() = Some(gradient);
    }

    /// Keeps a gradient that was computed at the node that stood for it.
    pub(crate) fn set_computed_gradient(&self, value: Rc<Value>) {
        *self.gradient.borrow_mut() = Some(Gradient::Value(value));
    }

    /// The node that computes the gradient, if it is not computed yet.
    pub(crate) fn gradient_node(&self) -> Option<NodeId> {
        match &*self.gradient.borrow() {
            Some(Gradient::Node(node)) => Some(*node),
            Some(Gradient::Value(_)) | None => None,
        }
    }

    pub(crate) fn clear_gradient(&self) {
        *self.gradient.borrow_mut() = None;
    }

    pub(crate) fn residents(&self) -> Residents {
        self.residents.get()
    }

    pub(crate) fn set_residents(&self, residents: Residents) {
        self.residents.set(residents);
    }

    pub(crate) fn requires_grad(&self) -> bool {
        self.requires_grad.get()
    }

    /// Asks for gradients, or for none. What an operation made without a gradient becomes a leaf.
    pub(crate) fn set_requires_grad(&self, requires_grad: bool) {
        self.requires_grad.set(requires_grad);
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.is_leaf.get()
    }

    /// Gradients end here from now on.
    pub(crate) fn become_leaf(&self) {
        self.is_leaf.set(true);
    }

    pub(crate) fn function(&self) -> Option<&'static str> {
        self.function.filter(|_| !self.is_leaf.get())
    }

    pub(crate) fn consumers(&self) -> u32 {
        self.consumers.get()
    }

    pub(crate) fn count_consumer(&self) {
        self.consumers.set(self.consumers.get().saturating_add(1));
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.name.borrow().clone()
    }

    pub(crate) fn set_name(&self, name: String) {
        *self.name.borrow_mut() = Some(name);
    }

    /// How errors refer to the variable: by its name, or by what it is and where it was made.
    pub(crate) fn describe(&self) -> String {
        match &*self.name.borrow() {
            Some(name) => format!("{name:?}"),
            None => format!("{} (made at {})", self.kind(), self.origin),
        }
    }

    /// What the variable is, for errors that tell a place already.
    pub(crate) fn kind(&self) -> String {
        match (self.function(), self.value()) {
            (Some(function), _) => format!("the result of {function}"),
            (None, Some(value)) => format!("a leaf of shape {}", value.shape()),
            (None, None) => "a variable".to_owned(),
        }
    }
}

/// How many free slots are kept in any case.
const SPARE_SLOTS: usize = 64;

/// The input nodes of a tape's arena.
#[derive(Default)]
pub(crate) struct Slots {
    taken: HashMap<NodeId, Slot>,
    free: HashMap<(Shape, DType), Vec<NodeId>>,
    /// How many inputs were declared: the name of the next.
    declared: usize,
}

/// A value at an input node.
pub(crate) struct Slot {
    pub(crate) value: Rc<Value>,
    /// The variable whose value it is.
    pub(crate) owner: Weak<Record>,
    pub(crate) end: End,
}

/// What becomes of gradients that reach a slot. A slot keeps what it was when it was taken, also when its variable is dropped
/// or asked for gradients later: that changes nothing of what was recorded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// None comes: the value is a constant.
    Constant,
    /// They belong to the leaf whose value it is.
    Leaf,
    /// They cannot go on: the value is a result whose own graph was released.
    Released,
}

impl End {
    /// What becomes of gradients that reach a variable's value from now on.
    pub(crate) fn of(record: &Record) -> End {
        match (record.requires_grad(), record.is_leaf()) {
            (true, true) => End::Leaf,
            (true, false) => End::Released,
            (false, _) => End::Constant,
        }
    }
}

impl Slots {
    /// A node where the value of a variable stands.
    pub(crate) fn take_for(
        &mut self,
        graph: &OwnedGraph,
        record: &Rc<Record>,
        value: Rc<Value>,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let node = self.take(graph, Slot { value, owner: Rc::downgrade(record), end: End::of(record) }, origin)?;
        graph.call(node, record.name());
        Ok(node)
    }

    /// A node where a value stands that is no variable's.
    pub(crate) fn take_constant(
        &mut self,
        graph: &OwnedGraph,
        value: Rc<Value>,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let node = self.take(graph, Slot { value, owner: Weak::new(), end: End::Constant }, origin)?;
        graph.call(node, None);
        Ok(node)
    }

    /// Makes a slot of a node whose value is known and through which no gradient flows.
    pub(crate) fn stand_at(&mut self, graph: &OwnedGraph, node: NodeId, value: Rc<Value>) -> Result<(), GraphError> {
        // It keeps what errors call it.
        graph.become_input(node, format!("result {}", self.declared))?;
        self.declared += 1;
        // What uses the node was recorded after it.
        value.note_use(graph.ordinal(node)?);
        self.taken.insert(node, Slot { value, owner: Weak::new(), end: End::Constant });
        Ok(())
    }

    fn take(&mut self, graph: &OwnedGraph, slot: Slot, origin: Origin) -> Result<NodeId, GraphError> {
        let kind = (slot.value.shape().clone(), slot.value.dtype());
        slot.value.note_use(graph.ordinal_bound());
        let node = match self.free.get_mut(&kind).and_then(Vec::pop) {
            Some(node) => {
                // Nothing that was recorded before is taken back from now on, or nodes would follow that are older than the use.
                graph.claim();
                node
            }
            None => {
                let node = graph.declare(format!("leaf {}", self.declared), kind.0, kind.1, origin)?;
                self.declared += 1;
                node
            }
        };
        self.taken.insert(node, slot);
        Ok(node)
    }

    pub(crate) fn get(&self, node: NodeId) -> Option<&Slot> {
        self.taken.get(&node)
    }

    /// Forgets a slot whose node is gone.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.taken.remove(&node);
    }

    /// The memory that the values in slots take.
    pub(crate) fn bytes(&self) -> usize {
        self.taken.values().map(|slot| slot.value.bytes()).sum()
    }

    /// Frees the slots at which `keeps` does not hold, after the arena's ordinals have closed up: what stands in the others may be used anywhere.
    pub(crate) fn free(&mut self, keeps: impl Fn(NodeId) -> bool) {
        let free = &mut self.free;
        self.taken.retain(|node, slot| {
            let kept = keeps(*node);
            if !kept {
                slot.value.forget_uses();
                free.entry((slot.value.shape().clone(), slot.value.dtype())).or_default().push(*node);
            }
            kept
        });
        // A value may have stood in several.
        self.taken.values().for_each(|slot| slot.value.note_use(0));
    }

    /// Takes free slots out until they are at most twice as many as the nodes that are no free slots, and a few: a program
    /// whose shapes change each time, or that has let go of many values, does not drag their inputs along.
    pub(crate) fn take_surplus(&mut self, nodes: usize) -> Vec<NodeId> {
        let free: usize = self.free.values().map(Vec::len).sum();
        let surplus = free.saturating_sub(2 * nodes.saturating_sub(free) + SPARE_SLOTS);
        let mut taken = Vec::with_capacity(surplus);
        if surplus > 0 {
            self.free.retain(|_, slots| {
                let kept = slots.len().saturating_sub(surplus - taken.len());
                taken.extend(slots.drain(kept..));
                !slots.is_empty()
            });
        }
        taken
    }
}
