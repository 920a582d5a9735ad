//! Nodes and their identities.

use std::fmt;
use std::panic::Location;

use crate::dtype::DType;
use crate::op::Op;
use crate::shape::Shape;

slotmap::new_key_type! {
    /// The arena's own key: slot and generation, without the graph it belongs to.
    pub(crate) struct NodeKey;
}

/// The identity of a node: a generation-checked key into the arena, and which graph's arena.
///
/// An id that outlives its node, or that is shown to another graph, is answered with a typed error; it never finds
/// another node. Ids are compared and hashed, never ordered: order is insertion order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId {
    pub(crate) key: NodeKey,
    pub(crate) graph: u32,
}

/// Where in the caller's source a node was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(&'static Location<'static>);

impl Origin {
    /// The caller of the function that calls this, if each is `#[track_caller]`.
    #[track_caller]
    pub fn here() -> Self {
        Origin(Location::caller())
    }

    /// The file, as the compiler was given it.
    pub fn file(self) -> &'static str {
        self.0.file()
    }

    /// The line, counted from 1.
    pub fn line(self) -> u32 {
        self.0.line()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file(), self.line())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One operation of the graph, with what was inferred of its result when it was inserted. It never changes.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation and its operands.
    pub op: Op,
    /// The shape of the result.
    pub shape: Shape,
    /// The dtype of the result.
    pub dtype: DType,
    /// The caller's file and line.
    pub origin: Origin,
    /// The position in insertion order: operands always have smaller ordinals than their users.
    pub ordinal: u32,
    /// How many nodes have this one as an operand (an operand used twice by one node counts twice).
    pub users: u32,
}
