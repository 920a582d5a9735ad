// scatter_add: result = operand, then result[.., indices[.., j, ..], ..] += updates[.., j, ..] along one axis
//
// A scatter by another function combines by that wherever this adds, here and in the other scatter shaders.
//
// For few elements and updates; the cost is their product. One invocation computes one element of the result: it goes through all j in
// ascending order and adds the updates whose index is the element's own coordinate, up to 64 of them before their sum joins
// the total, which keeps the rounding error of long sums small. The coordinates before the axis, along it and after it come
// from the shape of the result; elements whose other coordinates no update has stay as they are.
//
// Bindings: the operand (read) unless the result holds it, indices, updates (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, identity, combine, Updates, read_start, read_index, read_update, update_position, write_result.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    var sum = read_start(element);
    let place = update_position(element);
    if place.reached {
        var total = identity();
        var added = 0u;
        var is_long = false;
        var update = place.position;
        let end = place.position + parameters.updates * parameters.update_step;
        while update < end {
            if bitcast<u32>(read_index(update)) == place.coordinate {
                sum = combine(sum, read_update(update));
                added += 1u;
                if added == 64u {
                    total = combine(total, sum);
                    sum = identity();
                    added = 0u;
                    is_long = true;
                }
            }
            update += parameters.update_step;
        }
        if is_long {
            sum = combine(total, sum);
        }
    }
    write_result(element, sum);
}
