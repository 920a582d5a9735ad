//! Norms of matrices, and that of vectors under its name in linear algebra.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::Origin;

/// Which norm of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixNorm {
    /// The root of the sum of squares (PyTorch's `"fro"`).
    Frobenius,
    /// The sum of the singular values (`"nuc"`). On the CPU alone.
    Nuclear,
    /// The largest sum of magnitudes along a row (`inf`).
    LargestRow,
    /// The least sum of magnitudes along a row (`-inf`).
    LeastRow,
    /// The largest sum of magnitudes along a column (`1`).
    LargestColumn,
    /// The least sum of magnitudes along a column (`-1`).
    LeastColumn,
    /// The largest singular value (`2`). On the CPU alone.
    Spectral,
    /// The least singular value (`-2`). On the CPU alone.
    LeastSingular,
}

impl<'g> Expr<'g> {
    /// [`Expr::norm`] under the name of PyTorch's `linalg.vector_norm`. Errors: the same.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("x", [4, 3]).vector_norm(-2.0, 1).shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn vector_norm(self, p: f64, axes: impl Axes) -> Expr<'g> {
        let _method = self.enter("vector_norm");
        self.norm(p, axes)
    }

    /// A norm of the matrices along two axes, which fall away; the first axis counts rows. Floats. (PyTorch's `linalg.matrix_norm`.)
    ///
    /// Ties share the gradient evenly; that of the nuclear norm is `U V^T`, and of the spectral norm `u v^T`. Norms of singular values
    /// run on the CPU alone: see [`Expr::svd`]. Errors: axes that are out of range or the same; no floats; a largest or least of nothing.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, MatrixNorm};
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [4, 3, 5]).matrix_norm(MatrixNorm::Frobenius, [-2, -1]).shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn matrix_norm(self, norm: MatrixNorm, axes: [isize; 2]) -> Expr<'g> {
        let method = self.enter("matrix_norm");
        let origin = method.origin();
        let Some((shape, dtype)) = self.read("matrix_norm", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        if !dtype.is_float() {
            return self.not_of_floats("matrix_norm", dtype, origin);
        }
        if let Err(error) = self.resolve_axes("matrix_norm", &shape, &axes, origin) {
            return self.fail(error);
        }
        // Both are in range, and not the same.
        let place = |axis: isize| if axis < 0 { axis + shape.rank() as isize } else { axis };
        let [rows, columns] = axes.map(place);
        // What is left of the row's axis when the column's has fallen away, and the other way round.
        let rows_left = if columns < rows { rows - 1 } else { rows };
        let columns_left = if rows < columns { columns - 1 } else { columns };
        match norm {
            MatrixNorm::Frobenius => self.norm(2.0, axes),
            MatrixNorm::LargestRow => self.abs().sum(columns).max(rows_left),
            MatrixNorm::LeastRow => self.abs().sum(columns).min(rows_left),
            MatrixNorm::LargestColumn => self.abs().sum(rows).max(columns_left),
            MatrixNorm::LeastColumn => self.abs().sum(rows).min(columns_left),
            MatrixNorm::Nuclear => self.with_last(rows, columns, shape.rank()).svdvals().sum(-1),
            MatrixNorm::Spectral => self.with_last(rows, columns, shape.rank()).svdvals().max(-1),
            MatrixNorm::LeastSingular => self.with_last(rows, columns, shape.rank()).svdvals().min(-1),
        }
    }

    fn not_of_floats(self, op: &'static str, dtype: DType, origin: Origin) -> Expr<'g> {
        let (operand, expected) = (self.describe(), "a float");
        self.fail(GraphError::DType { origin, op, operand, dtype, expected })
    }

    /// The two axes moved behind the others.
    #[track_caller]
    fn with_last(self, rows: isize, columns: isize, rank: usize) -> Expr<'g> {
        let others = (0..rank as isize).filter(|axis| *axis != rows && *axis != columns);
        self.permute(others.chain([rows, columns]).collect::<Vec<_>>())
    }
}
