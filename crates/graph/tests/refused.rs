//! A refused operation leaves nothing in the graph: every method of expressions and graphs is called wrongly, the error is taken,
//! and the graph is what it was, node for node.

// One of the wrong calls is a range that is empty.
#![allow(clippy::reversed_empty_ranges)]

use std::collections::HashSet;
use std::ops::{BitAnd, BitOr, Neg, Not};

use arenagrad_graph::nn::Phase;
use arenagrad_graph::symbolic::parse;
use arenagrad_graph::{
    BinaryFunction, CompareFunction, Context, CrossEntropy, DType, Elementwise, EmbeddingOptions, Expr, Function, Gelu,
    Graph, GraphError, GridOrder, Indexing, Init, Leaf, MatrixNorm, Op, Origin, QuantileInterpolation, Reduction,
    ScatterReduction, Shape, UnaryFunction, verify,
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

fn options(weight: Expr<'_>) -> CrossEntropy<'_> {
    CrossEntropy { weight: Some(weight), ..CrossEntropy::default() }
}

fn weightless<'g>() -> CrossEntropy<'g> {
    CrossEntropy { class_axis: Some(7), ..CrossEntropy::default() }
}

/// Linear algebra, what is composed of products, and bits of integers.
fn of_matrices() -> Vec<(&'static str, Vec<Call>)> {
    let mut all = calls_of_one! {
        inv() x labels scalar; det() x scalar; slogdet() x scalar; cholesky() x scalar; qr() scalar indices; eigh() x scalar;
        svd() scalar indices; svdvals() scalar indices; vector_norm(-2.0, 5) x; vector_norm(f64::NAN, ..) x;
        vector_norm(-1.0, 0) indices; matrix_norm(MatrixNorm::Nuclear, [0, 0]) x; trace() row;
        matrix_norm(MatrixNorm::LargestRow, [0, 7]) x; cov(1.0, None, None) wide indices; corrcoef() wide indices;
        matrix_power(3) x truth scalar; matrix_power(-2) x labels; matrix_exp() x indices row; pinv(None) row indices; pinv(Some(f64::NAN)) x;
        histc(3, 0.0, 1.0) labels truth; histc(0, 0.0, 1.0) x; histc(3, 1.0, 0.0) x; histc(3, -3e38, 3e38) x; histc(3, 0.0, f64::INFINITY) x;
        pdist(2.0) row indices wide; pdist(-1.0) x; bitwise_not() x;
    };
    all.extend(calls! {
        bitwise_and: |o| o.x.bitwise_and(o.x), |o| o.indices.bitwise_and(o.truth), |o| o.truth.bitwise_and(o.foreign);
        bitwise_or: |o| o.x.bitwise_or(1.0), |o| o.indices.bitwise_or(0.5), |o| o.poisoned.bitwise_or(1);
        bitwise_xor: |o| o.x.bitwise_xor(o.x), |o| o.truth.bitwise_xor(o.indices), |o| o.indices.bitwise_xor(o.foreign_labels);
        shift_left: |o| o.x.shift_left(1), |o| o.indices.shift_left(o.truth), |o| o.truth.shift_left(o.truth);
        shift_right: |o| o.x.shift_right(1), |o| o.indices.shift_right(o.x), |o| o.indices.shift_right(o.step.unsqueeze(9));
        solve: |o| o.x.solve(o.x), |o| o.other.solve(o.foreign), |o| o.poisoned.solve(o.x), |o| o.scalar.solve(o.x);
        solve_triangular: |o| o.x.solve_triangular(o.x, true, true, false), |o| o.x.solve_triangular(o.foreign, true, false, true);
        cholesky_solve: |o| o.x.cholesky_solve(o.x, false), |o| o.other.cholesky_solve(o.foreign, true), |o| o.poisoned.cholesky_solve(o.x, false);
        lstsq: |o| o.x.lstsq(o.row, None), |o| o.x.lstsq(o.foreign, None), |o| o.x.lstsq(o.x, Some(-1.0)), |o| o.stale.lstsq(o.x, None);
        bincount: |o| o.x.bincount(3, None), |o| o.labels.bincount(3, Some(o.row)), |o| o.labels.bincount(3, Some(o.foreign)),
            |o| o.labels.bincount(usize::MAX, Some(o.truth)), |o| o.poisoned.bincount(2, None);
        block_diag: |o| o.g.block_diag(&[]), |o| o.g.block_diag(&[o.x, o.foreign]), |o| o.g.block_diag(&[o.x, o.indices]),
            |o| o.g.block_diag(&[o.wide]), |o| o.g.block_diag(&[o.x, o.poisoned]);
        cov: |o| o.x.cov(1.0, Some(o.labels), None), |o| o.x.cov(1.0, None, Some(o.index_row)),
            |o| o.x.cov(1.0, Some(o.row), None), |o| o.x.cov(1.0, None, Some(o.foreign_row));
        cdist: |o| o.x.cdist(o.other, 2.0), |o| o.x.cdist(o.foreign, 2.0), |o| o.x.cdist(o.x, f64::NAN), |o| o.x.cdist(o.row, 1.0);
        bilinear: |o| o.x.bilinear(o.x, o.other, None), |o| o.x.bilinear(o.foreign, o.other, None),
            |o| o.x.bilinear(o.other, o.wide, None), |o| o.scalar.bilinear(o.x, o.wide, None);
        multi_dot: |o| o.g.multi_dot(&[]), |o| o.g.multi_dot(&[o.x]), |o| o.g.multi_dot(&[o.x, o.x]), |o| o.g.multi_dot(&[o.x, o.foreign]),
            |o| o.g.multi_dot(&[o.x, o.row, o.other]), |o| o.g.multi_dot(&[o.x, o.poisoned]);
    });
    all
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

/// The methods that arrange, contract and index.
fn of_indexing() -> Vec<(&'static str, Vec<Call>)> {
    let mut all = calls_of_one! {
        roll([1], [5]) x; roll([1, 1], [0]) x; rot90(1, [0, 0]) x; fliplr() scalar; flipud() scalar; movedim([0], [7]) x;
        movedim([0, 1], [0]) x; atleast_1d(); atleast_2d(); atleast_3d(); unflatten(0, [3, 1]) x; flatten_axes(1, 0) x;
        tile([usize::MAX]) x; tile([1; 17]) x; repeat_interleave(usize::MAX, 0) x; repeat_interleave_counts(&[1], 0) x;
        diagonal(0, 1, 1) x; diag_embed(isize::MAX, 0, 1) x; diag_embed(0, -2, -1) scalar; diag(0) scalar;
        index((-7,)) x; index((0, 0, 0)) x; index((2..1,)) x; unbind(3) x; split(0, 0) x; split_sizes([9], 0) x; chunk(0, 0) x;
        tensor_split(0, 0) x; tensor_split_at([1], 9) x; full_like(0.5) labels truth; zeros_like(); ones_like();
    };
    all.extend(calls! {
        diagonal_scatter: |o| o.x.diagonal_scatter(o.x, 0, 0, 1), |o| o.x.diagonal_scatter(o.labels, 0, 0, 1),
            |o| o.x.diagonal_scatter(o.foreign, 0, 0, 1), |o| o.x.diagonal_scatter(o.poisoned, 0, 0, 1);
        select_scatter: |o| o.x.select_scatter(o.x, 0, 0), |o| o.x.select_scatter(o.row, 0, -3),
            |o| o.x.select_scatter(o.foreign, 0, 0), |o| o.x.select_scatter(o.index_row, 0, 0);
        slice_scatter: |o| o.x.slice_scatter(o.row, 0, 0, 1, 1), |o| o.x.slice_scatter(o.x, 0, 0, 2, 0),
            |o| o.x.slice_scatter(o.indices, 0, 0, 2, 1), |o| o.x.slice_scatter(o.foreign, 0, 0, 2, 1);
        tensordot: |o| o.x.tensordot(o.other, [0], [0]), |o| o.x.tensordot(o.x, [0, 0], [0, 1]), |o| o.x.tensordot(o.x, [0], []),
            |o| o.x.tensordot(o.indices, [0], [0]), |o| o.x.tensordot(o.foreign, [0], [0]);
        outer: |o| o.row.outer(o.x), |o| o.row.outer(o.index_row), |o| o.row.outer(o.foreign_row);
        dot: |o| o.row.dot(o.column), |o| o.row.dot(o.index_row), |o| o.row.dot(o.foreign_row), |o| o.x.dot(o.x);
        inner: |o| o.x.inner(o.other), |o| o.x.inner(o.indices), |o| o.x.inner(o.foreign);
        kron: |o| o.wide.kron(o.wide), |o| o.truth.kron(o.truth), |o| o.x.kron(o.foreign);
        cross: |o| o.x.cross(o.x, 0), |o| o.x.cross(o.row, 1), |o| o.x.cross(o.foreign, 1), |o| o.truth.cross(o.truth, 1);
        scatter: |o| o.x.scatter(0, o.indices, o.row), |o| o.x.scatter(0, o.indices, o.indices), |o| o.x.scatter(0, o.x, 1.0),
            |o| o.x.scatter(0, o.labels, 1.0), |o| o.indices.scatter(0, o.indices, 0.5), |o| o.x.scatter(0, o.indices, o.foreign),
            |o| o.x.scatter(0, o.literal, 1.0), |o| o.line.scatter(1, o.indices, 1.0), |o| o.x.scatter(0, o.indices, o.poisoned);
        scatter_reduce: |o| o.truth.scatter_reduce(0, o.indices, o.truth, ScatterReduction::Mean, true),
            |o| o.indices.scatter_reduce(0, o.indices, o.indices, ScatterReduction::Mean, false),
            |o| o.x.scatter_reduce(0, o.indices, o.foreign, ScatterReduction::Amax, true),
            |o| o.x.scatter_reduce(0, o.indices, o.row, ScatterReduction::Prod, false);
        index_add: |o| o.x.index_add(0, o.labels, o.row, 1.0), |o| o.x.index_add(0, o.indices, o.x, 1.0),
            |o| o.truth.index_add(0, o.labels, o.truth, 2.0), |o| o.x.index_add(0, o.labels, o.foreign, 1.0);
        embedding: |o| o.x.embedding(o.x, EmbeddingOptions::default()), |o| o.row.embedding(o.labels, EmbeddingOptions::default()),
            |o| o.x.embedding(o.labels, EmbeddingOptions { max_norm: Some(-1.0), ..EmbeddingOptions::default() }),
            |o| o.x.embedding(o.foreign_labels, EmbeddingOptions::default()), |o| o.poisoned.embedding(o.labels, EmbeddingOptions::default()),
            |o| o.x.embedding(o.labels, EmbeddingOptions { max_norm: Some(1.0), norm_type: f64::NAN, ..EmbeddingOptions::default() }),
            |o| o.x.embedding(o.labels, EmbeddingOptions { padding_index: Some(2), ..EmbeddingOptions::default() });
        index_copy: |o| o.x.index_copy(0, o.labels, o.indices), |o| o.x.index_copy(0, o.row, o.x),
            |o| o.x.index_copy(0, o.labels, o.foreign), |o| o.x.index_copy(0, o.foreign_labels, o.x);
        index_fill: |o| o.x.index_fill(0, o.labels, o.other), |o| o.indices.index_fill(0, o.labels, 0.5),
            |o| o.x.index_fill(0, o.labels, o.foreign), |o| o.x.index_fill(0, o.labels, o.step);
        index_reduce: |o| o.indices.index_reduce(0, o.labels, o.indices, ScatterReduction::Mean, true),
            |o| o.x.index_reduce(0, o.labels, o.row, ScatterReduction::Amin, true);
        masked_fill: |o| o.x.masked_fill(o.x, 1.0), |o| o.indices.masked_fill(o.truth, 0.5), |o| o.x.masked_fill(o.truth, o.foreign),
            |o| o.x.masked_fill(o.truth, o.other);
        take: |o| o.x.take(o.x), |o| o.scalar.take(o.literal), |o| o.x.take(o.foreign_labels), |o| o.poisoned.take(o.labels);
        put: |o| o.x.put(o.labels, o.row, true), |o| o.x.put(o.labels, o.labels, true), |o| o.x.put(o.labels, o.foreign_row, false);
        take_along_dim: |o| o.x.take_along_dim(0, o.labels), |o| o.x.take_along_dim(7, o.indices),
            |o| o.other.take_along_dim(0, o.indices), |o| o.x.take_along_dim(0, o.foreign_labels);
        index_put: |o| o.x.index_put(&[Some(o.truth)], 1.0, false), |o| o.x.index_put(&[Some(o.x)], 1.0, false),
            |o| o.x.index_put(&[Some(o.labels); 3], 1.0, false), |o| o.x.index_put(&[Some(o.labels)], o.other, true),
            |o| o.x.index_put(&[Some(o.labels), Some(o.index_row)], 1.0, true), |o| o.x.index_put(&[Some(o.literal)], 1.0, true),
            |o| o.x.index_put(&[Some(o.foreign_labels)], 1.0, true), |o| o.x.index_put(&[Some(o.labels)], o.foreign, true),
            |o| o.x.index_put(&[Some(o.labels)], o.step, true), |o| o.indices.index_put(&[Some(o.labels)], 0.5, true);
        arange: |o| o.g.arange(1e-200, 0.0, 1e-200, DType::F64), |o| o.g.arange(0.0, 1.0, 0.0, DType::F32), |o| o.g.arange(0.0, 1.0, 0.5, DType::I32), |o| o.g.arange(0.0, 1e300, 1.0, DType::F32);
        input_not_given: |o| o.g.input_not_given("labels", &[]), |o| o.g.input_not_given("labels", &["x", "y"]);
        linspace: |o| o.g.linspace(0.0, 1.0, 3, DType::Bool), |o| o.g.linspace(0.0, 1.0, usize::MAX, DType::F32);
        eye: |o| o.g.eye(usize::MAX, 2, DType::F32);
        hstack: |o| o.g.hstack(&[]), |o| o.g.hstack(&[o.x, o.other]), |o| o.g.hstack(&[o.x, o.foreign]);
        vstack: |o| o.g.vstack(&[o.row, o.other]), |o| o.g.vstack(&[o.x, o.foreign]), |o| o.g.vstack(&[o.row, o.index_row]);
        dstack: |o| o.g.dstack(&[o.row, o.other]), |o| o.g.dstack(&[o.x, o.foreign]);
        column_stack: |o| o.g.column_stack(&[o.row, o.other]), |o| o.g.column_stack(&[o.x, o.foreign]);
        meshgrid: |o| o.g.meshgrid(&[o.x], GridOrder::Ij), |o| o.g.meshgrid(&[o.row, o.foreign_row], GridOrder::Xy),
            |o| o.g.meshgrid(&[o.row; 17], GridOrder::Ij), |o| o.g.meshgrid(&[o.row, o.poisoned], GridOrder::Ij);
        einsum: |o| o.g.einsum("ij", &[o.row]), |o| o.g.einsum("ij,jk", &[o.x, o.other]), |o| o.g.einsum("i->j", &[o.row]),
            |o| o.g.einsum("ij,ij", &[o.x, o.foreign]), |o| o.g.einsum("ij,ij", &[o.x, o.indices]), |o| o.g.einsum("", &[]),
            |o| o.g.einsum("ij,kj", &[o.x, o.poisoned]), |o| o.g.einsum("...,...a", &[o.wide, o.wide]);
    });
    all
}

fn of_graphs() -> Vec<(&'static str, Vec<Call>)> {
    calls! {
        input: |o| o.g.input("x", [2]), |o| o.g.input("y", [1; 17]), |o| o.g.input("y", [usize::MAX, 2]);
        input_of: |o| o.g.input_of("x", [2], DType::I32), |o| o.g.input_of("y", [1; 17], DType::Bool);
        parameter: |o| o.g.parameter("x", [2], Init::Constant(0.0)), |o| o.g.parameter("y", [2], Init::Values(vec![1.0]));
        parameter_of: |o| o.g.parameter_of("y", [1; 17], DType::F64, Init::Constant(0.0));
        state: |o| o.g.state("x", [], DType::I32, Init::Constant(0.0));
        full: |o| o.g.full([1; 17], 0.0, DType::F32);
        zeros: |o| o.g.zeros([1; 17], DType::F32);
        ones: |o| o.g.ones([usize::MAX, 8], DType::F32);
        literal: |o| o.g.literal([3], [1.0f32]), |o| o.g.literal([1; 17], [1]);
        iota: |o| o.g.iota([2], 1);
        step: |o| o.g.step();
        input_not_given: |o| o.g.input_not_given("y", &["x"]);
        uniform: |o| o.g.uniform([2], o.x, 1), |o| o.g.uniform([2], o.foreign_labels, 1), |o| o.g.uniform([1; 17], o.step, 1);
        normal: |o| o.g.normal([2], o.x, 1), |o| o.g.normal([1; 17], o.step, 1);
        bernoulli: |o| o.g.bernoulli([2], 0.5, o.x, 1), |o| o.g.bernoulli([2], 2.0, o.step, 1);
        uniform_in: |o| o.g.uniform_in(Phase::Training, [1; 17]), |o| o.g.uniform_in(Phase::Evaluation, [1; 17]);
        normal_in: |o| o.g.normal_in(Phase::Training, [1; 17]), |o| o.g.normal_in(Phase::Evaluation, [1; 17]);
        bernoulli_in: |o| o.g.bernoulli_in(Phase::Training, [2], 2.0), |o| o.g.bernoulli_in(Phase::Evaluation, [1; 17], 0.5);
        concat: |o| o.g.concat(&[o.x, o.other], 0), |o| o.g.concat(&[], 0), |o| o.g.concat(&[o.x, o.foreign], 0),
            |o| o.g.concat(&[o.x], 9), |o| o.g.concat(&[o.x, o.poisoned], 0);
        stack: |o| o.g.stack(&[o.x, o.other], 0), |o| o.g.stack(&[o.x, o.foreign], 0), |o| o.g.stack(&[o.x, o.x], 9),
            |o| o.g.stack(&[], 0), |o| o.g.stack(&[o.x, o.poisoned], 0);
        expr: |o| o.g.expr(o.foreign.id().unwrap());
        insert: |o| o.g.insert(Op::Leaf(Leaf::Iota { axis: 4 }), Some(&Shape::from([2])), None, Origin::here()),
            |o| o.g.insert(Op::Leaf(Leaf::Input { declaration: 0 }), None, None, Origin::here()),
            |o| {
                let (lhs, rhs) = (o.x.id().unwrap(), o.other.id().unwrap());
                o.g.insert(Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs, rhs }), None, None, Origin::here())
            },
            |o| {
                let (operand, indices) = (o.x.id().unwrap(), o.labels.id().unwrap());
                o.g.insert(Op::Indexing(Indexing::Gather { operand, indices, axis: 0 }), None, None, Origin::here())
            };
        gradients: |o| o.g.gradients(&[o.x], &[], &[o.x]), |o| o.g.gradients(&[o.x], &[o.other], &[o.x]),
            |o| o.g.gradients(&[o.x], &[o.x], &[o.foreign]);
        gradients_where_reached: |o| o.g.gradients_where_reached(&[o.x], &[], &[o.x]),
            |o| o.g.gradients_where_reached(&[o.x], &[o.x], &[o.foreign]);
        gradients_by_source: |o| o.g.gradients_by_source(&[o.x], &[], &[o.x], &mut |_, _| {}),
            |o| o.g.gradients_by_source(&[o.x], &[o.x], &[o.foreign], &mut |_, _| {});
        jvp: |o| o.g.jvp(&[o.x], &[o.x], &[]), |o| o.g.jvp(&[o.x], &[o.x], &[o.other]);
        jacobians: |o| o.g.jacobians(o.x, &[o.labels], None), |o| o.g.jacobians(o.wide, &[o.x, o.scalar], None);
        apply: |o| o.g.apply(&Wrong { in_backward: false }, &[o.x]), |o| o.g.apply(&Wrong { in_backward: true }, &[o.x]),
            |o| o.g.apply(&Wrong { in_backward: true }, &[o.foreign]), |o| o.g.apply(&Wrong { in_backward: true }, &[o.poisoned]);
        remove: |o| o.g.remove(o.x.id().unwrap()), |o| o.g.remove(o.foreign.id().unwrap());
        rewind: |o| o.g.rewind(o.foreign.graph().mark());
        retain: |o| o.g.retain(&[o.foreign.id().unwrap()]);
        attempt: |o| o.g.attempt(|| o.x.exp().reshape([5]).id()), |o| o.g.attempt(|| Ok::<_, GraphError>(o.x.exp() + o.other)),
            |o| o.g.attempt(|| { let _ = o.g.input("y", [2]); Err::<(), _>(o.g.input("x", [2]).id().unwrap_err()) });
        formula: |o| parse("a + b").unwrap().apply(o.g, &[("a", o.x), ("b", o.other)]),
            |o| parse("a + 2").unwrap().apply(o.g, &[("a", o.labels)]),
            |o| parse("a + b").unwrap().apply_accurately(o.g, &[("a", o.x), ("b", o.foreign)]),
            |o| parse("exp(a) + b").unwrap().apply(o.g, &[("a", o.x), ("b", o.poisoned)]);
    }
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
