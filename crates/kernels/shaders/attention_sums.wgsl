// attention_sums: of each row the largest score and the sum of e^(score - largest), from those of its parts; and the statistics (largest, ln(sum))
//
// A row that attends nothing has the largest score 0 and the sum 1, which make zeros of its scores of -inf.
//
// Bindings: parts (read): the largest scores of all parts, and then their sums; rows, statistics (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = flat(id);
    if row >= parameters.rows {
        return;
    }
    let begin = row * parameters.parts_of_a_row;
    let end = begin + parameters.parts_of_a_row;
    let sums = parameters.rows * parameters.parts_of_a_row;
    var largest = -infinity();
    for (var part = begin; part < end; part += 1u) {
        largest = select(largest, parts[part], parts[part] > largest);
    }
    var sum = 0.0;
    var run = 0.0;
    for (var part = begin; part < end; part += 1u) {
        run += select(parts[sums + part] * exp_f32(parts[part] - largest), parts[sums + part], parts[part] == -infinity());
        if (part - begin) % 64u == 63u {
            sum += run;
            run = 0.0;
        }
    }
    sum += run;
    let attends_nothing = (largest == -infinity()) & (sum == 0.0);
    let shift = select(largest, 0.0, attends_nothing);
    let total = select(sum, 1.0, attends_nothing);
    rows[row] = shift;
    rows[parameters.rows + row] = total;
    //if statistics
    let pair = 2u * (parameters.first_row + row);
    statistics[pair] = shift;
    statistics[pair + 1u] = log_f32(total);
    //end
}
