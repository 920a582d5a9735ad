// 0 where x <= 0, else the upstream gradient: the derivative of relu at 0 is 0, and a NaN lets the gradient through.
fn relu_backward(upstream: f32, x: f32) -> f32 {
    return select(upstream, 0.0, (x <= 0.0) & !is_nan(x));
}
