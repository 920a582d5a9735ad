//! Distances between points: all of two sets, or all pairs of one.
//!
//! A distance is a norm over the coordinates of a difference that no one else reads, so the differences `[.., m, n, d]` are computed where they are summed.

use crate::dtype::DType;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::node::Origin;
use crate::ops::matmul::batch_shape;
use crate::shape::{AxisSet, Shape};

impl<'g> Expr<'g> {
    /// The p-norm distance of each point of this to each of `other`: `[.., m, d], [.., n, d] -> [.., m, n]`; the axes in front broadcast. Floats of one
    /// dtype. (PyTorch's `cdist`.)
    ///
    /// The gradient is that of [`Expr::norm`], 0 where two points are the same; for infinity each of the largest coordinates gets all of it. Errors: a rank
    /// below 2, coordinates that differ in number, a `p` below 0 or NaN.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (x, y) = (g.input("x", [7, 3]), g.input("y", [5, 3]));
    /// assert_eq!(x.cdist(y, 2.0).shape()?.dims(), &[7, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cdist(self, other: Expr<'g>, p: f64) -> Expr<'g> {
        let method = self.enter("cdist");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(other, "cdist", origin).is_none() {
            return poisoned;
        }
        if p.is_nan() || p < 0.0 {
            return self.graph().refuse("cdist", "p", p, "a number not below 0");
        }
        let (Some(shape), Some(other_shape)) = (self.points("cdist", origin), other.points("cdist", origin)) else {
            return poisoned;
        };
        let disagree = |which, left, right| GraphError::MatMul {
            origin,
            op: "cdist",
            which,
            lhs: self.describe(),
            lhs_shape: shape.clone(),
            rhs: other.describe(),
            rhs_shape: other_shape.clone(),
            left,
            right,
        };
        let [coordinates, others] = [&shape, &other_shape].map(|shape| shape[shape.rank() - 1]);
        if coordinates != others {
            return self.fail(disagree(MatMulAxis::Inner, coordinates, others));
        }
        if let Err((left, right)) = batch_shape(&shape).broadcast(&batch_shape(&other_shape)) {
            return self.fail(disagree(MatMulAxis::Batch, left, right));
        }
        let difference = self.unsqueeze(-2) - other.unsqueeze(-3);
        if p != f64::INFINITY || coordinates == 0 {
            return difference.norm(p, -1);
        }
        let magnitude = difference.abs();
        let Some(full) = magnitude.read("cdist", origin, |_, node| node.shape.clone()) else { return poisoned };
        let last: AxisSet = [full.rank() - 1].into_iter().collect();
        let largest = magnitude.max_keepdims(last);
        let slope = magnitude.equal(largest.stop_gradient()).where_(difference.sign(), 0.0);
        largest.with_slope(difference, slope, origin).reshape_node(&full.without(last), origin)
    }

    /// The p-norm distances of all pairs of points, `[n, d] -> [n (n - 1) / 2]`: those of the first to all after it, then those of the second, and so on.
    /// Floats. (PyTorch's `nn.functional.pdist`.)
    ///
    /// The gradient is that of [`Expr::cdist`]. Errors: another rank than 2, a `p` below 0 or NaN.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("x", [7, 3]).pdist(2.0).shape()?.dims(), &[21]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pdist(self, p: f64) -> Expr<'g> {
        let method = self.enter("pdist");
        let origin = method.origin();
        let Some(shape) = self.points("pdist", origin) else { return Expr::poisoned(self.graph()) };
        let rank = shape.rank();
        if rank != 2 {
            let (op, operand, expected) = ("pdist", self.describe(), "rank 2".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let points = shape[0];
        if points.checked_mul(points).is_none_or(|places| i32::try_from(places).is_err()) {
            return self.fail(GraphError::TooManyElements {
                origin,
                op: "pdist",
                shape: Shape::from([points, points]),
            });
        }
        let distances = self.cdist(self, p).flatten();
        let pairs = (0..points).flat_map(|row| (row + 1..points).map(move |column| (row * points + column) as i32));
        let places: Vec<i32> = pairs.collect();
        distances.index_select(0, self.graph().literal([places.len()], places))
    }

    /// The shape of points, which are rows of floats; an error is kept if this is none.
    fn points(self, op: &'static str, origin: Origin) -> Option<Shape> {
        let (shape, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        match dtype {
            DType::F32 | DType::F64 => Some(shape),
            DType::I32 | DType::Bool => {
                let (operand, expected) = (self.describe(), "a float");
                self.fail_without(GraphError::DType { origin, op, operand, dtype, expected })
            }
        }
    }
}
