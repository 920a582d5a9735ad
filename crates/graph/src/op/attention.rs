//! What a node of attention computes: one of the results of one computation, which a plan computes together.

use crate::node::NodeId;

/// A result of attention over one set of operands. Nodes that differ in `result` alone are results of one computation, of which a plan
/// makes one step.
///
/// All operands have one rank, at least 3: `query` is `[.., heads, positions, depth]`, `key` `[.., groups, keys, depth]`, `value`
/// `[.., groups, keys, width]` with `heads` a multiple of `groups`, and `mask` `[.., heads, positions, keys]`, of which any axis may be 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // `crate::ops::attention` explains the operands.
pub struct AttentionNode {
    pub query: NodeId,
    pub key: NodeId,
    pub value: NodeId,
    /// Bool: true where a key is attended. A float: what is added to the scores.
    pub mask: Option<NodeId>,
    /// Whether a position attends no key with a larger number than its own.
    pub is_causal: bool,
    /// What the products of queries and keys are multiplied by.
    pub scale: f64,
    /// What gradients are computed from; none for the results of the forward pass.
    pub backward: Option<AttentionBackward>,
    pub result: AttentionResult,
}

/// The further operands of a gradient of attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionBackward {
    /// The gradient of the output, of its shape.
    pub upstream: NodeId,
    /// [`AttentionResult::SoftmaxStatistics`], `[.., heads, positions, 2]`.
    pub statistics: NodeId,
    /// The sum of upstream gradient times output of each row, `[.., heads, positions]`.
    pub weighted: NodeId,
}

/// The results of attention: two of the forward pass, and three of the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum AttentionResult {
    Output,
    /// `[.., heads, positions, 2]`: the largest score of each row, and the logarithm of the sum of exponentials of the scores less that
    /// largest; 0 and 0 of a row that attends nothing. A probability is `e^((score - largest) - logarithm)`, in that order, for a logarithm
    /// that is added to a largest score in the hundreds loses its digits.
    ///
    /// Whatever reads the two numbers reads no more than their sum, the logarithm of the sum of exponentials. How that is divided between them is
    /// then no matter, so derivatives hold the largest score constant: the tangent of the first number is 0, and its upstream gradient
    /// goes nowhere. For a reader of one number alone, or of both in another way, that would be wrong.
    SoftmaxStatistics,
    QueryGradient,
    KeyGradient,
    ValueGradient,
}

impl AttentionResult {
    /// Every result, in the order of declaration.
    pub const ALL: [AttentionResult; 5] = [
        AttentionResult::Output,
        AttentionResult::SoftmaxStatistics,
        AttentionResult::QueryGradient,
        AttentionResult::KeyGradient,
        AttentionResult::ValueGradient,
    ];

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            AttentionResult::Output => "attention",
            AttentionResult::SoftmaxStatistics => "attention_softmax_statistics",
            AttentionResult::QueryGradient => "attention_query_gradient",
            AttentionResult::KeyGradient => "attention_key_gradient",
            AttentionResult::ValueGradient => "attention_value_gradient",
        }
    }

    /// Whether it is a gradient.
    pub fn is_gradient(self) -> bool {
        match self {
            AttentionResult::Output | AttentionResult::SoftmaxStatistics => false,
            AttentionResult::QueryGradient | AttentionResult::KeyGradient | AttentionResult::ValueGradient => true,
        }
    }
}

impl AttentionNode {
    /// Calls `visit` with each operand, in the order of the fields.
    pub(super) fn for_each_operand(&self, mut visit: impl FnMut(NodeId)) {
        let AttentionNode { query, key, value, mask, backward, .. } = *self;
        [query, key, value].into_iter().for_each(&mut visit);
        mask.into_iter().for_each(&mut visit);
        if let Some(AttentionBackward { upstream, statistics, weighted }) = backward {
            [upstream, statistics, weighted].into_iter().for_each(visit);
        }
    }

    /// The same result over other operands.
    #[must_use]
    pub(crate) fn map_operands(&self, mut map: impl FnMut(NodeId) -> NodeId) -> AttentionNode {
        let mut node = *self;
        [&mut node.query, &mut node.key, &mut node.value].into_iter().for_each(|operand| *operand = map(*operand));
        node.mask.iter_mut().for_each(|operand| *operand = map(*operand));
        if let Some(AttentionBackward { upstream, statistics, weighted }) = &mut node.backward {
            [upstream, statistics, weighted].into_iter().for_each(|operand| *operand = map(*operand));
        }
        node
    }
}
