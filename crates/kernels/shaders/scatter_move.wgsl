// scatter_move: units in the order of one digit of their keys, those of equal digits as they stood
//
// The last step of sorting by a digit. `counts[d, b]` holds how many units come before the first one of digit d in block b; the
// invocation of block b counts on from there, so that each unit has a slot of its own.
//
// Bindings: the keys and the order (read), the counts, the moved keys and the moved order (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = flat(id);
    if block >= parameters.blocks {
        return;
    }
    var unit = block * parameters.block_size;
    let end = min(unit + parameters.block_size, parameters.units);
    while unit < end {
        let key = keys[unit];
        let count = (key >> parameters.shift) % parameters.digits * parameters.blocks + block;
        let slot = counts[count];
        counts[count] = slot + 1u;
        moved_keys[slot] = key;
        moved_order[slot] = order[unit];
        unit += 1u;
    }
}
