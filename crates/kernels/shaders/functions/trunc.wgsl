// The integer next to x towards 0.
fn trunc_f32(x: f32) -> f32 {
    return trunc(x);
}
