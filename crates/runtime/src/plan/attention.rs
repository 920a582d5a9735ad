//! Attention as the planner sees it: results of one computation, of which one step is made.

use std::collections::HashMap;

use arenagrad_graph::{AttentionNode, AttentionResult, DType, NodeId, Op, Shape};
use arenagrad_kernels::{Attention, AttentionMask, Axes, Kernel, Matrices};
use smallvec::SmallVec;

use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;

/// What an entry is of attention.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AttentionWork {
    pub(crate) result: AttentionResult,
    /// The number of the computation: entries with one number have the same operands, and are results of one step.
    pub(crate) computation: u32,
    pub(crate) is_causal: bool,
    pub(crate) scale: f64,
    pub(crate) has_mask: bool,
}

/// The computations of attention in a graph.
#[derive(Debug, Default)]
pub(crate) struct Computations(HashMap<(SmallVec<[NodeId; 8]>, bool, u64), u32>);

impl Computations {
    /// The number of the computation of which a node is a result: nodes with the same operands and attributes have the same. How many
    /// operands there are tells the forward pass from the backward pass, and a mask from none.
    pub(crate) fn number(&mut self, attention: &AttentionNode) -> u32 {
        let mut operands = SmallVec::new();
        Op::Attention(Box::new(*attention)).for_each_operand(|operand| operands.push(operand));
        let next = self.0.len() as u32;
        *self.0.entry((operands, attention.is_causal, attention.scale.to_bits())).or_insert(next)
    }
}

/// Whether there are no pairs of queries and keys. Then every result is 0.
pub(crate) fn has_no_pairs(query: &Shape, key: &Shape) -> bool {
    let rank = query.rank();
    query[..rank - 1].contains(&0) || key[..rank - 1].contains(&0)
}

/// Whether rows of an operand are where a kernel can read them: evenly spaced, none going back, with their elements side by side.
pub(crate) fn has_rows(layout: &Layout) -> bool {
    let rank = layout.shape.rank();
    let [rows, columns] = [rank - 2, rank - 1].map(|axis| Axes::new(layout.axes_of(axis).iter().copied()));
    columns.is_unit() && rows.stride().is_some_and(|stride| stride >= 0)
}

/// Whether a mask is where a kernel can read it: rows and columns evenly spaced.
pub(crate) fn has_even_axes(layout: &Layout) -> bool {
    let rank = layout.shape.rank();
    [rank - 2, rank - 1].iter().all(|&axis| Axes::new(layout.axes_of(axis).iter().copied()).stride().is_some())
}

/// The kernel that computes `writes`, results of one computation, and what it reads.
pub(crate) fn kernel(entries: &[Entry], writes: &[u32]) -> (Kernel, Vec<u32>) {
    let entry = &entries[writes[0] as usize];
    let Work::Attention(AttentionWork { is_causal, scale, has_mask, .. }) = entry.work else {
        unreachable!("results of attention")
    };
    let results = writes.iter().map(|&write| {
        let Work::Attention(work) = &entries[write as usize].work else { unreachable!("results of attention") };
        work.result
    });
    let operands = &entry.operands;
    let mask = has_mask.then(|| AttentionMask {
        scores: matrices(&operands[3]),
        is_bool: entries[operands[3].base as usize].dtype == DType::Bool,
    });
    let attention = Attention {
        dtype: entry.dtype,
        query: matrices(&operands[0]),
        key: matrices(&operands[1]),
        value: matrices(&operands[2]),
        upstream: operands.get(3 + usize::from(has_mask)).map(matrices),
        mask,
        is_causal,
        scale,
        results: results.collect(),
    };
    (Kernel::Attention(Box::new(attention)), operands.iter().map(|operand| operand.base).collect())
}

fn matrices(layout: &Layout) -> Matrices {
    let rank = layout.shape.rank();
    let axes = |axis: usize| layout.axes_of(axis).iter().copied();
    Matrices {
        offset: layout.offset,
        batch: Axes::new((0..rank - 2).flat_map(axes)),
        rows: Axes::new(axes(rank - 2)),
        columns: Axes::new(axes(rank - 1)),
    }
}
