//! Covariances and correlations of variables, which are rows, over observations, which are columns.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// The covariances of the rows: `[m, n] -> [m, m]`, or the variance of one row `[n] -> []`, also of one as `[1, n]`. (PyTorch's `cov`.)
    ///
    /// `sum over k of w[k] (x[i, k] - mean[i]) (x[j, k] - mean[j]) / norm`, where the mean is weighted alike. `frequencies`, i32 `[n]`, say how often each
    /// observation was made, and `weights`, floats `[n]`, how much it counts; `w` is their product, 1 without. `norm` is
    /// `sum(w) - correction`, or with weights `sum(w) - correction * sum(w weights) / sum(w)`, and no less than 0: then the result is infinite or NaN.
    /// Floats. Gradients flow to the expression and to `weights`.
    ///
    /// Errors: a rank above 2; weights of another shape or dtype.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("x", [3, 100]).cov(1.0, None, None).shape()?.dims(), &[3, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cov(self, correction: f64, frequencies: Option<Expr<'g>>, weights: Option<Expr<'g>>) -> Expr<'g> {
        let method = self.enter("cov");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[frequencies, weights], "cov", origin).is_none() {
            return poisoned;
        }
        let Some((shape, dtype)) = self.rows_of_observations("cov", origin) else { return poisoned };
        let rank = shape.rank();
        let observations = shape.last().copied().unwrap_or(1);
        let row = Shape::from([observations]);
        for (given, expected, name) in [(frequencies, DType::I32, "i32"), (weights, dtype, dtype.name())] {
            let Some(given) = given else { continue };
            let Some((shape, dtype)) = given.read("cov", origin, |_, node| (node.shape.clone(), node.dtype)) else {
                return poisoned;
            };
            if dtype != expected {
                let (op, operand, expected) = ("cov", given.describe(), name);
                return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
            }
            if shape != row {
                let (lhs, rhs) = ("the observations".to_owned(), given.describe());
                let (op, lhs_shape, rhs_shape) = ("cov", row, shape);
                return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
            }
        }
        let x = if rank < 2 { self.reshape([1, observations]) } else { self };
        let frequencies = frequencies.map(|frequencies| frequencies.cast(dtype));
        let all = match (frequencies, weights) {
            (Some(frequencies), Some(weights)) => Some(frequencies * weights),
            (one, None) | (None, one) => one,
        };
        let count = self.graph().full([], observations as f64, dtype);
        let total = all.map_or(count, |all| all.sum(..));
        let weighted = |x: Expr<'g>| all.map_or(x, |all| x * all);
        let centred = x - weighted(x).sum_keepdims(1) / total;
        let norm = match (all, weights) {
            (Some(all), Some(weights)) if correction != 0.0 => total - (all * weights).sum(..) * correction / total,
            _ => total - correction,
        };
        let norm = norm.less_equal(0.0).where_(0.0, norm);
        let covariances = centred.matmul_node(weighted(centred), false, true, origin) / norm;
        if rank < 2 || shape[0] == 1 { covariances.reshape(Shape::scalar()) } else { covariances }
    }

    /// Pearson's correlations of the rows, in -1..=1: `[m, n] -> [m, m]`, or of one row `[n] -> []`, which is 1. It is NaN for a row that does not vary.
    /// Floats. (PyTorch's `corrcoef`.)
    ///
    /// The gradient is that of `cov[i, j] / sqrt(cov[i, i] cov[j, j])`. Neither overflows where covariances would. Errors: a rank above 2.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("x", [3, 100]).corrcoef().shape()?.dims(), &[3, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(self) -> Expr<'g> {
        let method = self.enter("corrcoef");
        let origin = method.origin();
        let Some((shape, dtype)) = self.rows_of_observations("corrcoef", origin) else {
            return Expr::poisoned(self.graph());
        };
        let observations = shape.last().copied().unwrap_or(1);
        let x = if shape.rank() < 2 { self.reshape([1, observations]) } else { self };
        let centred = x - x.mean_keepdims(1);
        // Rows are brought to length 1 before they are multiplied, for covariances overflow and underflow long before a correlation
        // would. A row that does not vary has the length 0, and 0 / 0 is NaN.
        let unit = if observations == 0 {
            centred
        } else {
            let length = centred.euclidean([1].into_iter().collect(), dtype);
            centred / length.value.with_slope(centred, length.slope, origin)
        };
        let correlations = unit.matmul_node(unit, false, true, origin).clamp(Some(-1.0), Some(1.0));
        let correlations = if observations == 0 { correlations * f64::NAN } else { correlations };
        if shape.rank() < 2 || shape[0] == 1 { correlations.reshape(Shape::scalar()) } else { correlations }
    }

    /// The shape and dtype of variables, which are rows, over observations: floats of rank 2 or less.
    fn rows_of_observations(self, op: &'static str, origin: Origin) -> Option<(Shape, DType)> {
        let (shape, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = shape.rank();
        if rank > 2 {
            let (operand, expected) = (self.describe(), "rank 2 or less".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        Some((shape, dtype))
    }
}
