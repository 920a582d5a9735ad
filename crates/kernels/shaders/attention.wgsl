// attention: output[h, t] = (sum over keys j of e^s_j value[g, j]) / (sum over j of e^s_j), statistics[h, t] = (largest, ln(sum over j of
// e^(s_j - largest))), where nothing is attended (0, 0)
//
// with s_j = scale * query[h, t] . key[g, j] plus the mask, and g the group of the head h. One invocation has a row in
// registers: it goes over the keys, and sums up e^(s_j - reference). Where a score is larger than the reference by half, it becomes the
// reference, and what was summed before is multiplied by what that is worth now. Its roundings do not add up, for each time makes less
// than two thirds of what was there before. Sums of 64 keys are added to the sum of a block, so that long sums keep their digits; and where
// there are several blocks, each block's to the whole, which stands in the output. With more keys than one dispatch goes over, each but the last
// leaves what it has summed as it is, and the next goes on from there: the bits are those of one dispatch.
//
// Bindings: query, key, value, the mask (read), output, running (STATE numbers a row, between dispatches), block (the sums of a block that is not
// done, between dispatches; where there is one block it is the output), statistics (two numbers a row, of the last) (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, STATE, BLOCK, query_start, key_start, value_start, read_query, read_key, read_value, masked, read_output,
// write_output, read_block, write_block, write_statistics. Lines with `#d` stand once for each four numbers of a key, and with `#w` for each
// four of a value.

// What a sum of e^(s_j - before) is multiplied by to be one of e^(s_j - now).
fn worth(before: f32, now: f32) -> f32 {
    return select(exp_f32(before - now), 1.0, before == now);
}

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
    var reference = -infinity();
    var sum = 0.0;
    var block_#w = vec4<f32>();
    //if it has several blocks
    var whole_reference = -infinity();
    var whole_sum = 0.0;
    //end
    //if it goes on
    largest = running[STATE * row];
    reference = running[STATE * row + 1u];
    sum = running[STATE * row + 2u];
    block_#w = read_block(row, #wu);
    //if it has several blocks
    whole_reference = running[STATE * row + 3u];
    whole_sum = running[STATE * row + 4u];
    //end
    //end
    //if it is the first of several blocks
    write_output(row, #wu, vec4<f32>());
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
            largest = select(largest, score, score > largest);
            if score > reference + 0.5 {
                let factor = worth(reference, score);
                reference = score;
                sum *= factor;
                run_sum *= factor;
                block_#w *= factor;
                run_#w *= factor;
            }
            let weight = select(exp_f32(score - reference), 0.0, score == -infinity());
            run_sum += weight;
            run_#w = fma(vec4<f32>(weight), value_#w, run_#w);
            key += 1u;
        }
        sum += run_sum;
        block_#w += run_#w;
        //if it has several blocks
        if key % BLOCK == 0u {
            let factor = worth(whole_reference, reference);
            whole_sum = whole_sum * factor + sum;
            write_output(row, #wu, read_output(row, #wu) * factor + block_#w);
            whole_reference = reference;
            sum = 0.0;
            block_#w = vec4<f32>();
        }
        //end
    }
    //if others go on
    running[STATE * row] = largest;
    running[STATE * row + 1u] = reference;
    running[STATE * row + 2u] = sum;
    write_block(row, #wu, block_#w);
    //if it has several blocks
    running[STATE * row + 3u] = whole_reference;
    running[STATE * row + 4u] = whole_sum;
    //end
    //end
    //if it is the last
    //if it has several blocks
    let factor = worth(whole_reference, reference);
    sum = whole_sum * factor + sum;
    block_#w = read_output(row, #wu) * factor + block_#w;
    //end
    let total = select(sum, 1.0, sum == 0.0);
    write_output(row, #wu, block_#w / total);
    let logarithm = log_f32(total * worth(reference, largest));
    write_statistics(row, select(largest, 0.0, sum == 0.0), logarithm);
    //end
}
