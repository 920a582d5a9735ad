// scatter_replace: result = operand, then result[.., indices[.., j, ..], ..] = updates[.., j, ..] along one axis, the last j at last
//
// For few elements and updates; the cost is their product. One invocation computes one element of the result: it goes through all j in
// descending order, to the first update whose index is the element's own coordinate. The coordinates before the axis, along it and after it
// come from the shape of the result; elements whose other coordinates no update has stay as they are.
//
// Bindings: the operand (read) unless the result holds it, indices, updates (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, Updates, read_start, read_index, read_update, update_position, write_result.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    var value = read_start(element);
    let place = update_position(element);
    if place.reached {
        var update = place.position + parameters.updates * parameters.update_step;
        while update > place.position {
            update -= parameters.update_step;
            if bitcast<u32>(read_index(update)) == place.coordinate {
                value = read_update(update);
                break;
            }
        }
    }
    write_result(element, value);
}
