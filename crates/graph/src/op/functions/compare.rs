//! Comparisons of two elements: what they are called, what they say, and the table of what is known of them.

use super::{Exchange, NUMBERS};
use crate::dtype::DType;

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

/// What is known of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct CompareRow {
    /// The comparison that the row is of.
    pub function: CompareFunction,
    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub name: &'static str,
    /// What the operands may be, both the same; the value is bool.
    pub dtypes: &'static [DType],
    /// Whether exchanging the operands leaves the result the same.
    pub exchange: Exchange,
}

/// The comparisons, in the order of declaration.
const COMPARE: [CompareRow; 6] = {
    use CompareFunction::*;
    const fn ordered(function: CompareFunction, name: &'static str) -> CompareRow {
        CompareRow { function, name, dtypes: NUMBERS, exchange: Exchange::Differs }
    }
    const fn equality(function: CompareFunction, name: &'static str) -> CompareRow {
        CompareRow { function, name, dtypes: &DType::ALL, exchange: Exchange::SameBits }
    }
    [
        ordered(Less, "less"),
        ordered(LessEqual, "less_equal"),
        ordered(Greater, "greater"),
        ordered(GreaterEqual, "greater_equal"),
        equality(Equal, "equal"),
        equality(NotEqual, "not_equal"),
    ]
};

reads_its_row!(CompareFunction, CompareRow, COMPARE, 6);

impl CompareFunction {
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
