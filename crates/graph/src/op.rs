//! The closed set of primitive operations. What each means, and its derivative, stands in [`crate::ops`].

use std::sync::Arc;

use smallvec::SmallVec;

use crate::elements::Elements;
use crate::node::NodeId;
use crate::shape::AxisSet;

/// A list of small extents or axes, one an axis.
pub type Extents = SmallVec<[usize; 4]>;

/// A primitive operation, its operands as named fields. Result shapes and dtypes stand in the [`crate::Node`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are operands and attributes under the names that `crate::ops` explains.
pub enum Op {
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
    /// f32 in [0, 1): Threefry-2x32 of the element's flat index and the i32 scalar `step`, under `seed`.
    Uniform { step: NodeId, seed: u64 },
    /// Stands for a tensor that a transform puts in its place; it cannot be computed.
    Placeholder,
    /// A function of one element.
    Unary { function: UnaryFunction, operand: NodeId },
    /// A function of two elements of equal shapes.
    Binary { function: BinaryFunction, lhs: NodeId, rhs: NodeId },
    /// A comparison of two elements of equal shapes; the result is bool.
    Compare { function: CompareFunction, lhs: NodeId, rhs: NodeId },
    /// `on_true` where `condition` holds, else `on_false`.
    Where { condition: NodeId, on_true: NodeId, on_false: NodeId },
    /// The operand's elements in the node's dtype.
    Cast { operand: NodeId },
    /// The identity, through which no gradient flows.
    StopGradient { operand: NodeId },
    /// `value`, differentiated by rules of its own: over the placeholder `upstream`, `gradients[i]` is the gradient with
    /// respect to `operands[i]`. No other derivative flows into `value`.
    CustomGradient { value: NodeId, operands: Box<[NodeId]>, upstream: NodeId, gradients: Box<[NodeId]> },
    /// The same elements in row-major order under the node's shape.
    Reshape { operand: NodeId },
    /// Result axis `i` is operand axis `axes[i]`.
    Permute { operand: NodeId, axes: Extents },
    /// The operand repeated along the axes where it has extent 1 or that it lacks, up to the node's shape.
    Broadcast { operand: NodeId },
    /// Elements `starts[i] + j * steps[i]` of each axis `i`, for `j` below the node's extent.
    Slice { operand: NodeId, starts: Extents, steps: Extents },
    /// The operand with `interiors[i]` elements of `value` between neighbours and `lows[i]` before the first.
    Pad { operand: NodeId, lows: Extents, interiors: Extents, value: f64 },
    /// The operands one after the other along `axis`.
    Concat { operands: Box<[NodeId]>, axis: usize },
    /// A reduction over `axes`, which keep extent 1.
    Reduce { function: ReduceFunction, operand: NodeId, axes: AxisSet },
    /// i32: the first index of the largest element along `axis`, which keeps extent 1.
    ArgMax { operand: NodeId, axis: usize },
    /// The batched matrix product; a transposed operand is stored with its last two axes exchanged.
    MatMul { lhs: NodeId, rhs: NodeId, transpose_lhs: bool, transpose_rhs: bool },
    /// `result[.., j, ..] = operand[.., indices[.., j, ..], ..]` along `axis`.
    Gather { operand: NodeId, indices: NodeId, axis: usize },
    /// `operand` with `updates[.., j, ..]` added at `[.., indices[.., j, ..], ..]` along `axis`.
    ScatterAdd { operand: NodeId, indices: NodeId, updates: NodeId, axis: usize },
}

/// Functions of one element. Formulas, derivatives and edge cases: [`crate::ops::unary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // Each is explained at its rule in `crate::ops::unary`.
pub enum UnaryFunction {
    Neg,
    Abs,
    Sign,
    Floor,
    Ceil,
    Round,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Erf,
    Relu,
    Not,
}

/// Functions of two elements. Formulas, derivatives and edge cases: [`crate::ops::binary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // Each is explained at its rule in `crate::ops::binary`.
pub enum BinaryFunction {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Maximum,
    Minimum,
    ReluBackward,
    And,
    Or,
}

/// Comparisons of two elements. A comparison with NaN is false, except `NotEqual`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum CompareFunction {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

