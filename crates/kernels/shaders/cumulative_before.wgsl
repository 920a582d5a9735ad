// cumulative_before: totals[row, i] = the total of all entries of the row before i
//
// One invocation goes through one chunk of one row, from the total of all chunks before it on. Nothing is before the first entry of a row,
// whose place keeps what it held and is not read.
//
// Bindings: for several chunks what is before each chunk (read), the totals (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Total, append, before_chunk, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let invocation = flat(id);
    if invocation >= parameters.invocations {
        return;
    }
    let row = invocation / parameters.chunks;
    let chunk = invocation % parameters.chunks;
    var place = row * parameters.entries + chunk * parameters.chunk_length;
    let end = min(place + parameters.chunk_length, (row + 1u) * parameters.entries);
    var before: Total;
    if chunk == 0u {
        before = totals[place];
        place += 1u;
    } else {
        before = before_chunk(invocation);
    }
    while place < end {
        let total = totals[place];
        totals[place] = before;
        before = append(before, total);
        place += 1u;
    }
}
