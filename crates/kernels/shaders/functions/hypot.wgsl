// The length of the vector of both, whose squares are taken at a scale at which none overflows or vanishes.
fn hypot(x: f32, y: f32) -> f32 {
    let a = bitcast<u32>(x) & 0x7fffffffu;
    let b = bitcast<u32>(y) & 0x7fffffffu;
    // The bits of positive floats are ordered as they are.
    let longer = bitcast<f32>(max(a, b));
    let shorter = bitcast<f32>(min(a, b));
    // 2^-70 and 2^70.
    let scale = select(select(1.0, 1.1805916e21, longer < 1.0e-15), 8.4703295e-22, longer > 1.0e15);
    let unscale = select(select(1.0, 8.4703295e-22, longer < 1.0e-15), 1.1805916e21, longer > 1.0e15);
    let long = longer * scale;
    let short = shorter * scale;
    var result = sqrt(fma(long, long, short * short)) * unscale;
    result = select(result, nan(), is_nan(x) | is_nan(y));
    return select(result, infinity(), (a == 0x7f800000u) | (b == 0x7f800000u));
}
