// attention_key_gradient: result[g, j] = sum over queries t of the group's heads h of p (upstream[h, t] . value[g, j] - weighted[h, t]) scale query[h, t]
// attention_value_gradient: result[g, j] = sum over queries t of the group's heads h of p upstream[h, t]
//
// with p = e^((s - largest) - logarithm), statistics[h, t] = (largest, logarithm) and s = scale * query[h, t] . key[g, j] plus the mask. One
// invocation has a key in registers: it goes over the queries of all heads of the group, and computes the probabilities again. Sums of 64
// queries are added to the total. With more queries than one dispatch goes over, the next goes on from what the one before wrote: the bits are those
// of one dispatch. Of more queries than a block has the result is that of a block, which attention_part adds to those before.
//
// Bindings: query, key, value (of keys alone), the mask, upstream, statistics, weighted (of keys alone) (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, query_start, key_start, value_start, upstream_start, read_query, read_key, read_value, read_upstream, masked,
// read_result, write_result. Lines are repeated as in attention.wgsl, and those with `#r` once for each four numbers of a result.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = flat(id);
    if row >= parameters.rows {
        return;
    }
    let group = row / parameters.keys;
    let key_group = key_start(group);
    let key_number = row % parameters.keys;
    let key_row = key_group + key_number * parameters.key_stride;
    let key_#d = read_key(key_row, #du);
    //if of keys
    let value_group = value_start(group);
    let value_row = value_group + key_number * parameters.value_stride;
    let value_#w = read_value(value_row, #wu);
    //end
    var total_#r = vec4<f32>();
    //if it goes on
    total_#r = read_result(row, #ru);
    //end
    var query = parameters.query_begin;
    while query < parameters.query_end {
        // Runs begin at multiples of 64 wherever a dispatch begins. That of a key that is not attended before may be without a query.
        let run_end = min((query / 64u + 1u) * 64u, parameters.query_end);
        var run_#r = vec4<f32>();
        while query < run_end {
            let position = query % parameters.positions;
            //if it is causal
            if position < key_number {
                // The key is not attended before.
                query += min(key_number, parameters.positions) - position;
                continue;
            }
            //end
            let head = group * parameters.heads_of_a_group + query / parameters.positions;
            let query_row = query_start(head) + position * parameters.query_stride;
            let query_#d = read_query(query_row, #du);
            let upstream_row = upstream_start(head) + position * parameters.upstream_stride;
            let upstream_#w = read_upstream(upstream_row, #wu);
            let pair = 2u * (head * parameters.positions + position);
            let largest = statistics[pair];
            let logarithm = statistics[pair + 1u];
            //if of keys
            let mean = weighted[head * parameters.positions + position];
            //end
            var products = vec4<f32>();
            products = fma(query_#d, key_#d, products);
            let score = masked(head, position, key_number, (products.x + products.y) + (products.z + products.w));
            let probability = select(exp_f32((score - largest) - logarithm), 0.0, score == -infinity());
            //if of keys
            var differences = vec4<f32>();
            differences = fma(upstream_#w, value_#w, differences);
            let difference = (differences.x + differences.y) + (differences.z + differences.w) - mean;
            let gradient = probability * difference * parameters.scale;
            run_#d = fma(vec4<f32>(gradient), query_#d, run_#d);
            //end
            //if of values
            run_#w = fma(vec4<f32>(probability), upstream_#w, run_#w);
            //end
            query += 1u;
        }
        total_#r += run_#r;
    }
    write_result(row, #ru, total_#r);
}
