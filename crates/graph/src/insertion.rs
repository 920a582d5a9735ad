//! The ways into the arena: nodes that are inserted, and inputs and parameters that are declared.
//!
//! A node's shape and dtype are inferred by its op's rule, and a node that breaks one never comes in.

use crate::arena::Graph;
use crate::declaration::{Declaration, DeclarationKind};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId, Origin};
use crate::op::{Leaf, Op};
use crate::ops::{self, Rule};
use crate::shape::{MAX_RANK, Shape};
use crate::storage::StorageType;

impl Graph {
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
        if matches!(op, Op::Leaf(Leaf::Input { .. }) | Op::Leaf(Leaf::Parameter { .. })) {
            return Err(GraphError::Undeclared { origin, op: op.name() });
        }
        self.insert_node(op, shape, dtype, origin)
    }

    /// Inserts a node, and notes what it requires of its indices if they come from an input.
    pub(crate) fn insert_node(
        &self,
        op: Op,
        shape: Option<&Shape>,
        dtype: Option<DType>,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let id = self.insert_unrequired(op, shape, dtype, origin)?;
        self.arena_mut().require_of_indices(id);
        Ok(id)
    }

    /// The only path into the arena. For copies of nodes, whose requirements are copied from those of the originals.
    pub(crate) fn insert_unrequired(
        &self,
        op: Op,
        shape: Option<&Shape>,
        dtype: Option<DType>,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let mut arena = self.arena_mut();
        let name = op.name();
        let mut invalid = None;
        op.for_each_operand(|operand| {
            if operand.graph != self.tag() {
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
        if self.full_precision.get() > 0 {
            arena.full_precision.insert(key);
        }
        Ok(NodeId { key, graph: self.tag() })
    }

    /// Declares an input or a parameter, which only the owner of the graph may do.
    pub(crate) fn declare(
        &self,
        name: String,
        shape: Shape,
        storage: StorageType,
        kind: DeclarationKind,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        if let Some(owner) = self.owner() {
            let op = match kind {
                DeclarationKind::Input => "input",
                DeclarationKind::Parameter { .. } => "parameter",
            };
            return Err(GraphError::Owned { origin, op, owner });
        }
        self.declare_unasked(name, shape, storage, kind, origin)
    }

    /// Declares without asking whose the graph is.
    pub(crate) fn declare_unasked(
        &self,
        name: String,
        shape: Shape,
        storage: StorageType,
        kind: DeclarationKind,
        origin: Origin,
    ) -> Result<NodeId, GraphError> {
        let dtype = storage.value();
        let declaration = {
            let arena = self.arena();
            if let Some(&first) = arena.names.get(&name) {
                let first = &arena.declarations[first as usize];
                return Err(match first.own_purpose() {
                    // What the caller has declared is in the way of what the graph has declared for itself.
                    Some(purpose) => GraphError::ReservedName { origin: first.origin, name, purpose, first: origin },
                    None => GraphError::DuplicateName { origin, name, first: first.origin },
                });
            }
            arena.declarations.len() as u32
        };
        let op = match kind {
            DeclarationKind::Input => Op::Leaf(Leaf::Input { declaration }),
            DeclarationKind::Parameter { .. } => Op::Leaf(Leaf::Parameter { declaration }),
        };
        let node = self.insert_node(op, Some(&shape), Some(dtype), origin)?;
        let mut arena = self.arena_mut();
        arena.names.insert(name.clone(), declaration);
        arena.declarations.push(Declaration { name, node, shape, dtype, storage, origin, kind });
        Ok(node)
    }
}
