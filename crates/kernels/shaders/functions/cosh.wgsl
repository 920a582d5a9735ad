// (e^x + e^-x) / 2.
fn cosh_f32(x: f32) -> f32 {
    let half = half_exp(abs(x));
    return select(half + 0.25 / half, x, is_nan(x));
}
