// searchsorted: result[v] = how many elements of a sorted sequence stand before the first that does not go before value v
//
// One invocation searches for one value by halving. `goes_on` says whether an element is before the place that is searched for; every element
// is before that of NaN.
//
// Bindings: the sequences and the values (read), the result (read_write).
// Generated: Parameters, flat, goes_on, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.values {
        return;
    }
    let first = element / parameters.row * parameters.length;
    var start = 0u;
    var end = parameters.length;
    while start < end {
        let middle = start + (end - start) / 2u;
        if goes_on(first + middle, element) {
            start = middle + 1u;
        } else {
            end = middle;
        }
    }
    result[element] = i32(start);
}
