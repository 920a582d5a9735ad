//! Functions of elements that are compositions.

methods! {
    /// The fraction, `x - trunc(x)`.
    frac(;);
    /// `x + weight (end - x)`.
    lerp(end, weight;);
    /// `sin(pi x) / (pi x)`, and 1 at 0.
    sinc(;);
    /// `x ln y`, and 0 for an `x` of 0.
    xlogy(y;);
    /// The inverse of the sigmoid.
    logit(; eps: Option<f64>);
    /// Whether each element is NaN.
    isnan(;);
    /// Whether each element is infinite.
    isinf(;);
    /// Whether each element is neither infinite nor NaN.
    isfinite(;);
    /// Numbers in the place of NaN and the infinities.
    nan_to_num(; nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>);
    /// `ln(e^x + e^y)`.
    logaddexp(other;);
    /// `log2(2^x + 2^y)`.
    logaddexp2(other;);
    /// The standard normal distribution's cumulative probability.
    ndtr(;);
    /// The logarithm of the standard normal distribution's cumulative probability.
    log_ndtr(;);
}