/// Reductions. Over no elements `Sum` is 0; `Max` and `Min` refuse an empty axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ReduceFunction {
    Sum,
    Max,
    Min,
}

impl UnaryFunction {
    /// Every function, in the order of declaration.
    pub const ALL: [UnaryFunction; 18] = {
        use UnaryFunction::*;
        [Neg, Abs, Sign, Floor, Ceil, Round, Exp, Expm1, Log, Log1p, Sqrt, Sin, Cos, Tanh, Sigmoid, Erf, Relu, Not]
    };

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            UnaryFunction::Neg => "neg",
            UnaryFunction::Abs => "abs",
            UnaryFunction::Sign => "sign",
            UnaryFunction::Floor => "floor",
            UnaryFunction::Ceil => "ceil",
            UnaryFunction::Round => "round",
            UnaryFunction::Exp => "exp",
            UnaryFunction::Expm1 => "expm1",
            UnaryFunction::Log => "log",
            UnaryFunction::Log1p => "log1p",
            UnaryFunction::Sqrt => "sqrt",
            UnaryFunction::Sin => "sin",
            UnaryFunction::Cos => "cos",
            UnaryFunction::Tanh => "tanh",
            UnaryFunction::Sigmoid => "sigmoid",
            UnaryFunction::Erf => "erf",
            UnaryFunction::Relu => "relu",
            UnaryFunction::Not => "not",
        }
    }
}

impl BinaryFunction {
    /// Every function, in the order of declaration.
    pub const ALL: [BinaryFunction; 10] = {
        use BinaryFunction::*;
        [Add, Sub, Mul, Div, Pow, Maximum, Minimum, ReluBackward, And, Or]
    };

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            BinaryFunction::Add => "add",
            BinaryFunction::Sub => "sub",
            BinaryFunction::Mul => "mul",
            BinaryFunction::Div => "div",
            BinaryFunction::Pow => "pow",
            BinaryFunction::Maximum => "maximum",
            BinaryFunction::Minimum => "minimum",
            BinaryFunction::ReluBackward => "relu_backward",
            BinaryFunction::And => "and",
            BinaryFunction::Or => "or",
        }
    }

    /// Whether exchanging the operands leaves the result the same.
    pub fn is_commutative(self) -> bool {
        match self {
            BinaryFunction::Add
            | BinaryFunction::Mul
            | BinaryFunction::Maximum
            | BinaryFunction::Minimum
            | BinaryFunction::And
            | BinaryFunction::Or => true,
            BinaryFunction::Sub | BinaryFunction::Div | BinaryFunction::Pow | BinaryFunction::ReluBackward => false,
        }
    }
}

impl CompareFunction {
    /// Every comparison, in the order of declaration.
    pub const ALL: [CompareFunction; 6] = {
        use CompareFunction::*;
        [Less, LessEqual, Greater, GreaterEqual, Equal, NotEqual]
    };

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            CompareFunction::Less => "less",
            CompareFunction::LessEqual => "less_equal",
            CompareFunction::Greater => "greater",
            CompareFunction::GreaterEqual => "greater_equal",
            CompareFunction::Equal => "equal",
            CompareFunction::NotEqual => "not_equal",
        }
    }

    /// What the comparison says of two values.
    pub fn holds<T: PartialOrd>(self, lhs: T, rhs: T) -> bool {
        match self {
            CompareFunction::Less => lhs < rhs,
            CompareFunction::LessEqual => lhs <= rhs,
            CompareFunction::Greater => lhs > rhs,
            CompareFunction::GreaterEqual => lhs >= rhs,
            CompareFunction::Equal => lhs == rhs,
            CompareFunction::NotEqual => lhs != rhs,
        }
    }
}

impl ReduceFunction {
    /// Every reduction, in the order of declaration.
    pub const ALL: [ReduceFunction; 3] = [ReduceFunction::Sum, ReduceFunction::Max, ReduceFunction::Min];

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            ReduceFunction::Sum => "sum",
            ReduceFunction::Max => "max",
            ReduceFunction::Min => "min",
        }
    }
}

