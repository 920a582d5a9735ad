// Whether both hold.
fn and(x: bool, y: bool) -> bool {
    return x & y;
}
