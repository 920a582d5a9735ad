// scan_sums: sums[c] = the sum of the numbers of chunk c
//
// Prefix sums of many numbers begin with the sums of chunks, which get prefix sums of their own before `scan` goes through the chunks.
//
// Bindings: the numbers (read), the sums (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chunk = flat(id);
    if chunk >= parameters.chunks {
        return;
    }
    var place = chunk * parameters.chunk_length;
    let end = min(place + parameters.chunk_length, parameters.numbers);
    var sum = 0u;
    while place < end {
        sum += numbers[place];
        place += 1u;
    }
    sums[chunk] = sum;
}
