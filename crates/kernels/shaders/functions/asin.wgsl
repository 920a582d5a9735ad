// The angle whose sine is t, for t in [0, 0.71] and its square z: a polynomial.
fn angle_of_sine(t: f32, z: f32) -> f32 {
    let p = fma(fma(fma(fma(fma(0.0375164753, z, 0.0144385879), z, 0.0318077225), z, 0.0445169548), z, 0.0750050419), z, 0.1666666);
    return fma(t * z, p, t);
}

// The angle whose sine is a magnitude up to 1/2; past 1/2 half of what that is short of a quarter turn, which keeps its digits
// next to 1. NaN past 1.
fn reduced_asin(magnitude: f32) -> f32 {
    let steep = magnitude > 0.5;
    let z = select(magnitude * magnitude, 0.5 * (1.0 - magnitude), steep);
    let t = select(magnitude, sqrt(max(z, 0.0)), steep);
    return select(angle_of_sine(t, z), nan(), (magnitude > 1.0) | is_nan(magnitude));
}

// The angle whose sine is x, from -pi/2 to pi/2; NaN outside [-1, 1]. pi/2 in two parts.
fn asin_f32(x: f32) -> f32 {
    let magnitude = abs(x);
    let angle = reduced_asin(magnitude);
    let result = select(angle, (1.57079633 - 2.0 * angle) - 4.37113883e-8, magnitude > 0.5);
    return with_sign_of(result, x);
}
