// Whether at least one holds.
fn or(x: bool, y: bool) -> bool {
    return x | y;
}
