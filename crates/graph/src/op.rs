//! The closed set of primitive operations, by family. What each means, and its derivative, stands in [`crate::ops`].
//!
//! A family is what most readers of a graph tell apart: a pass that does not care which elementwise function it meets has one arm for
//! all of them, and a new function or view is no matter of it.

mod attention;
mod convolution;
mod division;
mod elementwise;
mod functions;
mod half;
mod kind;
mod matrix_function;
mod ordered;
mod special;

use std::sync::Arc;

use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::body::{Body, ScanResult};
use crate::dtype::DType;
use crate::elements::Elements;
use crate::node::NodeId;
use crate::shape::AxisSet;

pub use attention::{AttentionBackward, AttentionNode, AttentionResult};
pub use convolution::ConvolutionAxis;
pub use elementwise::Elementwise;
pub use functions::{
    BinaryFunction, BinaryRow, CompareFunction, CompareRow, Effort, Exchange, UnaryFunction, UnaryRow,
};
pub use half::Half;
pub use kind::OpKind;
pub use matrix_function::MatrixFunction;
pub use ordered::{CumulativeFunction, Ordered};

pub(crate) use functions::{FLOATS, NUMBERS};

/// A list of extents or axes, one an axis. It is one pointer wide, since what an op holds of its own makes every other op larger.
pub type Extents = ThinVec<usize>;

/// A primitive operation, its operands as named fields. Result shapes and dtypes stand in the [`crate::Node`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are operands and attributes under the names that `crate::ops` explains.
pub enum Op {
    /// What has no operands.
    Leaf(Leaf),
    /// f32 in [0, 1): Threefry-2x32 of the element's flat index and the i32 scalar `step`, under `seed`.
    Uniform { step: NodeId, seed: u64 },
    /// Each element from the operands' elements at the same place.
    Elementwise(Elementwise<NodeId>),
    /// The identity, through which no gradient flows.
    StopGradient { operand: NodeId },
    /// The sum, element by element, over all processes of a group of what each has for the operand. `number` tells exchanges of a
    /// graph apart: two of one operand are two, since all processes must make the same ones in the same order.
    AllReduce { operand: NodeId, number: u32 },
    /// `value`, differentiated by rules of its own: over the placeholder `upstream`, `gradients[i]` is the gradient with
    /// respect to `operands[i]`. No other derivative flows into `value`.
    CustomGradient { value: NodeId, operands: ThinVec<NodeId>, upstream: NodeId, gradients: ThinVec<NodeId> },
    /// Elements of the operand in another arrangement: nothing is computed, and a plan needs no kernel for it.
    View { operand: NodeId, arrangement: Arrangement },
    /// A result that is put together from regions.
    Assembly(Assembly),
    /// A reduction over `axes`, which keep extent 1.
    Reduce { function: ReduceFunction, operand: NodeId, axes: AxisSet },
    /// i32: the first index of the largest element along `axis`, which keeps extent 1.
    ArgMax { operand: NodeId, axis: usize },
    /// The batched matrix product; a transposed operand is stored with its last two axes exchanged.
    MatMul { lhs: NodeId, rhs: NodeId, transpose_lhs: bool, transpose_rhs: bool },
    /// A result of attention, forward or backward.
    Attention(Box<AttentionNode>),
    /// The convolution of `[n, g, c, spatial..]` with `[g, o, c, kernel..]`, as `axes` say of each spatial axis.
    Convolution { input: NodeId, weight: NodeId, axes: Box<[ConvolutionAxis]> },
    /// What follows indices that are elements of a tensor.
    Indexing(Indexing),
    /// One result of a loop over a sequence: `operands` are the carries' first values, the sequences and what the body captures. All
    /// results of one loop have the same body and operands.
    Scan { body: Arc<Body>, operands: Box<[NodeId]>, result: ScanResult },
    /// A function of whole matrices, the last two axes of the operands; the axes in front are a batch.
    LinearAlgebra { function: MatrixFunction, operands: Box<[NodeId]> },
    /// What depends on the order of the elements along an axis.
    Ordered(Ordered),
}

