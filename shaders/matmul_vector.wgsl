// matmul_vector: result[b, j] = epilogue(sum over d of lhs[b, d] rhs[b, d, j]): the matrix product with a single row
//
// One invocation computes 4 neighbouring columns, four steps of the depth at a time. Columns past the end read the last one's
// numbers and are not written. A product with a single column is the same after both operands are transposed and exchanged.
//
// Long depths are split: a dispatch sums depth_begin .. depth_end, and later ones add to what earlier ones wrote.
//
// Bindings: lhs, rhs (read), the epilogue's inputs (read) and outputs (read_write).
// Generated: Parameters, WORKGROUP_SIZE, lhs_rows, lhs_vector, rhs_columns, rhs_tile, store_row, and for depths that four does not divide lhs_scalar,
// rhs_step.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = id.y * parameters.tiles_per_row + id.x;
    if tile >= parameters.tiles {
        return;
    }
    let column = 4u * (tile % parameters.column_tiles);
    let batch = tile / parameters.column_tiles;
    let columns = rhs_columns(batch, column);
    let row = lhs_rows(batch, 0u);
    var sum = vec4<f32>();
    var depth = parameters.depth_begin;
    while depth + 4u <= parameters.depth_end {
        sum = sum + rhs_tile(columns, depth) * lhs_vector(row, depth);
        depth += 4u;
    }
    //if depth has a rest
    while depth < parameters.depth_end {
        sum = sum + rhs_step(columns, depth) * lhs_scalar(row, depth);
        depth += 1u;
    }
    //end
    store_row(batch, 0u, column, sum);
}
