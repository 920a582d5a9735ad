//! Reductions, scans, and what has to do with order.

use arenagrad::QuantileInterpolation;

use super::table::{float, integer, operators, truth};

operators! {
    "torch.cumsum" (g, x = float(&[4, 7], -2.0, 2.0)) => x.cumsum(1);
    "torch.cumsum" (g, x = float(&[3, 5, 2], -2.0, 2.0)) => x.cumsum(-2);
    "torch.cumsum" (g, x = integer(&[9], -5, 5)) => x.cumsum(0);
    "torch.cumprod" (g, x = float(&[4, 7], -1.5, 1.5)) => x.cumprod(1);
    "torch.cumprod" (g, x = float(&[5, 3], 0.5, 1.5)) => x.cumprod(0);
    "torch.logcumsumexp" (g, x = float(&[4, 7], -3.0, 3.0)) => x.logcumsumexp(1);
    "torch.cummax" (g, x = float(&[4, 7], -2.0, 2.0)) => x.cummax(1);
    "torch.cummin" (g, x = float(&[4, 7], -2.0, 2.0)) => x.cummin(0);
    "jax.lax.associative_scan of a linear recurrence" (g, x = float(&[3, 8], -2.0, 2.0), factors = float(&[3, 8], -0.9, 0.9)) =>
        x.linear_recurrence(factors, 1);
    "torch.sort" (g, x = float(&[4, 7], -2.0, 2.0)) => x.sort(1, false);
    "torch.sort(descending=True)" (g, x = float(&[5, 3, 2], -2.0, 2.0)) => x.sort(0, true);
    "torch.argsort" (g, x = float(&[4, 7], -2.0, 2.0)) => x.argsort(1, false);
    "torch.argsort(descending=True)" (g, x = integer(&[4, 70], -3, 3)) => x.argsort(1, true);
    "torch.msort" (g, x = float(&[7, 3], -2.0, 2.0)) => x.msort();
    "torch.topk" (g, x = float(&[4, 9], -2.0, 2.0)) => x.topk(3, 1, true);
    "torch.topk(largest=False)" (g, x = float(&[4, 80], -2.0, 2.0)) => x.topk(5, -1, false);
    "torch.kthvalue" (g, x = float(&[4, 9], -2.0, 2.0)) => x.kthvalue(3, 1);
    "torch.median" (g, x = float(&[4, 8], -2.0, 2.0)) => x.median(1);
    "torch.median" (g, x = float(&[3, 5], -2.0, 2.0)) => x.median(..).0;
    "torch.nanmedian" (g, x = float(&[3, 6], -2.0, 2.0)) => x.nanmedian(0);
    "torch.quantile" (g, x = float(&[4, 9], -2.0, 2.0)) => x.quantile(0.3, 1, QuantileInterpolation::Linear);
    "torch.quantile(interpolation='nearest')" (g, x = float(&[4, 9], -2.0, 2.0)) => x.quantile(0.7, .., QuantileInterpolation::Nearest);
    "torch.searchsorted" (g, sequence = float(&[12], -2.0, 2.0), values = float(&[3, 4], -2.0, 2.0)) =>
        sequence.sort(0, false).0.searchsorted(values, false);
    "torch.searchsorted(right=True)" (g, sequence = float(&[3, 12], -2.0, 2.0), values = float(&[3, 4], -2.0, 2.0)) =>
        sequence.sort(1, false).0.searchsorted(values, true);
    "torch.bucketize" (g, x = float(&[3, 4], -2.0, 2.0), boundaries = float(&[9], -2.0, 2.0)) =>
        x.bucketize(boundaries.sort(0, false).0, false);
    "torch.prod" (g, x = float(&[4, 7], -1.5, 1.5)) => x.prod(1);
    "torch.prod" (g, x = float(&[3, 4], -1.5, 1.5)) => x.prod(..);
    "torch.prod(keepdim=True)" (g, x = float(&[3, 4, 2], -1.5, 1.5)) => x.prod_keepdims([0, 2]);
    "torch.any" (g, x = truth(&[4, 3])) => x.any(1);
    "torch.any(keepdim=True)" (g, x = integer(&[4, 3], -1, 1)) => x.any_keepdims([0]);
    "torch.all" (g, x = truth(&[4, 3])) => x.all(0);
    "torch.all(keepdim=True)" (g, x = float(&[4, 3], -1.0, 1.0)) => x.all_keepdims(..);
    "torch.count_nonzero" (g, x = integer(&[4, 6], -1, 1)) => x.count_nonzero(1);
    "torch.bincount(minlength=5)" (g, labels = integer(&[9], 0, 4)) => labels.bincount(5, None);
    "torch.bincount(weights, minlength=5)" (g, labels = integer(&[9], 0, 4), weights = float(&[9], -2.0, 2.0)) =>
        labels.bincount(5, Some(weights));
    "torch.histc" (g, x = float(&[4, 6], -2.0, 2.0)) => x.histc(5, -1.5, 1.5);
    "torch.argmax" (g, x = float(&[4, 6], -2.0, 2.0)) => x.argmax(1);
    "torch.argmax" (g, x = float(&[4, 6], -2.0, 2.0)) => x.argmax(..);
    "torch.argmin" (g, x = float(&[4, 6], -2.0, 2.0)) => x.argmin(1);
    "torch.argmin" (g, x = integer(&[4, 6], -9, 9)) => x.argmin(..);
    "torch.max(dim)" (g, x = float(&[4, 6], -2.0, 2.0)) => x.max_with_indices(1);
    "torch.min(dim)" (g, x = float(&[4, 6], -2.0, 2.0)) => x.min_with_indices(0);
    "torch.aminmax" (g, x = float(&[4, 6], -2.0, 2.0)) => x.aminmax(1);
    "torch.var_mean" (g, x = float(&[4, 6], -2.0, 2.0)) => x.var_mean(1, 1.0);
    "torch.std_mean" (g, x = float(&[4, 6], -2.0, 2.0)) => x.std_mean([0, 1], 0.0);
    "torch.nansum" (g, x = float(&[4, 6], -2.0, 2.0)) => x.nansum(1);
    "torch.nansum(keepdim=True)" (g, x = float(&[4, 6], -2.0, 2.0)) => x.nansum_keepdims(..);
    "torch.nanmean" (g, x = float(&[4, 6], -2.0, 2.0)) => x.nanmean(1);
    "torch.nanmean(keepdim=True)" (g, x = float(&[4, 6], -2.0, 2.0)) => x.nanmean_keepdims(..);
    "torch.diff" (g, x = float(&[4, 6], -2.0, 2.0)) => x.diff(2, 1);
    "torch.diff(prepend, append)" (g, x = float(&[4, 6], -2.0, 2.0), first = float(&[4, 1], -2.0, 2.0), last = float(&[4, 2], -2.0, 2.0)) =>
        x.diff_with(1, 1, Some(first), Some(last));
    "torch.trapezoid(dx)" (g, y = float(&[4, 6], -2.0, 2.0)) => y.trapezoid(0.5, 1);
    "torch.trapezoid(x)" (g, y = float(&[4, 6], -2.0, 2.0), x = float(&[6], -2.0, 2.0)) => y.trapezoid_at(x, 1);
    "torch.gradient(spacing)" (g, y = float(&[5, 6], -2.0, 2.0)) => y.numerical_gradient(0.5, 1, 2);
    "torch.gradient(coordinates)" (g, y = float(&[5, 6], -2.0, 2.0), x = float(&[5], 0.3, 2.0)) =>
        y.numerical_gradient_at(x.cumsum(0), 0, 2);
}
