// attention_probabilities: scores become e^(score - largest) / sum, by the largest score and the sum of their row
//
// One invocation goes over every parts_of_a_row-th key of a row.
//
// Bindings: scores (read_write), rows (read): the largest scores of all rows, and then their sums.
// Generated: Parameters, flat, WORKGROUP_SIZE.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let part = flat(id);
    let row = part / parameters.parts_of_a_row;
    if row >= parameters.rows {
        return;
    }
    let start = row * parameters.keys;
    let largest = rows[row];
    let sum = rows[parameters.rows + row];
    for (var key = part % parameters.parts_of_a_row; key < parameters.keys; key += parameters.parts_of_a_row) {
        let score = scores[start + key];
        scores[start + key] = select(exp_f32(score - largest) / sum, 0.0, score == -infinity());
    }
}
