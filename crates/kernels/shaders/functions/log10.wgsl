// The logarithm to base 10: -inf at 0, NaN below.
fn log10(x: f32) -> f32 {
    let parts = parts_of(x);
    let scaled = scaled_log(parts.f, 0.434204102, 9.03803375e-5);
    let upper = fma(parts.exponent, 0.301025391, scaled.x);
    return special_logarithms(x, upper + fma(parts.exponent, 4.60503898e-6, scaled.y));
}
