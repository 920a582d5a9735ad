// copy: result[destination_position(i)] = source[source_position(i)]
//
// Copies one region, or several in one dispatch: invocation i stands in the piece whose range of the regions' joined sizes holds it.
// Numbers are copied as words, narrow ones as the words of their values. Pieces do not overlap.
//
// Bindings: the sources (read), the result (read_write).
// Generated: Parameters, flat, copy_element and the positions.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element < parameters.elements {
        copy_element(element);
    }
}
