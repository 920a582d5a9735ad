// The logarithm to base 10, exact at powers of 10: -inf at 0, NaN below.
fn log10(x: f32) -> f32 {
    let parts = parts_of(x);
    let scaled = scaled_log(parts.f, 0.434204102, 9.03803375e-5);
    // The product is exact, and what its sum with the upper part loses is kept.
    let whole = parts.exponent * 0.301025391;
    let sum = whole + scaled.x;
    let lost = (whole - sum) + scaled.x;
    return special_logarithms(x, sum + (fma(parts.exponent, 4.60503898e-6, scaled.y) + lost));
}
