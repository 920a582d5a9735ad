// The 16 bits of the element at `place` in the word that it shares with its neighbour.
fn half_of(word: u32, place: u32) -> u32 {
    return (word >> (16u * (place & 1u))) & 0xffffu;
}

// 16 bits where the element at `place` stands in the word that it shares with its neighbour.
fn in_half(bits: u32, place: u32) -> u32 {
    return bits << (16u * (place & 1u));
}

// The bits of the neighbour of the element at `place` in the word that they share.
fn other_half(place: u32) -> u32 {
    return 0xffff0000u >> (16u * (place & 1u));
}

// The f32 that these bits of an f16 hold. Subnormal numbers and NaN are made of integers, which no adapter flushes or loses.
fn f16_to_f32(bits: u32) -> f32 {
    let exponent = (bits >> 10u) & 0x1fu;
    let fraction = bits & 0x3ffu;
    let normal = ((exponent + 112u) << 23u) | (fraction << 13u);
    let subnormal = bitcast<u32>(f32(fraction) * 5.9604644775390625e-8);
    let special = 0x7f800000u | (fraction << 13u);
    let magnitude = select(select(normal, subnormal, exponent == 0u), special, exponent == 31u);
    return bitcast<f32>(((bits & 0x8000u) << 16u) | magnitude);
}

// The bits of the f16 nearest to x, of two the even one; infinity from 65520 on, NaN for NaN.
fn f32_to_f16(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    let normal = (magnitude - (112u << 23u) + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u;
    let significand = (magnitude & 0x7fffffu) | 0x800000u;
    let shift = clamp(126u - (magnitude >> 23u), 14u, 25u);
    let subnormal = (significand + (1u << (shift - 1u)) - 1u + ((significand >> shift) & 1u)) >> shift;
    let nan = 0x7e00u | ((magnitude >> 13u) & 0x3ffu);
    let rounded = select(normal, subnormal, magnitude < 0x38800000u);
    let finite = select(rounded, 0x7c00u, magnitude >= 0x47800000u);
    return ((bits >> 16u) & 0x8000u) | select(finite, nan, magnitude > 0x7f800000u);
}

// The f32 whose upper half these bits are.
fn bf16_to_f32(bits: u32) -> f32 {
    return bitcast<f32>(bits << 16u);
}

// The bits of the bf16 nearest to x, of two the even one; infinity past the largest, NaN for NaN.
fn f32_to_bf16(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
    return select(rounded, (bits >> 16u) | 0x40u, (bits & 0x7fffffffu) > 0x7f800000u);
}

// The f16 nearest to x, as f32.
fn round_to_f16(x: f32) -> f32 {
    return f16_to_f32(f32_to_f16(x));
}

// The bf16 nearest to x, as f32.
fn round_to_bf16(x: f32) -> f32 {
    return bf16_to_f32(f32_to_bf16(x));
}

// The 8 bits of the element at `place` in the word that it shares with three neighbours.
fn quarter_of(word: u32, place: u32) -> u32 {
    return (word >> (8u * (place & 3u))) & 0xffu;
}

// 8 bits where the element at `place` stands in the word that it shares with three neighbours.
fn in_quarter(bits: u32, place: u32) -> u32 {
    return bits << (8u * (place & 3u));
}

// The bits of the neighbours of the element at `place` in the word that they share.
fn other_quarters(place: u32) -> u32 {
    return ~(0xffu << (8u * (place & 3u)));
}

// The i32 that these bits of an integer without a sign hold.
fn u8_to_i32(bits: u32) -> i32 {
    return i32(bits);
}

// The i32 that these bits of an integer with a sign hold.
fn i8_to_i32(bits: u32) -> i32 {
    return bitcast<i32>(bits << 24u) >> 24u;
}

// The lowest 8 bits of x, which are those of an integer with a sign too.
fn i32_to_u8(x: i32) -> u32 {
    return bitcast<u32>(x) & 0xffu;
}
