//! A refused operation leaves nothing in the graph: every method of expressions and graphs is called wrongly, the error is taken,
//! and the graph is what it was, node for node.

// One of the wrong calls is a range that is empty.
#![allow(clippy::reversed_empty_ranges)]

use std::collections::HashSet;
use std::ops::{BitAnd, BitOr, Neg, Not};

use arenagrad_graph::nn::Phase;
use arenagrad_graph::{
    BinaryFunction, CompareFunction, Context, CrossEntropy, DType, Expr, Function, Gelu, Graph, QuantileInterpolation,
    Reduction, UnaryFunction, verify,
};

/// Everything that can be seen of a graph.
fn picture(graph: &Graph) -> Vec<String> {
    let mut lines = vec![format!("{} ordinals, error {:?}", graph.ordinal_bound(), graph.check())];
    for id in graph.ids() {
        lines.push(format!("{id:?} {:?} {:?}", graph.node(id).unwrap(), graph.label(id)));
    }
    lines.extend(graph.declarations().iter().map(|declaration| format!("{declaration:?}")));
    lines.extend(graph.index_bounds().iter().map(|bound| format!("{bound:?}")));
    lines
}

/// Operands of every kind, good ones and bad ones.
#[derive(Clone, Copy)]
struct Operands<'g> {
    g: &'g Graph,
    /// f32 `[2, 3]`.
    x: Expr<'g>,
    /// f32 `[4, 5]`.
    other: Expr<'g>,
    /// An f32 scalar.
    scalar: Expr<'g>,
    /// i32 `[2]`, an input.
    labels: Expr<'g>,
    /// i32 `[2, 3]`, an input.
    indices: Expr<'g>,
    /// bool `[2, 3]`.
    truth: Expr<'g>,
    poisoned: Expr<'g>,
    stale: Expr<'g>,
    /// f32 `[2, 3]` of another graph.
    foreign: Expr<'g>,
    /// i32 `[2]` of another graph.
    foreign_labels: Expr<'g>,
    /// f32 `[3, 2]`, `[3]`, `[2]`, `[5]` and `[1, 5]`.
    transposed: Expr<'g>,
    row: Expr<'g>,
    column: Expr<'g>,
    long_row: Expr<'g>,
    line: Expr<'g>,
    /// i32 `[3]`, an i32 scalar, and an i32 literal `[1, 1]` of 5.
    index_row: Expr<'g>,
    step: Expr<'g>,
    literal: Expr<'g>,
    /// f32 of 16 axes, whose Jacobian has too many, and its sum.
    wide: Expr<'g>,
    wide_sum: Expr<'g>,
    /// f32 `[3]` of another graph.
    foreign_row: Expr<'g>,
}

/// What a call gives, and whether it was refused.
trait Outcome {
    fn is_refused(&self) -> bool;
}

impl Outcome for Expr<'_> {
    fn is_refused(&self) -> bool {
        self.id().is_err()
    }
}

impl Outcome for (Expr<'_>, Expr<'_>) {
    fn is_refused(&self) -> bool {
        self.0.is_refused() || self.1.is_refused()
    }
}

impl Outcome for (Expr<'_>, Expr<'_>, Expr<'_>) {
    fn is_refused(&self) -> bool {
        self.0.is_refused() || self.1.is_refused() || self.2.is_refused()
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn is_refused(&self) -> bool {
        self.is_err()
    }
}

/// A function that goes wrong after it has built something.
struct Wrong {
    in_backward: bool,
}

impl Function for Wrong {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let value = operands[0].exp() + context.graph().scalar(1.0);
        if self.in_backward { value } else { value.reshape([77]) }
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream.sin().sum(0))]
    }
}

type Call = for<'g> fn(Operands<'g>) -> bool;

macro_rules! calls {
    ($($name:ident: $(|$o:ident| $call:expr),+;)*) => {
        vec![$((stringify!($name), vec![$({
            let call: Call = |$o| Outcome::is_refused(&$call);
            call
        }),+])),*]
    };
}

/// Calls of methods on an expression that is poisoned, stale, or of a dtype or shape that they refuse.
macro_rules! calls_of_one {
    ($($name:ident $arguments:tt $($wrong:ident)*;)*) => {
        calls! {$(
            $name: |o| o.poisoned.$name $arguments, |o| o.stale.$name $arguments $(, |o| o.$wrong.$name $arguments)*;
        )*}
    };
}

