// The remainder of r 2^8 by m, for r < m < 2^24.
fn modulo_after_8_bits(r: u32, m: u32) -> u32 {
    return (r << 8u) % m;
}

// The remainder of r 2^32 by m.
fn modulo_after_32_bits(r: u32, m: u32) -> u32 {
    return modulo_after_8_bits(modulo_after_8_bits(modulo_after_8_bits(modulo_after_8_bits(r, m), m), m), m);
}

// The remainder of r 2^bits by m, for fewer than 256 bits: a long division in base 256, whose steps are written out, because loops in
// a function of elements would count among those of the kernel around it.
fn modulo_after(start: u32, bits: u32, m: u32) -> u32 {
    var r = start;
    if (bits & 128u) != 0u {
        r = modulo_after_32_bits(modulo_after_32_bits(modulo_after_32_bits(modulo_after_32_bits(r, m), m), m), m);
    }
    if (bits & 64u) != 0u {
        r = modulo_after_32_bits(modulo_after_32_bits(r, m), m);
    }
    if (bits & 32u) != 0u {
        r = modulo_after_32_bits(r, m);
    }
    if (bits & 16u) != 0u {
        r = modulo_after_8_bits(modulo_after_8_bits(r, m), m);
    }
    if (bits & 8u) != 0u {
        r = modulo_after_8_bits(r, m);
    }
    return (r << (bits & 7u)) % m;
}

// The remainder of x by y with the sign of x, exact: mantissas are integers, divided as such. NaN where y is 0 or x infinite.
fn fmod(x: f32, y: f32) -> f32 {
    let a = bitcast<u32>(x) & 0x7fffffffu;
    let b = bitcast<u32>(y) & 0x7fffffffu;
    // Of a subnormal number the exponent is that of the smallest normal one, and the leading bit is not there.
    let a_exponent = max(a >> 23u, 1u);
    let b_exponent = max(b >> 23u, 1u);
    let dividend = (a & 0x7fffffu) | select(0u, 0x800000u, a >= 0x800000u);
    let divisor = max((b & 0x7fffffu) | select(0u, 0x800000u, b >= 0x800000u), 1u);
    let shift = select(0u, a_exponent - b_exponent, a_exponent > b_exponent);
    let rest = modulo_after(dividend % divisor, shift, divisor);
    // The bits of a float of this many of the divisor's units.
    let leading = countLeadingZeros(rest | 1u) - 8u;
    let normal = ((rest << leading) & 0x7fffffu) | ((b_exponent - min(leading, b_exponent)) << 23u);
    var bits = select(normal, rest << (b_exponent - 1u), leading >= b_exponent);
    bits = select(bits, 0u, rest == 0u);
    bits = select(bits, a, a < b);
    bits = select(bits, 0x7fc00000u, (b == 0u) | (a >= 0x7f800000u) | (b > 0x7f800000u));
    return bitcast<f32>(bits | (bitcast<u32>(x) & 0x80000000u));
}

// The remainder of x by y with the sign of x; by 0 it is x.
fn fmod_i32(x: i32, y: i32) -> i32 {
    // By -1 it is 0, also for the least integer, whose quotient would overflow.
    let rest = x % select(y, 1, (y == 0) | (y == -1));
    return select(rest, x, y == 0);
}
