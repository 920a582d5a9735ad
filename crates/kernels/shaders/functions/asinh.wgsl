// ln(x + sqrt(x^2 + 1)), for the magnitude of x: by its polynomial up to 0.75; of a large one the root is the number itself.
fn asinh_f32(x: f32) -> f32 {
    let magnitude = abs(x);
    let z = min(magnitude * magnitude, 1.0);
    let p = fma(fma(fma(fma(fma(fma(fma(0.00195122047, z, -0.00731321157), z, 0.0143428057), z, -0.0215111914), z, 0.0302321134), z, -0.0446280865), z, 0.0749992861), z, -0.166666655);
    let small = fma(min(magnitude, 1.0) * z, p, magnitude);
    let huge = magnitude > 2048.0;
    let bounded = min(magnitude, 2048.0);
    let sum = bounded + sqrt(fma(bounded, bounded, 1.0));
    let large = log_f32(select(sum, magnitude, huge)) + select(0.0, 0.693147181, huge);
    let result = with_sign_of(select(large, small, magnitude < 0.75), x);
    return select(result, x, is_nan(x));
}
