// 2^n for whole n in [-126, 127], by setting the exponent bits.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// e^x. With n = round(x / ln 2), r = x - n ln 2 lies in [-0.35, 0.35] and e^x = 2^n e^r; e^r is its Taylor polynomial.
// ln 2 is subtracted in two parts, the first short enough that n times it is exact. The power of two is applied in halves,
// so that results near both ends of the range come out.
fn exp_f32(x: f32) -> f32 {
    let bounded = clamp(x, -104.0, 89.0);
    let n = round(bounded * 1.44269504);
    let r = (bounded - n * 0.693359375) + n * 2.12194440e-4;
    let tail = fma(fma(fma(fma(fma(1.98412698e-4, r, 1.38888889e-3), r, 8.33333333e-3), r, 4.16666667e-2), r, 1.66666667e-1), r, 0.5);
    let e_r = 1.0 + fma(tail * r, r, r);
    let half = i32(n) / 2;
    let result = e_r * power_of_two(half) * power_of_two(i32(n) - half);
    return select(result, x, is_nan(x));
}