// Behind the macros, which they use.
mod indexing;
mod matrices;

use indexing::{of_graphs, of_indexing};
use matrices::of_matrices;

fn options(weight: Expr<'_>) -> CrossEntropy<'_> {
    CrossEntropy { weight: Some(weight), ..CrossEntropy::default() }
}

fn weightless<'g>() -> CrossEntropy<'g> {
    CrossEntropy { class_axis: Some(7), ..CrossEntropy::default() }
}

/// The methods that are one function each, as their lists name them.
fn of_listed_functions() -> Vec<(&'static str, Vec<Call>)> {
    let mut all = Vec::new();
    macro_rules! unary {
        ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
            all.extend(calls_of_one! { $($method() truth;)* });
        };
    }
    arenagrad_graph::unary_methods!(unary);
    macro_rules! binary {
        ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
            all.extend(calls! {$(
                $method: |o| o.x.$method(o.other), |o| o.scalar.$method(o.indices), |o| o.x.$method(o.poisoned),
                    |o| o.stale.$method(o.x), |o| o.x.$method(o.foreign);
            )*});
        };
    }
    arenagrad_graph::binary_methods!(binary);
    arenagrad_graph::compare_methods!(binary);
    all
}

fn of_expressions() -> Vec<(&'static str, Vec<Call>)> {
    let mut all = calls_of_one! {
        square() truth; reciprocal() labels truth; rsqrt() labels; tan() labels; leaky_relu(0.1) labels truth;
        elu(1.0) labels truth; silu() labels; gelu(Gelu::Erf) labels; gelu(Gelu::Tanh) labels;
        softplus(1.0, 20.0) labels truth; softplus(0.0, 20.0) x; softplus(1.0, f64::NAN) x; softplus(2.0, 20.0) labels;
        log_sigmoid() labels truth; clamp(Some(0.5), Some(1.0)) labels truth; clamp(Some(0.0), Some(0.5)) labels;
        clamp(None, Some(f64::NAN)) x; powf(2.5) labels truth; powf(3.0) truth; powf(0.5) labels; powf(f64::INFINITY) labels;
        stop_gradient(); cast(DType::F64); flatten(); t() labels; sum(7) x; sum([0, 0]) x;
        sum_keepdims([5]) x; max(3) x; max_keepdims(9) x; min(9) x; min_keepdims(9) x; mean(..) labels;
        mean(4) x; mean_keepdims(4) x labels; var(0, 1.0) labels truth; var(7, 1.0) x; var_keepdims(0, 0.0) truth;
        std(0, 1.0) labels truth; std(7, 1.0) x; std_keepdims(0, 0.0) truth;
        argmax(5) x; argmax(0) truth; norm(2.0, ..) labels; norm(f64::NAN, ..) x; norm(3.0, 8) x; norm(0.5, 0) labels;
        reshape([7]) x; reshape([1; 20]) x; view([-1, 7]) x; view([-1; 20]) x; permute([0, 0]) x; permute([0]) x; permute([0, 9]) x; transpose(0, 4) x;
        broadcast_to([5, 7]) x; unsqueeze(9) x; squeeze(9) x; slice(0, 0, 9) x; slice(4, 0, 1) x; slice_step(0, 0, 2, 0) x;
        flip(5) x; flip([0, 0]) x; windows([0], [99], [1], [1]) x; windows([0, 0], [1, 1], [1, 1], [1, 1]) x;
        windows([9], [1], [1], [1]) x; windows([0], [1], [0], [1]) x; windows([0], [1], [1], []) x;
        select_index(0, 9) x; select_index(7, 0) x; pad([(1, 1)], 0.0) x; pad([(usize::MAX, 1), (1, 1)], 0.0) x;
        softmax(5) x; softmax(0) labels; log_softmax(5) x; log_softmax(0) labels; logsumexp(7) x; logsumexp(0) labels truth;
        logsumexp_keepdims(7) x; logsumexp_keepdims(..) labels; one_hot(3) x; tril(0) labels scalar; triu(0) scalar labels;
        group_norm(2, None, None, 1e-5) x; group_norm(0, None, None, 1e-5) x; group_norm(1, None, None, 1e-5) labels;
        batch_statistics() labels scalar indices; layer_norm(1, None, None, 1e-5) indices truth;
        layer_norm(7, None, None, 1e-5) x; rms_norm(1, None, 1e-5) indices truth; rms_norm(7, None, 1e-5) x;
        neg() truth; not() x;
    };
    all.extend(of_listed_functions());
    all.extend(calls_of_one! {
        cumsum(5) x; cumprod(-9) x; logcumsumexp(5) x; logcumsumexp(0) labels truth;
        cummax(5) x; cummin(5) x; argsort(5, false) x; argsort(0, true) truth;
        sort(5, false) x; sort(0, true) truth; msort() truth scalar; topk(9, 0, true) x; topk(1, 7, false) x;
        topk(1, 0, true) truth; kthvalue(0, 0) x; kthvalue(9, 0) x; kthvalue(1, 7) x; median(7) x; median([0, 0]) x;
        median(0) truth; nanmedian(7) x; nanmedian(0) truth; quantile(1.5, 0, QuantileInterpolation::Linear) x;
        quantile(f64::NAN, 0, QuantileInterpolation::Lower) x; quantile(0.5, 9, QuantileInterpolation::Higher) x;
        quantile(0.5, 0, QuantileInterpolation::Nearest) labels truth; prod(7) x; prod_keepdims(7) x;
        argmin(5) x; argmin(0) truth; max_with_indices(5) x; max_with_indices(0) truth; min_with_indices(5) x;
        min_with_indices(0) truth; aminmax(5) x; count_nonzero(7) x; any(7) x; any_keepdims(7) x;
        all(7) x; all_keepdims([0, 0]) x; nansum(7) x; nansum(0) labels; nansum_keepdims(7) x; nanmean(7) x;
        nanmean(0) labels truth; nanmean_keepdims(7) x; var_mean(7, 1.0) x; var_mean(0, 1.0) labels; std_mean(7, 1.0) x;
        std_mean(0, 1.0) labels truth; diff(1, 7) x; trapezoid(1.0, 7) x; trapezoid(1.0, 0) labels;
        numerical_gradient(1.0, 0, 3) x; numerical_gradient(1.0, 7, 1) x; numerical_gradient(1.0, 0, 1) labels;
    });
    all.extend(calls! {
        linear_recurrence: |o| o.x.linear_recurrence(o.other, 0), |o| o.x.linear_recurrence(o.x, 7),
            |o| o.labels.linear_recurrence(o.labels, 0), |o| o.x.linear_recurrence(o.foreign, 0),
            |o| o.poisoned.linear_recurrence(o.x, 0), |o| o.x.linear_recurrence(o.stale, 0);
        searchsorted: |o| o.x.searchsorted(o.labels, false), |o| o.x.searchsorted(o.foreign, true),
            |o| o.stale.searchsorted(o.x, false), |o| o.x.searchsorted(o.poisoned, false),
            |o| o.scalar.searchsorted(o.x, false), |o| o.truth.searchsorted(o.truth, false);
        bucketize: |o| o.x.bucketize(o.x, false), |o| o.x.bucketize(o.foreign_row, true),
            |o| o.poisoned.bucketize(o.row, false), |o| o.x.bucketize(o.stale, false);
        diff_with: |o| o.x.diff_with(1, 0, Some(o.other), None), |o| o.x.diff_with(1, 0, None, Some(o.foreign)),
            |o| o.x.diff_with(1, 0, Some(o.labels), None), |o| o.stale.diff_with(1, 0, None, None);
        trapezoid_at: |o| o.x.trapezoid_at(o.other, 0), |o| o.row.trapezoid_at(o.x, 0), |o| o.x.trapezoid_at(o.foreign, 0),
            |o| o.x.trapezoid_at(o.x, 7), |o| o.labels.trapezoid_at(o.labels, 0), |o| o.stale.trapezoid_at(o.x, 0);
        numerical_gradient_at: |o| o.x.numerical_gradient_at(o.other, 0, 1), |o| o.x.numerical_gradient_at(o.x, 0, 0),
            |o| o.x.numerical_gradient_at(o.foreign_row, 1, 1), |o| o.poisoned.numerical_gradient_at(o.row, 0, 1);
    });
    all.extend(calls! {
        isnan: |o| o.stale.isnan(), |o| o.poisoned.isnan();
        isinf: |o| o.stale.isinf(), |o| o.poisoned.isinf();
        isfinite: |o| o.stale.isfinite(), |o| o.poisoned.isfinite();
        nan_to_num: |o| o.stale.nan_to_num(None, None, None), |o| o.poisoned.nan_to_num(Some(1.0), None, None);
        categorical_in: |o| o.labels.categorical_in(Phase::Training, 0), |o| o.x.categorical_in(Phase::Training, 2),
            |o| o.poisoned.categorical_in(Phase::Evaluation, 0), |o| o.stale.categorical_in(Phase::Evaluation, 0);
        gumbel_softmax_in: |o| o.x.gumbel_softmax_in(Phase::Training, 0.0, true, 0), |o| o.x.gumbel_softmax_in(Phase::Training, 1.0, false, 2),
            |o| o.truth.gumbel_softmax_in(Phase::Training, 1.0, true, 0), |o| o.stale.gumbel_softmax_in(Phase::Evaluation, 1.0, true, 0);
        multinomial_in: |o| o.x.multinomial_in(Phase::Training, 4, false), |o| o.x.multinomial_in(Phase::Training, 0, true),
            |o| o.scalar.multinomial_in(Phase::Training, 1, true), |o| o.x.multinomial_in(Phase::Training, usize::MAX, true);
        triplet_margin_with_distance_loss: |o| o.x.triplet_margin_with_distance_loss(o.x, o.x, |x, _| x.reshape([7]), 1.0, true, Reduction::Mean),
            |o| o.x.triplet_margin_with_distance_loss(o.x, o.foreign, |x, y| x - y, 1.0, true, Reduction::Mean);
        // Two operands.
        add: |o| o.x + o.other, |o| o.x + o.labels, |o| o.x + o.poisoned, |o| o.x + o.foreign, |o| o.labels + 0.5,
            |o| 0.5 + o.labels, |o| o.truth + 1.0, |o| 1.0 + o.truth, |o| o.scalar + o.truth, |o| o.indices + o.scalar;
        sub: |o| 1 - o.truth, |o| o.x - o.stale, |o| o.x - o.other;
        mul: |o| o.truth * 2.0, |o| o.scalar * o.indices;
        div: |o| o.x / o.other, |o| 1.5 / o.labels;
        unary_function: |o| o.truth.unary_function(UnaryFunction::Exp), |o| o.stale.unary_function(UnaryFunction::Neg);
        binary_function: |o| o.x.binary_function(BinaryFunction::Pow, o.other);
        compare_function: |o| o.scalar.compare_function(CompareFunction::Less, o.indices);
        pow: |o| o.labels.pow(0.5), |o| o.truth.pow(1.0);
        maximum: |o| o.truth.maximum(1.0), |o| o.labels.maximum(0.5);
        bitand: |o| o.truth.bitand(o.x), |o| o.truth.bitand(o.scalar);
        bitor: |o| o.scalar.bitor(o.truth), |o| o.x.bitor(o.x);
        less: |o| o.labels.less(0.5), |o| o.truth.less(0.0);
        greater: |o| o.x.greater(o.labels), |o| o.truth.greater(1.0);
        equal: |o| o.labels.equal(0.5), |o| o.scalar.equal(o.truth);
        not_equal: |o| o.scalar.not_equal(o.truth);
        where_: |o| o.truth.where_(o.x, o.other), |o| o.x.where_(1.0, 0.0), |o| o.truth.where_(o.labels, 0.5),
            |o| o.truth.where_(0.0, o.foreign), |o| o.scalar.where_(o.x, 0.0), |o| o.truth.where_(o.x, o.labels),
            |o| o.truth.where_(o.scalar, o.indices), |o| o.poisoned.where_(o.x, 1.0), |o| o.stale.where_(1.0, 2.0);
        clamp_between: |o| o.x.clamp_between(o.other, 1.0), |o| o.x.clamp_between(0.0, o.foreign),
            |o| o.labels.clamp_between(0, 0.5), |o| o.x.clamp_between(o.x, o.indices);
        matmul: |o| o.x.matmul(o.other), |o| o.scalar.matmul(o.x), |o| o.x.matmul(o.labels), |o| o.x.matmul(o.foreign),
            |o| o.labels.matmul(o.x), |o| o.row.matmul(o.other), |o| o.x.matmul(o.long_row);
        matmul_with: |o| o.indices.matmul_with(o.indices, true, true), |o| o.x.matmul_with(o.other, true, false), |o| o.scalar.matmul_with(o.x, false, true);
        linear: |o| o.x.linear(o.transposed, Some(o.other)), |o| o.x.linear(o.transposed, Some(o.foreign)),
            |o| o.x.linear(o.other, None), |o| o.x.linear(o.transposed, Some(o.poisoned));
        // Indices: what is required of the input is part of the picture.
        gather: |o| o.x.gather(0, o.labels), |o| o.x.gather(9, o.indices), |o| o.x.gather(0, o.x),
            |o| o.line.gather(1, o.indices), |o| o.x.gather(0, o.foreign_labels),
            |o| o.x.gather(0, o.literal), |o| o.poisoned.gather(0, o.indices);
        scatter_add: |o| o.x.scatter_add(0, o.indices, o.other), |o| o.x.scatter_add(0, o.indices, o.indices),
            |o| o.truth.scatter_add(0, o.indices, o.x), |o| o.truth.scatter_add(9, o.indices, o.truth), |o| o.x.scatter_add(0, o.labels, o.x),
            |o| o.x.scatter_add(9, o.indices, o.x), |o| o.x.scatter_add(0, o.indices, o.poisoned),
            |o| o.x.scatter_add(0, o.indices, o.foreign), |o| o.x.scatter_add(0, o.x, o.x);
        index_select: |o| o.x.index_select(0, o.x), |o| o.x.index_select(7, o.labels), |o| o.scalar.index_select(0, o.labels),
            |o| o.x.index_select(0, o.foreign_labels),
            |o| o.stale.index_select(0, o.labels), |o| o.wide.index_select(0, o.indices);
        // Compositions of several expressions.
        mse_loss: |o| o.x.mse_loss(o.other, Reduction::Mean), |o| o.truth.mse_loss(o.truth, Reduction::Sum),
            |o| o.indices.mse_loss(o.indices, Reduction::Mean);
        l1_loss: |o| o.x.l1_loss(o.indices, Reduction::Mean), |o| o.indices.l1_loss(o.indices, Reduction::Mean);
        huber_loss: |o| o.x.huber_loss(o.x, 0.0, Reduction::Mean), |o| o.indices.huber_loss(o.indices, 0.5, Reduction::Sum);
        smooth_l1_loss: |o| o.x.smooth_l1_loss(o.x, -1.0, Reduction::Mean),
            |o| o.indices.smooth_l1_loss(o.indices, 1.0, Reduction::Mean);
        binary_cross_entropy: |o| o.x.binary_cross_entropy(o.indices, Reduction::Mean),
            |o| o.x.binary_cross_entropy(o.foreign, Reduction::Mean);
        binary_cross_entropy_with_logits: |o| o.x.binary_cross_entropy_with_logits(o.indices, Reduction::Mean);
        binary_cross_entropy_with_logits_weighted:
            |o| o.x.binary_cross_entropy_with_logits_weighted(o.x, Some(o.other), None, Reduction::Mean),
            |o| o.x.binary_cross_entropy_with_logits_weighted(o.x, None, Some(o.other), Reduction::Mean),
            |o| o.x.binary_cross_entropy_with_logits_weighted(o.x, Some(o.foreign), None, Reduction::Mean),
            |o| o.x.binary_cross_entropy_with_logits_weighted(o.x, None, Some(o.foreign_row), Reduction::Mean);
        kl_div: |o| o.x.kl_div(o.indices, false, Reduction::Sum), |o| o.indices.kl_div(o.indices, true, Reduction::Mean);
        cross_entropy: |o| o.x.cross_entropy(o.indices), |o| o.x.cross_entropy(o.truth), |o| o.indices.cross_entropy(o.labels),
            |o| o.x.cross_entropy(o.foreign_labels), |o| o.x.cross_entropy(o.other);
        cross_entropy_with: |o| o.x.cross_entropy_with(o.labels, options(o.other)),
            |o| o.x.cross_entropy_with(o.labels, options(o.foreign_row)),
            |o| o.x.cross_entropy_with(o.labels, options(o.index_row)),
            |o| o.x.cross_entropy_with(o.labels, options(o.poisoned)),
            |o| o.x.cross_entropy_with(o.labels, weightless());
        cross_entropy_probabilities: |o| o.x.cross_entropy_probabilities(o.x, options(o.other)),
            |o| o.x.cross_entropy_probabilities(o.x, options(o.foreign)), |o| o.x.cross_entropy_probabilities(o.other, weightless());
        nll_loss: |o| o.x.nll_loss(o.indices), |o| o.labels.nll_loss(o.labels);
        nll_loss_with: |o| o.x.nll_loss_with(o.labels, options(o.other)), |o| o.x.nll_loss_with(o.labels, weightless());
        accuracy: |o| o.x.accuracy(o.indices), |o| o.x.accuracy(o.foreign_labels), |o| o.labels.accuracy(o.labels),
            |o| o.x.accuracy(o.column);
        layer_norm: |o| o.x.layer_norm(1, Some(o.other), None, 1e-5), |o| o.x.layer_norm(1, None, Some(o.foreign_row), 1e-5),
            |o| o.x.layer_norm(1, Some(o.poisoned), None, 1e-5), |o| o.x.layer_norm(1, Some(o.index_row), None, 1e-5);
        rms_norm: |o| o.x.rms_norm(1, Some(o.other), 1e-5), |o| o.x.rms_norm(1, Some(o.foreign_row), 1e-5);
        group_norm: |o| o.x.group_norm(1, Some(o.other), None, 1e-5), |o| o.x.group_norm(3, None, Some(o.foreign_row), 1e-5);
        batch_norm: |o| o.x.batch_norm((o.row, o.other), None, None, 1e-5),
            |o| o.x.batch_norm((o.foreign_row, o.row), None, None, 1e-5),
            |o| o.x.batch_norm((o.row, o.row), Some(o.other), None, 1e-5);
        dropout: |o| o.x.dropout(0.5, o.x, 1), |o| o.x.dropout(2.0, o.scalar, 1), |o| o.labels.dropout(0.5, o.labels, 1),
            |o| o.x.dropout(0.5, o.foreign_labels, 1), |o| o.x.dropout(0.5, o.poisoned, 1);
        dropout_in: |o| o.x.dropout_in(Phase::Training, 2.0), |o| o.labels.dropout_in(Phase::Training, 0.5),
            |o| o.x.dropout_in(Phase::Evaluation, -1.0), |o| o.stale.dropout_in(Phase::Training, 0.5);
        all_reduce: |o| o.truth.all_reduce(), |o| o.stale.all_reduce(), |o| o.poisoned.all_reduce();
        // Derivatives.
        grad: |o| o.x.grad([o.x]), |o| o.scalar.grad([o.labels]), |o| o.scalar.grad([o.foreign]), |o| o.poisoned.grad([o.x]);
        vjp: |o| o.x.vjp(o.other, [o.x]), |o| o.x.vjp(o.x, [o.labels]), |o| o.x.vjp(o.foreign, [o.x]);
        jvp: |o| o.x.jvp([o.x], [o.other]), |o| o.x.jvp([o.labels], [o.labels]), |o| o.labels.jvp([o.x], [o.x]);
        jacobian: |o| o.x.jacobian(o.labels), |o| o.labels.jacobian(o.x), |o| o.x.jacobian(o.foreign),
            |o| o.wide.jacobian(o.x);
        hessian: |o| o.x.hessian(o.x), |o| o.scalar.hessian(o.labels), |o| o.wide_sum.hessian(o.wide);
        hvp: |o| o.scalar.hvp([o.x], [o.other]), |o| o.scalar.hvp([o.labels], [o.x]), |o| o.scalar.hvp([o.x], [o.foreign]);
    });
    all.extend(of_matrices());
    all
}

