// matmul_tiled: result[b, i, j] = epilogue(sum over d of lhs[b, i, d] rhs[b, d, j])
//
// For GPUs. A workgroup of 16 x 16 invocations computes 64 ROW_GROUPS x 64 COLUMN_GROUPS of the result, each invocation as many 4 x 4 tiles of it in
// registers, 64 rows or columns apart. Sixteen steps of the depth at a time, the workgroup brings its rows of lhs and its columns of rhs into its
// memory, each invocation four numbers of either for each group, in the order in which they lie in the buffer. What stands past the end of a
// matrix counts as 0 and is not written.
//
// The depth is cut into spans, whose sums go by a fixed tree that hardly loses a digit: up to 64 steps one after the other, and then such runs. One dispatch sums one span of each part of the
// depth, and later dispatches add their spans to what earlier ones wrote. With more parts than one each has a matrix of its
// own, which a reduction adds up. How many groups there are changes no sum.
//
// Bindings: lhs, rhs (read), the epilogue's inputs (read) and outputs (read_write).
// Generated: Parameters, flat, ROW_GROUPS, COLUMN_GROUPS, lhs_place, rhs_place, lhs_element, rhs_element, lhs_start, rhs_start, store_row. Lines between `for each group` and `end` stand once
// for every group of rows, `@` being its number, or without `@` once for every group of columns; in them, lines with `#` stand once for every group of columns.

// Of depth d, the rows 4 g .. 4 g + 4 of lhs stand at 16 ROW_GROUPS d + g; so do the columns of rhs.
var<workgroup> lhs_tile: array<vec4<f32>, 256u * ROW_GROUPS>;
var<workgroup> rhs_tile: array<vec4<f32>, 256u * COLUMN_GROUPS>;

fn lhs_four(start: u32, row: u32, depth: u32) -> vec4<f32> {
    return vec4<f32>(
        lhs_element(start, row, depth),
        lhs_element(start, row + 1u, depth),
        lhs_element(start, row + 2u, depth),
        lhs_element(start, row + 3u, depth),
    );
}

fn rhs_four(start: u32, depth: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        rhs_element(start, depth, column),
        rhs_element(start, depth, column + 1u),
        rhs_element(start, depth, column + 2u),
        rhs_element(start, depth, column + 3u),
    );
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    // Workgroups past the last tile compute its numbers once more and write nothing: barriers need all invocations.
    let tile = flat(workgroup);
    let column = 64u * COLUMN_GROUPS * (tile % parameters.column_tiles);
    let row = 64u * ROW_GROUPS * (tile / parameters.column_tiles % parameters.row_tiles);
    let matrix = min(tile / parameters.column_tiles / parameters.row_tiles, parameters.parts * parameters.batches - 1u);
    let part = matrix / parameters.batches;
    let batch = matrix % parameters.batches;
    let lhs_base = lhs_start(batch);
    let rhs_base = rhs_start(batch);
    let lhs_from = lhs_place(local_index);
    let rhs_from = rhs_place(local_index);
    //for each group
    var total_@_# = mat4x4<f32>();
    var sum_@_# = mat4x4<f32>();
    //end
    let depth_begin = parameters.depth_begin + part * parameters.part_depth;
    let depth_end = min(depth_begin + parameters.depth_span, parameters.depth);
    for (var depth = depth_begin; depth < depth_end; depth += 16u) {
        let lhs_depth = depth + lhs_from.depth;
        let rhs_depth = depth + rhs_from.depth;
        //for each group
        let lhs_row_@ = row + 64u * @u + 4u * lhs_from.group;
        lhs_tile[16u * (ROW_GROUPS * lhs_from.depth + @u) + lhs_from.group] = lhs_four(lhs_base, lhs_row_@, lhs_depth);
        //end
        //for each group
        let rhs_column_# = column + 64u * #u + 4u * rhs_from.group;
        rhs_tile[16u * (COLUMN_GROUPS * rhs_from.depth + #u) + rhs_from.group] = rhs_four(rhs_base, rhs_depth, rhs_column_#);
        //end
        workgroupBarrier();
        for (var step = 0u; step < 16u; step += 1u) {
            //for each group
            let rhs_# = rhs_tile[16u * (COLUMN_GROUPS * step + #u) + local.x];
            //end
            //for each group
            let lhs_@ = lhs_tile[16u * (ROW_GROUPS * step + @u) + local.y];
            sum_@_# = sum_@_# + mat4x4<f32>(rhs_# * lhs_@.x, rhs_# * lhs_@.y, rhs_# * lhs_@.z, rhs_# * lhs_@.w);
            //end
        }
        if (depth - depth_begin) % 64u == 48u {
            //for each group
            total_@_# = total_@_# + sum_@_#;
            sum_@_# = mat4x4<f32>();
            //end
        }
        workgroupBarrier();
    }
    if tile < parameters.tiles {
        //for each group
        let first_row_@ = row + 64u * @u + 4u * local.y;
        store_row(matrix, first_row_@, column + 64u * #u + 4u * local.x, total_@_#[0] + sum_@_#[0]);
        store_row(matrix, first_row_@ + 1u, column + 64u * #u + 4u * local.x, total_@_#[1] + sum_@_#[1]);
        store_row(matrix, first_row_@ + 2u, column + 64u * #u + 4u * local.x, total_@_#[2] + sum_@_#[2]);
        store_row(matrix, first_row_@ + 3u, column + 64u * #u + 4u * local.x, total_@_#[3] + sum_@_#[3]);
        //end
    }
}
