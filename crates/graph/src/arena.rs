//! The arena: the only way in for nodes, and their only home.
//!
//! Invariants, which [`crate::verify`] checks: a node's operands were inserted before it and are alive; shape and dtype are
//! what the op's rule infers; ordinals ascend in insertion order; `users` counts the operand slots that name a node.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::HashMap;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicU32, Ordering};

use slotmap::{Key, SlotMap};

use crate::declaration::{Declaration, DeclarationKind, IndexBound, IndexBounds};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{Node, NodeId, NodeKey, Origin};
use crate::op::Op;
use crate::ops::{self, Rule};
use crate::shape::{MAX_RANK, Shape};

/// A computational graph. It grows by insertion through [`Expr`] and shrinks by [`Graph::remove`] and [`Graph::rewind`].
///
/// A graph is single-threaded and uses interior mutability, so that expressions can be `Copy` handles.
pub struct Graph {
    arena: RefCell<Arena>,
    /// The origin that insertions take instead of the caller's, while derivatives of a node are built.
    origin: Cell<Option<Origin>>,
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
    pub(crate) bounds: IndexBounds,
    first_error: Option<GraphError>,
    /// The number of rewinds so far.
    rewinds: u64,
    /// Rewinds, by number and the ordinal to which they went back, without those that a later one went below: both numbers
    /// ascend. By it a mark knows whether the graph was cut short beneath it.
    floors: Vec<(u64, u32)>,
}

/// A point in a graph's growth to which [`Graph::rewind`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    rewinds: u64,
    next_ordinal: u32,
    declarations: usize,
    bounds: usize,
    failed: bool,
    tag: u32,
}

