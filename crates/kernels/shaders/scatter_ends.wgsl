// scatter_ends: ends[p] = how many units go to place p or to one before it
//
// The units of place p stand from ends[p - 1] to ends[p] in the sorted order. One invocation looks for one end by halving.
//
// Bindings: the sorted keys (read), the ends (read_write).
// Generated: Parameters, flat, the bindings.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let place = flat(id);
    if place >= parameters.places {
        return;
    }
    var low = 0u;
    var high = parameters.units;
    while low < high {
        let middle = low + (high - low) / 2u;
        if keys[middle] <= place {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    ends[place] = low;
}
