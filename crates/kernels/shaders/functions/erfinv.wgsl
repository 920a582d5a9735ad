// The y with erf(y) = x: x times a polynomial in x^2, and outside polynomials in the root of -ln(1 - x^2). Infinite at -1 and 1,
// NaN outside.
fn erfinv(x: f32) -> f32 {
    let magnitude = abs(x);
    let z = min(magnitude * magnitude, 1.0);
    let central = fma(fma(fma(fma(fma(fma(fma(fma(fma(0.478842366, z, -0.686061621), z, 0.55596157), z, -0.167932338), z, 0.102683135), z, 0.057624855), z, 0.0871502416), z, 0.127531631), z, 0.232014055), z, 0.886226924);
    let inside = min(magnitude, 0.99999994);
    let root = sqrt(max(-log_f32((1.0 - inside) * (1.0 + inside)), 0.0));
    let u = root - 1.4;
    let outer = fma(fma(fma(fma(fma(fma(fma(5.70038261e-5, u, 5.12377643e-4), u, 6.59589479e-5), u, -3.8689185e-3), u, 9.76718404e-5), u, 0.0309819192), u, 0.939497031), u, 1.26727607);
    let v = root - 3.0;
    let outermost = fma(fma(fma(fma(fma(fma(fma(fma(-1.45487471e-5, v, 5.56838599e-5), v, -4.61785555e-5), v, -2.19835729e-4), v, 1.14646443e-3), v, -3.44552032e-3), v, 6.84308031e-3), v, 1.00266242), v, 2.832802);
    var result = select(select(outermost, outer, root < 2.0), magnitude * central, z < 0.5);
    result = select(result, infinity(), magnitude == 1.0);
    result = select(result, nan(), (magnitude > 1.0) | is_nan(x));
    return with_sign_of(result, x);
}
