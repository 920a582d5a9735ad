// attention_score_gradient: products become probabilities p = e^((score - largest) - logarithm), and differences p (difference - weighted) scale
//
// with the score scale * product plus the mask, and the statistics of its row (largest, logarithm); a difference is the product of an upstream
// gradient and a value. One invocation goes over every
// parts_of_a_row-th key of a row.
//
// Bindings: scores, differences (read_write), the mask, statistics, weighted (read).
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
    let pair = 2u * (parameters.first_row + row);
    let largest = statistics[pair];
    let logarithm = statistics[pair + 1u];
    //if of scores
    let mean = weighted[parameters.first_row + row];
    //end
    for (var key = part % parameters.parts_of_a_row; key < parameters.keys; key += parameters.parts_of_a_row) {
        let score = masked(head, position, key, scores[start + key]);
        let probability = select(exp_f32((score - largest) - logarithm), 0.0, score == -infinity());
        scores[start + key] = probability;
        //if of scores
        differences[start + key] = probability * (differences[start + key] - mean) * parameters.scale;
        //end
    }
}
