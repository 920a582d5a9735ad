// attention_part: what a block of scores, or of keys or queries, gives: moved into a result, or added to what stands there
//
// Bindings: part (read), result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let index = flat(id);
    if index >= parameters.elements {
        return;
    }
    var value = part[index];
    //if it adds
    value += result[parameters.begin + index];
    //end
    result[parameters.begin + index] = value;
}
