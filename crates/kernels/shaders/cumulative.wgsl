// cumulative: result[.., i, ..] = what a function makes of all elements up to i along an axis of the contiguous [outer, extent, inner]
//
// One invocation goes through one chunk of one row, from the total of all that is before it on. A row is what stands along the axis at one
// place before it and one behind it.
//
// Bindings: the operands (read), for several chunks what is before each chunk (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Total, start, begin, step, result_of, row_start, place_index, before_chunk, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let invocation = flat(id);
    if invocation >= parameters.invocations {
        return;
    }
    let row = invocation / parameters.chunks;
    let chunk = invocation % parameters.chunks;
    let first = row_start(row);
    var place = chunk * parameters.chunk_length;
    let end = min(place + parameters.chunk_length, parameters.extent);
    var total: Total;
    if chunk == 0u {
        let index = place_index(place);
        let position = first + index * parameters.inner;
        total = begin(start(position, index));
        result[position] = result_of(total);
        place += 1u;
    } else {
        total = begin(before_chunk(invocation));
    }
    while place < end {
        let index = place_index(place);
        let position = first + index * parameters.inner;
        total = step(total, position, index);
        result[position] = result_of(total);
        place += 1u;
    }
}