#[test]
fn a_refused_operation_leaves_nothing() {
    for (name, calls) in of_expressions().into_iter().chain(of_indexing()).chain(of_graphs()) {
        for (number, call) in calls.into_iter().enumerate() {
            let (g, h) = (Graph::new(), Graph::new());
            let operands = operands(&g, &h);
            g.take_error();
            let stale = operands.stale.id().unwrap();
            g.remove(stale).unwrap();
            let mark = g.mark();
            let before = (picture(&g), picture(&h));
            assert!(call(operands), "{name}, call {number} was not refused");
            g.take_error();
            h.take_error();
            let after = (picture(&g), picture(&h));
            assert_eq!(left(&before.0, &after.0), "", "{name}, call {number}");
            assert_eq!(left(&before.1, &after.1), "", "{name}, call {number}, in the other graph");
            assert_eq!(before, after, "{name}, call {number}");
            assert_eq!(verify(&g), Ok(()), "{name}, call {number}");
            // The mark is as good as before, and so is the graph.
            assert!(operands.x.exp().check().is_ok(), "{name}, call {number}");
            g.rewind(mark).unwrap_or_else(|error| panic!("{name}, call {number}: {error}"));
            assert_eq!(picture(&g), before.0, "{name}, call {number}");
        }
    }
}

