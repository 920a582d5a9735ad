// ln(1 + x) without cancellation near 0. Elsewhere what the sum was rounded by is corrected to first order.
fn log1p(x: f32) -> f32 {
    let near = (x > -0.29) & (x < 0.41);
    let sum = 1.0 + x;
    let lost = select(x - (sum - 1.0), 1.0 - (sum - x), x > 1.0);
    let correction = select(0.0, lost / sum, (x > -1.0) & (x < 1.0e30));
    return select(corrected_log(sum, correction), log_near_one(select(0.0, x, near)), near);
}
