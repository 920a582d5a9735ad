// attention: output[h, t] = (sum over keys j of e^s_j value[g, j]) / (sum over j of e^s_j), statistics[h, t] = (largest, ln(sum over j of
// e^(s_j - largest))), where nothing is attended (0, 0)
//
// with s_j = scale * query[h, t] . key[g, j] plus the mask, and g the group of the head h. One invocation has a row in
// registers: it goes over the keys, and where the row's largest score grows, what it summed before is multiplied by what that is
// worth now. Sums of 64 keys are added to the total, so that long sums keep their digits. With more keys than one dispatch goes over,
// each but the last leaves what it has summed as it is, and the next goes on from there: the bits are those of one dispatch.
//
// Bindings: query, key, value, the mask (read), output, running (two numbers a row, between dispatches), statistics (two numbers a row, of the last) (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, query_start, key_start, value_start, read_query, read_key, read_value, masked, read_output, write_output,
// write_statistics. Lines with `#d` stand once for each four numbers of a key, and with `#w` for each four of a value.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = flat(id);
    if row >= parameters.rows {
        return;
    }
    let head = row / parameters.positions;
    let group = head / parameters.heads_of_a_group;
    let query_head = query_start(head);
    let key_group = key_start(group);
    let value_group = value_start(group);
    let position = row % parameters.positions;
    let query_row = query_head + position * parameters.query_stride;
    let query_#d = read_query(query_row, #du);
    var largest = -infinity();
    var sum = 0.0;
    var output_#w = vec4<f32>();
    //if it goes on
    largest = running[2u * row];
    sum = running[2u * row + 1u];
    output_#w = read_output(row, #wu);
    //end
    var key = parameters.key_begin;
    var key_end = parameters.key_end;
    //if it is causal
    key_end = min(key_end, position + 1u);
    //end
    while key < key_end {
        let run_end = min(key + 64u, key_end);
        var run_sum = 0.0;
        var run_#w = vec4<f32>();
        while key < run_end {
            let key_row = key_group + key * parameters.key_stride;
            let key_#d = read_key(key_row, #du);
            let value_row = value_group + key * parameters.value_stride;
            let value_#w = read_value(value_row, #wu);
            var products = vec4<f32>();
            products = fma(query_#d, key_#d, products);
            let score = masked(head, position, key, (products.x + products.y) + (products.z + products.w));
            if score > largest {
                let factor = exp_f32(largest - score);
                largest = score;
                sum *= factor;
                run_sum *= factor;
                output_#w *= factor;
                run_#w *= factor;
            }
            let weight = select(exp_f32(score - largest), 0.0, score == -infinity());
            run_sum += weight;
            run_#w = fma(vec4<f32>(weight), value_#w, run_#w);
            key += 1u;
        }
        sum += run_sum;
        output_#w += run_#w;
    }
    //if others go on
    running[2u * row] = largest;
    running[2u * row + 1u] = sum;
    write_output(row, #wu, output_#w);
    //end
    //if it is the last
    let total = select(sum, 1.0, sum == 0.0);
    write_output(row, #wu, output_#w / total);
    write_statistics(row, select(largest, 0.0, sum == 0.0), log_f32(total));
    //end
}
