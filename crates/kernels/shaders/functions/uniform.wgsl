// Four rounds of Threefry-2x32 with the rotations r.
fn threefry_rounds(state: vec2<u32>, r: vec4<u32>) -> vec2<u32> {
    var x = state;
    x.x += x.y;
    x.y = ((x.y << r.x) | (x.y >> (32u - r.x))) ^ x.x;
    x.x += x.y;
    x.y = ((x.y << r.y) | (x.y >> (32u - r.y))) ^ x.x;
    x.x += x.y;
    x.y = ((x.y << r.z) | (x.y >> (32u - r.z))) ^ x.x;
    x.x += x.y;
    x.y = ((x.y << r.w) | (x.y >> (32u - r.w))) ^ x.x;
    return x;
}

// Threefry-2x32 with 20 rounds (Salmon et al. 2011): a keyed bijection of a counter.
fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let odd = vec4<u32>(13u, 15u, 26u, 6u);
    let even = vec4<u32>(17u, 29u, 16u, 24u);
    let parity = key.x ^ key.y ^ 0x1bd11bdau;
    var x = counter + key;
    x = threefry_rounds(x, odd) + vec2<u32>(key.y, parity + 1u);
    x = threefry_rounds(x, even) + vec2<u32>(parity, key.x + 2u);
    x = threefry_rounds(x, odd) + vec2<u32>(key.x, key.y + 3u);
    x = threefry_rounds(x, even) + vec2<u32>(key.y, parity + 4u);
    return threefry_rounds(x, odd) + vec2<u32>(parity, key.x + 5u);
}

// A number in [0, 1) from the upper 24 bits of the first word, under the key `seed`, for element `index` of step `step`.
fn uniform_f32(seed: vec2<u32>, index: u32, step: i32) -> f32 {
    let word = threefry(seed, vec2<u32>(index, bitcast<u32>(step))).x;
    return f32(word >> 8u) * 5.96046448e-8;
}
