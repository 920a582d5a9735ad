// x - y
fn sub(x: f32, y: f32) -> f32 {
    return x - y;
}

// x - y, wrapping.
fn sub_i32(x: i32, y: i32) -> i32 {
    return x - y;
}
