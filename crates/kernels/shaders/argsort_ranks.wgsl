// argsort_ranks: result[row, rank] = the element of the row that has that rank, for the ranks below `count`
//
// One invocation finds the rank of one element of a short row: how many keys of the row are below its own, or equal and before it.
//
// Bindings: the operand (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, ordered_key, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    let row = element / parameters.extent;
    let own = ordered_key(element);
    var place = row * parameters.extent;
    let end = place + parameters.extent;
    var rank = 0u;
    while place < end {
        let other = ordered_key(place);
        rank += select(0u, 1u, (other < own) | ((other == own) & (place < element)));
        place += 1u;
    }
    if rank < parameters.count {
        result[row * parameters.count + rank] = i32(element - row * parameters.extent);
    }
}
