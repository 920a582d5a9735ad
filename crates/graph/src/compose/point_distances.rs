//! Distances between points: all of two sets, or all pairs of one.
//!
//! A distance is a norm over the coordinates of a difference that no one else reads, so the differences of all pairs are computed where they are summed. Of many
//! points the Euclidean distances are `|x|^2 + |y|^2 - 2 xy`, a matrix product.

use crate::dtype::DType;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::ops::matmul::batch_shape;
use crate::shape::{AxisSet, Shape};

/// The most points of both sets whose Euclidean distances are norms of differences: as many as in PyTorch.
const MOST_BY_DIFFERENCES: usize = 25;

/// The fewest points of the second set for which the distances to all of them are summed side by side, a coordinate after the other.
const SIDE_BY_SIDE: usize = 64;

impl<'g> Expr<'g> {
    /// The p-norm distance of each point of this to each of `other`: `[.., m, d], [.., n, d] -> [.., m, n]`; the axes in front broadcast. Floats of one
    /// dtype. (PyTorch's `cdist`.)
    ///
    /// The gradient is that of [`Expr::norm`], 0 where two points are the same; for infinity each of the largest coordinates gets all of it.
    ///
    /// For a `p` of 2 and more than 25 points in one set the distances are `sqrt(|x|^2 + |y|^2 - 2 xy)`, as in PyTorch: a matrix product, many times quicker. The points are
    /// first moved so that the mean of `other` is at 0, which changes no distance. What rounding leaves of a small one is then some 1e-3 (in f64 1e-8) of how far
    /// the two points are from there, squares below 0 are 0, a point whose square is past the largest number is infinitely far from all others, and a
    /// point of a set is at 0 from itself where both operands are that one expression. Where points nearly coincide, `(x.unsqueeze(-2) - y.unsqueeze(-3)).norm(2.0, -1)` keeps all digits.
    ///
    /// Errors: a rank below 2, coordinates that differ in number, a `p` below 0 or NaN.
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
        self.distances(other, p, MOST_BY_DIFFERENCES, method.origin())
    }

    /// [`Expr::cdist`], whose Euclidean distances of more points than that are by a product.
    fn distances(self, other: Expr<'g>, p: f64, most_by_differences: usize, origin: Origin) -> Expr<'g> {
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
        let is_empty = shape.contains(&0) || other_shape.contains(&0);
        let [points, other_points] = [&shape, &other_shape].map(|shape| shape[shape.rank() - 2]);
        if p == 2.0 && points.max(other_points) > most_by_differences && !is_empty {
            return self.distances_by_product(other, other_shape.rank());
        }
        let (difference, axis) = self.differences(other, [&shape, &other_shape], p);
        if p != f64::INFINITY || coordinates == 0 {
            return difference.norm(p, [axis]);
        }
        let Some(full) = difference.read("cdist", origin, |_, node| node.shape.clone()) else { return poisoned };
        let summed: AxisSet = [full.rank().wrapping_add_signed(axis)].into_iter().collect();
        let largest = difference.abs().max_keepdims(summed);
        largest
            .with_slope(difference, largest_slope(difference, summed), origin)
            .reshape_node(&full.without(summed), origin)
    }

    /// The differences of all pairs of points, `[.., m, n, d]` or `[.., m, d, n]`, and the axis of the coordinates, counted from the end.
    fn differences(self, other: Expr<'g>, shapes: [&Shape; 2], p: f64) -> (Expr<'g>, isize) {
        let is_empty = shapes.iter().any(|shape| shape.contains(&0));
        let other_points = shapes[1][shapes[1].rank() - 2];
        // Elements of a sum that stand side by side are added in long runs, and powers cost so much that it does not matter.
        if other_points >= SIDE_BY_SIDE && [1.0, 2.0, f64::INFINITY].contains(&p) && !is_empty {
            (self.unsqueeze(-1) - other.transpose(-2, -1).unsqueeze(-3), -2)
        } else {
            (self.unsqueeze(-2) - other.unsqueeze(-3), -1)
        }
    }

    /// The Euclidean distances of points, of which there are some, by the product of both sets; the other one's rank is given.
    fn distances_by_product(self, other: Expr<'g>, other_rank: usize) -> Expr<'g> {
        let graph = self.graph();
        // A small distance is a difference of large squares.
        let _full_precision = graph.in_full_precision();
        let others: AxisSet = (0..other_rank - 1).collect();
        let mean = other.mean(others).stop_gradient();
        // One point without a place would take all others with it.
        let middle = mean.abs().less(f64::INFINITY).where_(mean, 0.0);
        let (x, y) = (self - middle, other - middle);
        let [of_x, of_y] = [x, y].map(|points| points.square().sum(-1).unsqueeze(-1));
        // The square alone makes a point infinitely far, whatever its product with another is.
        let [x, y] = [(x, of_x), (y, of_y)].map(|(points, square)| square.equal(f64::INFINITY).where_(0.0, points));
        let square = of_x + of_y.transpose(-2, -1) + x.matmul((y * -2.0).transpose(-2, -1));
        let mut is_zero = square.less_equal(0.0);
        if self.raw() == other.raw()
            && let Ok(shape) = self.shape()
        {
            let points = shape[shape.rank() - 2];
            let is_itself = graph.iota([points, 1], 0).equal(graph.iota([1, points], 1));
            is_zero = is_zero | (is_itself & of_x.less(f64::INFINITY));
        }
        // A root has no finite derivative at 0: there it is taken of 1, and nothing depends on it.
        is_zero.where_(0.0, is_zero.where_(1.0, square).sqrt())
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
        if p.is_nan() || p < 0.0 {
            return self.graph().refuse("pdist", "p", p, "a number not below 0");
        }
        self.graph().apply(&PairDistances { p, shape }, &[self])
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

/// The derivative of the largest magnitude over some axes in each difference.
fn largest_slope<'g>(difference: Expr<'g>, axes: AxisSet) -> Expr<'g> {
    let magnitude = difference.abs();
    magnitude.equal(magnitude.max_keepdims(axes).stop_gradient()).where_(difference.sign(), 0.0)
}

/// The distances of all pairs of points of one set of that shape, `[n, d] -> [n (n - 1) / 2]`.
///
/// A pair's gradient in one point is the negative of that in the other. So the gradient of a point is one sum over all others, of upstream gradients of a symmetric
/// matrix, and no two of what would have to be stored between them.
struct PairDistances {
    p: f64,
    shape: Shape,
}

impl PairDistances {
    /// Where the pairs stand in the matrix of all distances, row by row.
    fn places<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let points = self.shape[0];
        let pairs = (0..points).flat_map(|row| (row + 1..points).map(move |column| (row * points + column) as i32));
        let places: Vec<i32> = pairs.collect();
        x.graph().literal([places.len()], places)
    }
}

