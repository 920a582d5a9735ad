// x = 2^exponent (1 + f), with 1 + f in [0.707, 1.414).
struct Parts {
    exponent: f32,
    f: f32,
}

// The parts of x > 0.
fn parts_of(x: f32) -> Parts {
    let subnormal = x < 1.17549435e-38;
    let bits = bitcast<u32>(select(x, x * 8388608.0, subnormal));
    // Adding the distance from sqrt(1/2) to 1 carries into the exponent exactly where 1 + f would reach sqrt(2).
    let shifted = bits + (0x3f800000u - 0x3f3504f3u);
    let exponent = f32(i32(shifted >> 23u) - 127) - select(0.0, 23.0, subnormal);
    return Parts(exponent, bitcast<f32>((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0);
}

// ln(1 + f) for f in [-0.3, 0.42] times a factor in two parts, of which the first has 12 bits: itself in two parts, of which the
// first is exact.
fn scaled_log(f: f32, high: f32, low: f32) -> vec2<f32> {
    let upper = bitcast<f32>(bitcast<u32>(f) & 0xfffff000u);
    let q = fma(fma(fma(fma(fma(fma(fma(fma(0.0692167295, f, -0.11799135), f, 0.118751028), f, -0.123830023), f, 0.142182292), f, -0.166693098), f, 0.200022476), f, -0.249999858), f, 0.333333102);
    let lower = (f - upper) + fma(f * f * f, q, -0.5 * f * f);
    return vec2<f32>(upper * high, fma(lower, high, (upper + lower) * low));
}

// The logarithm that was found for x, but for those that have none or no finite one.
fn special_logarithms(x: f32, value: f32) -> f32 {
    let raw = bitcast<u32>(x);
    var result = select(value, x, raw == 0x7f800000u);
    result = select(result, nan(), raw > 0x7f800000u);
    return select(result, -infinity(), (raw & 0x7fffffffu) == 0u);
}

// The logarithm to base 2, exact at powers of 2: -inf at 0, NaN below.
fn log2_f32(x: f32) -> f32 {
    let parts = parts_of(x);
    let scaled = scaled_log(parts.f, 1.44238281, 3.12228396e-4);
    return special_logarithms(x, (parts.exponent + scaled.x) + scaled.y);
}
