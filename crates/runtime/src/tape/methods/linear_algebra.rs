//! Linear algebra of variables.

use arenagrad_graph::{Axes, MatrixNorm, Origin};

use crate::tape::{Tape, Variable};

methods! {
    /// The solution `X` of `A X = B` for this square matrix A. On the CPU alone.
    solve(b;);
    /// The solution of a triangular system. On the CPU alone.
    solve_triangular(b; upper: bool, left: bool, unitriangular: bool);
    /// The inverse of a square matrix. On the CPU alone.
    inv(;);
    /// The determinant of a square matrix. On the CPU alone.
    det(;);
    /// The lower triangular Cholesky factor. On the CPU alone.
    cholesky(;);
    /// The singular values, descending. On the CPU alone.
    svdvals(;);
    /// A power of a square matrix; of a negative exponent on the CPU alone.
    matrix_power(; n: i32);
    /// The exponential of a square matrix.
    matrix_exp(;);
    /// The solution of `A X = B` for this Cholesky factor of A. On the CPU alone.
    cholesky_solve(b; upper: bool);
    /// The pseudoinverse. On the CPU alone.
    pinv(; rtol: Option<f64>);
    /// The least squares of `A X - B`. On the CPU alone.
    lstsq(b; rtol: Option<f64>);
    /// The p-norm over axes, or `..` for all, also for a `p` below 0.
    vector_norm(; p: f64, axes: impl Axes);
    /// A norm of the matrices along two axes.
    matrix_norm(; norm: MatrixNorm, axes: [isize; 2]);
    /// The sum of the diagonal of each matrix.
    trace(;);
    /// The correlations of the rows.
    corrcoef(;);
    /// The p-norm distance of each point to each of another set.
    cdist(other; p: f64);
    /// The p-norm distances of all pairs of points.
    pdist(; p: f64);
}

/// Methods of several results, which are recorded each on its own: a plan computes what they share once.
macro_rules! decompositions {
    ($($(#[$doc:meta])* $method:ident -> $result:ty { $($place:tt)* })*) => {
        impl Variable {$(
            $(#[$doc])*
            #[doc = concat!("See [`Expr::", stringify!($method), "`](crate::Expr::", stringify!($method), ").")]
            #[track_caller]
            pub fn $method(&self) -> $result {
                let origin = Origin::here();
                ($(
                    Variable::new(self.tape_inner().record(stringify!($method), &[self], origin, |_, x| {
                        Ok(x[0].$method().$place)
                    })),
                )*)
            }
        )*}
    };
}
decompositions! {
    /// The sign of the determinant and the logarithm of its magnitude. On the CPU alone.
    slogdet -> (Variable, Variable) { 0 1 }
    /// The reduced QR decomposition. On the CPU alone.
    qr -> (Variable, Variable) { 0 1 }
    /// Eigenvalues, ascending, and eigenvectors of a symmetric matrix. On the CPU alone.
    eigh -> (Variable, Variable) { 0 1 }
    /// The reduced singular value decomposition: U, S and V^T. On the CPU alone.
    svd -> (Variable, Variable, Variable) { 0 1 2 }
}

impl Variable {
    /// The covariances of the rows. See [`Expr::cov`](crate::Expr::cov).
    #[track_caller]
    pub fn cov(&self, correction: f64, frequencies: Option<&Variable>, weights: Option<&Variable>) -> Variable {
        let operands: Vec<&Variable> = [Some(self), frequencies, weights].into_iter().flatten().collect();
        let record = self.tape_inner().record("cov", &operands, Origin::here(), |_, x| {
            let mut rest = x[1..].iter().copied();
            let frequencies = frequencies.and_then(|_| rest.next());
            Ok(x[0].cov(correction, frequencies, weights.and_then(|_| rest.next())))
        });
        Variable::new(record)
    }

    /// `x weight other + bias` for each output. See [`Expr::bilinear`](crate::Expr::bilinear).
    #[track_caller]
    pub fn bilinear(&self, other: &Variable, weight: &Variable, bias: Option<&Variable>) -> Variable {
        let operands: Vec<&Variable> = [self, other, weight].into_iter().chain(bias).collect();
        let record = self
            .tape_inner()
            .record("bilinear", &operands, Origin::here(), |_, x| Ok(x[0].bilinear(x[1], x[2], x.get(3).copied())));
        Variable::new(record)
    }
}

impl Tape {
    /// The product of matrices in the cheapest order. See [`Graph::multi_dot`](crate::Graph::multi_dot).
    #[track_caller]
    pub fn multi_dot(&self, operands: &[&Variable]) -> Variable {
        Variable::new(self.inner.record("multi_dot", operands, Origin::here(), |graph, x| Ok(graph.multi_dot(x))))
    }
}
