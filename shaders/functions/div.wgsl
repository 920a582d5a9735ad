// x / y
fn div(x: f32, y: f32) -> f32 {
    return x / y;
}

// x / y, truncated; 0 where y is 0.
fn div_i32(x: i32, y: i32) -> i32 {
    return select(x / select(y, 1, y == 0), 0, y == 0);
}
