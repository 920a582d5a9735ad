//! What a graph knows of its inputs and parameters beyond their nodes: names, first values, and what runs must fulfil.

use std::collections::HashSet;

use crate::dtype::DType;
use crate::node::{NodeId, Origin};
use crate::shape::Shape;

/// What the graph knows of an input or parameter beyond its node.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The name by which runs, sessions and files refer to it; unique in the graph.
    pub name: String,
    /// The node.
    pub node: NodeId,
    /// The shape of the node.
    pub shape: Shape,
    /// The dtype of the node.
    pub dtype: DType,
    /// The caller's file and line.
    pub origin: Origin,
    /// Input or parameter.
    pub kind: DeclarationKind,
}

impl Declaration {
    /// Whether this is the state that [`crate::Graph::step`] declares: an i32 scalar named `step`.
    pub fn counts_steps(&self) -> bool {
        let is_state = matches!(self.kind, DeclarationKind::Parameter { .. });
        self.name == "step" && is_state && self.dtype == DType::I32 && self.shape.rank() == 0
    }
}

/// The two kinds of declared tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum DeclarationKind {
    /// Given at each run.
    Input,
    /// Kept on the device between runs.
    Parameter {
        /// Its elements when a session starts.
        init: Init,
        /// Whether optimisers update it; state that a plan updates itself is not trainable.
        trainable: bool,
    },
}

/// How a parameter's elements are made when a session starts. Random ones depend on the session's seed and the
/// parameter's position among the graph's declarations, so they are the same on every device.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Every element is the value.
    Constant(f64),
    /// Uniform in `[low, high)`.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Normal with that mean and standard deviation.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// Uniform in `±sqrt(6 / fan_in)`, where `[fan_in, fan_out]` are the last two extents, or of one axis `[fan_in]` (He et
    /// al. 2015): keeps the variance through ReLU layers.
    KaimingUniform,
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010): for tanh and sigmoid layers.
    XavierUniform,
    /// These elements, row-major; their number must fit the shape.
    Values(Vec<f64>),
}

/// A promise that the graph needs of an input's i32 elements: they index an axis of extent `bound`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexBound {
    /// The input.
    pub node: NodeId,
    /// Elements must be in `0..bound`.
    pub bound: usize,
    /// One value that is allowed besides, such as the ignored label of a loss.
    pub except: Option<i32>,
    /// The operation that needs it.
    pub origin: Origin,
}

/// The promises that a graph needs, each once, in the order in which they came. Those of inputs that were removed stay among
/// them until the next [`IndexBounds::retain`].
#[derive(Debug, Default)]
pub(crate) struct IndexBounds {
    all: Vec<IndexBound>,
    known: HashSet<IndexBound>,
}

impl IndexBounds {
    pub(crate) fn all(&self) -> &[IndexBound] {
        &self.all
    }

    pub(crate) fn add(&mut self, bound: IndexBound) {
        if self.known.insert(bound.clone()) {
            self.all.push(bound);
        }
    }

    /// Forgets those after the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        for bound in self.all.drain(count.min(self.all.len())..) {
            self.known.remove(&bound);
        }
    }

    /// Forgets those for which `keeps` does not hold.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&IndexBound) -> bool) {
        self.known.retain(&keeps);
        self.all.retain(keeps);
    }
}
