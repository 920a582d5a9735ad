//! The arena: the only home of nodes. The only way in is [`crate::Graph::insert`] and what is built on it (`insertion.rs`).
//!
//! Invariants, which [`crate::verify`] checks: a node's operands were inserted before it and are alive; shape and dtype are
//! what the op's rule infers; ordinals ascend in insertion order; `users` counts the operand slots that name a node.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicU32, Ordering};

use slotmap::{Key, SlotMap};

use crate::declaration::{Declaration, Requirement};
use crate::error::GraphError;
use crate::layers::Layers;
use crate::node::{Node, NodeId, NodeKey, Origin};
use crate::op::{Leaf, Op};
use crate::places::Places;
use crate::updates::Updates;
use crate::with_values::GivenValues;

/// A computational graph. It grows by insertion through [`crate::Expr`] and shrinks by [`Graph::remove`] and [`Graph::rewind`].
///
/// A graph is used by one thread at a time and has interior mutability, so that expressions can be `Copy` handles: it is `Send`,
/// and not `Sync`; an [`crate::Expr`] is neither.
pub struct Graph {
    arena: RefCell<Arena>,
    /// The origin that insertions take instead of the caller's, while derivatives of a node are built.
    origin: Cell<Option<Origin>>,
    /// Whom the graph belongs to, if only its owner may declare and remove.
    owner: Option<&'static str>,
    /// Whether derivatives are to be read by people; see [`Graph::on_paper`].
    on_paper: bool,
    /// How many operations were refused, those on poisoned expressions among them.
    refusals: Cell<u64>,
    /// How often the owner added something of its own.
    claims: Cell<u64>,
    /// The public method that the caller is in, in whose words mistakes are told.
    method: Cell<Option<&'static str>>,
    /// Taken out while it is used, and put back.
    places: Cell<Places>,
    /// What stands before the names of parameters and states that are declared.
    pub(crate) prefix: RefCell<String>,
    /// What stands in the place of parameters and states that are asked for.
    pub(crate) given_values: RefCell<GivenValues>,
    /// How many there are who build for full precision.
    pub(crate) full_precision: Cell<u32>,
    tag: u32,
}

/// The storage behind a [`Graph`].
#[derive(Default)]
pub(crate) struct Arena {
    pub(crate) nodes: SlotMap<NodeKey, Node>,
    /// The node of each ordinal, or the null key where it was removed.
    pub(crate) order: Vec<NodeKey>,
    pub(crate) declarations: Vec<Declaration>,
    pub(crate) names: HashMap<String, u32>,
    pub(crate) labels: HashMap<NodeKey, String>,
    /// The methods whose results nodes are, where a node's op is called otherwise, and layers: see `described.rs`.
    pub(crate) methods: HashMap<NodeKey, Cow<'static, str>>,
    /// What placeholders stand for, where errors call them by it.
    pub(crate) roles: HashMap<NodeKey, Role>,
    /// The nodes that are for full precision.
    pub(crate) full_precision: HashSet<NodeKey>,
    /// The next values of states that layers have asked for.
    pub(crate) updates: Updates,
    /// The layers that were applied.
    pub(crate) layers: Layers,
    /// How many places draw random numbers without a seed of their own.
    pub(crate) draws: u32,
    /// What a node requires of the indices that it reads.
    pub(crate) requirements: HashMap<NodeKey, Vec<Requirement>>,
    /// The first error that was not taken out, and its number among all.
    pub(crate) first_error: Option<(u64, GraphError)>,
    /// How many errors there were.
    pub(crate) errors: u64,
    /// No mark that is still good was taken above this ordinal.
    pub(crate) highest_mark: Cell<u32>,
    /// The number of rewinds so far.
    pub(crate) rewinds: u64,
    /// Rewinds, by number and the ordinal to which they went back, without those that a later one went below: both numbers
    /// ascend. By it a mark knows whether the graph was cut short beneath it.
    pub(crate) floors: Vec<(u64, u32)>,
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Carry(usize),
    Element(usize),
    UpstreamGradient,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Carry(number) => write!(f, "carry {number}"),
            Role::Element(number) => write!(f, "an element of sequence {number}"),
            Role::UpstreamGradient => f.write_str("the upstream gradient"),
        }
    }
}

/// How far a graph has grown: what it is cut back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) next_ordinal: u32,
    pub(crate) declarations: usize,
    pub(crate) updates: usize,
    pub(crate) layers: usize,
    pub(crate) draws: u32,
}

