// attention: output[h, t] = (sum over keys j of e^s_j value[g, j]) / (sum over j of e^s_j), log_sum_exp[h, t] = ln(sum over j of e^s_j)
//
// with s_j = scale * query[h, t] . key[g, j] plus the mask, and g the group of the head h. One invocation computes ROWS neighbouring rows in
// registers: it goes over the keys, and where a row's largest score grows, what it summed before is multiplied by what that is
// worth now. Sums of 64 keys are added to the total, so that long sums keep their digits. With more keys than loops allow,
// later dispatches go on from the output and the logarithm that earlier ones wrote, as from a single key of that value and score.
// Rows past the end read the last one's numbers and are not written.
//
// Bindings: query, key, value, the mask (read), output, log_sum_exp (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, ROWS, query_start, key_start, value_start, read_query, read_key, read_value, masked, read_output, write_output,
// read_log_sum_exp, write_log_sum_exp. Lines between `for each row` and `end` stand once for each row, `@` being its number; lines with
// `#d` stand once for each four numbers of a key, and with `#w` for each four of a value.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = flat(id);
    if tile >= parameters.tiles {
        return;
    }
    let head = tile / parameters.tiles_of_a_head;
    let first = tile % parameters.tiles_of_a_head * ROWS;
    let group = head / parameters.heads_of_a_group;
    let query_head = query_start(head);
    let key_group = key_start(group);
    let value_group = value_start(group);
    //for each row
    let position_@ = min(first + @u, parameters.positions - 1u);
    let row_@ = head * parameters.positions + position_@;
    let query_row_@ = query_head + position_@ * parameters.query_stride;
    let query_@_#d = read_query(query_row_@, #du);
    var largest_@ = -infinity();
    var sum_@ = 0.0;
    var output_@_#w = vec4<f32>();
    //end
    //if it goes on
    //for each row
    largest_@ = read_log_sum_exp(row_@);
    sum_@ = select(1.0, 0.0, largest_@ == -infinity());
    output_@_#w = read_output(row_@, #wu);
    //end
    //end
    var key = parameters.key_begin;
    var key_end = parameters.key_end;
    //if it is causal
    key_end = min(key_end, min(first + ROWS, parameters.positions));
    //end
    while key < key_end {
        let run_end = min(key + 64u, key_end);
        //for each row
        var run_sum_@ = 0.0;
        var run_@_#w = vec4<f32>();
        //end
        while key < run_end {
            let key_row = key_group + key * parameters.key_stride;
            let key_#d = read_key(key_row, #du);
            let value_row = value_group + key * parameters.value_stride;
            let value_#w = read_value(value_row, #wu);
            //for each row
            var products_@ = vec4<f32>();
            products_@ = fma(query_@_#d, key_#d, products_@);
            let score_@ = masked(head, position_@, key, (products_@.x + products_@.y) + (products_@.z + products_@.w));
            if score_@ > largest_@ {
                let factor = exp_f32(largest_@ - score_@);
                largest_@ = score_@;
                sum_@ *= factor;
                run_sum_@ *= factor;
                output_@_#w *= factor;
                run_@_#w *= factor;
            }
            let weight_@ = select(exp_f32(score_@ - largest_@), 0.0, score_@ == -infinity());
            run_sum_@ += weight_@;
            run_@_#w = fma(vec4<f32>(weight_@), value_#w, run_@_#w);
            //end
            key += 1u;
        }
        //for each row
        sum_@ += run_sum_@;
        output_@_#w += run_@_#w;
        //end
    }
    //for each row
    if first + @u < parameters.positions {
        let total = select(sum_@, 1.0, sum_@ == 0.0);
        write_output(row_@, #wu, output_@_#w / total);
        write_log_sum_exp(row_@, select(largest_@ + log_f32(total), -infinity(), sum_@ == 0.0));
    }
    //end
}
