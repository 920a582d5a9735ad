// |x|
fn abs_f32(x: f32) -> f32 {
    return abs(x);
}

// |x|, wrapping: the smallest number stays itself.
fn abs_i32(x: i32) -> i32 {
    return abs(x);
}
