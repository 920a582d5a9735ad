//! Activations.

methods! {
    /// Each element brought into `min..=max`, with derivative 0 at the bounds.
    hardtanh(; min: f64, max: f64);
    /// Each element brought into `0..=6`.
    relu6(;);
    /// A sigmoid of straight pieces.
    hardsigmoid(;);
    /// `x hardsigmoid(x)`.
    hardswish(;);
    /// 0 where the magnitude is at most `lambda`.
    hardshrink(; lambda: f64);
    /// Brought nearer to 0 by `lambda`.
    softshrink(; lambda: f64);
    /// `value` where an element is not above the threshold.
    threshold(; threshold: f64, value: f64);
    /// `x` above 0, else `weight x`.
    prelu(weight;);
    /// `x tanh(softplus(x))`.
    mish(;);
    /// The scaled exponential linear unit.
    selu(;);
    /// The exponential linear unit whose derivative is continuous.
    celu(; alpha: f64);
    /// `x / (1 + |x|)`.
    softsign(;);
    /// `x - tanh(x)`.
    tanhshrink(;);
    /// The first half along an axis times the sigmoid of the second.
    glu(; axis: isize);
    /// Softmax of `-x` along an axis.
    softmin(; axis: isize);
    /// Each element 0 with probability `rate`, else divided by `1 - rate`; in evaluation the elements as they are. Each such operation of a
    /// tape drops others.
    dropout_in(; phase: crate::nn::Phase, rate: f64);
    /// A smooth draw of a category of logits along an axis, or with `hard` a draw with its gradient. Each such operation of a tape draws anew.
    gumbel_softmax_in(; phase: crate::nn::Phase, temperature: f64, hard: bool, axis: isize);
    /// A category of logits along an axis, drawn. Each such operation of a tape draws anew.
    categorical_in(; phase: crate::nn::Phase, axis: isize);
    /// Categories drawn in proportion to weights. Each such operation of a tape draws anew.
    multinomial_in(; phase: crate::nn::Phase, samples: usize, with_replacement: bool);
    /// Each vector along an axis over its p-norm.
    normalize(; p: f64, axis: isize, eps: f64);
    /// Each element over a power of the mean square of `size` neighbouring channels.
    local_response_norm(; size: usize, alpha: f64, beta: f64, k: f64);
}
