// attention_query_gradient: result[h, t] = sum over keys j of e^(s_j - log_sum_exp[h, t]) (upstream[h, t] . value[g, j] - weighted[h, t]) scale key[g, j]
//
// with s_j = scale * query[h, t] . key[g, j] plus the mask, and g the group of the head h. One invocation computes ROWS neighbouring rows in
// registers: it goes over the keys, and computes the probabilities again from the logarithms of their sums. Sums of 64 keys are added to
// the total. With more keys than loops allow, later dispatches add to what earlier ones wrote. Rows past the end read the last one's
// numbers and are not written.
//
// Bindings: query, key, value, the mask, upstream, log_sum_exp, weighted (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, ROWS, query_start, key_start, value_start, upstream_start, read_query, read_key, read_value, read_upstream, masked,
// read_result, write_result. Lines are repeated as in attention.wgsl.

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
    let upstream_head = upstream_start(head);
    let key_group = key_start(group);
    let value_group = value_start(group);
    //for each row
    let position_@ = min(first + @u, parameters.positions - 1u);
    let row_@ = head * parameters.positions + position_@;
    let query_row_@ = query_head + position_@ * parameters.query_stride;
    let upstream_row_@ = upstream_head + position_@ * parameters.upstream_stride;
    let query_@_#d = read_query(query_row_@, #du);
    let upstream_@_#w = read_upstream(upstream_row_@, #wu);
    let logarithm_@ = log_sum_exp[row_@];
    let shift_@ = select(logarithm_@, 0.0, logarithm_@ == -infinity());
    let weighted_@ = weighted[row_@];
    var total_@_#d = vec4<f32>();
    //end
    //if it goes on
    //for each row
    total_@_#d = read_result(row_@, #du);
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
        var run_@_#d = vec4<f32>();
        //end
        while key < run_end {
            let key_row = key_group + key * parameters.key_stride;
            let key_#d = read_key(key_row, #du);
            let value_row = value_group + key * parameters.value_stride;
            let value_#w = read_value(value_row, #wu);
            //for each row
            var products_@ = vec4<f32>();
            products_@ = fma(query_@_#d, key_#d, products_@);
            var differences_@ = vec4<f32>();
            differences_@ = fma(upstream_@_#w, value_#w, differences_@);
            let score_@ = masked(head, position_@, key, (products_@.x + products_@.y) + (products_@.z + products_@.w));
            let probability_@ = select(exp_f32(score_@ - shift_@), 0.0, score_@ == -infinity());
            let difference_@ = (differences_@.x + differences_@.y) + (differences_@.z + differences_@.w) - weighted_@;
            let gradient_@ = probability_@ * difference_@ * parameters.scale;
            run_@_#d = fma(vec4<f32>(gradient_@), key_#d, run_@_#d);
            //end
            key += 1u;
        }
        //for each row
        total_@_#d += run_@_#d;
        //end
    }
    //for each row
    if first + @u < parameters.positions {
        write_result(row_@, #du, total_@_#d);
    }
    //end
}
