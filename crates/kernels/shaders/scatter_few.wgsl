// scatter_few: in place, at each place that units go to, the operand's elements and the units, combined; all other places stay as they are
//
// For few units along the axis. One invocation looks at one column of one unit. If no unit before it has its index, it combines the place's
// element with all units of that index, one after the other in ascending order. Nothing is sorted, and one dispatch is all.
//
// Bindings: the indices and the updates (read), the result (read_write), which holds the operand.
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, combine, first_element, read_start, read_index, read_update, write_result, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let entry = flat(id);
    if entry >= parameters.entries {
        return;
    }
    let unit = entry / parameters.width;
    let column = entry % parameters.width;
    // A negative index is past every extent when it is read as unsigned.
    let index = bitcast<u32>(read_index(unit));
    if index >= parameters.extent {
        return;
    }
    let outer = unit / parameters.inner / parameters.count;
    let inner = unit % parameters.inner;
    var other = outer * parameters.count * parameters.inner + inner;
    let end = other + parameters.count * parameters.inner;
    while other < unit {
        if bitcast<u32>(read_index(other)) == index {
            return;
        }
        other += parameters.inner;
    }
    let element = first_element((outer * parameters.extent + index) * parameters.inner + inner) + column;
    var sum = read_start(element);
    while other < end {
        if bitcast<u32>(read_index(other)) == index {
            sum = combine(sum, read_update(other * parameters.width + column));
        }
        other += parameters.inner;
    }
    write_result(element, sum);
}
