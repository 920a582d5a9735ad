// max(x, 0); NaN stays NaN.
fn relu(x: f32) -> f32 {
    return select(max(x, 0.0), x, is_nan(x));
}
