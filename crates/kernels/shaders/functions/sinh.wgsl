// e^x / 2 for x >= 0, as exp_f32: it overflows where half the exponential does.
fn half_exp(x: f32) -> f32 {
    let bounded = min(x, 90.0);
    let n = round(bounded * 1.44269504);
    let r = (bounded - n * 0.693359375) + n * 2.12194440e-4;
    let tail = fma(fma(fma(fma(fma(1.98412698e-4, r, 1.38888889e-3), r, 8.33333333e-3), r, 4.16666667e-2), r, 1.66666667e-1), r, 0.5);
    let e_r = 1.0 + fma(tail * r, r, r);
    let half = i32(n) / 2;
    let result = e_r * power_of_two(half) * power_of_two(i32(n) - half - 1);
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
