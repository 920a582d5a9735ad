// 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x. Up to 1, x and x times a polynomial in x^2; from there 1 - e^-p(|x|), where
// the polynomial p approximates -ln(1 - erf); past 4 the result is 1.
fn erf(x: f32) -> f32 {
    let z = min(x * x, 1.0);
    let inner = fma(fma(fma(fma(fma(fma(7.88911857e-5, z, -8.02084105e-4), z, 5.18953521e-3), z, -2.68544443e-2), z, 1.12836003e-1), z, -3.76126260e-1), z, 0.128379167);
    let t = clamp(abs(x), 0.95, 4.0);
    let p = fma(fma(fma(fma(fma(fma(-1.91504689e-4, t, 2.99954601e-3), t, -2.20520180e-2), t, 1.03566937e-1), t, 6.37600005e-1), t, 1.12742615), t, 2.56439175e-4);
    let outer = 1.0 - exp_f32(-p);
    let result = select(select(outer, -outer, x < 0.0), fma(x, inner, x), abs(x) < 1.0);
    return select(result, x, is_nan(x));
}
