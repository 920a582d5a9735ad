//! Losses, activations, norms and what else is composed of operators, for variables.

use arenagrad_graph::{
    Axes, BinaryFunction, CompareFunction, CrossEntropy, DType, Gelu, Half, Origin, Reduction, UnaryFunction,
};

use crate::tape::Variable;

methods! {
    /// The elements in another dtype.
    cast(; dtype: DType);
    /// The elements rounded to the nearest number that a float of 16 bits holds.
    rounded_to(; half: Half);
    /// The identity, through which no gradient flows.
    stop_gradient(;);
    /// A function of the table of functions of one element.
    unary_function(; function: UnaryFunction);
    /// `1 / sqrt(x)`.
    rsqrt(;);
    /// `x` above 0, else `slope * x`.
    leaky_relu(; slope: f64);
    /// `x` above 0, else `alpha * (e^x - 1)`.
    elu(; alpha: f64);
    /// The Gaussian error linear unit in the form that `form` says.
    gelu(; form: Gelu);
    /// `ln(1 + e^(beta x)) / beta`, and `x` itself where `beta x > threshold`.
    softplus(; beta: f64, threshold: f64);
    /// Each element between the elements of two bounds.
    clamp_between(min, max;);
    /// `ln(sum(e^x))` over axes, or `..` for all.
    logsumexp(; axes: impl Axes);
    /// `ln(sum(e^x))` over axes, which keep extent 1.
    logsumexp_keepdims(; axes: impl Axes);
    /// The variance over axes, which keep extent 1.
    var_keepdims(; axes: impl Axes, correction: f64);
    /// The standard deviation over axes, which keep extent 1.
    std_keepdims(; axes: impl Axes, correction: f64);
    /// The matrix product of operands that may be stored transposed.
    matmul_with(rhs; transpose_lhs: bool, transpose_rhs: bool);
    /// The lower triangle of the last two axes, 0 above it.
    tril(; diagonal: isize);
    /// The upper triangle of the last two axes, 0 below it.
    triu(; diagonal: isize);
    /// Every `step`-th element of `start..end` along an axis.
    slice_step(; axis: isize, start: usize, end: usize, step: usize);
    /// The elements along axes from the last to the first.
    flip(; axes: impl Axes);
    /// Windows that slide along axes.
    windows(; axes: impl AsRef<[isize]>, extents: impl AsRef<[usize]>, steps: impl AsRef<[usize]>, dilations: impl AsRef<[usize]>);
    /// `value` before and after the elements of each axis.
    pad(; amounts: impl AsRef<[(usize, usize)]>, value: f64);
    /// Without an axis, if its extent is 1.
    squeeze(; axis: isize);
    /// A new axis of extent 1.
    unsqueeze(; axis: isize);
    /// 1 at each element's own index along a new last axis, else 0.
    one_hot(; classes: usize);
    /// The absolute error of a target of the same shape.
    l1_loss(target; reduction: Reduction);
    /// The squared error near 0 and the absolute one past `delta`.
    huber_loss(target; delta: f64, reduction: Reduction);
    /// The squared error near 0 and the absolute one past `beta`, scaled by `beta`.
    smooth_l1_loss(target; beta: f64, reduction: Reduction);
    /// The cross-entropy of probabilities of two classes.
    binary_cross_entropy(target; reduction: Reduction);
    /// The cross-entropy of two classes by their logits.
    binary_cross_entropy_with_logits(target; reduction: Reduction);
    /// The Kullback-Leibler divergence of a target from these logarithms.
    kl_div(target; log_target: bool, reduction: Reduction);
    /// The mean negative log-likelihood at class indices.
    nll_loss(labels;);
}

impl Variable {
    /// A function of the table of functions of two elements. See [`Expr::binary_function`](crate::Expr::binary_function).
    #[track_caller]
    pub fn binary_function(&self, function: BinaryFunction, rhs: &Variable) -> Variable {
        self.binary(function.name(), rhs, Origin::here(), |lhs, rhs| lhs.binary_function(function, rhs))
    }

    /// A comparison of the table of comparisons. See [`Expr::compare_function`](crate::Expr::compare_function).
    #[track_caller]
    pub fn compare_function(&self, function: CompareFunction, rhs: &Variable) -> Variable {
        self.binary(function.name(), rhs, Origin::here(), |lhs, rhs| lhs.compare_function(function, rhs))
    }

    /// Each element 0 with probability `rate`, else divided by `1 - rate`. See [`Expr::dropout`](crate::Expr::dropout).
    #[track_caller]
    pub fn dropout(&self, rate: f64, step: &Variable, seed: u64) -> Variable {
        self.binary("dropout", step, Origin::here(), |x, step| x.dropout(rate, step, seed))
    }

    /// `result[.., j, ..] = self[.., indices[.., j, ..], ..]` along an axis. See [`Expr::gather`](crate::Expr::gather).
    #[track_caller]
    pub fn gather(&self, axis: isize, indices: &Variable) -> Variable {
        self.binary("gather", indices, Origin::here(), |x, indices| x.gather(axis, indices))
    }

    /// The slices of an axis at indices. See [`Expr::index_select`](crate::Expr::index_select).
    #[track_caller]
    pub fn index_select(&self, axis: isize, indices: &Variable) -> Variable {
        self.binary("index_select", indices, Origin::here(), |x, indices| x.index_select(axis, indices))
    }

