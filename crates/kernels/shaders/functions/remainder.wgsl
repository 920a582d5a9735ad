// The remainder of x by y with the sign of y. NaN where y is 0 or x infinite.
fn remainder(x: f32, y: f32) -> f32 {
    let rest = fmod(x, y);
    return select(rest, rest + y, (rest != 0.0) & !is_nan(rest) & ((rest < 0.0) != (y < 0.0)));
}

// The remainder of x by y with the sign of y; by 0 it is x.
fn remainder_i32(x: i32, y: i32) -> i32 {
    let rest = fmod_i32(x, y);
    return select(rest, rest + y, (y != 0) & (rest != 0) & ((rest < 0) != (y < 0)));
}
