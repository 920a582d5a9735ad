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
    /// The logarithm of each row's sum of exponentials, `[.., heads, positions]`.
    pub log_sum_exp: NodeId,
    /// The sum of upstream gradient times output of each row, `[.., heads, positions]`.
    pub weighted: NodeId,
}

/// The results of attention: two of the forward pass, and three of the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum AttentionResult {
    Output,
    LogSumExp,
    QueryGradient,
    KeyGradient,
    ValueGradient,
}

impl AttentionResult {
    /// Every result, in the order of declaration.
    pub const ALL: [AttentionResult; 5] = [
        AttentionResult::Output,
        AttentionResult::LogSumExp,
        AttentionResult::QueryGradient,
        AttentionResult::KeyGradient,
        AttentionResult::ValueGradient,
    ];

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            AttentionResult::Output => "attention",
            AttentionResult::LogSumExp => "attention_log_sum_exp",
            AttentionResult::QueryGradient => "attention_query_gradient",
            AttentionResult::KeyGradient => "attention_key_gradient",
            AttentionResult::ValueGradient => "attention_value_gradient",
        }
    }

    /// Whether it is a gradient.
    pub fn is_gradient(self) -> bool {
        match self {
            AttentionResult::Output | AttentionResult::LogSumExp => false,
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
        if let Some(AttentionBackward { upstream, log_sum_exp, weighted }) = backward {
            [upstream, log_sum_exp, weighted].into_iter().for_each(visit);
        }
    }

    /// The same result over other operands.
    #[must_use]
    pub(crate) fn map_operands(&self, mut map: impl FnMut(NodeId) -> NodeId) -> AttentionNode {
        let mut node = *self;
        [&mut node.query, &mut node.key, &mut node.value].into_iter().for_each(|operand| *operand = map(*operand));
        node.mask.iter_mut().for_each(|operand| *operand = map(*operand));
        if let Some(AttentionBackward { upstream, log_sum_exp, weighted }) = &mut node.backward {
            [upstream, log_sum_exp, weighted].into_iter().for_each(|operand| *operand = map(*operand));
        }
        node
    }
}
