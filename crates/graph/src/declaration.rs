//! What a graph knows of its inputs and parameters beyond their nodes: names, first values, and what runs must fulfil.

use crate::dtype::DType;
use crate::elements::Elements;
use crate::node::{NodeId, Origin};
use crate::shape::Shape;
use crate::storage::StorageType;
use crate::views::Views;

/// What the names are reserved for under which a graph declares states of its own.
pub(crate) const STEP: &str = "the i32 scalar state that counts training steps";
pub(crate) const RANDOM_SEED: &str = "the i32 scalar state that random draws begin with";

/// What the graph knows of an input or parameter beyond its node.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The name by which runs, sessions and files refer to it; unique in the graph. In that of a tape a number, which nothing else refers to.
    pub name: String,
    /// The node.
    pub node: NodeId,
    /// The shape of the node.
    pub shape: Shape,
    /// The dtype of the node.
    pub dtype: DType,
    /// In what a buffer holds its elements: values of the dtype, perhaps narrower.
    pub storage: StorageType,
    /// The caller's file and line.
    pub origin: Origin,
    /// Input or parameter.
    pub kind: DeclarationKind,
}

impl Declaration {
    /// What the graph itself has declared this for, if it has: the counter of steps, or the seed of random draws.
    pub(crate) fn own_purpose(&self) -> Option<&'static str> {
        let is_state = matches!(self.kind, DeclarationKind::Parameter { trainable: false, .. });
        let is_number = is_state && self.dtype == DType::I32 && self.shape.rank() == 0;
        match self.name.as_str() {
            "step" if is_number => Some(STEP),
            "random_seed" if is_number => Some(RANDOM_SEED),
            _ => None,
        }
    }

    /// Whether this is a state as the graph itself declares it for training: the counter of steps, or the seed of random draws. A parameter of
    /// such a name is a parameter like any other.
    pub fn is_of_training(&self) -> bool {
        self.own_purpose().is_some()
    }

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

/// How a parameter's elements are made when a session starts. Random ones are a function of the session's seed and the
/// parameter's name: the same on every device, in whatever order a graph declares its parameters, and whichever others it
/// has.
///
/// Every number must be one that the parameter's dtype holds, rounded for floats. What a trainable parameter starts with is
/// finite; state may start at an infinity, as a running maximum does. NaN is refused. Mistakes are kept as the graph's
/// first error, with the place of the declaration.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Every element is the value.
    Constant(f64),
    /// Uniform in `[low, high)`; every element is `low` if they are equal.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound, not below `low`.
        high: f64,
    },
    /// Normal with that mean and standard deviation.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation, 0 or more. Six of them on either side of the mean must be within the dtype's range.
        deviation: f64,
    },
    /// Uniform in `±sqrt(6 / fan_in)`, where `[fan_in, fan_out]` are the last two extents, or of one axis `[fan_in]` (He et
    /// al. 2015): keeps the variance through ReLU layers.
    KaimingUniform,
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010): for tanh and sigmoid layers.
    XavierUniform,
    /// These elements, row-major; their number must fit the shape, and each the dtype.
    Values(Vec<f64>),
    /// Normal with that mean and standard deviation, of the numbers in `low..=high` alone. [`crate::nn::init::trunc_normal`].
    TruncatedNormal {
        /// The mean of the normal distribution.
        mean: f64,
        /// Its standard deviation, above 0.
        deviation: f64,
        /// The lower bound.
        low: f64,
        /// The upper bound, not below `low`.
        high: f64,
    },
    /// Of mean 0 and deviation `gain / sqrt(fan)`, by the fans of a layer's weight, `[out, in, kernel..]`.
    /// [`crate::nn::init::xavier_uniform`] and its like.
    VarianceScaling {
        /// By how much it is more than the root of the fan says: 0 or more.
        gain: f64,
        /// Of which fan.
        fan: Fan,
        /// Uniform or normal.
        distribution: Distribution,
    },
    /// Orthogonal rows, or columns if there are fewer, of length `gain`; of more than two axes, the first by all others.
    /// [`crate::nn::init::orthogonal`].
    Orthogonal {
        /// The length.
        gain: f64,
    },
    /// A matrix with that share of zeros in each column, rounded up, and else normal numbers of mean 0. [`crate::nn::init::sparse`].
    Sparse {
        /// The share of zeros, in `0..=1`.
        sparsity: f64,
        /// The standard deviation of the others, 0 or more.
        deviation: f64,
    },
    /// A matrix of 1 on the diagonal and 0 beside it.
    Eye,
    /// A convolution's weight, `[out, in, kernel..]` of three to five axes, that passes as many channels of each group as it can through.
    Dirac {
        /// Into how many groups `out` falls.
        groups: usize,
    },
    /// As `others` says, but 0 at that index of the first axis: the padding of an embedding.
    ZeroRow {
        /// The index.
        row: usize,
        /// All else.
        others: Box<Init>,
    },
    /// The Euclidean lengths of another parameter's first values: one for each index of the axis, the other extents 1, or one for all of
    /// them, without axes. What [`WeightNorm`](crate::nn::WeightNorm) multiplies directions by.
    Norms {
        /// The other parameter.
        of: Box<Source>,
        /// The axis, if each of its indices has a length of its own.
        axis: Option<usize>,
    },
    /// A singular vector of another parameter's first values, taken as a matrix of that axis by all others: that of the largest singular
    /// value, as nearly as fifteen steps of the power method find it from a vector that is drawn. What
    /// [`SpectralNorm`](crate::nn::SpectralNorm) begins with.
    SingularVector {
        /// The other parameter.
        of: Box<Source>,
        /// The axis of the matrix's rows.
        axis: usize,
        /// On which side of the matrix the vector stands.
        side: Side,
        /// What vectors are divided by if they are shorter, instead of their length: a number above 0.
        eps: f64,
    },
}

