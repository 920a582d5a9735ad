// scatter_sums: the sum of 64 neighbouring entries, where all of them go to one place
//
// Entries of the first level are units in the sorted order, entries of each further level the sums of the level before. A place that
// many units go to is then summed by few entries of each level, whatever their number, and always by the same tree. Sums
// that would mix places are not needed and not written.
//
// One invocation sums one column of 64 units' elements, by four accumulators.
//
// Bindings: the sorted keys (read), in the first level the order and the updates (read), the sums of all levels (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, identity, combine, read_entry, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    let chunk = element / parameters.width;
    let column = element % parameters.width;
    let key = keys[chunk * parameters.span];
    if key >= parameters.places || key != keys[(chunk + 1u) * parameters.span - 1u] {
        return;
    }
    var sum0 = identity();
    var sum1 = identity();
    var sum2 = identity();
    var sum3 = identity();
    var entry = chunk * 64u;
    let end = entry + 64u;
    while entry < end {
        sum0 = combine(sum0, read_entry(entry, column));
        sum1 = combine(sum1, read_entry(entry + 1u, column));
        sum2 = combine(sum2, read_entry(entry + 2u, column));
        sum3 = combine(sum3, read_entry(entry + 3u, column));
        entry += 4u;
    }
    sums[parameters.first_sum + element] = combine(combine(sum0, sum1), combine(sum2, sum3));
}