static NEXT_TAG: AtomicU32 = AtomicU32::new(0);

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Graph {
            arena: RefCell::default(),
            origin: Cell::new(None),
            owner: None,
            on_paper: false,
            refusals: Cell::new(0),
            claims: Cell::new(0),
            method: Cell::new(None),
            places: Cell::default(),
            prefix: RefCell::default(),
            given_values: RefCell::default(),
            full_precision: Cell::new(0),
            tag: NEXT_TAG.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// An empty graph that belongs to somebody.
    pub(crate) fn of_owner(owner: &'static str) -> Self {
        Graph { owner: Some(owner), ..Graph::new() }
    }

    /// This graph as one of formulas. Rules that guard a derivative against every zero, infinity and NaN of floats write it
    /// there as it stands on paper, with the guards that a formula needs alone: people read it.
    pub(crate) fn on_paper(self) -> Self {
        Graph { on_paper: true, ..self }
    }

    /// Whether this is a graph of formulas.
    pub(crate) fn is_on_paper(&self) -> bool {
        self.on_paper
    }

    /// An empty graph with room for that many nodes. It is a hint: of more than sixteen million, or of more than there is
    /// memory for, the graph takes no notice, and it grows as any other.
    pub fn with_capacity(nodes: usize) -> Self {
        const MOST: usize = 1 << 24;
        let graph = Graph::new();
        // A slotmap cannot be asked whether there is memory for so many.
        let fits = nodes <= MOST && Vec::<(Node, u32, NodeKey)>::new().try_reserve_exact(nodes).is_ok();
        if fits {
            let mut arena = graph.arena.borrow_mut();
            arena.nodes.reserve(nodes);
            arena.order.reserve(nodes);
        }
        graph
    }

    /// The number of live nodes.
    pub fn len(&self) -> usize {
        self.arena.borrow().nodes.len()
    }

    /// Whether the graph has no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The live nodes in insertion order, which is a topological order.
    pub fn ids(&self) -> Vec<NodeId> {
        self.arena.borrow().alive(..).map(|key| NodeId { key, graph: self.tag }).collect()
    }

    /// One past the largest ordinal that a live node can have: the length of a table indexed by ordinal.
    pub fn ordinal_bound(&self) -> usize {
        self.arena.borrow().order.len()
    }

    /// A copy of the node of that id, if it is alive and of this graph.
    #[track_caller]
    pub fn node(&self, id: NodeId) -> Result<Node, GraphError> {
        self.read(id, "node", self.origin_or(Origin::here()), Node::clone)
    }

    /// Does `read` with the node of that id, which is not copied. It may look at the graph, and must not change it.
    #[doc(hidden)]
    #[track_caller]
    pub fn read_node<T>(&self, id: NodeId, read: impl FnOnce(&Node) -> T) -> Result<T, GraphError> {
        self.read(id, "node", self.origin_or(Origin::here()), read)
    }

    /// The position of a live node in insertion order: an index into a table of [`Graph::ordinal_bound`] places.
    #[track_caller]
    pub fn ordinal(&self, id: NodeId) -> Result<usize, GraphError> {
        self.read(id, "ordinal", self.origin_or(Origin::here()), |node| node.ordinal as usize)
    }

    /// How many operand slots of other nodes name a live node.
    #[track_caller]
    pub fn users(&self, id: NodeId) -> Result<u32, GraphError> {
        self.read(id, "users", self.origin_or(Origin::here()), |node| node.users)
    }

    /// Removes a node that no other node uses. A declaration's name becomes free again; its number does not.
    #[track_caller]
    pub fn remove(&self, id: NodeId) -> Result<(), GraphError> {
        let origin = Origin::here();
        self.refuse_if_owned("remove", origin)?;
        self.remove_unasked(id, origin)
    }

    /// Removes a node without asking whose the graph is.
    pub(crate) fn remove_unasked(&self, id: NodeId, origin: Origin) -> Result<(), GraphError> {
        let (ordinal, users) = {
            let read = |node: &Node| (node.ordinal, node.users);
            self.read(id, "remove", origin, read)?
        };
        let mut arena = self.arena.borrow_mut();
        if users > 0 {
            return Err(GraphError::NodeInUse { origin, op: "remove", operand: arena.describe(id), users });
        }
        arena.order[ordinal as usize] = NodeKey::null();
        arena.discard(id.key);
        Ok(())
    }

    /// Inputs and parameters in the order in which they were declared.
    ///
    /// In the graph of a tape these are no inputs of the caller's: each is a place where a value stands, under a number in place of a name
    /// (`leaf 3`, `result 7`), free places among them, which wait for the next value of their shape. What a variable is called there
    /// [`Graph::label`] says, of the declaration's node.
    pub fn declarations(&self) -> Vec<Declaration> {
        self.arena.borrow().declarations.clone()
    }

    /// The live declaration of that name.
    pub fn declaration_named(&self, name: &str) -> Option<Declaration> {
        let arena = self.arena.borrow();
        arena.names.get(name).map(|&number| arena.declarations[number as usize].clone())
    }

    /// `Err` with the first mistake made while the graph was built, if there was one.
    pub fn check(&self) -> Result<(), GraphError> {
        match &self.arena.borrow().first_error {
            Some((_, error)) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Takes the first mistake out of the graph, which is then usable again. Poisoned expressions stay poisoned.
    pub fn take_error(&self) -> Option<GraphError> {
        self.arena.borrow_mut().first_error.take().map(|(_, error)| error)
    }

    /// Does `build`, whose nodes get `origin` for theirs: for code that builds on a caller's behalf and wants errors to name
    /// the caller's place.
    pub fn at<T>(&self, origin: Origin, build: impl FnOnce() -> T) -> T {
        /// Puts the origin back, also when `build` panics and the graph is used on.
        struct Restored<'a>(&'a Graph, Option<Origin>);
        impl Drop for Restored<'_> {
            fn drop(&mut self) {
                self.0.set_origin(self.1);
            }
        }
        let _restored = Restored(self, self.set_origin(Some(self.origin_or(origin))));
        build()
    }

    /// The name under which a node is printed, if it has one: a declaration's, or what [`crate::Expr::named`] gave it.
    pub fn label(&self, id: NodeId) -> Option<String> {
        let arena = self.arena.borrow();
        if id.graph == self.tag { arena.label(id.key).map(str::to_owned) } else { None }
    }

    /// Looks at a node that must be alive and of this graph, for a method of that name whose caller is there.
    pub(crate) fn read<T>(
        &self,
        id: NodeId,
        op: &'static str,
        origin: Origin,
        look: impl FnOnce(&Node) -> T,
    ) -> Result<T, GraphError> {
        if id.graph != self.tag {
            return Err(self.in_method(GraphError::ForeignNode { origin, op }));
        }
        match self.arena.borrow().nodes.get(id.key) {
            Some(node) => Ok(look(node)),
            None => Err(self.in_method(GraphError::StaleNode { origin, op })),
        }
    }

    /// Refuses nodes that are stale or of another graph, for a method of that name.
    #[track_caller]
    pub(crate) fn require_nodes(&self, nodes: &[NodeId], op: &'static str) -> Result<(), GraphError> {
        let origin = self.origin_or(Origin::here());
        nodes.iter().try_for_each(|id| self.read(*id, op, origin, |_| ()))
    }

    /// Those of the nodes that are alive and of this graph.
    pub(crate) fn alive_of(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let arena = self.arena();
        let is_alive = |id: &&NodeId| id.graph == self.tag && arena.nodes.contains_key(id.key);
        nodes.iter().filter(is_alive).copied().collect()
    }

    pub(crate) fn arena(&self) -> Ref<'_, Arena> {
        self.arena.borrow()
    }

    pub(crate) fn arena_mut(&self) -> RefMut<'_, Arena> {
        self.arena.borrow_mut()
    }

    /// Does `body` with an empty table of numbers by ordinal.
    pub(crate) fn with_places<T>(&self, body: impl FnOnce(&mut Places) -> T) -> T {
        let mut places = self.places.take();
        places.begin(self.ordinal_bound());
        let result = body(&mut places);
        self.places.set(places);
        result
    }

    pub(crate) fn tag(&self) -> u32 {
        self.tag
    }

    /// `caller`, or the origin of the node whose derivative is being built.
    pub(crate) fn origin_or(&self, caller: Origin) -> Origin {
        self.origin.get().unwrap_or(caller)
    }

    /// Sets the origin of what is inserted from now on; `None` returns to the caller's.
    pub(crate) fn set_origin(&self, origin: Option<Origin>) -> Option<Origin> {
        self.origin.replace(origin)
    }

    /// The public method that is running, if one is.
    pub(crate) fn method(&self) -> Option<&'static str> {
        self.method.get()
    }

    pub(crate) fn set_method(&self, method: Option<&'static str>) {
        self.method.set(method);
    }

    /// Keeps an error, if it is the first.
    pub(crate) fn keep_error(&self, error: GraphError) {
        self.note_refusal();
        let mut arena = self.arena.borrow_mut();
        arena.errors += 1;
        let number = arena.errors;
        arena.first_error.get_or_insert((number, error));
    }

    /// How many operations were refused.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.get()
    }

    /// Counts an operation that was refused, or that met a poisoned expression.
    pub(crate) fn note_refusal(&self) {
        self.refusals.set(self.refusals.get() + 1);
    }

    /// How often the owner added something of its own.
    pub(crate) fn claims(&self) -> u64 {
        self.claims.get()
    }

    /// Whom the graph belongs to, if only its owner may declare and remove.
    pub(crate) fn owner(&self) -> Option<&'static str> {
        self.owner
    }

    /// Counts that the owner added something of its own.
    pub(crate) fn note_claim(&self) {
        self.claims.set(self.claims.get() + 1);
    }

    /// Refuses what only the owner of the graph may do, and keeps the error: who ignores it here shall meet it later.
    pub(crate) fn refuse_if_owned(&self, op: &'static str, origin: Origin) -> Result<(), GraphError> {
        let Some(owner) = self.owner else { return Ok(()) };
        let error = GraphError::Owned { origin, op, owner };
        self.keep_error(error.clone());
        Err(error)
    }

    /// Refuses a graph that belongs to somebody, for a method of that name that has to declare in it. The error is the caller's alone.
    #[track_caller]
    pub fn require_own(&self, method: &'static str) -> Result<(), GraphError> {
        let origin = self.origin_or(Origin::here());
        self.owner.map_or(Ok(()), |owner| Err(GraphError::Owned { origin, op: method, owner }))
    }

    pub(crate) fn set_label(&self, id: NodeId, label: String) {
        self.arena.borrow_mut().labels.insert(id.key, label);
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("nodes", &self.len()).finish_non_exhaustive()
    }
}

