// -x
fn neg(x: f32) -> f32 {
    return -x;
}

// -x, wrapping: the smallest number stays itself.
fn neg_i32(x: i32) -> i32 {
    return bitcast<i32>(0u - bitcast<u32>(x));
}
