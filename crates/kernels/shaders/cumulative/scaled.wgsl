// A product that neither overflows nor underflows: mantissa * 2^exponent, with a mantissa far from both ends of the range, or 0,
// infinite or NaN.
struct Scaled {
    mantissa: f32,
    exponent: i32,
}

fn two_to_the(exponent: i32) -> f32 {
    return bitcast<f32>(u32(exponent + 127) << 23u);
}

fn brought_near(x: Scaled, by: i32) -> Scaled {
    let magnitude = abs(x.mantissa);
    let is_infinite = (bitcast<u32>(magnitude) & 0x7f800000u) == 0x7f800000u;
    if (magnitude > 4294967296.0) & !is_infinite {
        return Scaled(x.mantissa * two_to_the(-by), x.exponent + by);
    }
    if (magnitude < 2.3283064e-10) & (magnitude > 0.0) {
        return Scaled(x.mantissa * two_to_the(by), x.exponent - by);
    }
    return x;
}

fn scaled(x: f32) -> Scaled {
    return brought_near(Scaled(x, 0), 96);
}

fn scaled_product(x: Scaled, y: Scaled) -> Scaled {
    // What is far out of range stays there, and its exponent does not wrap.
    let exponent = clamp(x.exponent + y.exponent, -1000000000, 1000000000);
    return brought_near(Scaled(x.mantissa * y.mantissa, exponent), 64);
}

fn value_of(x: Scaled) -> f32 {
    let exponent = clamp(x.exponent, -360, 360);
    let third = exponent / 3;
    return x.mantissa * two_to_the(third) * two_to_the(third) * two_to_the(exponent - 2 * third);
}
