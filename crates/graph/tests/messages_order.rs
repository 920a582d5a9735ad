//! Methods of cumulative operations, sorting, reductions and draws of categories, called with something wrong: the message names the method that the
//! caller wrote, the caller's line, and the numbers at odds; and nothing is left behind.

use arenagrad_graph::nn::Phase;
use arenagrad_graph::{DType, Expr, Graph, QuantileInterpolation};

/// What mistakes are made with.
#[derive(Clone, Copy)]
struct Wrong<'g> {
    /// f32 of shape [2, 3].
    x: Expr<'g>,
    /// f32 of shape [2, 0].
    empty: Expr<'g>,
    /// i32 of shape [2, 3].
    i: Expr<'g>,
    /// bool of shape [2, 3].
    b: Expr<'g>,
}

type Mistake = for<'g> fn(Wrong<'g>) -> Expr<'g>;

const MISTAKES: &[(&str, &str, Mistake)] = &[
    ("cumsum", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.cumsum(2)),
    ("cumprod", "axis -3 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.cumprod(-3)),
    ("logcumsumexp", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| w.i.logcumsumexp(0)),
    ("logcumsumexp", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.logcumsumexp(2)),
    ("cummax", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.cummax(2).0),
    ("linear_recurrence", "shapes differ: \"x\" is [2, 3], \"empty\" is [2, 0]", |w| w.x.linear_recurrence(w.empty, 0)),
    ("linear_recurrence", "dtypes differ: \"x\" is f32, \"i\" is i32; cast one of them", |w| {
        w.x.linear_recurrence(w.i, 0)
    }),
    ("argsort", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.argsort(2, false)),
    ("argsort", "\"b\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))", |w| w.b.argsort(1, false)),
    ("sort", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.sort(2, false).0),
    ("msort", "\"b\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))", |w| w.b.msort()),
    ("topk", "axis 1 of \"x\" has 3 elements, so 0..4 is out of range (shape [2, 3])", |w| w.x.topk(4, 1, true).0),
    ("topk", "axis 5 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.topk(1, 5, true).1),
    ("kthvalue", "k is 0, but a rank from 1 to the extent of the axis is needed", |w| w.x.kthvalue(0, 1).0),
    ("kthvalue", "axis 1 of \"x\" has 3 elements, so 0..4 is out of range (shape [2, 3])", |w| w.x.kthvalue(4, 1).1),
    ("median", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no median", |w| w.empty.median(1).0),
    ("median", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no median", |w| w.empty.median(..).0),
    ("nanmedian", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no median", |w| {
        w.empty.nanmedian(1).1
    }),
    ("quantile", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no quantile", |w| {
        w.empty.quantile(0.5, .., QuantileInterpolation::Linear)
    }),
    ("max_with_indices", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no maximum", |w| {
        w.empty.max_with_indices(1).0
    }),
    ("min_with_indices", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no minimum", |w| {
        w.empty.min_with_indices(..).1
    }),
    ("argmin", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no argmin", |w| w.empty.argmin(1)),
    ("median", "axis 1 is named twice", |w| w.x.median([1, 1]).0),
    ("nanmedian", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.nanmedian(2).0),
    ("quantile", "q is 1.5, but a number from 0 to 1 is needed", |w| {
        w.x.quantile(1.5, 1, QuantileInterpolation::Linear)
    }),
    ("quantile", "q is NaN, but a number from 0 to 1 is needed", |w| {
        w.x.quantile(f64::NAN, 1, QuantileInterpolation::Lower)
    }),
    ("quantile", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| {
        w.i.quantile(0.5, 1, QuantileInterpolation::Linear)
    }),
    ("searchsorted", "dtypes differ: \"x\" is f32, \"i\" is i32; cast one of them", |w| w.x.searchsorted(w.i, false)),
    (
        "searchsorted",
        "extents differ along axis 0: \"x\" is [2, 3], reshape (node 4) of \"x\" is [3, 2] (2 != 3)",
        |w| w.x.searchsorted(w.x.reshape([3, 2]), false),
    ),
    ("bucketize", "\"x\" of shape [2, 3] has rank 2, but rank 1 is needed", |w| w.x.bucketize(w.x, false)),
    ("prod", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.prod(2)),
    ("mean_keepdims", "\"b\" is bool, but a float is needed (cast it: .cast(DType::F32))", |w| w.b.mean_keepdims(..)),
    ("any", "axis 2 is out of range for \"b\" of shape [2, 3] (rank 2)", |w| w.b.any(2)),
    ("any_keepdims", "axis 0 is named twice", |w| w.b.any_keepdims([0, 0])),
    ("all", "axis 2 is out of range for \"b\" of shape [2, 3] (rank 2)", |w| w.b.all(2)),
    ("all_keepdims", "axis 2 is out of range for \"b\" of shape [2, 3] (rank 2)", |w| w.b.all_keepdims(2)),
    ("count_nonzero", "axis 2 is out of range for \"i\" of shape [2, 3] (rank 2)", |w| w.i.count_nonzero(2)),
    ("argmax", "axis 0 is named twice", |w| w.x.argmax([0, 0])),
    ("argmin", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.argmin(2)),
    ("argmin", "\"b\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))", |w| w.b.argmin(0)),
    ("max_with_indices", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.max_with_indices(2).0),
    ("min_with_indices", "axis 2 is out of range for \"i\" of shape [2, 3] (rank 2)", |w| w.i.min_with_indices(2).0),
    ("aminmax", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.aminmax(2).0),
    ("var_mean", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.var_mean(2, 1.0).0),
    ("std_mean", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.std_mean(2, 1.0).0),
    ("nansum", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| w.i.nansum(0)),
    ("nansum_keepdims", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.nansum_keepdims(2)),
    ("nanmean", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.nanmean(2)),
    ("nanmean_keepdims", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| {
        w.i.nanmean_keepdims(0)
    }),
    ("diff", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.diff(1, 2)),
    ("diff_with", "dtypes differ: \"i\" is i32, \"x\" is f32; cast one of them", |w| {
        w.x.diff_with(1, 0, Some(w.i), None)
    }),
    ("trapezoid", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| w.i.trapezoid(1.0, 0)),
    ("trapezoid_at", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| w.x.trapezoid_at(w.x, 2)),
    ("trapezoid_at", "\"x\" of shape [2, 3] does not broadcast to [3]", |w| w.x.sum(0).trapezoid_at(w.x, 0)),
    ("trapezoid_at", "slice (node 4) of \"x\" of shape [2, 2] does not broadcast to [2, 3]", |w| {
        w.x.trapezoid_at(w.x.slice(1, 0, 2), 1)
    }),
    ("trapezoid_at", "sum (node 5) of shape [3] does not broadcast to [2]", |w| w.x.trapezoid_at(w.x.sum(0), 0)),
    ("numerical_gradient", "the order of the error at the ends is 3, but 1 or 2 is needed", |w| {
        w.x.numerical_gradient(1.0, 1, 3)
    }),
    ("numerical_gradient", "the number of samples along the axis is 2, but at least 3 is needed", |w| {
        w.x.numerical_gradient(1.0, 0, 2)
    }),
    ("numerical_gradient_at", "\"x\" of shape [2, 3] does not broadcast to [3]", |w| {
        w.x.numerical_gradient_at(w.x, 1, 1)
    }),
    ("bincount", "\"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))", |w| w.x.bincount(4, None)),
    ("bincount", "\"i\" of shape [2, 3] has rank 2, but rank 1 is needed", |w| w.i.bincount(4, None)),
    ("bincount", "\"b\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))", |w| {
        w.i.flatten().bincount(4, Some(w.b))
    }),
    ("histc", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| w.i.histc(4, 0.0, 1.0)),
    ("histc", "the number of bins is 0, but at least 1 is needed", |w| w.x.histc(0, 0.0, 1.0)),
    ("histc", "min is NaN, but a finite number is needed", |w| w.x.histc(4, f64::NAN, 1.0)),
    (
        "histc",
        "max is -1, but a number not below min, whose distance from it times the bins the dtype holds is needed",
        |w| w.x.histc(4, 0.0, -1.0),
    ),
    ("gumbel_softmax_in", "\"i\" is i32, but a float is needed (cast it: .cast(DType::F32))", |w| {
        w.i.gumbel_softmax_in(Phase::Training, 1.0, false, 1)
    }),
    ("gumbel_softmax_in", "axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| {
        w.x.gumbel_softmax_in(Phase::Training, 1.0, false, 2)
    }),
    ("gumbel_softmax_in", "the temperature is 0, but a finite number above 0 is needed", |w| {
        w.x.gumbel_softmax_in(Phase::Evaluation, 0.0, true, 1)
    }),
    ("gumbel_softmax_in", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no draw", |w| {
        w.empty.gumbel_softmax_in(Phase::Training, 1.0, true, 1)
    }),
    ("categorical_in", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no draw", |w| {
        w.empty.categorical_in(Phase::Training, -1)
    }),
    ("categorical_in", "axis -3 is out of range for \"x\" of shape [2, 3] (rank 2)", |w| {
        w.x.categorical_in(Phase::Training, -3)
    }),
    ("multinomial_in", "axis 1 of \"x\" has 3 elements, so 0..4 is out of range (shape [2, 3])", |w| {
        w.x.multinomial_in(Phase::Training, 4, false)
    }),
    ("multinomial_in", "the number of samples is 0, but at least 1 is needed", |w| {
        w.x.multinomial_in(Phase::Training, 0, true)
    }),
    ("multinomial_in", "axis 1 of \"empty\" is empty (shape [2, 0]), and an empty set has no draw", |w| {
        w.empty.multinomial_in(Phase::Training, 1, true)
    }),
    ("multinomial_in", "\"s\" of shape [] has rank 0, but rank 1 or 2 is needed", |w| {
        w.x.graph().input("s", []).multinomial_in(Phase::Training, 1, true)
    }),
];

#[test]
fn mistakes_are_told_in_the_words_of_the_method_and_leave_nothing() {
    for (name, message, mistake) in MISTAKES {
        let g = Graph::new();
        let wrong = Wrong {
            x: g.input("x", [2, 3]),
            empty: g.input("empty", [2, 0]),
            i: g.input_of("i", [2, 3], DType::I32),
            b: g.input_of("b", [2, 3], DType::Bool),
        };
        assert!(mistake(wrong).check().is_err(), "{name} was taken");
        let error = g.take_error().expect("a mistake").to_string();
        let (origin, text) = error.split_once(": ").expect("an origin");
        assert_eq!(text, format!("{name}: {message}"));
        assert!(origin.contains("messages_order.rs:"), "{error}");
    }
}
