//! What mixed precision asks of single nodes: which operands are those of products, what a node shows, and what may wait in 16 bits or is
//! computed again.
//!
//! A rule knows a node and what it reads. Where the backward pass begins, what leads to a product and what has been rounded is not known here.

use crate::arena::Arena;
use crate::dtype::DType;
use crate::node::{Node, NodeId};
use crate::op::{
    Arrangement, Assembly, AttentionResult, BinaryFunction, Effort, Elementwise, Indexing, Op, OpKind, ScatterFunction,
    UnaryFunction,
};

/// Whether a node multiplies matrices, or a loop's body does by operations that are not left as they are.
pub(super) fn has_products(op: &Op, keeps_f32_in_loops: &dyn Fn(OpKind) -> bool) -> bool {
    match op {
        Op::MatMul { .. } | Op::Convolution { .. } | Op::Attention(_) => true,
        Op::Scan { body, .. } => {
            body.ops().any(|op| !keeps_f32_in_loops(op.kind()) && has_products(op, keeps_f32_in_loops))
        }
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::Elementwise(_)
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. }
        | Op::View { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::AllReduce { .. }
        | Op::Indexing(_)
        | Op::LinearAlgebra { .. }
        | Op::Ordered(_) => false,
    }
}

/// Whether the operand at a position of a product is rounded: not what attention adds to scores, nor its numbers a row. What a loop reads is
/// rounded in its body.
pub(super) fn is_rounded_operand(op: &Op, position: usize) -> bool {
    match op {
        Op::MatMul { .. } | Op::Convolution { .. } => true,
        Op::Attention(attention) => position < 3 || position == 3 + usize::from(attention.mask.is_some()),
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::Elementwise(_)
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. }
        | Op::View { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::AllReduce { .. }
        | Op::Indexing(_)
        | Op::Scan { .. }
        | Op::LinearAlgebra { .. }
        | Op::Ordered(_) => false,
    }
}

/// Whether a node shows another's elements.
pub(super) fn is_seen_through(op: &Op) -> bool {
    matches!(op, Op::View { .. } | Op::StopGradient { .. } | Op::CustomGradient { .. })
}

/// What a node shows the elements of: itself, if that is none of the three.
pub(super) fn base(arena: &Arena, mut id: NodeId) -> NodeId {
    while let Op::View { operand: shown, .. }
    | Op::StopGradient { operand: shown }
    | Op::CustomGradient { value: shown, .. } = &arena.nodes[id.key].op
    {
        id = *shown;
    }
    id
}

/// What a node shows the elements of; none if it repeats them.
pub(super) fn seen(arena: &Arena, mut id: NodeId) -> Option<NodeId> {
    loop {
        id = match &arena.nodes[id.key].op {
            Op::View { arrangement: Arrangement::Broadcast, .. } => return None,
            Op::View { operand: shown, .. }
            | Op::StopGradient { operand: shown }
            | Op::CustomGradient { value: shown, .. } => *shown,
            Op::Leaf(_)
            | Op::Uniform { .. }
            | Op::Elementwise(_)
            | Op::Assembly(_)
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::AllReduce { .. }
            | Op::MatMul { .. }
            | Op::Attention(_)
            | Op::Convolution { .. }
            | Op::Indexing(_)
            | Op::Scan { .. }
            | Op::LinearAlgebra { .. }
            | Op::Ordered(_) => return Some(id),
        };
    }
}

/// Whether a value of the forward pass may wait in 16 bits.
pub(super) fn may_wait_rounded(arena: &Arena, node: &Node) -> bool {
    if node.dtype != DType::F32 || node.shape.elements() <= 1 {
        return false;
    }
    match &node.op {
        Op::Elementwise(elementwise) => match elementwise {
            Elementwise::Unary { function, .. } => !is_steep(*function),
            Elementwise::Binary { function, .. } => *function != BinaryFunction::Pow,
            Elementwise::Where { .. } | Elementwise::RoundTo { .. } => true,
            // Indices and counts are more than 16 bits hold.
            Elementwise::Cast { operand } => arena.nodes[operand.key].dtype.is_float(),
            Elementwise::Compare { .. } => false,
        },
        Op::MatMul { .. } | Op::Convolution { .. } => true,
        Op::Attention(attention) => attention.result != AttentionResult::SoftmaxStatistics,
        Op::Assembly(Assembly::Pad { .. } | Assembly::Concat { .. }) => true,
        Op::Indexing(Indexing::Gather { .. } | Indexing::ScatterReduce { function: ScatterFunction::Replace, .. }) => {
            true
        }
        // Sums, and what decides which element is meant.
        Op::Reduce { .. }
        | Op::Indexing(
            Indexing::ScatterAdd { .. }
            | Indexing::ScatterReduce {
                function: ScatterFunction::Mul | ScatterFunction::Max | ScatterFunction::Min,
                ..
            },
        )
        | Op::Ordered(_)
        | Op::Scan { .. }
        | Op::LinearAlgebra { .. } => false,
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::ArgMax { .. }
        | Op::AllReduce { .. }
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. }
        | Op::View { .. } => false,
    }
}

/// Whether a function leaves the range of 16 bits soon, or turns small differences into large ones.
fn is_steep(function: UnaryFunction) -> bool {
    use UnaryFunction::*;
    match function {
        Exp | Expm1 | Exp2 | Log | Log1p | Log2 | Log10 | Sinh | Cosh | Erfcx | Erfinv | Atanh | Lgamma | Digamma
        | Trigamma => true,
        Neg | Abs | Sign | Floor | Ceil | Round | Trunc | Sqrt | Sin | Cos | Tanh | Sigmoid | Erf | Erfc | Relu
        | Not | Atan | Asin | Acos | Asinh | Acosh | BitwiseNot => false,
    }
}

/// Whether to compute a value again costs less than to store it.
pub(super) fn is_cheap(op: &Op) -> bool {
    let is_little = |effort: Effort| matches!(effort, Effort::Simple | Effort::Division);
    match op {
        Op::Elementwise(elementwise) => match elementwise {
            Elementwise::Unary { function, .. } => is_little(function.row().effort),
            Elementwise::Binary { function, .. } => is_little(function.row().effort),
            Elementwise::Where { .. } | Elementwise::Cast { .. } | Elementwise::RoundTo { .. } => true,
            Elementwise::Compare { .. } => false,
        },
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. }
        | Op::View { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::AllReduce { .. }
        | Op::MatMul { .. }
        | Op::Attention(_)
        | Op::Convolution { .. }
        | Op::Indexing(_)
        | Op::Scan { .. }
        | Op::LinearAlgebra { .. }
        | Op::Ordered(_) => false,
    }
}