fn operands<'g>(g: &'g Graph, h: &'g Graph) -> Operands<'g> {
    let x = g.input("x", [2, 3]);
    let other = g.input("other", [4, 5]);
    let labels = g.input_of("step", [2], DType::I32);
    let indices = g.input_of("indices", [2, 3], DType::I32);
    let foreign = h.input("x", [2, 3]);
    let _required = x.gather(1, indices);
    let wide = x.exp().reshape([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3]);
    Operands {
        g,
        x,
        other,
        scalar: x.sum(..),
        labels,
        indices,
        truth: x.less(0.0),
        transposed: x.t(),
        row: x.sum(0),
        column: x.sum(1),
        long_row: other.sum(0),
        line: other.sum_keepdims(0),
        index_row: indices.sum(0),
        step: labels.sum(..),
        literal: g.literal([1, 1], [5]),
        wide,
        wide_sum: wide.sum(..),
        poisoned: x.reshape([5]),
        foreign,
        foreign_labels: h.input_of("labels", [2], DType::I32),
        foreign_row: foreign.sum(0),
        // Last, so that it can be removed without a gap among the ordinals.
        stale: x.exp(),
    }
}

/// What a graph holds that it did not hold before.
fn left(before: &[String], after: &[String]) -> String {
    let known: HashSet<&String> = before.iter().collect();
    after.iter().filter(|line| !known.contains(line)).cloned().collect::<Vec<_>>().join("\n")
}