    /// This with updates added at indices along an axis. See [`Expr::scatter_add`](crate::Expr::scatter_add).
    #[track_caller]
    pub fn scatter_add(&self, axis: isize, indices: &Variable, updates: &Variable) -> Variable {
        self.with_optional("scatter_add", [indices, updates], [], Origin::here(), |x, [indices, updates], []| {
            x.scatter_add(axis, indices, updates)
        })
    }

    /// [`Variable::binary_cross_entropy_with_logits`] with weights of elements and of the positive term. See
    /// [`Expr::binary_cross_entropy_with_logits_weighted`](crate::Expr::binary_cross_entropy_with_logits_weighted).
    #[track_caller]
    pub fn binary_cross_entropy_with_logits_weighted(
        &self,
        target: &Variable,
        weight: Option<&Variable>,
        pos_weight: Option<&Variable>,
        reduction: Reduction,
    ) -> Variable {
        let name = "binary_cross_entropy_with_logits_weighted";
        self.with_optional(name, [target], [weight, pos_weight], Origin::here(), |x, [target], [weight, pos_weight]| {
            x.binary_cross_entropy_with_logits_weighted(target, weight, pos_weight, reduction)
        })
    }

    /// The cross-entropy of these logits and targets with options, and with weights of classes. See
    /// [`Expr::cross_entropy_with`](crate::Expr::cross_entropy_with).
    #[track_caller]
    pub fn cross_entropy_with(
        &self,
        targets: &Variable,
        weight: Option<&Variable>,
        options: CrossEntropy<'static>,
    ) -> Variable {
        self.with_optional("cross_entropy_with", [targets], [weight], Origin::here(), |x, [targets], [weight]| {
            x.cross_entropy_with(targets, weighted(weight, options))
        })
    }

    /// The negative log-likelihood at class indices with options, and with weights of classes. See
    /// [`Expr::nll_loss_with`](crate::Expr::nll_loss_with).
    #[track_caller]
    pub fn nll_loss_with(
        &self,
        labels: &Variable,
        weight: Option<&Variable>,
        options: CrossEntropy<'static>,
    ) -> Variable {
        self.with_optional("nll_loss_with", [labels], [weight], Origin::here(), |x, [labels], [weight]| {
            x.nll_loss_with(labels, weighted(weight, options))
        })
    }

    /// `x W + b`: `[.., in] x [in, out] + [out] -> [.., out]`. See [`Expr::linear`](crate::Expr::linear).
    #[track_caller]
    pub fn linear(&self, weight: &Variable, bias: Option<&Variable>) -> Variable {
        self.with_optional("linear", [weight], [bias], Origin::here(), |x, [weight], [bias]| x.linear(weight, bias))
    }

    /// Brought to mean 0 and variance 1 over axes, scaled and shifted. See [`Expr::layer_norm`](crate::Expr::layer_norm).
    #[track_caller]
    pub fn layer_norm(
        &self,
        axes: impl Axes,
        weight: Option<&Variable>,
        bias: Option<&Variable>,
        eps: f64,
    ) -> Variable {
        self.with_optional("layer_norm", [], [weight, bias], Origin::here(), |x, [], [weight, bias]| {
            x.layer_norm(axes, weight, bias, eps)
        })
    }

    /// Divided by the root of the mean square over axes, and scaled. See [`Expr::rms_norm`](crate::Expr::rms_norm).
    #[track_caller]
    pub fn rms_norm(&self, axes: impl Axes, weight: Option<&Variable>, eps: f64) -> Variable {
        self.with_optional("rms_norm", [], [weight], Origin::here(), |x, [], [weight]| x.rms_norm(axes, weight, eps))
    }

    /// Groups of channels brought to mean 0 and variance 1, scaled and shifted. See [`Expr::group_norm`](crate::Expr::group_norm).
    #[track_caller]
    pub fn group_norm(&self, groups: usize, weight: Option<&Variable>, bias: Option<&Variable>, eps: f64) -> Variable {
        self.with_optional("group_norm", [], [weight, bias], Origin::here(), |x, [], [weight, bias]| {
            x.group_norm(groups, weight, bias, eps)
        })
    }

    /// Channels normalised by the given statistics, scaled and shifted. See [`Expr::batch_norm`](crate::Expr::batch_norm).
    #[track_caller]
    pub fn batch_norm(
        &self,
        (mean, variance): (&Variable, &Variable),
        weight: Option<&Variable>,
        bias: Option<&Variable>,
        eps: f64,
    ) -> Variable {
        let origin = Origin::here();
        self.with_optional(
            "batch_norm",
            [mean, variance],
            [weight, bias],
            origin,
            |x, [mean, variance], [weight, bias]| x.batch_norm((mean, variance), weight, bias, eps),
        )
    }

    /// Each channel's mean and variance. See [`Expr::batch_statistics`](crate::Expr::batch_statistics).
    #[track_caller]
    pub fn batch_statistics(&self) -> (Variable, Variable) {
        let origin = Origin::here();
        (
            self.unary("batch_statistics", origin, |x| x.batch_statistics().0),
            self.unary("batch_statistics", origin, |x| x.batch_statistics().1),
        )
    }
}

/// The options with weights, which on a tape are a variable.
fn weighted<'g>(weight: Option<arenagrad_graph::Expr<'g>>, options: CrossEntropy<'static>) -> CrossEntropy<'g> {
    let CrossEntropy { class_axis, weight: own, ignore_index, label_smoothing, reduction } = options;
    CrossEntropy { class_axis, weight: weight.or(own), ignore_index, label_smoothing, reduction }
}
