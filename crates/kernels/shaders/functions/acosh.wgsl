// ln(x + sqrt(x^2 - 1)): next to 1 the root of 2 (x - 1) times a polynomial; of a large x the root is the number itself. NaN
// below 1.
fn acosh_f32(x: f32) -> f32 {
    let t = clamp(x - 1.0, 0.0, 2048.0);
    let root = sqrt(2.0 * t);
    let p = fma(fma(fma(fma(fma(fma(-2.69998103e-5, t, 1.75846992e-4), t, -6.32169428e-4), t, 1.87123692e-3), t, -5.57405469e-3), t, 0.0187493065), t, -0.0833333073);
    let small = fma(root * t, p, root);
    let huge = x > 2048.0;
    let sum = x + sqrt(t * (t + 2.0));
    let large = log_f32(select(sum, x, huge)) + select(0.0, 0.693147181, huge);
    let result = select(large, small, t < 1.0);
    return select(result, nan(), (x < 1.0) | is_nan(x));
}
