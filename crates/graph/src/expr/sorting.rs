//! Sorting along an axis, what is at a rank in sorted order, and searching in what is sorted.
//!
//! All is made of one op, which gives indices in sorted order, and of gathers: so a gradient goes to the elements that were chosen. The
//! order is that of PyTorch: NaN is larger than all numbers, both zeros are equal, and equal elements stay in the order in
//! which they stand.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::joined::Joined;
use crate::expr::{Axes, Expr};
use crate::method::Method;
use crate::node::Origin;
use crate::op::{Op, Ordered};

/// What a quantile is that falls between two elements `a` and `b` of a sorted row, at `a + fraction (b - a)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantileInterpolation {
    /// `a + fraction (b - a)`.
    Linear,
    /// `a`.
    Lower,
    /// `b`.
    Higher,
    /// `(a + b) / 2`.
    Midpoint,
    /// The nearer of the two; the one at the even place where both are as near.
    Nearest,
}

impl<'g> Expr<'g> {
    /// i32: the indices that sort along `axis`, ascending or descending, of this expression's shape (`torch.argsort` with `stable=True`).
    /// Floats and i32.
    ///
    /// Equal elements keep their order in either direction, and NaN counts as the largest. Errors: an axis that there is not; an
    /// expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// let g = Graph::new();
    /// let order = g.input("x", [3, 5]).argsort(1, false);
    /// assert_eq!((order.shape()?.dims(), order.dtype()?), (&[3, 5][..], DType::I32));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn argsort(self, axis: isize, is_descending: bool) -> Expr<'g> {
        let method = self.enter("argsort");
        let origin = method.origin();
        match self.axis_and_extent("argsort", axis, origin) {
            Some((axis, extent)) => self.argsort_node(axis, is_descending, extent, origin),
            None => Expr::poisoned(self.graph()),
        }
    }

    /// The elements in sorted order along `axis`, and where each stood: `(values, indices)`, both of this expression's shape, the indices
    /// those of [`Expr::argsort`] (`torch.sort` with `stable=True`). Floats and i32.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (values, indices) = g.input("x", [3, 5]).sort(1, true); // the largest first
    /// assert_eq!(values.shape()?, indices.shape()?);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn sort(self, axis: isize, is_descending: bool) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("sort");
        let origin = method.origin();
        match self.axis_and_extent("sort", axis, origin) {
            Some((axis, extent)) => self.first_in_order(axis, is_descending, extent, &method),
            None => self.poisoned_pair(),
        }
    }

    /// The elements in ascending order along the first axis (`torch.msort`). Floats and i32.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [3, 5]).msort().shape()?.dims(), &[3, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn msort(self) -> Expr<'g> {
        let _method = self.enter("msort");
        self.sort(0, false).0
    }

    /// The `k` largest elements along `axis`, the largest first, or the `k` smallest, the smallest first, and where they stand: `(values,
    /// indices)`, with extent `k` along the axis (`torch.topk`; there results that need not be sorted may be in any order). Floats
    /// and i32.
    ///
    /// NaN counts as the largest; of equal elements the first ones are taken. Few of many are found without sorting all. Errors:
    /// `k` past the extent of the axis; an axis that there is not; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (values, indices) = g.input("logits", [8, 1000]).topk(5, -1, true);
    /// assert_eq!(values.shape()?.dims(), &[8, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn topk(self, k: usize, axis: isize, is_largest: bool) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("topk");
        let origin = method.origin();
        match self.axis_and_extent("topk", axis, origin) {
            Some((axis, _)) => self.first_in_order(axis, is_largest, k, &method),
            None => self.poisoned_pair(),
        }
    }

    /// The `k`-th smallest element along `axis`, counted from 1, and where it stands: `(values, indices)`, without the axis
    /// (`torch.kthvalue`). Floats and i32. NaN counts as the largest.
    ///
    /// Errors: a `k` that is 0 or past the extent of the axis; an axis that there is not; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (second, place) = g.input("x", [4, 9]).kthvalue(2, 1);
    /// assert_eq!(second.shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn kthvalue(self, k: usize, axis: isize) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("kthvalue");
        let origin = method.origin();
        let Some(joined) = self.joined("kthvalue", &[axis], origin) else { return self.poisoned_pair() };
        if k == 0 {
            let (op, what, expected) = ("kthvalue", "k", "a rank from 1 to the extent of the axis");
            let poisoned = self.fail(GraphError::Argument { origin, op, what, value: 0.0, expected });
            return (poisoned, poisoned);
        }
        let order = self.argsort_node(joined.axis, false, k, origin);
        let place = order.slice(joined.axis as isize, k - 1, k);
        joined.chosen(place, &method)
    }

    /// The median along an axis, which falls away, and where it stands: `(values, indices)`; along several (`..` for all) the index is
    /// that among their elements in row-major order (`torch.median`). Floats and i32.
    ///
    /// Of an even number of elements it is the lower of the two in the middle. A NaN is the median of what it is in. The gradient goes to
    /// the element that the index names. Errors: no elements to take the median of; an axis that there is not; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (median, place) = g.input("x", [4, 9]).median(1);
    /// assert_eq!((median.shape()?.dims(), place.shape()?.dims()), (&[4][..], &[4][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn median(self, axes: impl Axes) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("median");
        let origin = method.origin();
        let Some(joined) = self.joined_some("median", "median", &axes, origin) else { return self.poisoned_pair() };
        // The first NaN where there is one.
        let largest = joined.elements.argmax_node(joined.axis, origin);
        let middle = joined.extent.saturating_sub(1) / 2;
        let order = joined.elements.argsort_node(joined.axis, false, middle + 1, origin);
        let is_float = self.read("median", origin, |_, node| node.dtype.is_float()).unwrap_or(false);
        let place = order.slice(joined.axis as isize, middle, middle + 1);
        let place = if is_float {
            let extreme = joined.elements.gather_node(largest, joined.axis, origin);
            extreme.not_equal(extreme).where_(largest, place)
        } else {
            place
        };
        joined.chosen(place, &method)
    }

    /// The median of the elements that are not NaN, and where it stands: [`Expr::median`] but for NaN (`torch.nanmedian`). Where all
    /// are NaN it is NaN. Floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (median, _) = g.input("x", [4, 9]).nanmedian(..);
    /// assert_eq!(median.shape()?.rank(), 0);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn nanmedian(self, axes: impl Axes) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("nanmedian");
        let origin = method.origin();
        let Some(joined) = self.joined_some("nanmedian", "median", &axes, origin) else { return self.poisoned_pair() };
        let x = joined.elements;
        let axis = joined.axis as isize;
        // NaN counts as the largest, so all others come first, and this is how many they are.
        let count = x.equal(x).cast(DType::I32).sum_keepdims([axis]);
        // Half of one less, rounded down; the first element if there is none. An f32 is not exact from 2^24 on, but what then is left is
        // small.
        let middle = self.graph().at(origin, || {
            let half = |x: Expr<'g>| (x.cast(DType::F32) * 0.5).floor().cast(DType::I32);
            let last = (count - 1).maximum(0);
            let about = half(last);
            about + half(last - about * 2)
        });
        let place = x.argsort_node(joined.axis, false, joined.extent, origin).gather_node(middle, joined.axis, origin);
        joined.chosen(place, &method)
    }

    /// The quantile `q` along axes, which fall away: the element at place `q (n - 1)` of the `n` in sorted order, or what
    /// `interpolation` makes of the two that it is between (`torch.quantile`). Floats. Where an element is NaN it is NaN.
    ///
    /// Errors: a `q` outside 0 to 1; no elements; an axis that there is not; an expression that holds no floats.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, QuantileInterpolation};
    /// let g = Graph::new();
    /// let upper = g.input("x", [4, 9]).quantile(0.75, 1, QuantileInterpolation::Linear);
    /// assert_eq!(upper.shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn quantile(self, q: f64, axes: impl Axes, interpolation: QuantileInterpolation) -> Expr<'g> {
        let method = self.enter("quantile");
        let origin = method.origin();
        if !(0.0..=1.0).contains(&q) {
            let (op, what, expected) = ("quantile", "q", "a number from 0 to 1");
            return self.fail(GraphError::Argument { origin, op, what, value: q, expected });
        }
        let found = self.read("quantile", origin, |_, node| node.dtype);
        let Some(dtype) = found else { return self };
        if !dtype.is_float() {
            let (op, operand, expected) = ("quantile", self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let Some(joined) = self.joined_some("quantile", "quantile", &axes, origin) else {
            return Expr::poisoned(self.graph());
        };
        let x = joined.elements;
        let largest = x.argmax_node(joined.axis, origin);
        let place = q * (joined.extent - 1) as f64;
        let (low, high) = (place.floor(), place.ceil());
        let sorted = self.graph().at(origin, || {
            let order = x.argsort_node(joined.axis, false, high as usize + 1, origin);
            let at = |place: f64| {
                let index = order.slice(joined.axis as isize, place as usize, place as usize + 1);
                x.gather_node(index, joined.axis, origin)
            };
            match interpolation {
                QuantileInterpolation::Lower => at(low),
                QuantileInterpolation::Higher => at(high),
                QuantileInterpolation::Nearest => at(place.round_ties_even()),
                QuantileInterpolation::Linear | QuantileInterpolation::Midpoint if low == high => at(low),
                QuantileInterpolation::Midpoint => at(low) * 0.5 + at(high) * 0.5,
                QuantileInterpolation::Linear => {
                    let (a, b, beyond) = (at(low), at(high), place - low);
                    let difference = b - a;
                    // From the nearer of the two. Where their difference is no number each is weighed: one may be an infinity.
                    let near = if beyond < 0.5 { a + difference * beyond } else { b - difference * (high - place) };
                    difference.isfinite().where_(near, a * (high - place) + b * beyond)
                }
            }
        });
        let extreme = x.gather_node(largest, joined.axis, origin);
        let result = extreme.not_equal(extreme).where_(extreme, sorted);
        joined.without_axis(result, origin)
    }

    /// i32: where each of `values` belongs in this ascending sequence, before elements that are equal to it or, if `is_right`, behind
    /// them (`torch.searchsorted`). The shape is that of the values.
    ///
    /// A sequence `[n]` serves values of any shape; sequences `[.., n]` serve values `[.., m]`, row by row, with the same extents in
    /// front. Of both the dtype is the same, floats or i32. A NaN among the values belongs at the end. A sequence that is not sorted is
    /// searched by halving all the same, as in PyTorch. Searching takes the logarithm of `n` steps a value. A sequence with the indices
    /// that sort it is `sequence.gather(-1, sorter)`.
    ///
    /// Errors: ranks, extents or dtypes that do not fit; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (edges, x) = (g.input("edges", [10]), g.input("x", [3, 4]));
    /// assert_eq!(edges.searchsorted(x, false).shape()?.dims(), &[3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(self, values: Expr<'g>, is_right: bool) -> Expr<'g> {
        let method = self.enter("searchsorted");
        self.searchsorted_node("searchsorted", values, is_right, method.origin())
    }

    /// i32: which of the buckets between ascending `boundaries` `[n]` each element falls into: [`Expr::searchsorted`] with the operands
    /// exchanged (`torch.bucketize`). A boundary belongs to the bucket below it, or above it if `is_right`.
    ///
    /// Errors: boundaries that have another rank than 1; dtypes that differ; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (edges, x) = (g.input("edges", [10]), g.input("x", [3, 4]));
    /// assert_eq!(x.bucketize(edges, true).shape()?.dims(), &[3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bucketize(self, boundaries: Expr<'g>, is_right: bool) -> Expr<'g> {
        let method = self.enter("bucketize");
        let origin = method.origin();
        let Some(shape) = boundaries.read("bucketize", origin, |_, node| node.shape.clone()) else {
            return Expr::poisoned(self.graph());
        };
        if shape.rank() != 1 {
            let (op, operand, rank) = ("bucketize", boundaries.describe(), shape.rank());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected: "rank 1".to_owned() });
        }
        boundaries.searchsorted_node("bucketize", self, is_right, origin)
    }

    fn searchsorted_node(self, op: &'static str, values: Expr<'g>, is_right: bool, origin: Origin) -> Expr<'g> {
        if self.same_graph(values, op, origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        let (Some(sequence), Some(values)) = (self.raw(), values.raw()) else { return Expr::poisoned(self.graph()) };
        self.insert(Op::Ordered(Ordered::SearchSorted { sequence, values, is_right }), None, None, origin)
    }

    /// The axis that a caller named, and its extent; none, with an error in the graph, if there is no such axis.
    fn axis_and_extent(self, op: &'static str, axis: isize, origin: Origin) -> Option<(usize, usize)> {
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => Some((axis, shape[axis])),
            Err(error) => self.fail_without(error),
        }
    }

    /// The first `count` elements in order along an axis, and where they stand.
    fn first_in_order(
        self,
        axis: usize,
        is_descending: bool,
        count: usize,
        method: &Method<'g>,
    ) -> (Expr<'g>, Expr<'g>) {
        let indices = self.argsort_node(axis, is_descending, count, method.origin());
        let values = self.gather_node(indices, axis, method.origin());
        method.gives(&[values, indices]);
        (values, indices)
    }

    pub(crate) fn argsort_node(self, axis: usize, is_descending: bool, count: usize, origin: Origin) -> Expr<'g> {
        let Some(operand) = self.raw() else { return self };
        self.insert(Op::Ordered(Ordered::ArgSort { operand, axis, is_descending, count }), None, None, origin)
    }

    fn poisoned_pair(self) -> (Expr<'g>, Expr<'g>) {
        let poisoned = Expr::poisoned(self.graph());
        (poisoned, poisoned)
    }
}

impl<'g> Joined<'g> {
    /// The elements at computed places, one along the axis, and these places, without the axis.
    pub(crate) fn chosen(&self, place: Expr<'g>, method: &Method<'g>) -> (Expr<'g>, Expr<'g>) {
        let origin = method.origin();
        let value = self.elements.gather_node(place, self.axis, origin);
        let (value, place) = (self.without_axis(value, origin), self.without_axis(place, origin));
        method.gives(&[value, place]);
        (value, place)
    }
}
