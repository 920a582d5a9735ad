// The square root: NaN below 0.
fn sqrt_f32(x: f32) -> f32 {
    return select(sqrt(x), nan(), (x < 0.0) | is_nan(x));
}
