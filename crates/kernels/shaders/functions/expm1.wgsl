// e^x - 1 without cancellation near 0: the Taylor polynomial where |x| < 0.35, the definition elsewhere.
fn expm1(x: f32) -> f32 {
    let tail = fma(fma(fma(fma(fma(fma(2.48015873e-5, x, 1.98412698e-4), x, 1.38888889e-3), x, 8.33333333e-3), x, 4.16666667e-2), x, 1.66666667e-1), x, 0.5);
    let result = select(exp_f32(x) - 1.0, fma(tail * x, x, x), abs(x) < 0.35);
    // The polynomial's other terms are +0 at -0, and would take its sign.
    return select(result, x, x == 0.0);
}
