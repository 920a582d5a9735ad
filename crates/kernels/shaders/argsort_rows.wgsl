// argsort_rows: keys[e] = the row of the element that stands at e in the order
//
// Elements of all rows are sorted by their keys together, and then by their rows: those of a row keep the order of their keys.
//
// Bindings: the order (read), the keys (read_write).
// Generated: Parameters, flat, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    keys[element] = order[element] / parameters.extent;
}
