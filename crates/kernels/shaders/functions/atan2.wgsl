// The angle of the point (x, y), from -pi to pi. The quotient of the shorter side by the longer gives an angle up to pi/4, of which
// pi/4 is taken off where that leaves less: atan t = pi/4 + atan((t - 1) / (t + 1)). The rest says in which octant the point is.
fn atan2_f32(y: f32, x: f32) -> f32 {
    let side = bitcast<u32>(x) & 0x7fffffffu;
    let other = bitcast<u32>(y) & 0x7fffffffu;
    // The bits of positive floats are ordered as they are.
    let shorter = bitcast<f32>(min(side, other));
    let longer = bitcast<f32>(max(side, other));
    // At half scale where the longer side is so large that its reciprocal is subnormal, which hardware may take for 0.
    let scale = select(1.0, 0.0625, longer > 1.0e37);
    var t = (shorter * scale) / (longer * scale);
    t = select(t, 1.0, side == other);
    t = select(t, 0.0, max(side, other) == 0u);
    let steep = t > 0.66;
    let u = select(t, (t - 1.0) / (t + 1.0), steep);
    let z = u * u;
    let p = fma(fma(fma(fma(fma(fma(-0.0178209204, z, 0.0516304442), z, -0.0830590067), z, 0.109686277), z, -0.142714476), z, 0.19999311), z, -0.33333322);
    var angle = fma(u * z, p, u);
    // pi/4, pi/2 and pi in two parts: the second is what the first is short of it.
    angle = select(angle, 0.785398163 + (angle - 2.18556941e-8), steep);
    angle = select((1.57079633 - angle) - 4.37113883e-8, angle, other < side);
    angle = select(angle, 0.0, max(side, other) == 0u);
    angle = select(angle, (3.14159265 - angle) - 8.74227766e-8, (bitcast<u32>(x) >> 31u) == 1u);
    angle = select(angle, nan(), is_nan(x) | is_nan(y));
    return with_sign_of(angle, y);
}
