//! Operations along one axis whose results depend on the order of the elements there.

use smallvec::SmallVec;

use crate::node::NodeId;

/// Operations along one axis whose results depend on the order of the elements there.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are operands and attributes under the names that `crate::ops::ordered` explains.
pub enum Ordered {
    /// Of each element what `function` makes of it and all before it along `axis`; of all behind it, if reversed.
    Cumulative { function: CumulativeFunction, operand: NodeId, axis: usize, is_reversed: bool },
    /// `y[i] = factors[i] * y[i - 1] + operand[i]` along `axis`, and `y[0] = operand[0]`; from the last element on, if reversed.
    Recurrence { operand: NodeId, factors: NodeId, axis: usize, is_reversed: bool },
    /// i32: where the first `count` elements in sorted order stand along `axis`. Equal elements keep their order.
    ArgSort { operand: NodeId, axis: usize, is_descending: bool, count: usize },
    /// i32: before how many elements of the ascending `sequence` each value stands, those that are equal to it included if
    /// `is_right`, as a place from its beginning.
    SearchSorted { sequence: NodeId, values: NodeId, is_right: bool },
}

/// What a cumulative operation makes of a run of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CumulativeFunction {
    /// Their sum.
    Sum,
    /// Their product.
    Product,
    /// i32: the last index of the largest; NaN counts as the largest.
    ArgMax,
    /// i32: the last index of the smallest; NaN counts as the smallest.
    ArgMin,
}

impl CumulativeFunction {
    /// Every function, in the order of declaration.
    pub const ALL: [CumulativeFunction; 4] =
        [CumulativeFunction::Sum, CumulativeFunction::Product, CumulativeFunction::ArgMax, CumulativeFunction::ArgMin];

    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub fn name(self) -> &'static str {
        match self {
            CumulativeFunction::Sum => "cumsum",
            CumulativeFunction::Product => "cumprod",
            CumulativeFunction::ArgMax => "cumargmax",
            CumulativeFunction::ArgMin => "cumargmin",
        }
    }

    /// Whether the results are indices.
    pub fn gives_indices(self) -> bool {
        match self {
            CumulativeFunction::ArgMax | CumulativeFunction::ArgMin => true,
            CumulativeFunction::Sum | CumulativeFunction::Product => false,
        }
    }
}

impl Ordered {
    /// The operands, in the order of the fields.
    pub fn operands(&self) -> SmallVec<[NodeId; 2]> {
        match *self {
            Ordered::Cumulative { operand, .. } | Ordered::ArgSort { operand, .. } => SmallVec::from_slice(&[operand]),
            Ordered::Recurrence { operand, factors, .. } => SmallVec::from_slice(&[operand, factors]),
            Ordered::SearchSorted { sequence, values, .. } => SmallVec::from_slice(&[sequence, values]),
        }
    }

    /// The same operation over other operands: each is replaced by what `map` says.
    #[must_use]
    pub fn map(mut self, mut map: impl FnMut(NodeId) -> NodeId) -> Ordered {
        match &mut self {
            Ordered::Cumulative { operand, .. } | Ordered::ArgSort { operand, .. } => *operand = map(*operand),
            Ordered::Recurrence { operand, factors, .. } => {
                *operand = map(*operand);
                *factors = map(*factors);
            }
            Ordered::SearchSorted { sequence, values, .. } => {
                *sequence = map(*sequence);
                *values = map(*values);
            }
        }
        self
    }
}