/// Operations without operands.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Leaf {
    /// A tensor given at each run; `declaration` indexes [`crate::Graph::declarations`].
    Input { declaration: u32 },
    /// A tensor that stays on the device between runs: a trained parameter, or state such as an optimiser's moments.
    Parameter { declaration: u32 },
    /// Every element has the same value, exact in the node's dtype.
    Constant { value: f64 },
    /// Elements that stand in the graph.
    Literal { data: Arc<Elements> },
    /// i32: each element is its own coordinate along `axis`.
    Iota { axis: usize },
    /// Stands for a tensor that a transform puts in its place; it cannot be computed.
    Placeholder,
}

/// How a view arranges the elements of its operand under the node's shape.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Arrangement {
    /// The same elements in row-major order.
    Reshape,
    /// Result axis `i` is operand axis `axes[i]`.
    Permute { axes: Extents },
    /// Repeated along the axes where the operand has extent 1 or that it lacks.
    Broadcast,
    /// Elements `starts[i] + j * steps[i]` of each axis `i`, for `j` below the node's extent.
    Slice { starts: Extents, steps: Extents },
    /// From the end to the beginning along `axes`.
    Flip { axes: AxisSet },
    /// Windows that slide along axes. They may share elements, and may leave some out.
    Windows(Box<Windows>),
}

/// Windows that slide along axes, a number for each of these: axis `axes[i]` has as many elements as there are windows of `extents[i]`
/// elements, `dilations[i]` apart, of which each begins `steps[i]` after the one before; the elements within windows are along further
/// axes at the end, in the order of `axes`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Windows {
    pub axes: Extents,
    pub extents: Extents,
    pub steps: Extents,
    pub dilations: Extents,
}

/// Results that are put together from regions.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Assembly {
    /// The operand with `interiors[i]` elements of `value` between neighbours and `lows[i]` before the first.
    Pad { operand: NodeId, lows: Extents, interiors: Extents, value: f64 },
    /// The operands one after the other along `axis`.
    Concat { operands: Box<[NodeId]>, axis: usize },
}

/// Operations that follow indices.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Indexing {
    /// `result[.., j, ..] = operand[.., indices[.., j, ..], ..]` along `axis`.
    Gather { operand: NodeId, indices: NodeId, axis: usize },
    /// `operand` with `updates[.., j, ..]` added at `[.., indices[.., j, ..], ..]` along `axis`.
    ScatterAdd { operand: NodeId, indices: NodeId, updates: NodeId, axis: usize },
    /// `operand` with the element at `[.., indices[.., j, ..], ..]` along `axis` combined with `updates[.., j, ..]`, in ascending order of `j`.
    ScatterReduce { function: ScatterFunction, operand: NodeId, indices: NodeId, updates: NodeId, axis: usize },
}

/// By what a scatter combines an update with what stands at its place. Sums are [`Indexing::ScatterAdd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ScatterFunction {
    Mul,
    Max,
    Min,
    /// The update stands in the place of the element: of several the last.
    Replace,
}

impl ScatterFunction {
    /// Every function, in the order of declaration.
    pub const ALL: [ScatterFunction; 4] =
        [ScatterFunction::Mul, ScatterFunction::Max, ScatterFunction::Min, ScatterFunction::Replace];

