// The whole part of x, at most the largest and at least the smallest i32; 0 for NaN.
fn f32_to_i32(x: f32) -> i32 {
    let inside = select(x, 0.0, (x >= 2147483648.0) | (x < -2147483648.0) | is_nan(x));
    let outside = select(0, select(-0x7fffffff - 1, 0x7fffffff, x > 0.0), !is_nan(x));
    return select(i32(inside), outside, (x >= 2147483648.0) | (x < -2147483648.0));
}

// The nearest f32.
fn i32_to_f32(x: i32) -> f32 {
    return f32(x);
}

// Whether x is anything but zero, NaN included.
fn f32_to_bool(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) != 0u;
}

// Whether x is anything but zero.
fn i32_to_bool(x: i32) -> bool {
    return x != 0;
}

// 1 where x holds, else 0.
fn bool_to_f32(x: bool) -> f32 {
    return select(0.0, 1.0, x);
}

// 1 where x holds, else 0.
fn bool_to_i32(x: bool) -> i32 {
    return select(0, 1, x);
}
