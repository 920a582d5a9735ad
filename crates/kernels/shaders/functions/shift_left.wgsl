// x moved up by y places; nothing is left of what is moved by 32 or more places, or by fewer than 0.
fn shift_left(x: i32, y: i32) -> i32 {
    let places = bitcast<u32>(y);
    return select(x << (places & 31u), 0, places > 31u);
}
