// nest_workgroup: elements and rows of a nest over [rows, columns], a row by part of a workgroup
//
// For GPUs. So many neighbouring invocations as there are lanes, a power of two, share a row, and a workgroup has as many rows as it
// has place for. Each invocation takes every lanes-th block of WIDTH columns, so that neighbours read what lies side by side. The
// totals of the lanes are combined by a tree through the memory of the workgroup, or by exchange within subgroups where the adapter has such; the order is fixed
// and the same, so the result is too. Passes are
// those of nest_rows. Invocations of rows past the end read what the last row knows and write nothing.
//
// Bindings: the inputs that elements and rows read (read), the outputs of elements and rows (read_write), and a buffer of words
// for what later dispatches must know of each row (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, WIDTH, Row, open_row, write_row, and for each pass pass_@; if it folds Totals_@,
// identity_@, combine_@, finish_@ as well. Lines between `for each pass that folds` and `end` stand once for each of them, `@` being
// its number; those of `for a pass that only writes` stand once if the last pass is such a one.

// What the lanes of a row hand to each other.
var<workgroup> exchange: array<u32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let lane = local % parameters.lanes;
    let number = flat(workgroup) * (WORKGROUP_SIZE / parameters.lanes) + local / parameters.lanes;
    let is_row = number < parameters.rows;
    let first = select(parameters.columns, lane * WIDTH, is_row);
    let step = parameters.lanes * WIDTH;
    var row = open_row(min(number, parameters.rows - 1u));
    var column = 0u;
    //for each pass that folds
    var total_@ = identity_@();
    column = first;
    while column < parameters.columns {
        let end = min(column + 64u * step, parameters.columns);
        var sum = identity_@();
        while column < end {
            sum = combine_@(sum, pass_@(row, column));
            column += step;
        }
        total_@ = combine_@(total_@, sum);
    }
    row = finish_@(row, total_@, local);
    //end
    //for a pass that only writes
    column = first;
    while column < parameters.columns {
        pass_@(row, column);
        column += step;
    }
    //end
    if is_row && lane == 0u {
        write_row(row);
    }
}
