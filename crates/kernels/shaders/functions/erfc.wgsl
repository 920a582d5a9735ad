// e^(t^2) erfc(t) for t >= 0: (1 + 2 t) times it is a polynomial in (t - 2) / (t + 2). Half of both, so that nothing overflows.
fn scaled_complement(t: f32) -> f32 {
    let bounded = min(t, 1.0e18);
    let q = (bounded - 2.0) / (bounded + 2.0);
    let p = fma(fma(fma(fma(fma(fma(fma(fma(fma(fma(fma(5.92309765e-5, q, 1.61226704e-4), q, -3.46467791e-4), q, -1.39679103e-3), q, 1.20587177e-3), q, 8.69013758e-3), q, -8.01386911e-3), q, -0.0542123216), q, 0.164048535), q, -0.166031048), q, -0.0927637162), q, 1.27697839);
    return 0.5 * p / (0.5 + t);
}

// e^(sign t^2) for t in [0, 12]: of the rounded square, and then of what its rounding lost.
fn exp_of_square(t: f32, sign: f32) -> f32 {
    let square = t * t;
    let upper = bitcast<f32>(bitcast<u32>(t) & 0xfffff000u);
    let rest = (upper * upper - square) + (t - upper) * (t + upper);
    return exp_f32(sign * square) * (1.0 + sign * rest);
}

// 1 - erf(x), exact also where it is tiny.
fn erfc(x: f32) -> f32 {
    let t = min(abs(x), 12.0);
    let far = scaled_complement(t) * exp_of_square(t, -1.0);
    let result = select(select(far, 2.0 - far, x < 0.0), 1.0 - erf(x), abs(x) < 0.47);
    return select(result, x, is_nan(x));
}
