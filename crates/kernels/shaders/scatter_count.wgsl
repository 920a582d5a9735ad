// scatter_count: counts[d, b] = how many keys of block b have the digit d
//
// The first step of sorting units by one digit of their keys, the least significant one first. One invocation counts one block of
// neighbouring units into numbers that no other invocation touches.
//
// Bindings: the keys (read), the counts (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = flat(id);
    if block >= parameters.blocks {
        return;
    }
    for (var digit = 0u; digit < parameters.digits; digit += 1u) {
        counts[digit * parameters.blocks + block] = 0u;
    }
    var unit = block * parameters.block_size;
    let end = min(unit + parameters.block_size, parameters.units);
    while unit < end {
        let digit = (keys[unit] >> parameters.shift) % parameters.digits;
        counts[digit * parameters.blocks + block] += 1u;
        unit += 1u;
    }
}
