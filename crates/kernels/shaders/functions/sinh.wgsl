// e^x / 2 for x >= 0, as exp_f32: it overflows where half the exponential does.
fn half_exp(x: f32) -> f32 {
    let reduced = reduced_exp(min(x, 90.0));
    let half = reduced.power / 2;
    let result = (1.0 + reduced.fraction) * power_of_two(half) * power_of_two(reduced.power - half - 1);
    return select(result, infinity(), x >= 90.0);
}

// (e^x - e^-x) / 2: by its polynomial up to 1, where the two would cancel.
fn sinh_f32(x: f32) -> f32 {
    let magnitude = abs(x);
    let z = min(magnitude * magnitude, 1.0);
    let p = fma(fma(fma(2.81695124e-6, z, 1.98361598e-4), z, 8.33335006e-3), z, 0.166666665);
    let small = fma(min(magnitude, 1.0) * z, p, magnitude);
    let half = half_exp(magnitude);
    let result = select(half - 0.25 / half, small, magnitude < 1.0);
    return select(with_sign_of(result, x), x, is_nan(x));
}
