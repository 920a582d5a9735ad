// The nearest integer; of two equally near, the even one.
fn round_f32(x: f32) -> f32 {
    return round(x);
}