/// An operation without its operands: what suites iterate, so that no op is left untested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum OpKind {
    Input,
    Parameter,
    Constant,
    Literal,
    Iota,
    Uniform,
    Placeholder,
    Unary(UnaryFunction),
    Binary(BinaryFunction),
    Compare(CompareFunction),
    Where,
    Cast,
    StopGradient,
    CustomGradient,
    Reshape,
    Permute,
    Broadcast,
    Slice,
    Pad,
    Concat,
    Reduce(ReduceFunction),
    ArgMax,
    MatMul,
    Gather,
    ScatterAdd,
}

impl OpKind {
    /// Every kind, functions of the elementwise families and reductions each on their own.
    pub fn all() -> impl Iterator<Item = OpKind> {
        [OpKind::Input, OpKind::Parameter, OpKind::Constant, OpKind::Literal, OpKind::Iota, OpKind::Uniform]
            .into_iter()
            .chain([OpKind::Placeholder])
            .chain(UnaryFunction::ALL.map(OpKind::Unary))
            .chain(BinaryFunction::ALL.map(OpKind::Binary))
            .chain(CompareFunction::ALL.map(OpKind::Compare))
            .chain([OpKind::Where, OpKind::Cast, OpKind::StopGradient, OpKind::CustomGradient])
            .chain([OpKind::Reshape, OpKind::Permute])
            .chain([OpKind::Broadcast, OpKind::Slice, OpKind::Pad, OpKind::Concat])
            .chain(ReduceFunction::ALL.map(OpKind::Reduce))
            .chain([OpKind::ArgMax, OpKind::MatMul, OpKind::Gather, OpKind::ScatterAdd])
    }

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            OpKind::Input => "input",
            OpKind::Parameter => "parameter",
            OpKind::Constant => "constant",
            OpKind::Literal => "literal",
            OpKind::Iota => "iota",
            OpKind::Uniform => "uniform",
            OpKind::Placeholder => "placeholder",
            OpKind::Unary(function) => function.name(),
            OpKind::Binary(function) => function.name(),
            OpKind::Compare(function) => function.name(),
            OpKind::Where => "where",
            OpKind::Cast => "cast",
            OpKind::StopGradient => "stop_gradient",
            OpKind::CustomGradient => "custom_gradient",
            OpKind::Reshape => "reshape",
            OpKind::Permute => "permute",
            OpKind::Broadcast => "broadcast",
            OpKind::Slice => "slice",
            OpKind::Pad => "pad",
            OpKind::Concat => "concat",
            OpKind::Reduce(function) => function.name(),
            OpKind::ArgMax => "argmax",
            OpKind::MatMul => "matmul",
            OpKind::Gather => "gather",
            OpKind::ScatterAdd => "scatter_add",
        }
    }
}

