// attention_scores: products become scores, scale * product plus the mask, and of each part of a row the largest score and the sum of e^(score - largest)
//
// One invocation goes over every parts_of_a_row-th key of a row. Sums of 64 keys are added to the total, so that long sums keep their digits.
//
// Bindings: scores (read_write), the mask (read), parts (read_write): the largest scores of all parts, and then their sums.
// Generated: Parameters, flat, WORKGROUP_SIZE, masked.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let part = flat(id);
    let count_of_parts = parameters.rows * parameters.parts_of_a_row;
    if part >= count_of_parts {
        return;
    }
    let row = part / parameters.parts_of_a_row;
    let first = part % parameters.parts_of_a_row;
    let head = parameters.first_head + row / parameters.positions;
    let position = parameters.first_position + row % parameters.positions;
    let start = row * parameters.keys;
    var largest = -infinity();
    for (var key = first; key < parameters.keys; key += parameters.parts_of_a_row) {
        let score = masked(head, position, key, scores[start + key]);
        scores[start + key] = score;
        largest = select(largest, score, score > largest);
    }
    var sum = 0.0;
    var run = 0.0;
    var count = 0u;
    for (var key = first; key < parameters.keys; key += parameters.parts_of_a_row) {
        let score = scores[start + key];
        run += select(exp_f32(score - largest), 0.0, score == -infinity());
        count += 1u;
        if count == 64u {
            sum += run;
            run = 0.0;
            count = 0u;
        }
    }
    parts[part] = largest;
    parts[count_of_parts + part] = sum + run;
}
