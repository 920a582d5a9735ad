//! Graphs that belong to somebody: a tape lends its graph to the functions that a caller hands it, and they may add operations
//! to it, but nothing else.
//!
//! Invariants: inputs of an owned graph are declared, and nodes are removed, through [`OwnedGraph`] alone. The methods of
//! [`Graph`] that would do so ([`Graph::input`] and its siblings, [`Graph::remove`], [`Graph::rewind`], [`Graph::retain`]) are
//! refused with [`GraphError::Owned`], which is kept as the graph's first error like any mistake. What layers share by name comes from
//! the owner too, if there is a [`crate::Lender`] to ask.
//!
//! This does not know what the owner does with the graph, nor what its inputs stand for.

use std::ops::Deref;

use crate::arena::Graph;
use crate::declaration::{Declaration, DeclarationKind};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId, Origin};
use crate::op::{Leaf, Op};
use crate::shape::Shape;

/// A graph in which only its owner declares inputs and removes nodes. It dereferences to the [`Graph`] that may be lent.
///
/// ```
/// use arenagrad_graph::{DType, GraphError, Init, Origin, OwnedGraph};
///
/// let owned = OwnedGraph::new("a recording");
/// let x = owned.declare("x", [2], DType::F32, Origin::here())?;
/// let graph: &arenagrad_graph::Graph = &owned; // what is lent
/// assert!(graph.expr(x).exp().check().is_ok());
/// assert!(matches!(graph.parameter("w", [2], Init::Constant(0.0)).id(), Err(GraphError::Owned { .. })));
/// # Ok::<(), GraphError>(())
/// ```
#[derive(Debug)]
pub struct OwnedGraph {
    graph: Graph,
}

impl OwnedGraph {
    /// An empty graph of an owner, whom errors name: "a tape".
    pub fn new(owner: &'static str) -> OwnedGraph {
        OwnedGraph { graph: Graph::of_owner(owner) }
    }

    /// An input. Errors: a name that is taken, too many axes or elements; none is kept in the graph.
    pub fn declare(
        &self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        dtype: DType,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let node =
            self.graph.declare_unasked(name.into(), shape.into(), dtype.into(), DeclarationKind::Input, origin)?;
        self.claim();
        Ok(node)
    }

    /// Makes an input of a node whose value the owner knows: it keeps its id, shape, dtype and users, and needs its operands
    /// no longer. Errors: a stale or foreign node, a name that is taken.
    #[track_caller]
    pub fn become_input(&self, id: NodeId, name: impl Into<String>) -> Result<(), GraphError> {
        let (name, origin) = (name.into(), self.graph.origin_or(Origin::here()));
        let node = self.graph.read(id, "become_input", origin, Node::clone)?;
        let mut arena = self.graph.arena_mut();
        if let Some(&first) = arena.names.get(&name) {
            let first = arena.declarations[first as usize].origin;
            return Err(GraphError::DuplicateName { origin: node.origin, name, first });
        }
        let declaration = arena.declarations.len() as u32;
        node.op.for_each_operand(|operand| arena.nodes[operand.key].users -= 1);
        arena.nodes[id.key].op = Op::Leaf(Leaf::Input { declaration });
        arena.requirements.remove(&id.key);
        arena.names.insert(name.clone(), declaration);
        let (shape, dtype, origin) = (node.shape, node.dtype, node.origin);
        let (storage, kind) = (dtype.into(), DeclarationKind::Input);
        arena.declarations.push(Declaration { name, node: id, shape, dtype, storage, origin, kind });
        drop(arena);
        self.claim();
        Ok(())
    }

    /// What errors call a node from now on; none for the name that it was declared by.
    pub fn call(&self, id: NodeId, name: Option<String>) {
        let mut arena = self.graph.arena_mut();
        if !arena.methods.is_empty() {
            // What stood there before was a method's result.
            arena.methods.remove(&id.key);
        }
        match name {
            Some(name) => drop(arena.labels.insert(id.key, name)),
            None if arena.labels.is_empty() => {}
            None => drop(arena.labels.remove(&id.key)),
        }
    }

    /// What errors call a node from now on that has no name: the result of `method`, as the owner calls that.
    pub fn call_result(&self, id: NodeId, method: &'static str) {
        let mut arena = self.graph.arena_mut();
        if id.graph == self.graph.tag() {
            arena.methods.remove(&id.key);
            arena.call(id.key, method);
        }
    }

    /// As [`Graph::retain`]; the declarations of removed inputs are forgotten too, and the others numbered anew.
    #[track_caller]
    pub fn retain(&self, outputs: &[NodeId]) -> Result<(), GraphError> {
        self.graph.retain_unasked(outputs)?;
        self.claim();
        self.graph.arena_mut().forget_dead_declarations();
        Ok(())
    }

    /// As [`Graph::remove`].
    #[track_caller]
    pub fn remove(&self, id: NodeId) -> Result<(), GraphError> {
        self.graph.remove_unasked(id, Origin::here())?;
        self.claim();
        Ok(())
    }

    /// Says that something of the owner's was added to the graph: an operation that is being built and is refused after
    /// that takes nothing back.
    pub fn claim(&self) {
        self.graph.note_claim();
    }
}

impl Deref for OwnedGraph {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        &self.graph
    }
}
