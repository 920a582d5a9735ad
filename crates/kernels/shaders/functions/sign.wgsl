// -1, 0 or 1; NaN stays NaN.
fn sign_f32(x: f32) -> f32 {
    return select(select(0.0, 1.0, x > 0.0) - select(0.0, 1.0, x < 0.0), x, is_nan(x));
}

// -1, 0 or 1
fn sign_i32(x: i32) -> i32 {
    return select(0, 1, x > 0) - select(0, 1, x < 0);
}
