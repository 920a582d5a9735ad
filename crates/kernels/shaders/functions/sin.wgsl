// An angle as `quadrant` quarter turns and `r` radians, |r| <= pi / 4.
struct Angle {
    r: f32,
    quadrant: u32,
}

// The upper 32 bits of x * y.
fn multiply_high(x: u32, y: u32) -> u32 {
    let low = (x & 0xffffu) * (y & 0xffffu);
    let middle = (x >> 16u) * (y & 0xffffu) + (low >> 16u);
    let other = (x & 0xffffu) * (y >> 16u) + (middle & 0xffffu);
    return (x >> 16u) * (y >> 16u) + (middle >> 16u) + (other >> 16u);
}

// The angle of x >= 8192, after Payne and Hanek: x = mantissa * 2^exponent, and of 2 / pi only those 96 bits count whose
// products with the mantissa are neither whole turns nor below what r can hold.
fn reduce_large_angle(x: f32) -> Angle {
    // A word of zeros, then the binary digits of 2 / pi.
    var two_over_pi = array<u32, 9>(
        0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u,
    );
    let bits = bitcast<u32>(x);
    let mantissa = (bits & 0x7fffffu) | 0x800000u;
    let first_bit = clamp((bits >> 23u) & 0xffu, 140u, 254u) - 120u;
    let word = first_bit >> 5u;
    let shift = first_bit & 31u;
    // Shifting by 32 is undefined, hence in two steps.
    let w0 = (two_over_pi[word] << shift) | ((two_over_pi[word + 1u] >> 1u) >> (31u - shift));
    let w1 = (two_over_pi[word + 1u] << shift) | ((two_over_pi[word + 2u] >> 1u) >> (31u - shift));
    let w2 = (two_over_pi[word + 2u] << shift) | ((two_over_pi[word + 3u] >> 1u) >> (31u - shift));
    let low = mantissa * w1 + multiply_high(mantissa, w2);
    let carry = select(0u, 1u, low < mantissa * w1);
    let high = mantissa * w0 + multiply_high(mantissa, w1) + carry;
    // Two bits of quadrant, then the fraction of a quarter turn, rounded to the nearest quadrant.
    let quadrant = (high + 0x20000000u) >> 30u;
    let fraction = bitcast<i32>(high - (quadrant << 30u));
    // Its upper 12 bits times the upper 8 of pi / 2 are exact, so that the angle is rounded once.
    let upper = upper_bits(f32(fraction));
    let rest = f32(fraction - i32(upper)) * 9.31322575e-10 + f32(low) * 2.16840434e-19;
    let turn = upper * 9.31322575e-10;
    return Angle(turn * 1.5703125 + (turn * 4.83826792e-4 + rest * 1.57079633), quadrant);
}

// The angle of x. Below 8192, n quarter turns are subtracted in four parts, n times the first three of which is exact. Beside a multiple of
// pi / 2 the fourth is what r consists of; elsewhere what rounding took off r is added to it.
fn reduce_angle(x: f32) -> Angle {
    let magnitude = abs(x);
    let bounded = min(magnitude, 8192.0);
    let n = round(bounded * 0.636619772);
    let near = (bounded - n * 1.5703125) - n * 4.83751297e-4;
    let third = n * 7.54953362e-8;
    let difference = near - third;
    let r = difference + (((near - difference) - third) - n * 2.56334407e-12);
    var angle = Angle(r, u32(n));
    if magnitude >= 8192.0 {
        angle = reduce_large_angle(magnitude);
    }
    return angle;
}

// The sine of `angle` by Taylor polynomials of sine and cosine.
fn sin_of_angle(angle: Angle) -> f32 {
    let r = angle.r;
    let z = r * r;
    let sine = fma(r * z, fma(fma(fma(2.75573192e-6, z, -1.98412698e-4), z, 8.33333333e-3), z, -1.66666667e-1), r);
    let cosine = fma(z, fma(fma(fma(fma(-2.75573192e-7, z, 2.48015873e-5), z, -1.38888889e-3), z, 4.16666667e-2), z, -0.5), 1.0);
    let magnitude = select(sine, cosine, (angle.quadrant & 1u) == 1u);
    return select(magnitude, -magnitude, (angle.quadrant & 2u) == 2u);
}

// sin x: WGSL promises its own only between -pi and pi. NaN for infinities and NaN.
fn sin_f32(x: f32) -> f32 {
    let result = sin_of_angle(reduce_angle(x));
    let signed = select(result, -result, x < 0.0);
    // r keeps the sign of a zero that the comparison does not see.
    return select(select(signed, x, x == 0.0), nan(), (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u);
}
