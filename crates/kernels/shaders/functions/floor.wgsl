// The largest integer that is not above x.
fn floor_f32(x: f32) -> f32 {
    return floor(x);
}