impl Default for Graph {
    fn default() -> Self {
        Graph::new()
    }
}

impl Arena {
    /// The ordinal of the node that is inserted next.
    pub(crate) fn next_ordinal(&self) -> u32 {
        self.order.len() as u32
    }

    /// How far the graph has grown.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            next_ordinal: self.next_ordinal(),
            declarations: self.declarations.len(),
            updates: self.updates.len(),
            layers: self.layers.len(),
            draws: self.draws,
        }
    }

    /// The nodes whose ordinals are in `ordinals`, in insertion order.
    pub(crate) fn alive(&self, ordinals: impl RangeBounds<usize>) -> impl DoubleEndedIterator<Item = NodeKey> {
        let range = (ordinals.start_bound().cloned(), ordinals.end_bound().cloned());
        self.order[range].iter().copied().filter(|key| !key.is_null())
    }

    /// The printed name of a declaration or of a node that was given one.
    pub(crate) fn label(&self, key: NodeKey) -> Option<&str> {
        if let Op::Leaf(Leaf::Input { declaration } | Leaf::Parameter { declaration }) = self.nodes.get(key)?.op {
            return Some(&self.declarations.get(declaration as usize)?.name);
        }
        self.labels.get(&key).map(String::as_str)
    }

    /// Takes a node out of the slots, and its operands' user counts and its names with it.
    pub(crate) fn discard(&mut self, key: NodeKey) {
        let Some(node) = self.nodes.remove(key) else { return };
        node.op.for_each_operand(|operand| {
            if let Some(operand) = self.nodes.get_mut(operand.key) {
                operand.users -= 1;
            }
        });
        if let Op::Leaf(Leaf::Input { declaration } | Leaf::Parameter { declaration }) = node.op
            && let Some(declaration) = self.declarations.get(declaration as usize)
        {
            self.names.remove(&declaration.name);
        }
        if !self.labels.is_empty() {
            self.labels.remove(&key);
        }
        if !self.methods.is_empty() {
            self.methods.remove(&key);
        }
        if matches!(node.op, Op::Leaf(Leaf::Placeholder)) {
            self.roles.remove(&key);
        }
        if !self.requirements.is_empty() {
            self.requirements.remove(&key);
        }
        if !self.full_precision.is_empty() {
            self.full_precision.remove(&key);
        }
    }
}
