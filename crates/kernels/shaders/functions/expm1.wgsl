// e^x - 1: of 2^n (1 + f) the f is added last, so that nothing cancels near 0. At half scale, for 2^128 is past the largest float.
fn expm1(x: f32) -> f32 {
    let reduced = reduced_exp(clamp(x, -18.0, 89.0));
    let scale = power_of_two(reduced.power - 1);
    let result = 2.0 * fma(scale, reduced.fraction, scale - 0.5);
    return select(result, x, (abs(x) < 1.0e-7) | is_nan(x));
}
