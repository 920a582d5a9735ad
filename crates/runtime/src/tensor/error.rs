//! What can be wrong with a request to a tensor on the host.

use arenagrad_graph::{Shape, StorageType};

/// A tensor was asked for what it does not have.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum TensorError {
    #[error("{method}: a tensor of shape {shape} has no axis {axis}")]
    Axis { method: &'static str, axis: isize, shape: Shape },

    #[error("{method}: position {index} is outside axis {axis} of a tensor of shape {shape}")]
    Position { method: &'static str, index: isize, axis: usize, shape: Shape },

    #[error("{method}: {found} positions were given for a tensor of shape {shape}, which has {} axes", .shape.rank())]
    PositionCount { method: &'static str, found: usize, shape: Shape },

    #[error("{method}: {found} ellipses were given, and one at most can stand for the axes that are left")]
    Ellipses { method: &'static str, found: usize },

    #[error("{method}: elements {start}..{end} are not all in axis {axis} of a tensor of shape {shape}")]
    Range { method: &'static str, start: isize, end: isize, axis: usize, shape: Shape },

    #[error("{method}: a tensor of shape {shape} has {} elements, and cannot have the extents {extents:?}: {reason}", .shape.elements())]
    Reshape { method: &'static str, shape: Shape, extents: Vec<isize>, reason: String },

    #[error("{method}: {axes:?} does not name each axis of a tensor of shape {shape} once")]
    Permutation { method: &'static str, axes: Vec<isize>, shape: Shape },

    #[error("{method}: there must be at least one tensor")]
    NoTensors { method: &'static str },

    #[error("{method}: tensor {place} is {found}, which does not fit the first, {expected}")]
    Shapes { method: &'static str, place: usize, expected: Shape, found: Shape },

    #[error("{method}: the extents of axis {axis} are together more than a tensor can have")]
    Extents { method: &'static str, axis: usize },

    #[error("{method}: tensor {place} holds {found}, but the first holds {expected}; cast one of them")]
    Types { method: &'static str, place: usize, expected: StorageType, found: StorageType },

    #[error("{method}: row {row} has {found} elements, but the first has {expected}")]
    Ragged { method: &'static str, row: usize, expected: usize, found: usize },

    #[error("{method}: a tensor of shape {shape} has no elements")]
    NoElements { method: &'static str, shape: Shape },

    #[error("{method}: tensors of shapes {expected} and {found} are not compared")]
    ComparedShapes { method: &'static str, expected: Shape, found: Shape },
}

arenagrad_graph::debug_in_words!(TensorError);
