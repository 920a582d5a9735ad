// cos x = sin(x + pi / 2), the quarter turn added to the reduced angle. NaN for infinities and NaN.
fn cos_f32(x: f32) -> f32 {
    let angle = reduce_angle(x);
    let result = sin_of_angle(Angle(angle.r, angle.quadrant + 1u));
    return select(result, nan(), (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u);
}
