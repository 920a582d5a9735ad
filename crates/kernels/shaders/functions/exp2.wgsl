// 2^x, exact at integers: 2^n 2^r with n the nearest integer.
fn exp2_f32(x: f32) -> f32 {
    let bounded = clamp(x, -152.0, 129.0);
    let n = round(bounded);
    let r = bounded - n;
    let p = fma(fma(fma(fma(fma(fma(1.51961558e-5, r, 1.54667563e-4), r, 1.33339351e-3), r, 9.61803813e-3), r, 0.0555041037), r, 0.240226511), r, 0.693147181);
    let half = i32(n) / 2;
    let result = fma(r, p, 1.0) * power_of_two(half) * power_of_two(i32(n) - half);
    return select(result, x, is_nan(x));
}
