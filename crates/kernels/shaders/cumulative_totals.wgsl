// cumulative_totals: totals[row, chunk] = the total of the entries of one chunk of one row
//
// A cumulative operation over a long axis begins with the totals of chunks, and the totals of chunks of those, until one chunk is all.
//
// Bindings: the operands, or the totals of the level below (read); the totals (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Total, append, entry, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let invocation = flat(id);
    if invocation >= parameters.invocations {
        return;
    }
    let row = invocation / parameters.chunks;
    var place = (invocation % parameters.chunks) * parameters.chunk_length;
    let end = min(place + parameters.chunk_length, parameters.entries);
    var total = entry(row, place);
    place += 1u;
    while place < end {
        total = append(total, entry(row, place));
        place += 1u;
    }
    totals[invocation] = total;
}
