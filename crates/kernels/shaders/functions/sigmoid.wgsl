// 1 / (1 + e^-x), written with e^-|x| so that nothing overflows.
fn sigmoid(x: f32) -> f32 {
    let e = exp_f32(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
