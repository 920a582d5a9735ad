// The digamma function for x in [1, 2]: x less its zero, in two parts, times a polynomial.
fn digamma_between(x: f32) -> f32 {
    let u = x - 1.5;
    let p = fma(fma(fma(fma(fma(fma(fma(fma(fma(-0.0162212486, u, 0.0239243302), u, -0.0258724037), u, 0.0393618188), u, -0.0620399923), u, 0.0951174031), u, -0.148399967), u, 0.240538394), u, -0.423627477), u, 0.951055897);
    return ((x - 1.46163213) - 1.24381499e-8) * p;
}

// The digamma function for x > 0: below 2 from the interval of its zero, from there by the terms that lead past 7 and the
// asymptotic series.
fn digamma_positive(x: f32) -> f32 {
    let inside = select(x, x + 1.0, x < 1.0);
    let near = digamma_between(clamp(inside, 1.0, 2.0)) - select(0.0, 1.0 / x, x < 1.0);
    let y0 = max(x, 2.0);
    let y1 = select(y0, y0 + 1.0, y0 < 7.0);
    let y2 = select(y1, y1 + 1.0, y1 < 7.0);
    let y3 = select(y2, y2 + 1.0, y2 < 7.0);
    let y4 = select(y3, y3 + 1.0, y3 < 7.0);
    let y5 = select(y4, y4 + 1.0, y4 < 7.0);
    let terms = select(0.0, 1.0 / y0, y0 < 7.0) + select(0.0, 1.0 / y1, y1 < 7.0) + select(0.0, 1.0 / y2, y2 < 7.0)
        + select(0.0, 1.0 / y3, y3 < 7.0) + select(0.0, 1.0 / y4, y4 < 7.0);
    let inverse = 1.0 / y5;
    let v = inverse * inverse;
    let series = v * fma(fma(3.96825397e-3, v, -8.33333333e-3), v, 0.0833333333);
    let far = ((log_f32(y5) - 0.5 * inverse) - series) - terms;
    return select(far, near, x < 2.0);
}

// The derivative of ln gamma(x): infinite at 0, NaN at the negative integers. Below 0 by the reflection at 1/2.
fn digamma(x: f32) -> f32 {
    let negative = x < 0.0;
    let bounded = clamp(x, -8388608.0, 0.0);
    let from_integer = bounded - round(bounded);
    let angle = 3.14159265 * from_integer;
    let positive = digamma_positive(select(x, 1.0 - x, negative));
    let reflected = positive - 3.14159265 * cos_f32(angle) / sin_f32(angle);
    var result = select(positive, reflected, negative);
    result = select(result, x, bitcast<u32>(x) == 0x7f800000u);
    result = select(result, nan(), (negative & (from_integer == 0.0)) | is_nan(x));
    return select(result, with_sign_of(infinity(), -x), (bitcast<u32>(x) & 0x7fffffffu) == 0u);
}
