// The smaller of x and y; NaN if either is, and y if neither is smaller, as zeros of two signs: WGSL's min leaves that open.
fn minimum(x: f32, y: f32) -> f32 {
    return select(select(y, x, x < y), x, is_nan(x));
}

// The smaller of x and y.
fn minimum_i32(x: i32, y: i32) -> i32 {
    return min(x, y);
}
