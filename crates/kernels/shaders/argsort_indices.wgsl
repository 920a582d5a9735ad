// argsort_indices: result[row, i] = where in its row the element stands that is at i in the order of the row
//
// Bindings: the order of all elements, row by row (read), the result (read_write).
// Generated: Parameters, flat, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = flat(id);
    if place >= parameters.results {
        return;
    }
    let first = place / parameters.count * parameters.extent;
    result[place] = i32(order[first + place % parameters.count] - first);
}
