// The trigamma function for x > 0, by the terms that lead past 6 and the asymptotic series.
fn trigamma_positive(x: f32) -> f32 {
    let y1 = select(x, x + 1.0, x < 6.0);
    let y2 = select(y1, y1 + 1.0, y1 < 6.0);
    let y3 = select(y2, y2 + 1.0, y2 < 6.0);
    let y4 = select(y3, y3 + 1.0, y3 < 6.0);
    let y5 = select(y4, y4 + 1.0, y4 < 6.0);
    let y6 = select(y5, y5 + 1.0, y5 < 6.0);
    let inverse = 1.0 / y6;
    let v = inverse * inverse;
    let series = fma(fma(fma(0.0238095238, v, -0.0333333333), v, 0.166666667) * v, inverse, fma(0.5, v, inverse));
    let terms = ((select(0.0, 1.0 / (y5 * y5), y5 < 6.0) + select(0.0, 1.0 / (y4 * y4), y4 < 6.0))
        + select(0.0, 1.0 / (y3 * y3), y3 < 6.0)) + (select(0.0, 1.0 / (y2 * y2), y2 < 6.0) + select(0.0, 1.0 / (y1 * y1), y1 < 6.0));
    return select(0.0, (1.0 / x) / x, x < 6.0) + (terms + series);
}

// The derivative of the digamma function: infinite at 0 and the negative integers. Below 0 by the reflection at 1/2.
fn trigamma(x: f32) -> f32 {
    let negative = x < 0.0;
    let bounded = clamp(x, -8388608.0, 0.0);
    let from_integer = bounded - round(bounded);
    let positive = trigamma_positive(select(x, 1.0 - x, negative));
    let slope = 3.14159265 / sin_f32(3.14159265 * from_integer);
    var result = select(positive, slope * slope - positive, negative);
    result = select(result, 0.0, bitcast<u32>(x) == 0x7f800000u);
    result = select(result, infinity(), (abs(x) < 5.0e-20) | (negative & (from_integer == 0.0)));
    return select(result, nan(), is_nan(x) | (x < -3.4028234663852886e38));
}
