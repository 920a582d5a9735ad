// fill: result[i] = value
//
// The value travels as the bits of one word.
//
// Bindings: the result (read_write).
// Generated: Parameters, flat, the binding.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element < parameters.elements {
        result[element] = parameters.value;
    }
}
