// ln(1 + f) for f in [-0.3, 0.42]: 2 artanh(s) with s = f / (2 + f), by its Taylor polynomial in s^2. As 2 s = f - s f, of which f is
// exact, the roundings are those of a smaller number.
fn log_near_one(f: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let tail = fma(fma(fma(0.222222222, z, 0.285714286), z, 0.4), z, 0.666666667);
    let half_square = 0.5 * f * f;
    return f - (half_square - s * fma(z, tail, half_square));
}

// ln x and a small correction: -inf at 0, NaN below. x = 2^e m with m in [0.707, 1.414), and ln x = e ln 2 + ln m.
fn corrected_log(x: f32, correction: f32) -> f32 {
    let subnormal = x < 1.17549435e-38;
    let bits = bitcast<u32>(select(x, x * 8388608.0, subnormal));
    // Adding the distance from sqrt(1/2) to 1 carries into the exponent exactly where m would reach sqrt(2).
    let shifted = bits + (0x3f800000u - 0x3f3504f3u);
    let exponent = f32(i32(shifted >> 23u) - 127) - select(0.0, 23.0, subnormal);
    let m = bitcast<f32>((shifted & 0x7fffffu) + 0x3f3504f3u);
    var result = fma(exponent, 0.693359375, fma(exponent, -2.12194440e-4, log_near_one(m - 1.0)) + correction);
    let raw = bitcast<u32>(x);
    result = select(result, x, raw == 0x7f800000u);
    result = select(result, nan(), raw > 0x7f800000u);
    return select(result, -infinity(), (raw & 0x7fffffffu) == 0u);
}

// ln x: -inf at 0, NaN below.
fn log_f32(x: f32) -> f32 {
    return corrected_log(x, 0.0);
}
