// The upstream gradient where x > 0, else 0: the derivative of relu at 0 is 0.
fn relu_backward(upstream: f32, x: f32) -> f32 {
    return select(0.0, upstream, x > 0.0);
}
