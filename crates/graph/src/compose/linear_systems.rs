//! Systems of linear equations that are solved by a decomposition: by Cholesky's factor, and by least squares, whatever the rank.

use crate::dtype::DType;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::function::{Context, Function};

impl<'g> Expr<'g> {
    /// The solution `X` of `A X = B`, for this Cholesky factor of A: `[.., n, n], [.., n, k] -> [.., n, k]`, the axes in front broadcast. The factor is
    /// lower triangular, `A = L L^T`, or `upper`, `A = U^T U`, and of it that triangle alone is read. (PyTorch's `cholesky_solve`, in which `B` stands
    /// first.) Floats of one dtype. On the CPU alone.
    ///
    /// It is two triangular systems, and the gradients are theirs, that of the factor in its triangle. (PyTorch's has numbers in the other one
    /// too, which is not read.) A 0 on the diagonal gives infinity or NaN and is no error. Errors: a matrix that
    /// is not square; a `B` of rank below 2, or whose rows differ.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (a, b) = (g.input("a", [8, 3, 3]), g.input("b", [3, 2]));
    /// let x = a.cholesky().cholesky_solve(b, false);
    /// assert_eq!(x.shape()?.dims(), &[8, 3, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cholesky_solve(self, b: Expr<'g>, upper: bool) -> Expr<'g> {
        let (op, poisoned) = ("cholesky_solve", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[Some(b)]) else { return poisoned };
        let origin = method.origin();
        let Some((lhs_shape, _)) = self.square_matrix(op, origin) else { return poisoned };
        let Some(rhs_shape) = b.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        let rank = rhs_shape.rank();
        if rank < 2 {
            let (operand, shape, expected) = (b.describe(), rhs_shape, "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let (left, right) = (lhs_shape[lhs_shape.rank() - 1], rhs_shape[rank - 2]);
        if left != right {
            let (which, lhs, rhs) = (MatMulAxis::Inner, self.describe(), b.describe());
            return self.fail(GraphError::MatMul { origin, op, which, lhs, lhs_shape, rhs, rhs_shape, left, right });
        }
        let other = self.transpose(-2, -1);
        let (first, second) = if upper { (other, self) } else { (self, other) };
        second.solve_triangular(first.solve_triangular(b, false, true, false), true, true, false)
    }

    /// The pseudoinverse of Moore and Penrose: `[.., m, n] -> [.., n, m]`. (PyTorch's `linalg.pinv`.) Floats. On the CPU alone.
    ///
    /// It is `V diag(1 / s) U^T` of the singular value decomposition, without the singular values that are not above `rtol` times the largest; these
    /// count as 0. `None` is PyTorch's `rtol`: the larger of `m` and `n`, times the distance from 1 to the next number of the dtype.
    ///
    /// The gradient is right for any rank, also where singular values are equal: `-P^T u P^T + (I - A P) u^T P P^T + P^T P u^T (I - P A)` of the pseudoinverse P. As the
    /// rank changes P jumps; the gradient is that among matrices of one rank. Derivatives of the gradient are those of [`Expr::svd`], which needs
    /// singular values that differ. Errors: a rank below 2; an `rtol` that is below 0 or not finite; at run,
    /// elements that are not finite.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("a", [4, 5, 3]).pinv(None).shape()?.dims(), &[4, 3, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pinv(self, rtol: Option<f64>) -> Expr<'g> {
        let (op, poisoned) = ("pinv", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[]) else { return poisoned };
        let origin = method.origin();
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        // Small singular values make what is rounded large.
        let _full_precision = self.graph().in_full_precision();
        let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
        let rtol = rtol.unwrap_or(rows.max(columns) as f64 * epsilon(dtype));
        if !(rtol >= 0.0 && rtol.is_finite()) {
            return self.graph().refuse(op, "rtol", rtol, "a finite number not below 0");
        }
        if shape.contains(&0) {
            return self.transpose(-2, -1);
        }
        self.graph().apply(&PseudoInverse { rtol }, &[self])
    }

