// e^(t^2) erfc(t) for t >= 0: (1 + 2 t) times it is a polynomial in (t - 2) / (t + 2). Half of both, so that nothing overflows.
fn scaled_complement(t: f32) -> f32 {
    let bounded = min(t, 1.0e18);
    let q = (bounded - 2.0) / (bounded + 2.0);
    let p = fma(fma(fma(fma(fma(fma(fma(fma(fma(fma(fma(5.92309765e-5, q, 1.61226704e-4), q, -3.46467791e-4), q, -1.39679103e-3), q, 1.20587177e-3), q, 8.69013758e-3), q, -8.01386911e-3), q, -0.0542123216), q, 0.164048535), q, -0.166031048), q, -0.0927637162), q, 1.27697839);
    return 0.5 * p / (0.5 + t);
}

// e^(sign t^2 + small) for t in [0, 12]: of the rounded square, and of what its rounding lost.
fn exp_of_square(t: f32, sign: f32, small: f32) -> f32 {
    let square = t * t;
    let upper = bitcast<f32>(bitcast<u32>(t) & 0xfffff000u);
    let rest = (upper * upper - square) + (t - upper) * (t + upper);
    let reduced = reduced_exp(clamp(sign * square, -104.0, 89.0));
    let mantissa = 1.0 + fma(fma(sign, rest, small), 1.0 + reduced.fraction, reduced.fraction);
    let half = reduced.power / 2;
    return mantissa * power_of_two(half) * power_of_two(reduced.power - half);
}

// 1 - erf(x), exact also where it is tiny. The exponential makes up for the rounding of the sum that its factor is divided by.
fn erfc(x: f32) -> f32 {
    let t = min(abs(x), 12.0);
    let sum = 0.5 + t;
    let lost = (t - sum) + 0.5;
    let far = scaled_complement(t) * exp_of_square(t, -1.0, -lost / sum);
    let result = select(select(far, 2.0 - far, x < 0.0), 1.0 - erf(x), abs(x) < 0.47);
    return select(result, x, is_nan(x));
}