    /// The stem used in printed graphs, plans and tests.
    pub fn name(self) -> &'static str {
        match self {
            ScatterFunction::Mul => "scatter_mul",
            ScatterFunction::Max => "scatter_max",
            ScatterFunction::Min => "scatter_min",
            ScatterFunction::Replace => "scatter_replace",
        }
    }

    /// The function of two elements that it repeats; none if an update replaces what was there.
    pub fn combination(self) -> Option<BinaryFunction> {
        match self {
            ScatterFunction::Mul => Some(BinaryFunction::Mul),
            ScatterFunction::Max => Some(BinaryFunction::Maximum),
            ScatterFunction::Min => Some(BinaryFunction::Minimum),
            ScatterFunction::Replace => None,
        }
    }

    /// Whether elements of a dtype can be scattered by it.
    pub fn takes(self, dtype: DType) -> bool {
        match self {
            ScatterFunction::Mul | ScatterFunction::Max | ScatterFunction::Min => dtype != DType::Bool,
            ScatterFunction::Replace => true,
        }
    }
}

/// Reductions. Over no elements `Sum` is 0 and `Product` 1; `Max` and `Min` refuse an empty axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ReduceFunction {
    Sum,
    Max,
    Min,
    Product,
}

impl ReduceFunction {
    /// Every reduction, in the order of declaration.
    pub const ALL: [ReduceFunction; 4] =
        [ReduceFunction::Sum, ReduceFunction::Max, ReduceFunction::Min, ReduceFunction::Product];

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            ReduceFunction::Sum => "sum",
            ReduceFunction::Max => "max",
            ReduceFunction::Min => "min",
            ReduceFunction::Product => "prod",
        }
    }

    /// The function of two elements that it repeats.
    pub fn combination(self) -> BinaryFunction {
        match self {
            ReduceFunction::Sum => BinaryFunction::Add,
            ReduceFunction::Max => BinaryFunction::Maximum,
            ReduceFunction::Min => BinaryFunction::Minimum,
            ReduceFunction::Product => BinaryFunction::Mul,
        }
    }
}

impl Op {
    /// Every element has that value, exact in the node's dtype.
    pub fn constant(value: f64) -> Op {
        Op::Leaf(Leaf::Constant { value })
    }

    /// Whether it is a view, a constant or coordinates: nothing is computed for it, it is read where it is used.
    pub(crate) fn costs_nothing(&self) -> bool {
        matches!(self, Op::View { .. } | Op::Leaf(Leaf::Constant { .. } | Leaf::Iota { .. }))
    }

    /// A function of one element.
    pub fn unary(function: UnaryFunction, operand: NodeId) -> Op {
        Op::Elementwise(Elementwise::Unary { function, operand })
    }

    /// A function of two elements.
    pub fn binary(function: BinaryFunction, lhs: NodeId, rhs: NodeId) -> Op {
        Op::Elementwise(Elementwise::Binary { function, lhs, rhs })
    }

    /// A comparison of two elements.
    pub fn compare(function: CompareFunction, lhs: NodeId, rhs: NodeId) -> Op {
        Op::Elementwise(Elementwise::Compare { function, lhs, rhs })
    }

