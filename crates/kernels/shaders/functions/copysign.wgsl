// The magnitude of x with the sign of y, by their bits.
fn with_sign_of(x: f32, y: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(y) & 0x80000000u));
}

// The magnitude of x with the sign of y.
fn copysign(x: f32, y: f32) -> f32 {
    return with_sign_of(x, y);
}
