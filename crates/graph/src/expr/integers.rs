//! Bits of integers, and the product of matrices of integers.

use std::ops::{BitXor, Shl, Shr};

use crate::dtype::DType;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::{Expr, IntoExpr};
use crate::node::Origin;
use crate::op::{BinaryFunction, CompareFunction, UnaryFunction};
use crate::ops::matmul::{batch_shape, matrix};
use crate::shape::Shape;

/// The fewest columns of a product whose sums are taken side by side, a row of the right operand after the other.
const SIDE_BY_SIDE: usize = 64;

impl<'g> Expr<'g> {
    /// The bits that both integers have, or whether both truth values hold, with broadcasting. i32 and bool. (PyTorch's `bitwise_and`.)
    ///
    /// No gradient flows through it. Errors: floats, dtypes that differ.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// let x = g.input_of("x", [3], DType::I32);
    /// assert_eq!(x.bitwise_and(0xff).dtype()?, DType::I32);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bitwise_and(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.graph().enter("bitwise_and");
        let function = if self.is_truth() { BinaryFunction::And } else { BinaryFunction::BitwiseAnd };
        self.binary(function, rhs, method.origin())
    }

    /// The bits that either integer has, or whether either truth value holds, with broadcasting. i32 and bool. (PyTorch's `bitwise_or`.)
    ///
    /// No gradient flows through it. Errors: floats, dtypes that differ.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// let x = g.input_of("x", [3], DType::I32);
    /// assert_eq!(x.bitwise_or(1).dtype()?, DType::I32);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bitwise_or(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.graph().enter("bitwise_or");
        let function = if self.is_truth() { BinaryFunction::Or } else { BinaryFunction::BitwiseOr };
        self.binary(function, rhs, method.origin())
    }

    /// The bits that one of the integers has and the other has not, or whether one truth value holds and the other does not, with
    /// broadcasting: `x ^ y`. i32 and bool. (PyTorch's `bitwise_xor`.)
    ///
    /// No gradient flows through it. Errors: floats, dtypes that differ.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// let x = g.input_of("x", [3], DType::I32);
    /// assert_eq!((x ^ x).dtype()?, DType::I32);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bitwise_xor(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.graph().enter("bitwise_xor");
        if self.is_truth() {
            return self.compare(CompareFunction::NotEqual, rhs, method.origin());
        }
        self.binary(BinaryFunction::BitwiseXor, rhs, method.origin())
    }

    /// The bits that an integer has not, `-x - 1`, or whether a truth value does not hold. i32 and bool. (PyTorch's `bitwise_not`.)
    ///
    /// No gradient flows through it. Errors: floats.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!(g.input_of("x", [3], DType::I32).bitwise_not().dtype()?, DType::I32);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bitwise_not(self) -> Expr<'g> {
        let method = self.graph().enter("bitwise_not");
        self.unary(if self.is_truth() { UnaryFunction::Not } else { UnaryFunction::BitwiseNot }, method.origin())
    }

    /// The bits of an integer moved up by so many places, with broadcasting: `x << y`. i32. Moved by 32 or more places, or by fewer than 0, nothing is
    /// left. (PyTorch's `bitwise_left_shift`.)
    ///
    /// No gradient flows through it. Errors: floats and truth values, dtypes that differ.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!((g.input_of("x", [3], DType::I32) << 4).dtype()?, DType::I32);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn shift_left(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.graph().enter("shift_left");
        self.binary(BinaryFunction::ShiftLeft, rhs, method.origin())
    }

    /// The bits of an integer moved down by so many places, with broadcasting: `x >> y`. i32. The sign moves in from above, so it is the quotient
    /// by a power of two, rounded down. Moved by 31 or more places, or by fewer than 0, the sign is left: 0 or -1. (PyTorch's `bitwise_right_shift`.)
    ///
    /// No gradient flows through it. Errors: floats and truth values, dtypes that differ.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// assert_eq!((g.input_of("x", [3], DType::I32) >> 4).dtype()?, DType::I32);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn shift_right(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.graph().enter("shift_right");
        self.binary(BinaryFunction::ShiftRight, rhs, method.origin())
    }

    /// Whether this holds truth values.
    pub(crate) fn is_truth(self) -> bool {
        self.raw().is_some() && self.dtype() == Ok(DType::Bool)
    }

    /// The matrix product of integers, which wraps: sums of products that are made where they are summed, so that none is stored. Each product is
    /// computed once, without the tiles that products of floats are computed in.
    #[track_caller]
    pub(super) fn integer_product(self, rhs: Expr<'g>, shapes: [&Shape; 2], origin: Origin) -> Expr<'g> {
        let [lhs_shape, rhs_shape] = shapes;
        let ((_, inner), (rhs_inner, columns)) = (matrix(lhs_shape, false), matrix(rhs_shape, false));
        let batch = batch_shape(lhs_shape).broadcast(&batch_shape(rhs_shape));
        let (which, (left, right)) = match batch {
            _ if inner != rhs_inner => (MatMulAxis::Inner, (inner, rhs_inner)),
            Err(extents) => (MatMulAxis::Batch, extents),
            // Long rows of sums are added to one factor's multiple of a row at a time.
            Ok(_) if columns >= SIDE_BY_SIDE => return (self.unsqueeze(-1) * rhs.unsqueeze(-3)).sum(-2),
            Ok(_) => {
                // The inner axis is the last of both, so that what is summed lies together where it can.
                let columns = rhs.transpose(-2, -1);
                return (self.unsqueeze(-2) * columns.unsqueeze(-3)).sum(-1);
            }
        };
        let (lhs, rhs) = (self.describe(), rhs.describe());
        let (lhs_shape, rhs_shape) = (lhs_shape.clone(), rhs_shape.clone());
        self.fail(GraphError::MatMul { origin, op: "matmul", which, lhs, lhs_shape, rhs, rhs_shape, left, right })
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $named:ident;)*) => {$(
        impl<'g, T: IntoExpr<'g>> $trait<T> for Expr<'g> {
            type Output = Expr<'g>;

            #[track_caller]
            fn $method(self, rhs: T) -> Expr<'g> {
                self.$named(rhs)
            }
        }
    )*};
}
operators! {
    BitXor bitxor bitwise_xor;
    Shl shl shift_left;
    Shr shr shift_right;
}
