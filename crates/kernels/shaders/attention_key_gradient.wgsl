// attention_key_gradient: result[g, j] = sum over queries t of the group's heads h of p (upstream[h, t] . value[g, j] - weighted[h, t]) scale query[h, t]
// attention_value_gradient: result[g, j] = sum over queries t of the group's heads h of p upstream[h, t]
//
// with p = e^(s - log_sum_exp[h, t]) and s = scale * query[h, t] . key[g, j] plus the mask. One invocation computes ROWS neighbouring keys in
// registers: it goes over the queries of all heads of the group, and computes the probabilities again from the logarithms of their
// sums. Sums of 64 queries are added to the total. With more queries than loops allow, later dispatches add to what earlier
// ones wrote. Keys past the end read the last one's numbers and are not written.
//
// Bindings: query, key, value (of keys alone), the mask, upstream, log_sum_exp, weighted (of keys alone) (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, ROWS, query_start, key_start, value_start, upstream_start, read_query, read_key, read_value, read_upstream, masked,
// read_result, write_result. Lines are repeated as in attention.wgsl.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = flat(id);
    if tile >= parameters.tiles {
        return;
    }
    let group = tile / parameters.tiles_of_a_group;
    let first = tile % parameters.tiles_of_a_group * ROWS;
    let key_group = key_start(group);
    //for each row
    let key_number_@ = min(first + @u, parameters.keys - 1u);
    let row_@ = group * parameters.keys + key_number_@;
    let key_row_@ = key_group + key_number_@ * parameters.key_stride;
    let key_@_#d = read_key(key_row_@, #du);
    //end
    //if of keys
    let value_group = value_start(group);
    //for each row
    let value_row_@ = value_group + key_number_@ * parameters.value_stride;
    let value_@_#w = read_value(value_row_@, #wu);
    var total_@_#d = vec4<f32>();
    //end
    //end
    //if of values
    //for each row
    var total_@_#w = vec4<f32>();
    //end
    //end
    //if it goes on
    //if of keys
    //for each row
    total_@_#d = read_result(row_@, #du);
    //end
    //end
    //if of values
    //for each row
    total_@_#w = read_result(row_@, #wu);
    //end
    //end
    //end
    var query = parameters.query_begin;
    while query < parameters.query_end {
        let run_end = min(query + 64u, parameters.query_end);
        //if of keys
        //for each row
        var run_@_#d = vec4<f32>();
        //end
        //end
        //if of values
        //for each row
        var run_@_#w = vec4<f32>();
        //end
        //end
        while query < run_end {
            let position = query % parameters.positions;
            //if it is causal
            if position < first {
                // No key of this tile is attended before.
                query += min(first, parameters.positions) - position;
                continue;
            }
            //end
            let head = group * parameters.heads_of_a_group + query / parameters.positions;
            let query_row = query_start(head) + position * parameters.query_stride;
            let query_#d = read_query(query_row, #du);
            let upstream_row = upstream_start(head) + position * parameters.upstream_stride;
            let upstream_#w = read_upstream(upstream_row, #wu);
            let logarithm = log_sum_exp[head * parameters.positions + position];
            let shift = select(logarithm, 0.0, logarithm == -infinity());
            //if of keys
            let mean = weighted[head * parameters.positions + position];
            //end
            //for each row
            var products_@ = vec4<f32>();
            products_@ = fma(query_#d, key_@_#d, products_@);
            let score_@ = masked(head, position, key_number_@, (products_@.x + products_@.y) + (products_@.z + products_@.w));
            let probability_@ = select(exp_f32(score_@ - shift), 0.0, score_@ == -infinity());
            //end
            //if of keys
            //for each row
            var differences_@ = vec4<f32>();
            differences_@ = fma(upstream_#w, value_@_#w, differences_@);
            let difference_@ = (differences_@.x + differences_@.y) + (differences_@.z + differences_@.w) - mean;
            let gradient_@ = probability_@ * difference_@ * parameters.scale;
            run_@_#d = fma(vec4<f32>(gradient_@), query_#d, run_@_#d);
            //end
            //end
            //if of values
            //for each row
            run_@_#w = fma(vec4<f32>(probability_@), upstream_#w, run_@_#w);
            //end
            //end
            query += 1u;
        }
        //if of keys
        //for each row
        total_@_#d += run_@_#d;
        //end
        //end
        //if of values
        //for each row
        total_@_#w += run_@_#w;
        //end
        //end
    }
    //if of keys
    //for each row
    if first + @u < parameters.keys {
        write_result(row_@, #du, total_@_#d);
    }
    //end
    //end
    //if of values
    //for each row
    if first + @u < parameters.keys {
        write_result(row_@, #wu, total_@_#w);
    }
    //end
    //end
}