impl Function for PairDistances {
    fn name(&self) -> &'static str {
        "pdist"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let x = operands[0];
        context.save_for_backward(&[x]);
        // Pairs that nearly coincide are what is looked for here as often as not: as in PyTorch, always by differences.
        let distances = x.distances(x, self.p, usize::MAX, x.graph().origin_or(Origin::here()));
        distances.flatten().index_select(0, self.places(x))
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (x, graph, points) = (context.saved()[0], context.graph(), self.shape[0]);
        let Ok(dtype) = x.dtype() else { return vec![Some(x)] };
        if self.p == 0.0 {
            return vec![None];
        }
        if self.shape.contains(&0) {
            return vec![Some(graph.zeros(self.shape.clone(), dtype))];
        }
        let (difference, axis) = x.differences(x, [&self.shape, &self.shape], self.p);
        let axis = 3usize.wrapping_add_signed(axis);
        let axes: AxisSet = [axis].into_iter().collect();
        let slope = match self.p {
            1.0 => difference.sign(),
            f64::INFINITY => largest_slope(difference, axes),
            2.0 => difference.euclidean(axes, dtype).slope,
            p => difference.power_length(p, axes).slope,
        };
        let places = graph.zeros([points * points], dtype).scatter_add(0, self.places(x), upstream);
        let matrix = places.reshape([points, points]);
        let of_pairs = (matrix + matrix.transpose(0, 1)).unsqueeze(axis as isize);
        // The axis of the other points is the one that is left.
        vec![Some((of_pairs * slope).sum(3 - axis as isize))]
    }
}
