// ln(1 + x) without cancellation near 0.
fn log1p(x: f32) -> f32 {
    let near = (x > -0.29) & (x < 0.41);
    return select(log_f32(1.0 + x), log_near_one(select(0.0, x, near)), near);
}
