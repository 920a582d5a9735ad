// scatter_places: result = operand, and at each place the sum of the units that go there
//
// One invocation computes one element of the result. Up to 64 units are added to the operand one after the other, in ascending order.
// More are summed by the sums of `scatter_sums`: of each level the entries before the first and after the last whole chunk of 64, and of
// the last level all. Of units that replace one another the last stands there.
//
// Bindings: the operand (read) unless the result holds it, the order, the ends and the updates (read), the sums (read), the result
// (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, identity, combine, Target, read_start, target_of, combine_units, write_result, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    var sum = read_start(element);
    let target_place = target_of(element);
    if target_place.is_reached {
        var first = 0u;
        if target_place.place > 0u {
            first = ends[target_place.place - 1u];
        }
        sum = combine_units(sum, first, ends[target_place.place], target_place.column);
    }
    write_result(element, sum);
}
