// scatter_left: elements that no unit goes to, after a scatter_add in place whose factor is infinite or NaN
//
// Such a factor times the total of no updates, which is 0, is NaN, and so is every element that it is added to. For a finite factor there
// is nothing to do, and no element is looked at. One invocation goes through some neighbouring elements, and looks for a unit of each
// one's place in the sorted keys by halving.
//
// Bindings: the sorted keys (read), a factor (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, Element, Target, target_of, read_factor, read_start, write_result, the bindings.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // All bits of the exponent are set in what is infinite or NaN.
    if (bitcast<u32>(read_factor()) & 0x7f800000u) != 0x7f800000u {
        return;
    }
    let chunk = flat(id);
    if chunk >= parameters.chunks {
        return;
    }
    var element = chunk * parameters.chunk_length;
    let end = min(element + parameters.chunk_length, parameters.elements);
    while element < end {
        let target_place = target_of(element);
        var is_left = true;
        if target_place.is_reached {
            var low = 0u;
            var high = parameters.units;
            while low < high {
                let middle = low + (high - low) / 2u;
                if keys[middle] < target_place.place {
                    low = middle + 1u;
                } else {
                    high = middle;
                }
            }
            if low < parameters.units {
                is_left = keys[low] != target_place.place;
            }
        }
        if is_left {
            // A total of 0 that no compiler knows: of a product with the constant some take 0 to be the result.
            write_result(element, parameters.nothing);
        }
        element += 1u;
    }
}
