// scatter_reached: at each place that units go to, the operand's elements and the sum of the units; all other places stay as they are
//
// One invocation looks at one column of one unit in the sorted order. If the unit is the first of its place, the invocation computes the
// place's element in that column: up to 64 units are added one after the other, in ascending order, and more are summed by the sums of
// `scatter_sums`, as `scatter_places` does. So the cost is that of the units, however many places there are.
//
// Bindings: the sorted keys, the order, the updates and the sums (read), a factor (read), the result (read_write), which holds the operand.
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, identity, combine, first_element, read_start, combine_units, write_result, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let entry = flat(id);
    if entry >= parameters.entries {
        return;
    }
    let first = entry / parameters.width;
    let column = entry % parameters.width;
    let place = keys[first];
    if place >= parameters.places {
        return;
    }
    if first > 0u {
        if keys[first - 1u] == place {
            return;
        }
    }
    // Where the place's units end: by steps that double, then by halving the last of them.
    var last = first + 1u;
    var beyond = last;
    var reach = 1u;
    while beyond < parameters.units {
        if keys[beyond] != place {
            break;
        }
        last = beyond + 1u;
        beyond = min(beyond + reach, parameters.units);
        reach *= 2u;
    }
    while last < beyond {
        let middle = last + (beyond - last) / 2u;
        if keys[middle] == place {
            last = middle + 1u;
        } else {
            beyond = middle;
        }
    }
    let element = first_element(place) + column;
    write_result(element, combine_units(read_start(element), first, last, column));
}
