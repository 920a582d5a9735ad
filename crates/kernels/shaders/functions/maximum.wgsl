// The larger of x and y; NaN if either is.
fn maximum(x: f32, y: f32) -> f32 {
    return select(select(max(x, y), y, is_nan(y)), x, is_nan(x));
}

// The larger of x and y.
fn maximum_i32(x: i32, y: i32) -> i32 {
    return max(x, y);
}
