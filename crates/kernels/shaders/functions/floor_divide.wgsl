// x / y rounded down, of the true quotient: what the exact remainder leaves is a multiple of y.
fn floor_divide(x: f32, y: f32) -> f32 {
    let quotient = x / y;
    let rest = fmod(x, y);
    let adjusted = (rest != 0.0) & ((rest < 0.0) != (y < 0.0));
    let whole = (x - rest) / y - select(0.0, 1.0, adjusted);
    let below = floor(whole);
    var result = select(below, below + 1.0, whole - below > 0.5);
    result = select(result, with_sign_of(0.0, quotient), whole == 0.0);
    result = select(result, nan(), is_nan(rest));
    return select(result, quotient, y == 0.0);
}

// x / y rounded down; by 0 it is 0.
fn floor_divide_i32(x: i32, y: i32) -> i32 {
    let divisor = select(y, 1, (y == 0) | (y == -1));
    let whole = x / divisor;
    let rest = x - whole * divisor;
    let result = whole - select(0, 1, (rest != 0) & ((rest < 0) != (divisor < 0)));
    return select(select(result, 0 - x, y == -1), 0, y == 0);
}
