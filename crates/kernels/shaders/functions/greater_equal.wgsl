// x >= y; false where either is NaN.
fn greater_equal(x: f32, y: f32) -> bool {
    return (x >= y) & !is_nan(x) & !is_nan(y);
}

// x >= y
fn greater_equal_i32(x: i32, y: i32) -> bool {
    return x >= y;
}
