// The magnitude of x with the sign of y. It chooses between two numbers: where Mesa 26 knows that x is not below 0, it makes something else of the
// magnitude's bits joined with the sign's.
fn with_sign_of(x: f32, y: f32) -> f32 {
    let magnitude = abs(x);
    return select(magnitude, -magnitude, bitcast<i32>(y) < 0);
}

// The magnitude of x with the sign of y.
fn copysign(x: f32, y: f32) -> f32 {
    return with_sign_of(x, y);
}
