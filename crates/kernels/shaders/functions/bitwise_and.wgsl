// The bits that both have.
fn bitwise_and(x: i32, y: i32) -> i32 {
    return x & y;
}
