// e^(x^2) erfc(x). From -9.5 on down it is infinite.
fn erfcx(x: f32) -> f32 {
    let magnitude = abs(x);
    let right = select(scaled_complement(magnitude), 0.0, bitcast<u32>(magnitude) == 0x7f800000u);
    let left = select(2.0 * exp_of_square(min(magnitude, 9.5), 1.0, 0.0) - right, infinity(), magnitude >= 9.5);
    let result = select(right, left, x < 0.0);
    return select(result, x, is_nan(x));
}
