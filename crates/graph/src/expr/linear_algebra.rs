//! Linear algebra: solutions, inverses, determinants and decompositions of matrices, which are the last two axes; the axes in front are a
//! batch.
//!
//! Each is computed on the CPU alone, in f64 whatever the dtype: a session on a GPU refuses it by name. A matrix without a result (a
//! singular one that is to be inverted) is found when a plan runs, and is an error of that run.
//!
//! Where PyTorch returns several results, so do these. What can be had of one result by a product is had so: `R` of a QR decomposition is
//! `Q^T A`, eigenvalues are `v^T A v`. So nothing is decomposed twice.

use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::op::MatrixFunction;
use crate::ops::linear_algebra::Rules;
use crate::ops::matmul::batch_shape;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// The solution `X` of `A X = B` for this square matrix `A`: `[.., n, n], [.., n, k] -> [.., n, k]`, the axes in front broadcast. As in
    /// PyTorch's `linalg.solve`, a `B` of rank 1, or of A's shape without its last axis, is a vector, or a batch of them:
    /// `[.., n, n], [.., n] -> [.., n]`. Floats of one dtype.
    ///
    /// The gradients are `dB = solve(A^T, u)` and `dA = -dB X^T`. Errors: a matrix that is not square, rows that differ; at run, a singular
    /// matrix.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (a, b) = (g.input("a", [8, 3, 3]), g.input("b", [8, 3]));
    /// assert_eq!(a.solve(b).shape()?.dims(), &[8, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn solve(self, b: Expr<'g>) -> Expr<'g> {
        let method = self.enter("solve");
        let rules = Rules { origin: method.origin() };
        let Some((shape, rhs_shape)) = self.shape_and(b, &rules) else { return Expr::poisoned(self.graph()) };
        let is_vector = rhs_shape.rank() == 1
            || (shape.rank() > 1 && rhs_shape.rank() + 1 == shape.rank() && rhs_shape[..] == shape[..shape.rank() - 1]);
        if !is_vector {
            return self.solve_by(MatrixFunction::Solve, b, &rules);
        }
        self.solve_by(MatrixFunction::Solve, b.unsqueeze(-1), &rules).squeeze(-1)
    }

    /// The solution `X` of `A X = B`, or of `X A = B` unless `left`, where of this square matrix A only the upper or lower triangle is read, and a
    /// unitriangular one has ones on its diagonal whatever stands there: `[.., n, n], [.., n, k] -> [.., n, k]`, or
    /// `[.., n, n], [.., k, n] -> [.., k, n]`. The axes in front broadcast. (PyTorch's `linalg.solve_triangular`.)
    ///
    /// The gradients are those of [`Expr::solve`], that of A in its triangle. A 0 on the diagonal gives infinity or NaN and is no error. Errors: a
    /// matrix that is not square, extents that differ.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (l, b) = (g.input("l", [3, 3]), g.input("b", [3, 2]));
    /// let x = l.solve_triangular(b, false, true, false); // L x = b
    /// assert_eq!(x.shape()?.dims(), &[3, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn solve_triangular(self, b: Expr<'g>, upper: bool, left: bool, unitriangular: bool) -> Expr<'g> {
        let method = self.enter("solve_triangular");
        let rules = Rules { origin: method.origin() };
        if self.shape_and(b, &rules).is_none() {
            return Expr::poisoned(self.graph());
        }
        if left {
            return self.solve_by(MatrixFunction::SolveTriangular { upper, unitriangular }, b, &rules);
        }
        let function = MatrixFunction::SolveTriangular { upper: !upper, unitriangular };
        rules.transposed(rules.transposed(self).solve_by(function, rules.transposed(b), &rules))
    }

    /// The inverse of a square matrix: `[.., n, n] -> [.., n, n]`. Floats. To solve a system, [`Expr::solve`] is quicker and loses fewer digits.
    /// (PyTorch's `linalg.inv`.)
    ///
    /// The gradient is `-Y^T u Y^T` of the inverse Y. Errors: a matrix that is not square; at run, a singular matrix.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("a", [4, 3, 3]).inv().shape()?.dims(), &[4, 3, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn inv(self) -> Expr<'g> {
        self.of_matrix("inv", MatrixFunction::Inverse)
    }

    /// The determinant of a square matrix: `[.., n, n] -> [..]`; 1 of a matrix without rows. Floats. (PyTorch's `linalg.det`.)
    ///
    /// The gradient is the matrix of cofactors, `det(A) A^-T` where there is an inverse, and exact also where there is none. The gradient of that gradient
    /// needs an inverse: of a singular matrix it is an error at run. Errors: a matrix that is not square.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("a", [4, 3, 3]).det().shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn det(self) -> Expr<'g> {
        self.of_matrix("det", MatrixFunction::Determinant)
    }

    /// The sign of the determinant of a square matrix and the logarithm of its magnitude, `[.., n, n] -> [..], [..]`, where the determinant itself
    /// would overflow or vanish; 0 and -inf of a singular matrix. Floats. (PyTorch's `linalg.slogdet`.)
    ///
    /// The gradient of the logarithm is `A^-T`, and for a singular matrix an error at run; the sign has none. Errors: a matrix that is not square.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (sign, log) = g.input("a", [4, 3, 3]).slogdet();
    /// assert_eq!((sign.shape()?.dims(), log.shape()?.dims()), (&[4][..], &[4][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn slogdet(self) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("slogdet");
        let rules = Rules { origin: method.origin() };
        let poisoned = Expr::poisoned(self.graph());
        let Some((shape, rows, columns)) = self.matrix_shape("slogdet", &rules) else { return (poisoned, poisoned) };
        if rows == 0 && columns == 0 {
            // The determinant of a matrix without rows is 1. It is told through the matrix, so that its dtype is checked.
            let none = self.det();
            let Some(dtype) = none.read("slogdet", rules.origin, |_, node| node.dtype) else {
                return (poisoned, poisoned);
            };
            return (none, self.graph().zeros(batch_shape(&shape), dtype));
        }
        let packed = rules.apply(MatrixFunction::SignLogDeterminant, &[self]);
        if packed.raw().is_none() {
            return (poisoned, poisoned);
        }
        let (sign, logarithm) = (packed.select_index(-1, 0), packed.select_index(-1, 1));
        method.gives(&[sign, logarithm]);
        (sign, logarithm)
    }

    /// The lower triangular `L` with a positive diagonal and `A = L L^T`, of a symmetric positive definite matrix, of which the lower
    /// triangle is read: `[.., n, n] -> [.., n, n]`. The upper factor is `x.cholesky().transpose(-2, -1)`. Floats. (PyTorch's
    /// `linalg.cholesky`.)
    ///
    /// The gradient is symmetric: half of it falls to the triangle that is not read. Errors: a matrix that is not square; at run, one that
    /// is not positive definite.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("a", [4, 3, 3]).cholesky().shape()?.dims(), &[4, 3, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cholesky(self) -> Expr<'g> {
        self.of_matrix("cholesky", MatrixFunction::Cholesky)
    }

    /// The reduced QR decomposition `A = Q R`, with `k = min(m, n)`: `[.., m, n] -> [.., m, k], [.., k, n]`. The columns of Q are orthonormal and R
    /// is upper triangular, its diagonal not negative. Floats. (PyTorch's `linalg.qr`, whose R may have negative numbers there.)
    ///
    /// The gradient needs the first k columns of A to be independent; where they are not, it is infinite or NaN. Errors: a rank below 2.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (q, r) = g.input("a", [5, 3]).qr();
    /// assert_eq!((q.shape()?.dims(), r.shape()?.dims()), (&[5, 3][..], &[3, 3][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn qr(self) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("qr");
        let rules = Rules { origin: method.origin() };
        let poisoned = Expr::poisoned(self.graph());
        let Some((_, rows, columns)) = self.matrix_shape("qr", &rules) else { return (poisoned, poisoned) };
        // A wide matrix has the Q of its first columns.
        let tall = if columns > rows { self.slice(-1, 0, rows) } else { self };
        let q = rules.apply(MatrixFunction::Orthonormal, &[tall]);
        let r = rules.product(q, self, [true, false]).triu(0);
        method.gives(&[q, r]);
        (q, r)
    }

    /// The eigenvalues of a symmetric matrix, ascending, and its orthonormal eigenvectors, which are columns: `[.., n, n] -> [.., n], [.., n, n]`. The
    /// lower triangle is read. Floats. (PyTorch's `linalg.eigh`.)
    ///
    /// Of each vector the largest element is positive. The gradient of the eigenvalues is `V diag(u) V^T`, that of the vectors
    /// `V ((X - X^T) / 2 E) V^T` with `X = V^T u` and `E[i, j] = w[j] - w[i]`, which is symmetric: it is infinite or NaN where eigenvalues are equal, and meant for what does not
    /// depend on the vectors' signs. Errors: a matrix that is not square; at run, elements that are not finite.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (values, vectors) = g.input("a", [4, 3, 3]).eigh();
    /// assert_eq!((values.shape()?.dims(), vectors.shape()?.dims()), (&[4, 3][..], &[4, 3, 3][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn eigh(self) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("eigh");
        let rules = Rules { origin: method.origin() };
        let poisoned = Expr::poisoned(self.graph());
        if self.matrix_shape("eigh", &rules).is_none() {
            return (poisoned, poisoned);
        }
        let vectors = rules.apply(MatrixFunction::Eigenvectors, &[self]);
        if vectors.raw().is_none() {
            return (poisoned, poisoned);
        }
        let values = rules.eigenvalues(self, vectors);
        method.gives(&[values, vectors]);
        (values, vectors)
    }

    /// The reduced singular value decomposition `A = U diag(S) V^T`, with `k = min(m, n)`: `[.., m, n] -> [.., m, k], [.., k], [.., k, n]`, which are U, S
    /// and V^T. The singular values descend. Floats. (PyTorch's `linalg.svd` with `full_matrices=False`.)
    ///
    /// Of each column of U the largest element is positive. The gradient of the singular values is `U diag(u) V^T`. That of the vectors is infinite or NaN where
    /// singular values are equal or, unless the matrix is square, 0; it is meant for what does not depend on the vectors' signs.
    /// Errors: a rank below 2; at run, elements that are not finite.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (u, s, vt) = g.input("a", [5, 3]).svd();
    /// assert_eq!((u.shape()?.dims(), s.shape()?.dims(), vt.shape()?.dims()), (&[5, 3][..], &[3][..], &[3, 3][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn svd(self) -> (Expr<'g>, Expr<'g>, Expr<'g>) {
        let method = self.enter("svd");
        let rules = Rules { origin: method.origin() };
        let poisoned = Expr::poisoned(self.graph());
        let Some((_, rows, columns)) = self.matrix_shape("svd", &rules) else { return (poisoned, poisoned, poisoned) };
        let vectors = rules.apply(MatrixFunction::SingularVectors, &[self]);
        if vectors.raw().is_none() {
            return (poisoned, poisoned, poisoned);
        }
        let [u, v] = rules.halves(vectors, rows, columns);
        let (values, transposed) = (rules.singular_values(self, u, v), rules.transposed(v));
        method.gives(&[u, values, transposed]);
        (u, values, transposed)
    }

    /// The singular values of a matrix, descending: `[.., m, n] -> [.., min(m, n)]`, as [`Expr::svd`] has them. (PyTorch's `linalg.svdvals`.)
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("a", [5, 3]).svdvals().shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn svdvals(self) -> Expr<'g> {
        let _method = self.enter("svdvals");
        self.svd().1
    }

    /// A function of one matrix.
    #[track_caller]
    fn of_matrix(self, name: &'static str, function: MatrixFunction) -> Expr<'g> {
        let method = self.enter(name);
        let rules = Rules { origin: method.origin() };
        match self.raw() {
            Some(_) => rules.apply(function, &[self]),
            None => Expr::poisoned(self.graph()),
        }
    }

    /// The shape with rows and columns; an error is kept if there are none.
    fn matrix_shape(self, op: &'static str, rules: &Rules) -> Option<(Shape, usize, usize)> {
        let origin = rules.origin;
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
        Some((shape, rows, columns))
    }

    fn shape_and(self, other: Expr<'g>, rules: &Rules) -> Option<(Shape, Shape)> {
        self.same_graph(other, "solve", rules.origin)?;
        Some((rules.shape(self)?, rules.shape(other)?))
    }

    /// Solves with this matrix after the axes in front of either operand have been broadcast to those of both.
    fn solve_by(self, function: MatrixFunction, b: Expr<'g>, rules: &Rules) -> Expr<'g> {
        let (Some(shape), Some(rhs_shape)) = (rules.shape(self), rules.shape(b)) else {
            return Expr::poisoned(self.graph());
        };
        if shape.rank() < 2 || rhs_shape.rank() < 2 {
            // The op's own rule says which has too few axes.
            return rules.apply(function, &[self, b]);
        }
        let batch = match batch_shape(&shape).broadcast(&batch_shape(&rhs_shape)) {
            Ok(batch) => batch,
            Err((left, right)) => {
                return self.fail(GraphError::MatMul {
                    origin: rules.origin,
                    op: function.name(),
                    which: MatMulAxis::Batch,
                    lhs: self.describe(),
                    lhs_shape: shape,
                    rhs: b.describe(),
                    rhs_shape,
                    left,
                    right,
                });
            }
        };
        let over = |x: Expr<'g>, shape: &Shape| {
            let last = &shape[shape.rank() - 2..];
            let shape = batch.iter().chain(last).copied().collect();
            x.broadcast_node(&shape, rules.origin)
        };
        rules.apply(function, &[over(self, &shape), over(b, &rhs_shape)])
    }
}
