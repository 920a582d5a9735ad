// A product that neither overflows nor underflows: mantissa * 2^exponent, with a mantissa far from both ends of the range, or 0,
// infinite or NaN. Long products keep their digits, for the mantissa is a pair.
struct Scaled {
    mantissa: Pair,
    exponent: i32,
}

fn two_to_the(exponent: i32) -> f32 {
    return bitcast<f32>(u32(exponent + 127) << 23u);
}

fn times_two_to_the(x: Pair, exponent: i32) -> Pair {
    let factor = two_to_the(exponent);
    return Pair(x.value * factor, x.lost * factor);
}

fn brought_near(x: Scaled, by: i32) -> Scaled {
    let magnitude = abs(x.mantissa.value);
    if (magnitude > 4294967296.0) & is_finite_f32(magnitude) {
        return Scaled(times_two_to_the(x.mantissa, -by), x.exponent + by);
    }
    if (magnitude < 2.3283064e-10) & (magnitude > 0.0) {
        return Scaled(times_two_to_the(x.mantissa, by), x.exponent - by);
    }
    return x;
}

fn scaled(x: Pair) -> Scaled {
    return brought_near(Scaled(x, 0), 96);
}

fn scaled_product(x: Scaled, y: Scaled) -> Scaled {
    // What is far out of range stays there, and its exponent does not wrap.
    let exponent = clamp(x.exponent + y.exponent, -1000000000, 1000000000);
    return brought_near(Scaled(pair_product(x.mantissa, y.mantissa), exponent), 64);
}

fn unscaled(x: Scaled) -> Pair {
    let exponent = clamp(x.exponent, -360, 360);
    let third = exponent / 3;
    let near = times_two_to_the(times_two_to_the(x.mantissa, third), third);
    let pair = times_two_to_the(near, exponent - 2 * third);
    return Pair(pair.value, select(0.0, pair.lost, is_finite_f32(pair.value)));
}
