// attention_score_gradient: products become probabilities p = e^(score - log_sum_exp), and differences p (difference - weighted) scale
//
// with the score scale * product plus the mask; a difference is the product of an upstream gradient and a value. One invocation goes over every
// parts_of_a_row-th key of a row.
//
// Bindings: scores, differences (read_write), the mask, log_sum_exp, weighted (read).
// Generated: Parameters, flat, WORKGROUP_SIZE, masked.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let part = flat(id);
    let row = part / parameters.parts_of_a_row;
    if row >= parameters.rows {
        return;
    }
    let head = parameters.first_head + row / parameters.positions;
    let position = parameters.first_position + row % parameters.positions;
    let start = row * parameters.keys;
    let logarithm = log_sum_exp[parameters.first_row + row];
    let shift = select(logarithm, 0.0, logarithm == -infinity());
    //if of scores
    let mean = weighted[parameters.first_row + row];
    //end
    for (var key = part % parameters.parts_of_a_row; key < parameters.keys; key += parameters.parts_of_a_row) {
        let score = masked(head, position, key, scores[start + key]);
        let probability = select(exp_f32(score - shift), 0.0, score == -infinity());
        scores[start + key] = probability;
        //if of scores
        differences[start + key] = probability * (differences[start + key] - mean) * parameters.scale;
        //end
    }
}
