// nest_columns: folds of a nest over the rows of [rows, columns], all at once: partial[c, j] = combine over the rows r of chunk c of element(r, j)
//
// One invocation reduces one chunk of neighbouring rows for WIDTH neighbouring columns. So many neighbouring invocations as there are
// neighbours have neighbouring chunks, and then come the next columns. Elements are computed from the inputs and from what is known of
// each row, and their outputs are written. Up to 64 rows are combined before they join the total, which keeps the rounding error of
// long sums small. With more than one chunk later dispatches reduce the totals of the chunks.
//
// Bindings: the inputs that the elements read (read), the outputs of elements (read_write), a buffer of words with what is known of
// each row and with the results (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, WIDTH, Row, open_row, Block, open_block, pass_0, Totals_0, identity_0, combine_0,
// write_totals.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let invocation = flat(id);
    if invocation >= parameters.invocations {
        return;
    }
    let group = invocation / parameters.neighbours;
    let chunk = group / parameters.blocks * parameters.neighbours + invocation % parameters.neighbours;
    let column = group % parameters.blocks * WIDTH;
    if chunk >= parameters.chunks {
        return;
    }
    var number = chunk * parameters.chunk_rows;
    let chunk_end = min(number + parameters.chunk_rows, parameters.rows);
    let block = open_block(open_row(number), column);
    var total = identity_0();
    while number < chunk_end {
        let end = min(number + 64u, chunk_end);
        var sum = identity_0();
        while number < end {
            sum = combine_0(sum, pass_0(open_row(number), block));
            number += 1u;
        }
        total = combine_0(total, sum);
    }
    write_totals(chunk, column, total);
}