/// Whoever adds a method adds a wrong call of it: the names are read from the sources.
#[test]
fn every_method_is_called_wrongly() {
    let called: HashSet<&str> =
        of_expressions().into_iter().chain(of_indexing()).chain(of_graphs()).map(|(name, _)| name).collect();
    // Mistakes with the methods of a family stand in a file of their own.
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut elsewhere = String::new();
    for file in std::fs::read_dir(tests).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("messages_")) {
            elsewhere.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let is_called = |name: &str| called.contains(name) || elsewhere.contains(&format!(".{name}("));
    let mut missing = Vec::new();
    for folder in ["expr", "compose", "autodiff"] {
        for file in std::fs::read_dir(format!("{}/src/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let source = std::fs::read_to_string(path).unwrap();
            // Options have methods too, which refuse nothing: what they say is told wrong where it is used.
            let mut is_of_graphs = true;
            for line in source.lines() {
                if line.starts_with("impl") {
                    is_of_graphs = line.contains("Expr<'g>") || line.contains("Graph") || line.contains("$");
                }
                if !is_of_graphs {
                    continue;
                }
                let method = line.strip_prefix("    pub fn ").and_then(|rest| rest.split(['(', '<']).next());
                // The tables of macros: `exp => Exp;`, or `sum sum_keepdims => Sum;`.
                let listed = line.trim_start().strip_suffix(';');
                let listed = listed.and_then(|rest| rest.split_once(" => ")).map_or("", |(names, _)| names);
                let names = method.into_iter().chain(listed.split(' ').filter(|name| !name.is_empty()));
                missing.extend(names.filter(|name| !name.starts_with('$') && !is_called(name)).map(str::to_owned));
            }
        }
    }
    // A scalar is always one, and a step of a range is told wrong where that is used.
    missing.retain(|name| name != "scalar" && name != "step_by");
    assert_eq!(missing, [""; 0]);
}
