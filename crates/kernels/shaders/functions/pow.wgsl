// x^n for x >= 0 and whole n in [0, 63], by squaring: as exact as products are.
fn power_by_squaring(x: f32, n: u32) -> f32 {
    let x2 = x * x;
    let x4 = x2 * x2;
    let x8 = x4 * x4;
    let x16 = x8 * x8;
    let x32 = x16 * x16;
    let low = select(1.0, x, (n & 1u) != 0u) * select(1.0, x2, (n & 2u) != 0u) * select(1.0, x4, (n & 4u) != 0u);
    let high = select(1.0, x8, (n & 8u) != 0u) * select(1.0, x16, (n & 16u) != 0u) * select(1.0, x32, (n & 32u) != 0u);
    return low * high;
}

// x^y for finite x > 0 and finite y, as 2^(y e) e^(y ln m) with x = 2^e m. y is split so that its upper part times e is exact,
// and the whole part n of y log2 x is taken off before anything is rounded.
fn power_by_logarithm(x: f32, y: f32) -> f32 {
    let subnormal = x < 1.17549435e-38;
    let bits = bitcast<u32>(select(x, x * 8388608.0, subnormal));
    let shifted = bits + (0x3f800000u - 0x3f3504f3u);
    let exponent = f32(i32(shifted >> 23u) - 127) - select(0.0, 23.0, subnormal);
    let m = bitcast<f32>((shifted & 0x7fffffu) + 0x3f3504f3u);
    let bounded = clamp(y, -1.0e30, 1.0e30);
    let upper = bitcast<f32>(bitcast<u32>(bounded) & 0xfffff000u);
    let y_log_m = bounded * log_near_one(m - 1.0);
    let total = fma(y_log_m, 1.44269504, bounded * exponent);
    let n = round(clamp(total, -152.0, 130.0));
    let fraction = (upper * exponent - n) + (bounded - upper) * exponent;
    let rest = fma(fraction, 0.693147181, y_log_m);
    let half = i32(n) / 2;
    let result = exp_f32(clamp(rest, -1.0, 1.0)) * power_of_two(half) * power_of_two(i32(n) - half);
    return select(select(result, infinity(), total > 129.0), 0.0, total < -151.0);
}

// x^y with the special cases of IEEE 754: 1 where y is 0 or x is 1; a negative base has real powers at whole exponents alone.
fn pow_f32(x: f32, y: f32) -> f32 {
    let base = abs(x);
    let size = abs(y);
    let y_infinite = (bitcast<u32>(y) & 0x7fffffffu) == 0x7f800000u;
    let base_infinite = bitcast<u32>(base) == 0x7f800000u;
    let whole = floor(size) == size;
    let odd = whole & (size < 16777216.0) & ((u32(min(size, 16777216.0)) & 1u) == 1u);
    let small_whole = whole & (size < 64.0);
    let product = power_by_squaring(base, u32(min(size, 63.0)));
    var result = power_by_logarithm(base, y);
    result = select(result, select(product, 1.0 / product, y < 0.0), small_whole);
    // Where base or exponent is infinite, or the base 0, the result is 0 or infinity (or 1 for a base of 1).
    let grows = (base > 1.0) == (y > 0.0);
    let extreme = select(select(0.0, infinity(), grows), 1.0, base == 1.0);
    result = select(result, extreme, y_infinite | base_infinite | (base == 0.0));
    let negative = (bitcast<u32>(x) >> 31u) == 1u;
    result = select(result, -result, negative & odd);
    result = select(result, nan(), (x < 0.0) & !whole & !base_infinite);
    result = select(result, nan(), is_nan(x) | is_nan(y));
    return select(result, 1.0, (y == 0.0) | (x == 1.0));
}
