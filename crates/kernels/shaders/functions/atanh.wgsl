// ln((1 + x) / (1 - x)) / 2, for the magnitude of x: by its polynomial up to 1/2. Infinite at 1, NaN past it.
fn atanh_f32(x: f32) -> f32 {
    let magnitude = abs(x);
    let z = min(magnitude * magnitude, 1.0);
    let p = fma(fma(fma(fma(fma(fma(0.17594253, z, 0.0245219298), z, 0.102826893), z, 0.10967182), z, 0.14294853), z, 0.199997275), z, 0.333333361);
    let small = fma(min(magnitude, 1.0) * z, p, magnitude);
    let inside = min(magnitude, 0.99999994);
    let large = 0.5 * log1p(2.0 * inside / (1.0 - inside));
    var result = select(large, small, magnitude < 0.5);
    result = select(result, infinity(), magnitude == 1.0);
    result = select(result, nan(), (magnitude > 1.0) | is_nan(x));
    return with_sign_of(result, x);
}
