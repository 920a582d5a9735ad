// argmax: result[o, i] = the first j that maximises operand[o, j, i], for the contiguous operand [outer, extent, inner]
//
// Elements are compared by a key: an unsigned integer that orders as they do, with NaN above all numbers and both zeros equal. One
// invocation looks through one chunk of neighbouring candidates of one result. With more than one chunk the winners go to
// scratch, [results, chunks], and are the candidates of the next dispatch.
//
// Bindings: the operand (read), in later dispatches the candidates (read), the result or scratch (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, key, candidate.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let invocation = flat(id);
    if invocation >= parameters.invocations {
        return;
    }
    let result = invocation / parameters.chunks;
    let chunk = invocation % parameters.chunks;
    let start = (result / parameters.inner) * parameters.operand_extent * parameters.inner + result % parameters.inner;
    var place = chunk * parameters.chunk_length;
    let end = min(place + parameters.chunk_length, parameters.candidates);
    var best = candidate(result, place);
    var best_key = key(start + best * parameters.inner);
    place += 1u;
    while place < end {
        let other = candidate(result, place);
        let other_key = key(start + other * parameters.inner);
        if other_key > best_key {
            best = other;
            best_key = other_key;
        }
        place += 1u;
    }
    write_winner(invocation, best);
}