    /// Calls `visit` with each operand, in the order of the fields.
    pub fn for_each_operand(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Op::Leaf(_) => {}
            Op::Uniform { step, .. } => visit(*step),
            Op::Elementwise(elementwise) => elementwise.for_each_operand(visit),
            Op::StopGradient { operand }
            | Op::AllReduce { operand, .. }
            | Op::View { operand, .. }
            | Op::Reduce { operand, .. }
            | Op::ArgMax { operand, .. }
            | Op::Assembly(Assembly::Pad { operand, .. }) => visit(*operand),
            Op::CustomGradient { value, operands, upstream, gradients } => {
                visit(*value);
                operands.iter().copied().for_each(&mut visit);
                visit(*upstream);
                gradients.iter().copied().for_each(visit);
            }
            Op::Assembly(Assembly::Concat { operands, .. })
            | Op::Scan { operands, .. }
            | Op::LinearAlgebra { operands, .. } => {
                operands.iter().copied().for_each(visit);
            }
            Op::MatMul { lhs, rhs, .. } => {
                visit(*lhs);
                visit(*rhs);
            }
            Op::Attention(attention) => attention.for_each_operand(visit),
            Op::Convolution { input, weight, .. } => {
                visit(*input);
                visit(*weight);
            }
            Op::Indexing(Indexing::Gather { operand, indices, .. }) => {
                visit(*operand);
                visit(*indices);
            }
            Op::Indexing(
                Indexing::ScatterAdd { operand, indices, updates, .. }
                | Indexing::ScatterReduce { operand, indices, updates, .. },
            ) => {
                visit(*operand);
                visit(*indices);
                visit(*updates);
            }
            Op::Ordered(ordered) => ordered.operands().into_iter().for_each(visit),
        }
    }

    /// Calls `visit` with each operand into which derivatives flow, if it is a float.
    pub fn for_each_differentiated(&self, visit: impl FnMut(NodeId)) {
        match self {
            Op::StopGradient { .. } => {}
            Op::CustomGradient { operands, .. } => operands.iter().copied().for_each(visit),
            Op::Leaf(_)
            | Op::Uniform { .. }
            | Op::Elementwise(_)
            | Op::AllReduce { .. }
            | Op::View { .. }
            | Op::Assembly(_)
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::MatMul { .. }
            | Op::Attention(_)
            | Op::Convolution { .. }
            | Op::Indexing(_)
            | Op::Ordered(_)
            | Op::LinearAlgebra { .. } => self.for_each_operand(visit),
            Op::Scan { body, operands, result } => {
                body.differentiated(*result).into_iter().map(|place| operands[place as usize]).for_each(visit);
            }
        }
    }

    /// The operands, in the order of the fields.
    pub fn operands(&self) -> SmallVec<[NodeId; 3]> {
        let mut operands = SmallVec::new();
        self.for_each_operand(|operand| operands.push(operand));
        operands
    }

    /// The same operation over other operands: each is replaced by what `map` says.
    pub fn map_operands(&self, mut map: impl FnMut(NodeId) -> NodeId) -> Op {
        let mut op = self.clone();
        match &mut op {
            Op::Leaf(_) => {}
            Op::Uniform { step, .. } => *step = map(*step),
            Op::Elementwise(elementwise) => *elementwise = elementwise.map(map),
            Op::StopGradient { operand }
            | Op::AllReduce { operand, .. }
            | Op::View { operand, .. }
            | Op::Reduce { operand, .. }
            | Op::ArgMax { operand, .. }
            | Op::Assembly(Assembly::Pad { operand, .. }) => *operand = map(*operand),
            Op::CustomGradient { value, operands, upstream, gradients } => {
                *value = map(*value);
                operands.iter_mut().for_each(|operand| *operand = map(*operand));
                *upstream = map(*upstream);
                gradients.iter_mut().for_each(|gradient| *gradient = map(*gradient));
            }
            Op::Assembly(Assembly::Concat { operands, .. })
            | Op::Scan { operands, .. }
            | Op::LinearAlgebra { operands, .. } => {
                operands.iter_mut().for_each(|operand| *operand = map(*operand));
            }
            Op::MatMul { lhs, rhs, .. } => {
                *lhs = map(*lhs);
                *rhs = map(*rhs);
            }
            Op::Attention(attention) => **attention = attention.map_operands(map),
            Op::Convolution { input, weight, .. } => {
                *input = map(*input);
                *weight = map(*weight);
            }
            Op::Indexing(Indexing::Gather { operand, indices, .. }) => {
                *operand = map(*operand);
                *indices = map(*indices);
            }
            Op::Indexing(
                Indexing::ScatterAdd { operand, indices, updates, .. }
                | Indexing::ScatterReduce { operand, indices, updates, .. },
            ) => {
                *operand = map(*operand);
                *indices = map(*indices);
                *updates = map(*updates);
            }
            Op::Ordered(ordered) => *ordered = ordered.map(map),
        }
        op
    }
}

/// A graph of millions of nodes is as large as its ops. What is rare and large stands behind a pointer.
const _: () = assert!(size_of::<Op>() <= 48);