static NEXT_TAG: AtomicU32 = AtomicU32::new(0);

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Graph { arena: RefCell::default(), origin: Cell::new(None), tag: NEXT_TAG.fetch_add(1, Ordering::Relaxed) }
    }

    /// An empty graph with room for that many nodes.
    pub fn with_capacity(nodes: usize) -> Self {
        let graph = Graph::new();
        {
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
        let origin = Origin::here();
        self.read(id, origin, Node::clone)
    }

    /// The position of a live node in insertion order: an index into a table of [`Graph::ordinal_bound`] places.
    #[track_caller]
    pub fn ordinal(&self, id: NodeId) -> Result<usize, GraphError> {
        let origin = Origin::here();
        self.read(id, origin, |node| node.ordinal as usize)
    }

    /// Inserts a node that is not declared by name: [`Graph::input`] and its siblings insert those. Shape and dtype are
    /// inferred by the op's rule in [`crate::ops`]; ops whose operands do not determine them (constants, reshape, cast, …)
    /// take them from `shape` and `dtype`.
    pub fn insert(
        &self,
        op: Op,
        shape: Option<&Shape>,
        dtype: Option<DType>,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        if matches!(op, Op::Input { .. } | Op::Parameter { .. }) {
            return Err(GraphError::Undeclared { origin, op: op.name() });
        }
        self.insert_node(op, shape, dtype, origin)
    }

    /// The only path into the arena.
    pub(crate) fn insert_node(
        &self,
        op: Op,
        shape: Option<&Shape>,
        dtype: Option<DType>,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let mut arena = self.arena.borrow_mut();
        let name = op.name();
        let mut invalid = None;
        op.for_each_operand(|operand| {
            if operand.graph != self.tag {
                invalid.get_or_insert(GraphError::ForeignNode { origin, op: name });
            } else if !arena.nodes.contains_key(operand.key) {
                invalid.get_or_insert(GraphError::StaleNode { origin, op: name });
            }
        });
        if let Some(error) = invalid {
            return Err(error);
        }
        let (shape, dtype) = ops::infer(&Rule { arena: &arena, op: name, origin }, &op, shape, dtype)?;
        if shape.rank() > MAX_RANK {
            return Err(GraphError::RankLimit { origin, op: name, rank: shape.rank(), limit: MAX_RANK });
        }
        // Bytes are counted as well as elements, and empty axes as 1, so that sizes of shapes and of their parts can be
        // computed without care.
        let bytes = shape.iter().filter(|&&extent| extent != 0).try_fold(8usize, |bytes, &n| bytes.checked_mul(n));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(GraphError::TooManyElements { origin, op: name, shape });
        }
        let ordinal = arena.order.len() as u32;
        if ordinal == u32::MAX {
            return Err(GraphError::Full { origin, op: name, limit: u32::MAX as usize });
        }
        op.for_each_operand(|operand| arena.nodes[operand.key].users += 1);
        let key = arena.nodes.insert(Node { op, shape, dtype, origin, ordinal, users: 0 });
        arena.order.push(key);
        Ok(NodeId { key, graph: self.tag })
    }

    /// Removes a node that no other node uses. A declaration's name becomes free again; its number does not.
    #[track_caller]
    pub fn remove(&self, id: NodeId) -> Result<(), GraphError> {
        let origin = Origin::here();
        let (ordinal, users) = {
            let node = self.node(id)?;
            (node.ordinal, node.users)
        };
        let mut arena = self.arena.borrow_mut();
        if users > 0 {
            return Err(GraphError::NodeInUse { origin, op: "remove", operand: arena.describe(id), users });
        }
        arena.order[ordinal as usize] = NodeKey::null();
        arena.discard(id.key);
        Ok(())
    }

    /// The present end of the graph, to which [`Graph::rewind`] can return.
    pub fn mark(&self) -> Mark {
        let arena = self.arena.borrow();
        Mark {
            rewinds: arena.rewinds,
            next_ordinal: arena.order.len() as u32,
            declarations: arena.declarations.len(),
            bounds: arena.bounds.all().len(),
            failed: arena.first_error.is_some(),
            tag: self.tag,
        }
    }

    /// Removes everything inserted since `mark` was taken, and forgets an error that came after it. Ids and expressions
    /// of removed nodes are stale from then on. The arena keeps its memory, so that growing again costs nothing.
    #[track_caller]
    pub fn rewind(&self, mark: Mark) -> Result<(), GraphError> {
        let origin = Origin::here();
        let mut arena = self.arena.borrow_mut();
        if mark.tag != self.tag {
            return Err(GraphError::ForeignNode { origin, op: "rewind" });
        }
        let later = arena.floors.partition_point(|&(number, _)| number <= mark.rewinds);
        if arena.floors.get(later).is_some_and(|&(_, floor)| floor < mark.next_ordinal) {
            return Err(GraphError::StaleMark { origin, op: "rewind" });
        }
        while arena.order.len() > mark.next_ordinal as usize {
            if let Some(key) = arena.order.pop().filter(|key| !key.is_null()) {
                arena.discard(key);
            }
        }
        arena.rewinds += 1;
        let number = arena.rewinds;
        while arena.floors.last().is_some_and(|&(_, floor)| floor >= mark.next_ordinal) {
            arena.floors.pop();
        }
        arena.floors.push((number, mark.next_ordinal));
        arena.declarations.truncate(mark.declarations);
        arena.bounds.truncate(mark.bounds);
        if !mark.failed {
            arena.first_error = None;
        }
        Ok(())
    }

    /// Inputs and parameters in the order in which they were declared.
    pub fn declarations(&self) -> Vec<Declaration> {
        self.arena.borrow().declarations.clone()
    }

    /// What inputs of indices must fulfil at each run.
    pub fn index_bounds(&self) -> Vec<IndexBound> {
        let arena = self.arena.borrow();
        let is_alive = |bound: &&IndexBound| arena.nodes.contains_key(bound.node.key);
        arena.bounds.all().iter().filter(is_alive).cloned().collect()
    }

    /// `Err` with the first mistake made while the graph was built, if there was one.
    pub fn check(&self) -> Result<(), GraphError> {
        match &self.arena.borrow().first_error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Takes the first mistake out of the graph, which is then usable again. Poisoned expressions stay poisoned.
    pub fn take_error(&self) -> Option<GraphError> {
        self.arena.borrow_mut().first_error.take()
    }

    /// The expression of a node, to go on building from an id that was kept.
    #[track_caller]
    pub fn expr(&self, id: NodeId) -> Expr<'_> {
        let origin = self.origin_or(Origin::here());
        let result = if id.graph != self.tag {
            Err(GraphError::ForeignNode { origin, op: "expr" })
        } else if self.arena.borrow().nodes.contains_key(id.key) {
            Ok(id)
        } else {
            Err(GraphError::StaleNode { origin, op: "expr" })
        };
        self.finish(result)
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

    /// The name under which a node is printed, if it has one: a declaration's, or what [`Expr::named`] gave it.
    pub fn label(&self, id: NodeId) -> Option<String> {
        let arena = self.arena.borrow();
        if id.graph == self.tag { arena.label(id.key).map(str::to_owned) } else { None }
    }

    /// Looks at a node that must be alive and of this graph.
    pub(crate) fn read<T>(&self, id: NodeId, origin: Origin, look: impl FnOnce(&Node) -> T) -> Result<T, GraphError> {
        if id.graph != self.tag {
            return Err(GraphError::ForeignNode { origin, op: "node" });
        }
        match self.arena.borrow().nodes.get(id.key) {
            Some(node) => Ok(look(node)),
            None => Err(GraphError::StaleNode { origin, op: "node" }),
        }
    }

    pub(crate) fn arena(&self) -> Ref<'_, Arena> {
        self.arena.borrow()
    }

    pub(crate) fn arena_mut(&self) -> RefMut<'_, Arena> {
        self.arena.borrow_mut()
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

    /// An expression of a result; an error is kept as the graph's first, and the expression is poisoned.
    pub(crate) fn finish(&self, result: Result<NodeId, GraphError>) -> Expr<'_> {
        match result {
            Ok(id) => Expr::from_id(self, id),
            Err(error) => {
                self.arena.borrow_mut().first_error.get_or_insert(error);
                Expr::poisoned(self)
            }
        }
    }

    pub(crate) fn declare(
        &self,
        name: String,
        shape: Shape,
        dtype: DType,
        kind: DeclarationKind,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let declaration = {
            let arena = self.arena.borrow();
            if let Some(&first) = arena.names.get(&name) {
                let first = arena.declarations[first as usize].origin;
                return Err(GraphError::DuplicateName { origin, name, first });
            }
            arena.declarations.len() as u32
        };
        let op = match kind {
            DeclarationKind::Input => Op::Input { declaration },
            DeclarationKind::Parameter { .. } => Op::Parameter { declaration },
        };
        let node = self.insert_node(op, Some(&shape), Some(dtype), origin)?;
        let mut arena = self.arena.borrow_mut();
        arena.names.insert(name.clone(), declaration);
        arena.declarations.push(Declaration { name, node, shape, dtype, origin, kind });
        Ok(node)
    }

    pub(crate) fn set_label(&self, id: NodeId, label: String) {
        self.arena.borrow_mut().labels.insert(id.key, label);
    }

    pub(crate) fn require_index_bound(&self, bound: IndexBound) {
        self.arena.borrow_mut().bounds.add(bound);
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
    /// The nodes whose ordinals are in `ordinals`, in insertion order.
    pub(crate) fn alive(&self, ordinals: impl RangeBounds<usize>) -> impl DoubleEndedIterator<Item = NodeKey> {
        let range = (ordinals.start_bound().cloned(), ordinals.end_bound().cloned());
        self.order[range].iter().copied().filter(|key| !key.is_null())
    }

    /// The printed name of a declaration or of a node that was given one.
    pub(crate) fn label(&self, key: NodeKey) -> Option<&str> {
        if let Op::Input { declaration } | Op::Parameter { declaration } = self.nodes.get(key)?.op {
            return Some(&self.declarations.get(declaration as usize)?.name);
        }
        self.labels.get(&key).map(String::as_str)
    }

    /// How errors refer to a node: its name in quotes, or its op and ordinal.
    pub(crate) fn describe(&self, id: NodeId) -> String {
        match (self.label(id.key), self.nodes.get(id.key)) {
            (Some(label), _) => format!("{label:?}"),
            (None, Some(node)) => format!("{} (node {})", node.op.name(), node.ordinal),
            (None, None) => "a removed node".to_owned(),
        }
    }

    /// What holds after nodes anywhere were removed and the ordinals closed up: no mark is good any more, and nothing is
    /// required of inputs that nobody uses.
    pub(crate) fn after_retain(&mut self) {
        self.rewinds += 1;
        self.floors.clear();
        self.floors.push((self.rewinds, 0));
        let nodes = &self.nodes;
        self.bounds.retain(|bound| nodes.get(bound.node.key).is_some_and(|node| node.users > 0));
    }

    /// Takes a node out of the slots, and its operands' user counts and its names with it.
    pub(crate) fn discard(&mut self, key: NodeKey) {
        let Some(node) = self.nodes.remove(key) else { return };
        node.op.for_each_operand(|operand| {
            if let Some(operand) = self.nodes.get_mut(operand.key) {
                operand.users -= 1;
            }
        });
        if let Op::Input { declaration } | Op::Parameter { declaration } = node.op
            && let Some(declaration) = self.declarations.get(declaration as usize)
        {
            self.names.remove(&declaration.name);
        }
        if !self.labels.is_empty() {
            self.labels.remove(&key);
        }
    }
}
