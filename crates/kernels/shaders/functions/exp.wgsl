// 2^n for whole n in [-126, 127], by setting the exponent bits.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// e^x as 2^power (1 + fraction).
struct Exponential {
    power: i32,
    fraction: f32,
}

// With n = round(x / ln 2), r = x - n ln 2 lies in [-0.35, 0.35] and e^x = 2^n e^r; e^r is its Taylor polynomial.
// ln 2 is subtracted in two parts, the first short enough that n times it is exact.
fn reduced_exp(x: f32) -> Exponential {
    let n = round(x * 1.44269504);
    let r = (x - n * 0.693359375) + n * 2.12194440e-4;
    let tail = fma(fma(fma(fma(fma(1.98412698e-4, r, 1.38888889e-3), r, 8.33333333e-3), r, 4.16666667e-2), r, 1.66666667e-1), r, 0.5);
    return Exponential(i32(n), fma(tail * r, r, r));
}

// e^x. The power of two is applied in halves, so that results near both ends of the range come out.
fn exp_f32(x: f32) -> f32 {
    let reduced = reduced_exp(clamp(x, -104.0, 89.0));
    let half = reduced.power / 2;
    let result = (1.0 + reduced.fraction) * power_of_two(half) * power_of_two(reduced.power - half);
    return select(result, x, is_nan(x));
}
