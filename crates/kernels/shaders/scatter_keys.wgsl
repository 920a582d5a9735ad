// scatter_keys: keys[u] = the place that unit u of a scatter_add goes to; order[u] = u
//
// A unit is a run of updates side by side with one index; a place is where it goes in the result. Both are counted row-major over the
// coordinates before the indexed axis, along it and after it. An index outside the axis gives the key `parameters.places`, past
// that of every place.
//
// Bindings: the indices (read), the keys and the order (read_write).
// Generated: Parameters, flat, read_index, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let unit = flat(id);
    if unit >= parameters.units {
        return;
    }
    // A negative index is past every extent when it is read as unsigned.
    let index = bitcast<u32>(read_index(unit));
    var place = parameters.places;
    if index < parameters.extent {
        let outer = unit / parameters.inner / parameters.count;
        place = (outer * parameters.extent + index) * parameters.inner + unit % parameters.inner;
    }
    keys[unit] = place;
    order[unit] = unit;
}
