//! The family of ops that compute each element of the result from the elements of the operands at the same place.

use smallvec::SmallVec;

use crate::op::functions::{BinaryFunction, CompareFunction, UnaryFunction};
use crate::op::half::Half;

/// An elementwise operation over operands of type `V`: nodes in a graph, values in a fused program, registers in its code. All
/// operands have the shape of the result.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // The fields are operands and attributes under the names that `crate::ops` explains.
pub enum Elementwise<V> {
    /// A function of one element.
    Unary { function: UnaryFunction, operand: V },
    /// A function of two elements of equal dtypes.
    Binary { function: BinaryFunction, lhs: V, rhs: V },
    /// A comparison of two elements of equal dtypes; the result is bool.
    Compare { function: CompareFunction, lhs: V, rhs: V },
    /// `on_true` where the bool `condition` holds, else `on_false`, both of the result's dtype.
    Where { condition: V, on_true: V, on_false: V },
    /// The operand's elements in the dtype of the result: floats to i32 truncate and saturate, NaN to 0; anything but zero is true.
    Cast { operand: V },
    /// The operand's elements, floats, rounded to what 16 bits hold; the dtype stays.
    RoundTo { half: Half, operand: V },
}

impl<V: Copy> Elementwise<V> {
    /// Calls `visit` with each operand, in the order of the fields.
    pub fn for_each_operand(&self, mut visit: impl FnMut(V)) {
        match *self {
            Elementwise::Unary { operand, .. }
            | Elementwise::Cast { operand }
            | Elementwise::RoundTo { operand, .. } => visit(operand),
            Elementwise::Binary { lhs, rhs, .. } | Elementwise::Compare { lhs, rhs, .. } => {
                visit(lhs);
                visit(rhs);
            }
            Elementwise::Where { condition, on_true, on_false } => {
                visit(condition);
                visit(on_true);
                visit(on_false);
            }
        }
    }

    /// The operands, in the order of the fields.
    pub fn operands(&self) -> SmallVec<[V; 3]> {
        let mut operands = SmallVec::new();
        self.for_each_operand(|operand| operands.push(operand));
        operands
    }

    /// The same operation over other operands: each is replaced by what `map` says, in the order of the fields.
    pub fn map<W>(&self, mut map: impl FnMut(V) -> W) -> Elementwise<W> {
        match *self {
            Elementwise::Unary { function, operand } => Elementwise::Unary { function, operand: map(operand) },
            Elementwise::Binary { function, lhs, rhs } => {
                Elementwise::Binary { function, lhs: map(lhs), rhs: map(rhs) }
            }
            Elementwise::Compare { function, lhs, rhs } => {
                Elementwise::Compare { function, lhs: map(lhs), rhs: map(rhs) }
            }
            Elementwise::Where { condition, on_true, on_false } => {
                Elementwise::Where { condition: map(condition), on_true: map(on_true), on_false: map(on_false) }
            }
            Elementwise::Cast { operand } => Elementwise::Cast { operand: map(operand) },
            Elementwise::RoundTo { half, operand } => Elementwise::RoundTo { half, operand: map(operand) },
        }
    }
}
