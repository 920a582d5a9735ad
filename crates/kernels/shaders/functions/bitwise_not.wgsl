// The bits that x has not.
fn bitwise_not(x: i32) -> i32 {
    return ~x;
}
