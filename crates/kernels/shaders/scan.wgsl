// scan: numbers[i] = the sum of all numbers before i
//
// One invocation goes through one chunk, from the sum of all chunks before it on.
//
// Bindings: for several chunks the prefix sums of the chunks' sums (read), the numbers (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, before_chunk, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chunk = flat(id);
    if chunk >= parameters.chunks {
        return;
    }
    var place = chunk * parameters.chunk_length;
    let end = min(place + parameters.chunk_length, parameters.numbers);
    var sum = before_chunk(chunk);
    while place < end {
        let number = numbers[place];
        numbers[place] = sum;
        sum += number;
        place += 1u;
    }
}