impl Op {
    /// What kind of operation this is.
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Input { .. } => OpKind::Input,
            Op::Parameter { .. } => OpKind::Parameter,
            Op::Constant { .. } => OpKind::Constant,
            Op::Literal { .. } => OpKind::Literal,
            Op::Iota { .. } => OpKind::Iota,
            Op::Uniform { .. } => OpKind::Uniform,
            Op::Placeholder => OpKind::Placeholder,
            Op::Unary { function, .. } => OpKind::Unary(*function),
            Op::Binary { function, .. } => OpKind::Binary(*function),
            Op::Compare { function, .. } => OpKind::Compare(*function),
            Op::Where { .. } => OpKind::Where,
            Op::Cast { .. } => OpKind::Cast,
            Op::StopGradient { .. } => OpKind::StopGradient,
            Op::CustomGradient { .. } => OpKind::CustomGradient,
            Op::Reshape { .. } => OpKind::Reshape,
            Op::Permute { .. } => OpKind::Permute,
            Op::Broadcast { .. } => OpKind::Broadcast,
            Op::Slice { .. } => OpKind::Slice,
            Op::Pad { .. } => OpKind::Pad,
            Op::Concat { .. } => OpKind::Concat,
            Op::Reduce { function, .. } => OpKind::Reduce(*function),
            Op::ArgMax { .. } => OpKind::ArgMax,
            Op::MatMul { .. } => OpKind::MatMul,
            Op::Gather { .. } => OpKind::Gather,
            Op::ScatterAdd { .. } => OpKind::ScatterAdd,
        }
    }

    /// The stem used in printed graphs.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Calls `visit` with each operand, in the order of the fields.
    pub fn for_each_operand(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Op::Input { .. }
            | Op::Parameter { .. }
            | Op::Constant { .. }
            | Op::Literal { .. }
            | Op::Iota { .. }
            | Op::Placeholder => {}
            Op::Uniform { step, .. } => visit(*step),
            Op::Unary { operand, .. }
            | Op::Cast { operand }
            | Op::StopGradient { operand }
            | Op::Reshape { operand }
            | Op::Permute { operand, .. }
            | Op::Broadcast { operand }
            | Op::Slice { operand, .. }
            | Op::Pad { operand, .. }
            | Op::Reduce { operand, .. }
            | Op::ArgMax { operand, .. } => visit(*operand),
            Op::Binary { lhs, rhs, .. } | Op::Compare { lhs, rhs, .. } | Op::MatMul { lhs, rhs, .. } => {
                visit(*lhs);
                visit(*rhs);
            }
            Op::Where { condition, on_true, on_false } => {
                visit(*condition);
                visit(*on_true);
                visit(*on_false);
            }
            Op::CustomGradient { value, operands, upstream, gradients } => {
                visit(*value);
                operands.iter().copied().for_each(&mut visit);
                visit(*upstream);
                gradients.iter().copied().for_each(visit);
            }
            Op::Concat { operands, .. } => operands.iter().copied().for_each(visit),
            Op::Gather { operand, indices, .. } => {
                visit(*operand);
                visit(*indices);
            }
            Op::ScatterAdd { operand, indices, updates, .. } => {
                visit(*operand);
                visit(*indices);
                visit(*updates);
            }
        }
    }

    /// Calls `visit` with each operand into which derivatives flow, if it is a float.
    pub fn for_each_differentiated(&self, visit: impl FnMut(NodeId)) {
        match self {
            Op::StopGradient { .. } => {}
            Op::CustomGradient { operands, .. } => operands.iter().copied().for_each(visit),
            Op::Input { .. }
            | Op::Parameter { .. }
            | Op::Constant { .. }
            | Op::Literal { .. }
            | Op::Iota { .. }
            | Op::Uniform { .. }
            | Op::Placeholder
            | Op::Unary { .. }
            | Op::Binary { .. }
            | Op::Compare { .. }
            | Op::Where { .. }
            | Op::Cast { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::MatMul { .. }
            | Op::Gather { .. }
            | Op::ScatterAdd { .. } => self.for_each_operand(visit),
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
            Op::Input { .. }
            | Op::Parameter { .. }
            | Op::Constant { .. }
            | Op::Literal { .. }
            | Op::Iota { .. }
            | Op::Placeholder => {}
            Op::Uniform { step, .. } => *step = map(*step),
            Op::Unary { operand, .. }
            | Op::Cast { operand }
            | Op::StopGradient { operand }
            | Op::Reshape { operand }
            | Op::Permute { operand, .. }
            | Op::Broadcast { operand }
            | Op::Slice { operand, .. }
            | Op::Pad { operand, .. }
            | Op::Reduce { operand, .. }
            | Op::ArgMax { operand, .. } => *operand = map(*operand),
            Op::Binary { lhs, rhs, .. } | Op::Compare { lhs, rhs, .. } | Op::MatMul { lhs, rhs, .. } => {
                *lhs = map(*lhs);
                *rhs = map(*rhs);
            }
            Op::Where { condition, on_true, on_false } => {
                *condition = map(*condition);
                *on_true = map(*on_true);
                *on_false = map(*on_false);
            }
            Op::CustomGradient { value, operands, upstream, gradients } => {
                *value = map(*value);
                operands.iter_mut().for_each(|operand| *operand = map(*operand));
                *upstream = map(*upstream);
                gradients.iter_mut().for_each(|gradient| *gradient = map(*gradient));
            }
            Op::Concat { operands, .. } => operands.iter_mut().for_each(|operand| *operand = map(*operand)),
            Op::Gather { operand, indices, .. } => {
                *operand = map(*operand);
                *indices = map(*indices);
            }
            Op::ScatterAdd { operand, indices, updates, .. } => {
                *operand = map(*operand);
                *indices = map(*indices);
                *updates = map(*updates);
            }
        }
        op
    }
}
