//! Norms of vectors for any number, and norms of matrices.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::shape::AxisSet;

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
    /// The p-norm over `axes` (`..` for all), which fall away, for any `p` but NaN: [`Expr::norm`] for those from 0 on, and
    /// `sum(|x|^p)^(1/p)` below, which is 0 where an element is 0; `min |x|` for -infinity. Floats. (PyTorch's `linalg.vector_norm`.)
    ///
    /// The gradient for a `p` below 0 is `sign(x) (|x| / norm)^(p-1)`, and 0 where the norm is 0; for -infinity the least elements share it
    /// evenly. Errors: a `p` that is NaN; an expression that holds no floats; no elements for a `p` below 0.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("x", [4, 3]).vector_norm(-2.0, 1).shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn vector_norm(self, p: f64, axes: impl Axes) -> Expr<'g> {
        let method = self.graph().enter("vector_norm");
        let origin = method.origin();
        if p.is_nan() {
            return self.graph().refuse("vector_norm", "p", p, "a number");
        }
        if p >= 0.0 {
            return self.norm(p, axes);
        }
        let Some((shape, dtype)) = self.read("vector_norm", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        if !dtype.is_float() {
            return self.not_of_floats("vector_norm", dtype, origin);
        }
        let set = match self.resolve_axes("vector_norm", &shape, &axes, origin) {
            Ok(set) => set,
            Err(error) => return self.fail(error),
        };
        // Without axes each element is a vector of its own.
        if set.is_empty() || p == f64::NEG_INFINITY {
            return self.abs().min(set);
        }
        self.inverse_power_length(p, set, origin).reshape_node(&shape.without(set), origin)
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

    /// The p-norm for a finite `p` below 0 over axes, which keep extent 1.
    #[track_caller]
    fn inverse_power_length(self, p: f64, axes: AxisSet, origin: Origin) -> Expr<'g> {
        let magnitude = self.abs();
        let least = magnitude.min_keepdims(axes).stop_gradient();
        // Where an element is 0 the norm is 0, and no power of it is computed.
        let is_zero = least.equal(0.0);
        let bound = (is_zero | least.equal(f64::INFINITY)).where_(1.0, least);
        // At least 1 each, so that no power of them overflows.
        let ratio = is_zero.where_(1.0, magnitude / bound);
        let length = ratio.powf(p).sum_keepdims(axes).powf(1.0 / p);
        let slope = self.sign() * is_zero.where_(0.0, (ratio / length).powf(p - 1.0));
        is_zero.where_(0.0, length * bound).with_slope(self, slope, origin)
    }
}
