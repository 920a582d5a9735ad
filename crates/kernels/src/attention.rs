//! What a step of attention computes: the operands' layouts and the results.

use arenagrad_graph::{AttentionResult, DType};

use crate::kernel::Matrices;

/// The operands of attention, and which of its results a step computes.
///
/// Inputs: query, key, value, the mask if there is one, and for gradients the upstream gradient, the contiguous softmax statistics, two
/// numbers a row of the queries, and the contiguous sums of upstream gradient times output, one number a row. Outputs: the results, contiguous,
/// in the order of the list.
///
/// The matrices of query, mask and upstream gradient are the heads of all samples; those of key and value the groups of heads, each of which serves as many
/// neighbouring heads as there are more of them. Rows are evenly spaced and columns side by side, but for the mask, of which both are evenly
/// spaced. No extent is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// The dtype of operands and results, f32 or f64.
    pub dtype: DType,
    /// `[heads, positions, depth]`.
    pub query: Matrices,
    /// `[groups, keys, depth]`.
    pub key: Matrices,
    /// `[groups, keys, width]`.
    pub value: Matrices,
    /// `[heads, positions, keys]`, any of which may be repeated.
    pub mask: Option<AttentionMask>,
    /// `[heads, positions, width]`, where gradients are computed.
    pub upstream: Option<Matrices>,
    /// Whether position `t` attends keys `0..=t` alone.
    pub is_causal: bool,
    /// What the products of queries and keys are multiplied by.
    pub scale: f64,
    /// The results, each at most once: of the forward pass, or gradients.
    pub results: Vec<AttentionResult>,
}

/// Which keys are attended, or what is added to the scores.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMask {
    /// Where the elements lie.
    pub scores: Matrices,
    /// Whether they are truth values: a key is attended where the mask is true. Else they are numbers of the kernel's dtype.
    pub is_bool: bool,
}

impl Attention {
    /// How many matrices of queries there are.
    pub fn heads(&self) -> usize {
        self.query.batch.count()
    }

    /// How many matrices of keys there are.
    pub fn groups(&self) -> usize {
        self.key.batch.count()
    }

    /// How many heads a group has.
    pub fn heads_of_a_group(&self) -> usize {
        self.heads() / self.groups()
    }

    /// How many queries a head has.
    pub fn positions(&self) -> usize {
        self.query.rows.count()
    }

    /// How many keys a group has.
    pub fn keys(&self) -> usize {
        self.key.rows.count()
    }

    /// How many numbers a query has.
    pub fn depth(&self) -> usize {
        self.query.columns.count()
    }

    /// How many numbers a value has.
    pub fn width(&self) -> usize {
        self.value.columns.count()
    }

    /// How many pairs of a query and a key there are, without those that causality leaves out.
    pub fn pairs(&self) -> usize {
        let (positions, keys) = (self.positions(), self.keys());
        let of_head = if self.is_causal {
            let seen = positions.min(keys);
            seen * (seen + 1) / 2 + positions.saturating_sub(keys).saturating_mul(keys)
        } else {
            positions.saturating_mul(keys)
        };
        self.heads().saturating_mul(of_head)
    }

    /// The elements of a result.
    pub fn elements(&self, result: AttentionResult) -> usize {
        let rows = self.heads().saturating_mul(self.positions());
        let keys = self.groups().saturating_mul(self.keys());
        match result {
            AttentionResult::Output => rows.saturating_mul(self.width()),
            AttentionResult::SoftmaxStatistics => rows.saturating_mul(2),
            AttentionResult::QueryGradient => rows.saturating_mul(self.depth()),
            AttentionResult::KeyGradient => keys.saturating_mul(self.depth()),
            AttentionResult::ValueGradient => keys.saturating_mul(self.width()),
        }
    }

    /// Whether it is a step of the backward pass.
    pub fn is_backward(&self) -> bool {
        self.upstream.is_some()
    }

    /// The number of the input that is the upstream gradient; the statistics and the sums follow it.
    pub fn upstream_input(&self) -> usize {
        3 + usize::from(self.mask.is_some())
    }
}
