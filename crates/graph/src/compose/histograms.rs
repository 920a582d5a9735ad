//! How many elements are of each value, or in each bin between two numbers.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::{AxisSet, Shape};

impl<'g> Expr<'g> {
    /// How often each of the numbers `0..length` is among these i32: `[n] -> [length]`, of i32; with weights, one for each element, floats or i32, the
    /// sums of those at each number, in their dtype. (PyTorch's `bincount`, whose length depends on the elements; here it is given, and takes
    /// the place of `minlength`.)
    ///
    /// The gradient of the weights is the upstream gradient at each element's number. Errors: an expression that is not i32, or of another rank than
    /// 1; weights of another shape, or of bool; a number outside of `0..length` that stands in the graph. Those of inputs are checked at each
    /// run, and what is computed and outside is not counted.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let labels = g.literal([5], [0, 2, 2, 1, 2]);
    /// assert_eq!(labels.bincount(4, None).shape()?.dims(), &[4]); // 1, 1, 3, 0
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bincount(self, length: usize, weights: Option<Expr<'g>>) -> Expr<'g> {
        let method = self.enter("bincount");
        let (origin, op, poisoned) = (method.origin(), "bincount", Expr::poisoned(self.graph()));
        if self.same_graph_all(&[weights], op, origin).is_none() {
            return poisoned;
        }
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        if dtype != DType::I32 {
            let (operand, expected) = (self.describe(), "i32");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        if shape.rank() != 1 {
            let (operand, rank, expected) = (self.describe(), shape.rank(), "rank 1".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let weights = match weights {
            None => self.ones_like(),
            Some(weights) if weights.is_truth() => {
                let (operand, dtype, expected) = (weights.describe(), DType::Bool, "a float or i32");
                return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
            }
            Some(weights) => match self.shape_shared_with(weights, op) {
                Some(_) => weights,
                None => return poisoned,
            },
        };
        let Some(dtype) = weights.read(op, origin, |_, node| node.dtype) else { return poisoned };
        self.graph().zeros([length], dtype).scatter_add(0, self, weights)
    }

    /// How many elements are in each of `bins` equal bins between `min` and `max`: floats of any shape to `[bins]` of their dtype, whole numbers
    /// all. (PyTorch's `histc`.) A bin holds its lower edge, the last one `max` too; what is outside and what is NaN is not counted. An element next to an edge is
    /// counted where rounding puts it. Equal bounds, as PyTorch's defaults of 0 and 0, stand for the least and the largest element, and if these
    /// are equal too, for 1 below and 1 above. Nothing is counted where there is no room for bins between these: with NaN or an infinity among the elements, which
    /// PyTorch refuses, or where the dtype holds neither their distance times the bins nor 1 more than they are.
    ///
    /// No gradient flows through it. Errors: an expression that holds no floats; no bins; bounds that are not finite; a `min` above `max`, or so far
    /// below it that the distance times the bins leaves the range of the dtype.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let counts = g.input("x", [8, 100]).histc(10, -1.0, 1.0);
    /// assert_eq!(counts.shape()?.dims(), &[10]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn histc(self, bins: usize, min: f64, max: f64) -> Expr<'g> {
        let (op, poisoned) = ("histc", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[]) else { return poisoned };
        let origin = method.origin();
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        let Some(last) = bins.checked_sub(1) else {
            return self.graph().refuse(op, "the number of bins", 0.0, "at least 1");
        };
        let Ok(last) = i32::try_from(last) else {
            return self.graph().refuse(op, "the number of bins", bins as f64, "a number that i32 holds");
        };
        if !self.graph().allows_finite(op, "min", min) || !self.graph().allows_finite(op, "max", max) {
            return poisoned;
        }
        // In the arithmetic of the dtype, in which elements are put into bins.
        let distance = dtype.round(max) - dtype.round(min);
        if max < min || !dtype.round(distance * bins as f64).is_finite() {
            let expected = "a number not below min, whose distance from it times the bins the dtype holds";
            return self.graph().refuse(op, "max", max, expected);
        }
        let counts = self.graph().zeros([bins], DType::I32);
        if shape.contains(&0) {
            return counts.cast(dtype);
        }
        let flat = self.flatten().stop_gradient();
        let [low, high] = if distance == 0.0 {
            flat.own_bounds(bins, origin)
        } else {
            [min, max].map(|bound| self.graph().full(Shape::scalar(), bound, dtype))
        };
        let is_counted = flat.greater_equal(low) & flat.less_equal(high);
        let place = (is_counted.where_(flat, low) - low) * bins as f64 / (high - low);
        let place = place.cast(DType::I32).minimum(last);
        counts.scatter_add(0, place, is_counted.cast(DType::I32)).cast(dtype)
    }

    /// The least and the largest element of a vector of floats that is not empty, moved apart if they are equal; NaN if no bins can be made
    /// between them.
    fn own_bounds(self, bins: usize, origin: Origin) -> [Expr<'g>; 2] {
        let of = |function| self.reduce_node(function, AxisSet::all(1), origin).reshape_node(&Shape::scalar(), origin);
        let [low, high] = [of(ReduceFunction::Min), of(ReduceFunction::Max)];
        self.graph().at(origin, || {
            let is_point = low.equal(high);
            let (low, high) = (is_point.where_(low - 1.0, low), is_point.where_(high + 1.0, high));
            // Where they are so large that 1 more is no more, there is nothing between them either.
            let has_room = ((high - low) * bins as f64).isfinite() & low.less(high);
            [low, high].map(|bound| has_room.where_(bound, f64::NAN))
        })
    }
}
