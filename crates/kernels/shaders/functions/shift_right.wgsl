// x moved down by y places, its sign moving in; the sign is left of what is moved by 31 or more places, or by fewer than 0.
fn shift_right(x: i32, y: i32) -> i32 {
    return x >> min(bitcast<u32>(y), 31u);
}
