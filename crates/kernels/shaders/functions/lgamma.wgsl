// ln gamma(x) for x in [1, 2]: (x - 1) (x - 2) times a polynomial, exact next to both zeros.
fn lgamma_between(x: f32) -> f32 {
    let u = x - 1.5;
    let p = fma(fma(fma(fma(fma(fma(fma(fma(fma(-1.52644179e-3, u, 2.44835225e-3), u, -3.11588628e-3), u, 5.32519073e-3), u, -9.43649262e-3), u, 0.0168082224), u, -0.0313079913), u, 0.0629110477), u, -0.145959902), u, 0.483128952);
    return (x - 1.0) * (x - 2.0) * p;
}

// ln gamma(x) for x > 0: below 8 by the factors that lead from x into [1, 2], from there by Stirling's series.
fn lgamma_positive(x: f32) -> f32 {
    var y = select(x, x + 1.0, x < 1.0);
    var factors = 1.0;
    let y1 = select(y, y - 1.0, y > 2.0);
    factors *= select(1.0, y1, y > 2.0);
    let y2 = select(y1, y1 - 1.0, y1 > 2.0);
    factors *= select(1.0, y2, y1 > 2.0);
    let y3 = select(y2, y2 - 1.0, y2 > 2.0);
    factors *= select(1.0, y3, y2 > 2.0);
    let y4 = select(y3, y3 - 1.0, y3 > 2.0);
    factors *= select(1.0, y4, y3 > 2.0);
    let y5 = select(y4, y4 - 1.0, y4 > 2.0);
    factors *= select(1.0, y5, y4 > 2.0);
    let y6 = select(y5, y5 - 1.0, y5 > 2.0);
    factors *= select(1.0, y6, y5 > 2.0);
    let below_one = x < 1.0;
    let logarithm = log_f32(select(factors, x, below_one));
    let near = lgamma_between(clamp(y6, 1.0, 2.0)) + select(logarithm, -logarithm, below_one);
    let inverse = 1.0 / max(x, 1.0);
    let v = inverse * inverse;
    let series = inverse * fma(fma(7.93650794e-4, v, -2.77777778e-3), v, 0.0833333333);
    let far = (x - 0.5) * (log_f32(x) - 1.0) + (0.418938533 + series);
    return select(near, far, x >= 8.0);
}

// ln |gamma(x)|: infinite at 0 and the negative integers. Below 0 by the reflection pi / (x sin(pi x) gamma(x)).
fn lgamma(x: f32) -> f32 {
    let magnitude = abs(x);
    let bounded = min(magnitude, 8388608.0);
    let from_integer = abs(bounded - round(bounded));
    let positive = lgamma_positive(magnitude);
    let sine = log_f32(sin_f32(3.14159265 * from_integer));
    let reflected = ((1.14472989 - log_f32(magnitude)) - sine) - positive;
    // Next to 0 the function is -ln |x|, and the sine's logarithm is not finite for the smallest ones.
    var result = select(positive, select(reflected, -log_f32(magnitude), magnitude < 1.0e-10), x < 0.0);
    result = select(result, infinity(), (magnitude > 3.0e38) | (magnitude == 0.0) | ((x < 0.0) & (from_integer == 0.0)));
    return select(result, x, is_nan(x));
}
