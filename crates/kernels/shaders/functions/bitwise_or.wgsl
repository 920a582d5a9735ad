// The bits that either has.
fn bitwise_or(x: i32, y: i32) -> i32 {
    return x | y;
}
