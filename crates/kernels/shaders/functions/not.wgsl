// Whether x does not hold.
fn not(x: bool) -> bool {
    return !x;
}
