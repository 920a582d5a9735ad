// gather: result[.., j, ..] = operand[.., indices[.., j, ..], ..] along one axis
//
// One invocation computes one element i of the result. `row_position` is where the operand has the element of i's coordinates with 0
// along the axis. An index outside the axis gives `parameters.outside`: the bits of NaN, 0 or false.
//
// Bindings: the operand and the indices (read), the result (read_write); numbers are copied as words,
// narrow ones as the words of their values.
// Generated: Parameters, flat, read_index, read_operand, row_position, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let element = flat(id);
    if element >= parameters.elements {
        return;
    }
    // A negative index is past every extent when it is read as unsigned.
    let index = bitcast<u32>(read_index(element));
    var word = parameters.outside;
    if index < parameters.axis_extent {
        word = read_operand(row_position(element) + index * parameters.axis_stride);
    }
    result[element] = word;
}
