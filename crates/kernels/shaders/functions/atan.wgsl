// The angle whose tangent is x, from -pi/2 to pi/2: that of the point (1, x).
fn atan_f32(x: f32) -> f32 {
    return atan2_f32(x, 1.0);
}
