// attention_query_gradient: result[h, t] = sum over keys j of p_j (upstream[h, t] . value[g, j] - weighted[h, t]) scale key[g, j]
//
// with p_j = e^((s_j - largest) - logarithm), statistics[h, t] = (largest, logarithm), s_j = scale * query[h, t] . key[g, j] plus the mask, and g
// the group of the head h. One invocation has a row in registers: it goes over the keys, and computes the probabilities again. Sums of 64
// keys are added to the total. With more keys than one dispatch goes over, the next goes on from what the one before wrote: the bits are those of one
// dispatch. Of more keys than a block has the result is that of a block, which attention_part adds to those before.
//
// Bindings: query, key, value, the mask, upstream, statistics, weighted (read), the result (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, query_start, key_start, value_start, upstream_start, read_query, read_key, read_value, read_upstream, masked,
// read_result, write_result. Lines are repeated as in attention.wgsl.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = flat(id);
    if row >= parameters.rows {
        return;
    }
    let head = row / parameters.positions;
    let group = head / parameters.heads_of_a_group;
    let query_head = query_start(head);
    let upstream_head = upstream_start(head);
    let key_group = key_start(group);
    let value_group = value_start(group);
    let position = row % parameters.positions;
    let query_row = query_head + position * parameters.query_stride;
    let upstream_row = upstream_head + position * parameters.upstream_stride;
    let query_#d = read_query(query_row, #du);
    let upstream_#w = read_upstream(upstream_row, #wu);
    let largest = statistics[2u * row];
    let logarithm = statistics[2u * row + 1u];
    let mean = weighted[row];
    var total_#d = vec4<f32>();
    //if it goes on
    total_#d = read_result(row, #du);
    //end
    var key = parameters.key_begin;
    var key_end = parameters.key_end;
    //if it is causal
    key_end = min(key_end, position + 1u);
    //end
    while key < key_end {
        let run_end = min(key + 64u, key_end);
        var run_#d = vec4<f32>();
        while key < run_end {
            let key_row = key_group + key * parameters.key_stride;
            let key_#d = read_key(key_row, #du);
            let value_row = value_group + key * parameters.value_stride;
            let value_#w = read_value(value_row, #wu);
            var products = vec4<f32>();
            products = fma(query_#d, key_#d, products);
            var differences = vec4<f32>();
            differences = fma(upstream_#w, value_#w, differences);
            let score = masked(head, position, key, (products.x + products.y) + (products.z + products.w));
            let probability = select(exp_f32((score - largest) - logarithm), 0.0, score == -infinity());
            let difference = (differences.x + differences.y) + (differences.z + differences.w) - mean;
            let gradient = probability * difference * parameters.scale;
            run_#d = fma(vec4<f32>(gradient), key_#d, run_#d);
            key += 1u;
        }
        total_#d += run_#d;
    }
    write_result(row, #du, total_#d);
}
