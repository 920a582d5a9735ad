//! Layers and pieces of them that carry no state of their own.

use crate::expr::Expr;
use crate::node::Origin;

impl<'g> Expr<'g> {
    /// `x W + b`: `[.., in] x [in, out] + [out] -> [.., out]`.
    #[track_caller]
    pub fn linear(self, weight: Expr<'g>, bias: Option<Expr<'g>>) -> Expr<'g> {
        let _method = self.enter("linear");
        let product = self.matmul(weight);
        match bias {
            Some(bias) => product + bias,
            None => product,
        }
    }

    /// [`Expr::matmul`] of operands that may be stored transposed, of which no transposed copy is made: with
    /// `transpose_lhs` this lies as `[.., k, m]`, with `transpose_rhs` the right operand as `[.., n, k]`. Both have rank 2 or
    /// more. Floats, and i32, whose sums wrap.
    #[track_caller]
    pub fn matmul_with(self, rhs: Expr<'g>, transpose_lhs: bool, transpose_rhs: bool) -> Expr<'g> {
        let _method = self.enter("matmul_with");
        let origin = self.graph().origin_or(Origin::here());
        if self.same_graph(rhs, "matmul", origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        self.product_node(rhs, transpose_lhs, transpose_rhs, origin)
    }

    /// The lower triangle of the last two axes, 0 above it: element `[i, j]` stays if `j <= i + diagonal`. Any dtype.
    #[track_caller]
    pub fn tril(self, diagonal: isize) -> Expr<'g> {
        let _method = self.enter("tril");
        self.triangle("tril", diagonal, true)
    }

    /// The upper triangle of the last two axes, 0 below it: element `[i, j]` stays if `j >= i + diagonal`. Any dtype.
    #[track_caller]
    pub fn triu(self, diagonal: isize) -> Expr<'g> {
        let _method = self.enter("triu");
        self.triangle("triu", diagonal, false)
    }

    #[track_caller]
    fn triangle(self, op: &'static str, diagonal: isize, lower: bool) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail(crate::GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        // Coordinates are i32: a diagonal outside the matrix is brought to its edge, where it selects the same elements.
        let (rows, columns) = (shape[rank - 2] as isize, shape[rank - 1] as isize);
        let diagonal = diagonal.clamp(-rows, columns) as f64;
        let row = self.graph().iota(&shape, rank - 2);
        let column = self.graph().iota(&shape, rank - 1);
        let edge = row.constant_beside(diagonal, origin) + row;
        let stays = if lower { column.less_equal(edge) } else { column.greater_equal(edge) };
        stays.where_(self, 0.0)
    }
}
