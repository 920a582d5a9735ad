// x, but 0 where x is below 0; NaN stays NaN, and -0 stays -0.
fn relu(x: f32) -> f32 {
    return select(select(x, 0.0, x < 0.0), x, is_nan(x));
}
