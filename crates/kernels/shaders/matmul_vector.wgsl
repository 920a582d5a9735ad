// matmul_vector: result[b, j] = epilogue(sum over d of lhs[b, d] rhs[b, d, j]): the matrix product with a single row
//
// One invocation computes 4 neighbouring columns, four steps of the depth at a time. Columns past the end read the last one's
// numbers and are not written. A product with a single column is the same after both operands are transposed and exchanged.
//
// The depth is cut into spans, whose sums go by a fixed tree that hardly loses a digit: up to 256 steps one after the other, four at a time, and
// then such runs. One dispatch sums one span of each part of the
// depth, and later dispatches add their spans to what earlier ones wrote. With more parts than one each has a matrix of its
// own, which a reduction adds up.
//
// Bindings: lhs, rhs (read), the epilogue's inputs (read) and outputs (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, lhs_rows, lhs_vector, rhs_columns, rhs_tile, store_row, and for depths that four does not divide lhs_scalar,
// rhs_step.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = flat(id);
    if tile >= parameters.tiles {
        return;
    }
    let column = 4u * (tile % parameters.column_tiles);
    let part = tile / parameters.column_tiles / parameters.batches;
    let batch = tile / parameters.column_tiles % parameters.batches;
    let columns = rhs_columns(batch, column);
    let row = lhs_rows(batch, 0u);
    var total = vec4<f32>();
    var depth = parameters.depth_begin + part * parameters.part_depth;
    let depth_end = min(depth + parameters.depth_span, parameters.depth);
    while depth + 4u <= depth_end {
        let run_end = min(depth + 256u, depth_end);
        var sum = vec4<f32>();
        while depth + 4u <= run_end {
            sum = sum + rhs_tile(columns, depth) * lhs_vector(row, depth);
            depth += 4u;
        }
        total = total + sum;
    }
    //if depth has a rest
    while depth < depth_end {
        total = total + rhs_step(columns, depth) * lhs_scalar(row, depth);
        depth += 1u;
    }
    //end
    store_row(part * parameters.batches + batch, 0u, column, total);
}
