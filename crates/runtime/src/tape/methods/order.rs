//! Methods of variables for what has to do with order: cumulative operations, sorting, and further reductions.

use arenagrad_graph::{Axes, Origin, QuantileInterpolation};

use crate::tape::Variable;

methods! {
    /// The cumulative sum along an axis.
    cumsum(; axis: isize);
    /// The cumulative product along an axis.
    cumprod(; axis: isize);
    /// The logarithm of the cumulative sum of exponentials along an axis.
    logcumsumexp(; axis: isize);
    /// `y[i] = factors[i] y[i-1] + x[i]` along an axis.
    linear_recurrence(factors; axis: isize);
    /// The indices that sort along an axis.
    argsort(; axis: isize, is_descending: bool);
    /// The elements in ascending order along the first axis.
    msort(;);
    /// The quantile `q` over axes, or `..` for all.
    quantile(; q: f64, axes: impl Axes, interpolation: QuantileInterpolation);
    /// Where values belong in this ascending sequence.
    searchsorted(values; is_right: bool);
    /// Which of the buckets between ascending boundaries each element falls into.
    bucketize(boundaries; is_right: bool);
    /// How many elements are in each of equal bins between two numbers.
    histc(; bins: usize, min: f64, max: f64);
    /// The product over axes, or `..` for all.
    prod(; axes: impl Axes);
    /// The product over axes, which keep extent 1.
    prod_keepdims(; axes: impl Axes);
    /// The first index of the largest element.
    argmax(; axes: impl Axes);
    /// The first index of the smallest element.
    argmin(; axes: impl Axes);
    /// How many elements over axes are not 0.
    count_nonzero(; axes: impl Axes);
    /// Whether any element over axes is not 0.
    any(; axes: impl Axes);
    /// Whether any element over axes, which keep extent 1, is not 0.
    any_keepdims(; axes: impl Axes);
    /// Whether all elements over axes are other than 0.
    all(; axes: impl Axes);
    /// Whether all elements over axes, which keep extent 1, are other than 0.
    all_keepdims(; axes: impl Axes);
    /// The sum over axes of the elements that are not NaN.
    nansum(; axes: impl Axes);
    /// The sum over axes, which keep extent 1, of the elements that are not NaN.
    nansum_keepdims(; axes: impl Axes);
    /// The mean over axes of the elements that are not NaN.
    nanmean(; axes: impl Axes);
    /// The mean over axes, which keep extent 1, of the elements that are not NaN.
    nanmean_keepdims(; axes: impl Axes);
    /// The `n`-th differences of neighbours along an axis.
    diff(; n: usize, axis: isize);
    /// The integral of evenly spaced samples along an axis, by the trapezoidal rule.
    trapezoid(; spacing: f64, axis: isize);
    /// The integral of samples at places along an axis, by the trapezoidal rule.
    trapezoid_at(places; axis: isize);
    /// The derivative of evenly spaced samples along an axis, by central differences.
    numerical_gradient(; spacing: f64, axis: isize, edge_order: usize);
    /// The derivative of samples at places along an axis, by central differences.
    numerical_gradient_at(places; axis: isize, edge_order: usize);
}

crate::tape::methods::methods_of_several! {
    /// The largest element so far along an axis, and where it stands.
    cummax(; axis: isize) -> (0, 1);
    /// The smallest element so far along an axis, and where it stands.
    cummin(; axis: isize) -> (0, 1);
    /// The elements in order along an axis, and where each stood.
    sort(; axis: isize, is_descending: bool) -> (0, 1);
    /// The `k` largest or smallest elements along an axis, and where they stand.
    topk(; k: usize, axis: isize, is_largest: bool) -> (0, 1);
    /// The `k`-th smallest element along an axis, and where it stands.
    kthvalue(; k: usize, axis: isize) -> (0, 1);
    /// The median over axes, and where it stands.
    median(; axes: impl Axes + Clone) -> (0, 1);
    /// The median over axes of the elements that are not NaN, and where it stands.
    nanmedian(; axes: impl Axes + Clone) -> (0, 1);
    /// The largest element over axes, and its first index.
    max_with_indices(; axes: impl Axes + Clone) -> (0, 1);
    /// The smallest element over axes, and its first index.
    min_with_indices(; axes: impl Axes + Clone) -> (0, 1);
    /// The smallest and the largest element over axes.
    aminmax(; axes: impl Axes + Clone) -> (0, 1);
    /// The variance and the mean over axes.
    var_mean(; axes: impl Axes + Clone, correction: f64) -> (0, 1);
    /// The standard deviation and the mean over axes.
    std_mean(; axes: impl Axes + Clone, correction: f64) -> (0, 1);
}

impl Variable {
    /// How often each of the numbers `0..length` is among these, or the sums of weights there. See [`Expr::bincount`](crate::Expr::bincount).
    #[track_caller]
    pub fn bincount(&self, length: usize, weights: Option<&Variable>) -> Variable {
        self.with_optional("bincount", [], [weights], Origin::here(), |x, [], [weights]| x.bincount(length, weights))
    }

    /// The `n`-th differences along an axis of this with others before and behind it. See [`Expr::diff_with`](crate::Expr::diff_with).
    #[track_caller]
    pub fn diff_with(&self, n: usize, axis: isize, prepend: Option<&Variable>, append: Option<&Variable>) -> Variable {
        let origin = Origin::here();
        let operands: Vec<&Variable> = [Some(self), prepend, append].into_iter().flatten().collect();
        Variable::new(self.tape_inner().record("diff_with", &operands, origin, |_, given| {
            let mut others = given[1..].iter().copied();
            let before = prepend.and_then(|_| others.next());
            Ok(given[0].diff_with(n, axis, before, others.next()))
        }))
    }
}
