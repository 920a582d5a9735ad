//! Operations along an axis that depend on the order of the elements there: how their operands must lie, and their kernels.
//!
//! A cumulative operation goes along any axis of contiguous operands. Sorting wants rows: its operand is copied with the axis last if it is not,
//! and its result is a view that brings the axis back, which costs nothing.

use arenagrad_graph::{Ordered, Shape};
use arenagrad_kernels::{Cumulation, Kernel};
use smallvec::SmallVec;

use crate::plan::entries::{Builder, Entry, Work};
use crate::plan::layout::Layout;

/// What is done along an axis of the operands of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Along {
    Cumulative {
        function: Cumulation,
        axis: usize,
        is_reversed: bool,
    },
    /// Along the last axis; how many indices are wanted says the entry's shape.
    ArgSort {
        is_descending: bool,
    },
    /// The operands are the sequences and the values.
    SearchSorted {
        is_right: bool,
    },
}

impl Builder {
    /// Adds an operation whose result has elements; `entry` is what it becomes.
    pub(super) fn ordered(&mut self, ordered: Ordered, operands: SmallVec<[Layout; 1]>, mut entry: Entry) -> Layout {
        let (node, stage) = (entry.node, entry.stage);
        let mut axis_order: Option<Vec<usize>> = None;
        let work = match ordered {
            Ordered::Cumulative { function, axis, is_reversed, .. } => {
                Along::Cumulative { function: Cumulation::Function(function), axis, is_reversed }
            }
            Ordered::Recurrence { axis, is_reversed, .. } => {
                Along::Cumulative { function: Cumulation::Recurrence, axis, is_reversed }
            }
            Ordered::ArgSort { axis, is_descending, .. } => {
                let rank = entry.shape.rank();
                axis_order = (axis + 1 < rank)
                    .then(|| (0..rank).filter(|&other| other != axis).chain([axis]).collect::<Vec<_>>());
                Along::ArgSort { is_descending }
            }
            Ordered::SearchSorted { is_right, .. } => {
                if operands[0].shape.elements() == 0 {
                    // Every value belongs at the beginning, which is the end too.
                    return self.push(Entry { work: Work::Constant(0.0), ..entry });
                }
                Along::SearchSorted { is_right }
            }
        };
        for operand in operands {
            let dtype = self.entries[operand.base as usize].dtype;
            let operand = match &axis_order {
                Some(order) => operand.permuted(order),
                None => operand,
            };
            let operand = self.contiguous(operand, dtype, node, stage);
            let operand = self.widened(operand, dtype, node, stage);
            entry.operands.push(operand);
        }
        entry.work = Work::Ordered(work);
        let Some(order) = axis_order else { return self.push(entry) };
        entry.shape = order.iter().map(|&axis| entry.shape[axis]).collect();
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
        self.push(entry).permuted(&back)
    }
}

impl Along {
    /// The kernel of an entry.
    pub(super) fn kernel(self, entries: &[Entry], entry: &Entry) -> Kernel {
        let operand = &entry.operands[0];
        let dtype = entries[operand.base as usize].dtype;
        let product = |extents: &[usize]| extents.iter().product::<usize>();
        match self {
            Along::Cumulative { function, axis, is_reversed } => {
                let shape: &Shape = &operand.shape;
                let (outer, inner) = (product(&shape[..axis]), product(&shape[axis + 1..]));
                Kernel::Cumulative { function, dtype, outer, extent: shape[axis], inner, is_reversed }
            }
            Along::ArgSort { is_descending } => {
                let last = operand.shape.rank() - 1;
                let (rows, extent) = (product(&operand.shape[..last]), operand.shape[last]);
                Kernel::ArgSort { dtype, rows, extent, count: entry.shape[last], is_descending }
            }
            Along::SearchSorted { is_right } => {
                let last = operand.shape.rank() - 1;
                let values = entry.shape.elements();
                // One sequence serves all values, or each a row of them.
                let row = if last == 0 { values } else { entry.shape[last] };
                Kernel::SearchSorted { dtype, length: operand.shape[last], values, row, is_right }
            }
        }
    }
}
