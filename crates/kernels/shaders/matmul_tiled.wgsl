// matmul_tiled: result[b, i, j] = epilogue(sum over d of lhs[b, i, d] rhs[b, d, j])
//
// For GPUs. A workgroup of 16 x 16 invocations computes 64 x 64 of the result, each invocation 4 x 4 of it in registers. Sixteen steps of
// the depth at a time, the workgroup brings 64 x 16 of lhs and 16 x 64 of rhs into its memory, each invocation four numbers of
// either, in the order in which they lie in the buffer. What stands past the end of a matrix counts as 0 and is not written.
//
// The depth is cut into spans, whose sums go by a fixed tree that hardly loses a digit: up to 64 steps one after the other, and then such runs. One dispatch sums one span of each part of the
// depth, and later dispatches add their spans to what earlier ones wrote. With more parts than one each has a matrix of its
// own, which a reduction adds up.
//
// Bindings: lhs, rhs (read), the epilogue's inputs (read) and outputs (read_write).
// Generated: Parameters, flat, lhs_place, rhs_place, lhs_element, rhs_element, lhs_start, rhs_start, store_row.

// Of depth d, the rows 4 g .. 4 g + 4 of lhs stand at 16 d + g; so do the columns of rhs.
var<workgroup> lhs_tile: array<vec4<f32>, 256>;
var<workgroup> rhs_tile: array<vec4<f32>, 256>;

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    // Workgroups past the last tile compute its numbers once more and write nothing: barriers need all invocations.
    let tile = flat(workgroup);
    let column = 64u * (tile % parameters.column_tiles);
    let row = 64u * (tile / parameters.column_tiles % parameters.row_tiles);
    let matrix = min(tile / parameters.column_tiles / parameters.row_tiles, parameters.parts * parameters.batches - 1u);
    let part = matrix / parameters.batches;
    let batch = matrix % parameters.batches;
    let lhs_base = lhs_start(batch);
    let rhs_base = rhs_start(batch);
    let lhs_from = lhs_place(local_index);
    let rhs_from = rhs_place(local_index);
    var total = mat4x4<f32>();
    var sum = mat4x4<f32>();
    let depth_begin = parameters.depth_begin + part * parameters.part_depth;
    let depth_end = min(depth_begin + parameters.depth_span, parameters.depth);
    for (var depth = depth_begin; depth < depth_end; depth += 16u) {
        let lhs_row = row + 4u * lhs_from.group;
        let lhs_depth = depth + lhs_from.depth;
        lhs_tile[16u * lhs_from.depth + lhs_from.group] = vec4<f32>(
            lhs_element(lhs_base, lhs_row, lhs_depth),
            lhs_element(lhs_base, lhs_row + 1u, lhs_depth),
            lhs_element(lhs_base, lhs_row + 2u, lhs_depth),
            lhs_element(lhs_base, lhs_row + 3u, lhs_depth),
        );
        let rhs_column = column + 4u * rhs_from.group;
        let rhs_depth = depth + rhs_from.depth;
        rhs_tile[16u * rhs_from.depth + rhs_from.group] = vec4<f32>(
            rhs_element(rhs_base, rhs_depth, rhs_column),
            rhs_element(rhs_base, rhs_depth, rhs_column + 1u),
            rhs_element(rhs_base, rhs_depth, rhs_column + 2u),
            rhs_element(rhs_base, rhs_depth, rhs_column + 3u),
        );
        workgroupBarrier();
        for (var step = 0u; step < 256u; step += 16u) {
            let lhs = lhs_tile[step + local.y];
            let rhs = rhs_tile[step + local.x];
            sum = sum + mat4x4<f32>(rhs * lhs.x, rhs * lhs.y, rhs * lhs.z, rhs * lhs.w);
        }
        if (depth - depth_begin) % 64u == 48u {
            total = total + sum;
            sum = mat4x4<f32>();
        }
        workgroupBarrier();
    }
    total = total + sum;
    if tile < parameters.tiles {
        let first_row = row + 4u * local.y;
        let first_column = column + 4u * local.x;
        store_row(matrix, first_row, first_column, total[0]);
        store_row(matrix, first_row + 1u, first_column, total[1]);
        store_row(matrix, first_row + 2u, first_column, total[2]);
        store_row(matrix, first_row + 3u, first_column, total[3]);
    }
}
