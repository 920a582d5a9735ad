// The upper 12 bits of a number. A product of two such numbers is exact, whether or not an adapter fuses it with a sum.
fn upper_bits(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

// log2 m for m in [0.707, 1.414), as a number of 12 bits and the rest. m = c (1 + s) / (1 - s) with c next to m, so that s is below 0.062
// and the series of artanh s ends soon. s and 2 / ln 2 are in two parts too: an exponent multiplies what is lost by up to 150 / log2 m.
fn log2_in_parts(m: f32) -> vec2<f32> {
    let above = m > 1.118;
    let below = m < 0.893;
    let c = select(select(1.0, 1.25, above), 0.796875, below);
    // log2 c in two parts, the first of 12 bits.
    let high = select(select(0.0, 0.321899414, above), -0.327514648, below);
    let low = select(select(0.0, 2.86808245e-5, above), -6.00095918e-5, below);
    let sum = m + c;
    let sum_upper = upper_bits(sum);
    let sum_rest = (c - sum_upper) + m;
    let difference = m - c;
    let s = difference / sum;
    let upper = upper_bits(s);
    let lower = ((difference - upper * sum_upper) - upper * sum_rest) / sum;
    let z = s * s;
    let tail = fma(fma(0.412198573, z, 0.577078044), z, 0.961796701);
    let rest = fma(s * z, tail, fma(upper, 6.24456792e-4, fma(lower, 2.88539008, low)));
    let leading = upper * 2.88476562;
    let value = high + leading;
    let corrected = ((high - value) + leading) + rest;
    let first = upper_bits(value + corrected);
    return vec2<f32>(first, (value - first) + corrected);
}

// x^y for finite x > 0 and finite y, as 2^(y (e + log2 m)) with x = 2^e m. The upper parts of y times e and times that of log2 m are exact, and
// the whole part n is taken off them before anything is rounded. What is left stays in two parts, so that powers which f32
// holds come out exactly.
fn power_by_logarithm(x: f32, y: f32) -> f32 {
    let subnormal = x < 1.17549435e-38;
    let bits = bitcast<u32>(select(x, x * 8388608.0, subnormal));
    let shifted = bits + (0x3f800000u - 0x3f3504f3u);
    let exponent = f32(i32(shifted >> 23u) - 127) - select(0.0, 23.0, subnormal);
    let logarithm = log2_in_parts(bitcast<f32>((shifted & 0x7fffffu) + 0x3f3504f3u));
    let bounded = clamp(y, -1.0e30, 1.0e30);
    let upper = upper_bits(bounded);
    let lower = bounded - upper;
    let total = bounded * (exponent + (logarithm.x + logarithm.y));
    let n = round(clamp(total, -152.0, 130.0));
    let first = (upper * exponent - n) + upper * logarithm.x;
    let second = fma(bounded, logarithm.y, fma(lower, logarithm.x, lower * exponent));
    let r = clamp(first + second, -1.0, 1.0);
    let r_upper = upper_bits(r);
    let r_lower = clamp((first - r_upper) + second, -1.0, 1.0);
    // 2^r - 1 = r ln 2 + r^2 p, of which the upper part of r times that of ln 2 is exact.
    let p = fma(fma(fma(fma(fma(1.51961558e-5, r, 1.54667563e-4), r, 1.33339351e-3), r, 9.61803813e-3), r, 0.0555041037), r, 0.240226511);
    let small = fma(r * r, p, fma(r_upper, 3.19461833e-5, r_lower * 0.693147181));
    let leading = r_upper * 0.693115234;
    let sum = 1.0 + leading;
    let mantissa = sum + (((1.0 - sum) + leading) + small);
    let half = i32(n) / 2;
    let result = mantissa * power_of_two(half) * power_of_two(i32(n) - half);
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
    // A square or cube is a product or two; more of them would lose more than the logarithm does.
    let product = base * base * select(1.0, base, y == 3.0);
    var result = select(power_by_logarithm(base, y), product, (y == 2.0) | (y == 3.0));
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

// x^y of integers, which wraps, by squaring. Of negative exponents there are those of 1 and -1; all other powers are 0.
fn pow_i32(x: i32, y: i32) -> i32 {
    var product = 1;
    var square = x;
    for (var rest = u32(max(y, 0)); rest != 0u; rest = rest >> 1u) {
        product = product * select(1, square, (rest & 1u) == 1u);
        square = square * square;
    }
    let sign = select(1, x, (y & 1) == 1);
    return select(product, select(0, sign, (x == 1) | (x == -1)), y < 0);
}
