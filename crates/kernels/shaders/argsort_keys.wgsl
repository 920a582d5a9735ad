// argsort_keys: keys[e] = an unsigned integer that orders as the elements do; order[e] = e
//
// Bindings: the operand (read), the keys and the order (read_write).
// Generated: Parameters, flat, ordered_key, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    keys[element] = ordered_key(element);
    order[element] = element;
}
