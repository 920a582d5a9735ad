// The angle whose cosine is x, from 0 to pi; NaN outside [-1, 1].
fn acos_f32(x: f32) -> f32 {
    let magnitude = abs(x);
    let angle = reduced_asin(magnitude);
    let flat = (1.57079633 - with_sign_of(angle, x)) - 4.37113883e-8;
    let behind = (3.14159265 - 2.0 * angle) - 8.74227766e-8;
    return select(flat, select(2.0 * angle, behind, x < 0.0), magnitude > 0.5);
}
