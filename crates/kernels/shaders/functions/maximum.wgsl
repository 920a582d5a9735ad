// The larger of x and y; NaN if either is, and y if neither is larger, as zeros of two signs: WGSL's max leaves that open.
fn maximum(x: f32, y: f32) -> f32 {
    return select(select(y, x, x > y), x, is_nan(x));
}

// The larger of x and y.
fn maximum_i32(x: i32, y: i32) -> i32 {
    return max(x, y);
}
