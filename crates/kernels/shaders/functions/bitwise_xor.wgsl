// The bits that one has and the other has not.
fn bitwise_xor(x: i32, y: i32) -> i32 {
    return x ^ y;
}