/// Another parameter, from whose first values those of a parameter are computed. They are the same wherever they are asked for, because
/// they are a function of the session's seed and of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The name of the other parameter, without the prefix under which both are declared.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Its first values.
    pub init: Init,
}

/// On which side of its matrix a singular vector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// As many elements as there are rows.
    Left,
    /// As many elements as there are columns.
    Right,
}

/// How many elements meet in one of a layer, by the extents of its weight, `[out, in, kernel..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fan {
    /// `in` times the elements of the kernel: keeps the variance of what goes forward.
    In,
    /// `out` times the elements of the kernel: keeps the variance of gradients.
    Out,
    /// The mean of both.
    Average,
}

/// How elements of a mean and a standard deviation are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Uniform in `±sqrt(3)` deviations.
    Uniform,
    /// Normal.
    Normal,
}

/// A promise that the graph needs of an input's i32 elements, or of those that slices and windows of it show: they index an axis of extent
/// `bound`. Whether it is kept says [`IndexBound::find_outside`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexBound {
    /// The input.
    pub node: NodeId,
    /// Elements must be in `least..bound`: from 0 on, or from `-bound` where negative ones count from the end.
    pub least: i32,
    /// The extent of the axis.
    pub bound: usize,
    /// One value that is allowed besides, such as the ignored label of a loss.
    pub except: Option<i32>,
    /// The operation that needs it.
    pub origin: Origin,
    /// Which elements, where not all: those that slices and windows of the input show.
    pub(crate) shown: Option<Views>,
}

impl IndexBound {
    /// The first element that must be in range and is not, in row-major order of what indexes: its place among the input's elements, and what
    /// it is.
    pub fn find_outside(&self, elements: &Elements) -> Option<(usize, i32)> {
        // Mostly there is none, whatever is shown, and this is quick.
        let found = elements.find_integer(|value| !self.allows(value))?;
        match &self.shown {
            None => Some(found),
            Some(views) => elements.find_integer_among(views.places(), |value| !self.allows(value)),
        }
    }

    /// Whether an element of which that is promised may be that.
    pub fn allows(&self, value: i32) -> bool {
        let is_below = usize::try_from(value).map_or(true, |value| value < self.bound);
        value >= self.least && is_below || self.except == Some(value)
    }
}

/// What a node requires of the indices that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    /// The indices: an input, or a view of one.
    pub(crate) indices: NodeId,
    /// Which of their elements are meant, where not all.
    pub(crate) shown: Option<Views>,
    /// Elements must be in `least..bound`.
    pub(crate) least: i32,
    pub(crate) bound: usize,
    /// One value that is allowed besides.
    pub(crate) except: Option<i32>,
}