    /// The `X` with the least `|A X - B|`, column by column, for this matrix A, and of several such the one with the least `|X|`:
    /// `[.., m, n], [.., m, k] -> [.., n, k]`, the axes in front broadcast. As in [`Expr::solve`], a `B` of rank 1, or of A's shape without its last axis,
    /// is a vector, or a batch of them: `[.., m, n], [.., m] -> [.., n]`. (PyTorch's `linalg.lstsq(A, B).solution`.) Floats of one dtype. On the
    /// CPU alone.
    ///
    /// It is the product of A's pseudoinverse, [`Expr::pinv`] of that `rtol`, with B: for matrices of any shape and rank, and so are the gradients. Residuals
    /// are `b - a.matmul(x)`. Errors: as of `pinv`; a scalar; rows that differ.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (design, y) = (g.input("design", [100, 3]), g.input("y", [100]));
    /// assert_eq!(design.lstsq(y, None).shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn lstsq(self, b: Expr<'g>, rtol: Option<f64>) -> Expr<'g> {
        let (op, poisoned) = ("lstsq", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[Some(b)]) else { return poisoned };
        let origin = method.origin();
        let shapes = [self, b].map(|expr| expr.read(op, origin, |_, node| node.shape.clone()));
        let [Some(lhs_shape), Some(rhs_shape)] = shapes else { return poisoned };
        let rank = lhs_shape.rank();
        for (operand, shape, least, expected) in
            [(self, &lhs_shape, 2, "rank 2 or more"), (b, &rhs_shape, 1, "rank 1 or more")]
        {
            if shape.rank() < least {
                let (operand, rank, expected) = (operand.describe(), shape.rank(), expected.to_owned());
                let shape = shape.clone();
                return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
            }
        }
        let is_vector = rhs_shape.rank() == 1 || rhs_shape[..] == lhs_shape[..rank - 1];
        let (left, right) = (lhs_shape[rank - 2], rhs_shape[rhs_shape.rank() - if is_vector { 1 } else { 2 }]);
        if left != right {
            let (which, lhs, rhs) = (MatMulAxis::Inner, self.describe(), b.describe());
            return self.fail(GraphError::MatMul { origin, op, which, lhs, lhs_shape, rhs, rhs_shape, left, right });
        }
        // Small singular values make what is rounded large.
        let _full_precision = self.graph().in_full_precision();
        let inverse = self.pinv(rtol);
        if is_vector { inverse.matmul(b.unsqueeze(-1)).squeeze(-1) } else { inverse.matmul(b) }
    }
}

/// The pseudoinverse without the singular values that are not above `rtol` times the largest, of matrices that are not empty. The gradient needs
/// no derivative of singular vectors, which are not determined where singular values are equal.
struct PseudoInverse {
    rtol: f64,
}

impl Function for PseudoInverse {
    fn name(&self) -> &'static str {
        "pinv"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let (u, s, vt) = operands[0].svd();
        let is_counted = s.greater(s.max_keepdims(-1) * self.rtol);
        let inverses = is_counted.where_(is_counted.where_(s, 1.0).reciprocal(), 0.0);
        let inverse = (vt.transpose(-2, -1) * inverses.unsqueeze(-2)).matmul(u.transpose(-2, -1));
        context.save_for_backward(&[inverse]);
        inverse
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (a, p) = (context.operands()[0], context.saved()[0]);
        let [transposed, upstream_transposed] = [p, upstream].map(|x| x.transpose(-2, -1));
        let moved = transposed.matmul(upstream).matmul(transposed);
        // (I - A P) u^T P P^T and P^T P u^T (I - P A): what changes as the column space and the row space do.
        let of_columns = upstream_transposed.matmul(p).matmul(transposed);
        let of_rows = transposed.matmul(p).matmul(upstream_transposed);
        let columns = of_columns - a.matmul(p.matmul(of_columns));
        let rows = of_rows - of_rows.matmul(p).matmul(a);
        vec![Some(columns + rows - moved)]
    }
}

/// The distance from 1 to the next number of a dtype of floats.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::EPSILON),
        DType::F64 | DType::I32 | DType::Bool => f64::EPSILON,
    }
}
