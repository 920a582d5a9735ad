// tanh x = t / (t + 2) with t = e^(2x) - 1, for the magnitude of x, past 10 of which the result is 1 in any case.
fn tanh_f32(x: f32) -> f32 {
    let t = expm1(2.0 * min(abs(x), 10.0));
    let result = t / (t + 2.0);
    return select(select(result, -result, x < 0.0), x, is_nan(x) | (x == 0.0));
}
