//! Operations without their operands: what suites iterate, so that no op is left untested.

use crate::op::{
    Arrangement, Assembly, AttentionResult, BinaryFunction, CompareFunction, CumulativeFunction, Elementwise, Half,
    Indexing, Leaf, MatrixFunction, Op, Ordered, ReduceFunction, ScatterFunction, UnaryFunction,
};

/// An operation without its operands.
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
    RoundTo(Half),
    StopGradient,
    CustomGradient,
    Reshape,
    Permute,
    Broadcast,
    Slice,
    Flip,
    Windows,
    Pad,
    Concat,
    Reduce(ReduceFunction),
    ArgMax,
    MatMul,
    Attention(AttentionResult),
    Convolution,
    Gather,
    ScatterAdd,
    Scan,
    LinearAlgebra(MatrixFunction),
    Cumulative(CumulativeFunction),
    Recurrence,
    ArgSort,
    SearchSorted,
    ScatterReduce(ScatterFunction),
    AllReduce,
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
            .chain([OpKind::Where, OpKind::Cast])
            .chain(Half::ALL.map(OpKind::RoundTo))
            .chain([OpKind::StopGradient, OpKind::CustomGradient])
            .chain([OpKind::Reshape, OpKind::Permute])
            .chain([OpKind::Broadcast, OpKind::Slice, OpKind::Flip, OpKind::Windows, OpKind::Pad, OpKind::Concat])
            .chain(ReduceFunction::ALL.map(OpKind::Reduce))
            .chain([OpKind::ArgMax, OpKind::MatMul, OpKind::Convolution, OpKind::Gather, OpKind::ScatterAdd])
            .chain([OpKind::Scan])
            .chain(AttentionResult::ALL.map(OpKind::Attention))
            .chain(MatrixFunction::ALL.map(OpKind::LinearAlgebra))
            .chain(CumulativeFunction::ALL.map(OpKind::Cumulative))
            .chain([OpKind::Recurrence, OpKind::ArgSort, OpKind::SearchSorted])
            .chain(ScatterFunction::ALL.map(OpKind::ScatterReduce))
            .chain([OpKind::AllReduce])
    }

    /// Whether it has no operands: it is given, known, or each element's own coordinate.
    pub fn is_leaf(self) -> bool {
        matches!(
            self,
            OpKind::Input | OpKind::Parameter | OpKind::Constant | OpKind::Literal | OpKind::Iota | OpKind::Placeholder
        )
    }

    /// Whether it shows elements of its operand in another arrangement.
    pub fn is_view(self) -> bool {
        matches!(
            self,
            OpKind::Reshape | OpKind::Permute | OpKind::Broadcast | OpKind::Slice | OpKind::Flip | OpKind::Windows
        )
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
            OpKind::RoundTo(half) => half.op_name(),
            OpKind::StopGradient => "stop_gradient",
            OpKind::CustomGradient => "custom_gradient",
            OpKind::Reshape => "reshape",
            OpKind::Permute => "permute",
            OpKind::Broadcast => "broadcast",
            OpKind::Slice => "slice",
            OpKind::Flip => "flip",
            OpKind::Windows => "windows",
            OpKind::Pad => "pad",
            OpKind::Concat => "concat",
            OpKind::Reduce(function) => function.name(),
            OpKind::ArgMax => "argmax",
            OpKind::MatMul => "matmul",
            OpKind::Attention(result) => result.name(),
            OpKind::Convolution => "convolution",
            OpKind::Gather => "gather",
            OpKind::ScatterAdd => "scatter_add",
            OpKind::Scan => "scan",
            OpKind::LinearAlgebra(function) => function.name(),
            OpKind::Cumulative(function) => function.name(),
            OpKind::Recurrence => "linear_recurrence",
            OpKind::ArgSort => "argsort",
            OpKind::SearchSorted => "searchsorted",
            OpKind::ScatterReduce(function) => function.name(),
            OpKind::AllReduce => "all_reduce",
        }
    }
}

impl Op {
    /// What kind of operation this is.
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Leaf(leaf) => match leaf {
                Leaf::Input { .. } => OpKind::Input,
                Leaf::Parameter { .. } => OpKind::Parameter,
                Leaf::Constant { .. } => OpKind::Constant,
                Leaf::Literal { .. } => OpKind::Literal,
                Leaf::Iota { .. } => OpKind::Iota,
                Leaf::Placeholder => OpKind::Placeholder,
            },
            Op::Uniform { .. } => OpKind::Uniform,
            Op::Elementwise(elementwise) => elementwise.kind(),
            Op::StopGradient { .. } => OpKind::StopGradient,
            Op::AllReduce { .. } => OpKind::AllReduce,
            Op::CustomGradient { .. } => OpKind::CustomGradient,
            Op::View { arrangement, .. } => match arrangement {
                Arrangement::Reshape => OpKind::Reshape,
                Arrangement::Permute { .. } => OpKind::Permute,
                Arrangement::Broadcast => OpKind::Broadcast,
                Arrangement::Slice { .. } => OpKind::Slice,
                Arrangement::Flip { .. } => OpKind::Flip,
                Arrangement::Windows(_) => OpKind::Windows,
            },
            Op::Assembly(Assembly::Pad { .. }) => OpKind::Pad,
            Op::Assembly(Assembly::Concat { .. }) => OpKind::Concat,
            Op::Reduce { function, .. } => OpKind::Reduce(*function),
            Op::ArgMax { .. } => OpKind::ArgMax,
            Op::MatMul { .. } => OpKind::MatMul,
            Op::Attention(attention) => OpKind::Attention(attention.result),
            Op::Convolution { .. } => OpKind::Convolution,
            Op::Indexing(Indexing::Gather { .. }) => OpKind::Gather,
            Op::Indexing(Indexing::ScatterAdd { .. }) => OpKind::ScatterAdd,
            Op::Scan { .. } => OpKind::Scan,
            Op::LinearAlgebra { function, .. } => OpKind::LinearAlgebra(*function),
            Op::Ordered(Ordered::Cumulative { function, .. }) => OpKind::Cumulative(*function),
            Op::Ordered(Ordered::Recurrence { .. }) => OpKind::Recurrence,
            Op::Ordered(Ordered::ArgSort { .. }) => OpKind::ArgSort,
            Op::Ordered(Ordered::SearchSorted { .. }) => OpKind::SearchSorted,
            Op::Indexing(Indexing::ScatterReduce { function, .. }) => OpKind::ScatterReduce(*function),
        }
    }

    /// The stem used in printed graphs.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

impl<V> Elementwise<V> {
    /// What kind of operation this is.
    pub fn kind(&self) -> OpKind {
        match self {
            Elementwise::Unary { function, .. } => OpKind::Unary(*function),
            Elementwise::Binary { function, .. } => OpKind::Binary(*function),
            Elementwise::Compare { function, .. } => OpKind::Compare(*function),
            Elementwise::Where { .. } => OpKind::Where,
            Elementwise::Cast { .. } => OpKind::Cast,
            Elementwise::RoundTo { half, .. } => OpKind::RoundTo(*half),
        }
    }
}
