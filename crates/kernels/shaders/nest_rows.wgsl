// nest_rows: elements and rows of a nest over [rows, columns], one invocation a row
//
// The columns are passed over as often as folds of a row need complete folds before them. Each pass computes its elements from the inputs
// and from what is known of the row, WIDTH neighbouring columns at a time; what earlier passes computed is computed again, for what
// that reads is still in the cache. Up to 64 blocks of columns are added up before they join the total of the row, which keeps the
// rounding error of long sums small. An element's outputs are written in the pass that knows them, a row's at the end.
//
// Bindings: the inputs that elements and rows read (read), the outputs of elements and rows (read_write), and a buffer of words
// for what later dispatches must know of each row (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, WIDTH, Row, open_row, write_row, and for each pass pass_@; if it folds Totals_@,
// identity_@, combine_@, finish_@ as well. Lines between `for each pass that folds` and `end` stand once for each of them, `@` being
// its number; those of `for a pass that only writes` stand once if the last pass is such a one.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let number = flat(id);
    if number >= parameters.rows {
        return;
    }
    var row = open_row(number);
    var column = 0u;
    //for each pass that folds
    var total_@ = identity_@();
    column = 0u;
    while column < parameters.columns {
        let end = min(column + 64u * WIDTH, parameters.columns);
        var sum = identity_@();
        while column < end {
            sum = combine_@(sum, pass_@(row, column));
            column += WIDTH;
        }
        total_@ = combine_@(total_@, sum);
    }
    row = finish_@(row, total_@);
    //end
    //for a pass that only writes
    column = 0u;
    while column < parameters.columns {
        pass_@(row, column);
        column += WIDTH;
    }
    //end
    write_row(row);
}
