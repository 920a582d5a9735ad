// scatter_add: result = operand, then result[.., indices[.., j, ..], ..] += updates[.., j, ..] along one axis
//
// One invocation computes one element of the result: it goes through all j in ascending order and adds the updates whose index is the
// element's own coordinate. So there are no atomics, and the same bits come out each time. The coordinates before the axis, along it
// and after it come from the shape of the result; elements whose other coordinates no update has stay as they are.
//
// A long axis is split: a dispatch goes through first_update .. last_update, and later ones go on from what earlier ones wrote.
//
// Bindings: the operand, indices, updates (read), the result (read_write); later dispatches and those in place have no operand.
// Generated: Parameters, WORKGROUP_SIZE, Element, read_start, read_index, read_update, update_position, write_result.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = id.y * parameters.elements_per_row + id.x;
    if element >= parameters.elements {
        return;
    }
    var sum = read_start(element);
    let place = update_position(element);
    if place.reached {
        var update = place.position + parameters.first_update * parameters.update_step;
        let end = place.position + parameters.last_update * parameters.update_step;
        while update < end {
            if bitcast<u32>(read_index(update)) == place.coordinate {
                sum = sum + read_update(update);
            }
            update += parameters.update_step;
        }
    }
    write_result(element, sum);
}
