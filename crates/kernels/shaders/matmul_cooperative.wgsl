// matmul_cooperative: result[b, i, j] = epilogue(sum over d of lhs[b, i, d] rhs[b, d, j]), both operands held in f16, sums in f32
//
// For GPUs with units that multiply matrices. A workgroup of SUBGROUPS subgroups computes ROWS x COLUMNS of the result. Its subgroups stand in two
// rows, each of them with half of the rows and 32 of the columns, which it holds as matrices of sums of SIDE x SIDE, spread over its invocations.
// DEPTH steps of the depth at a time, the workgroup brings its rows of lhs and its columns of rhs into its memory, four neighbours at once in the order in
// which they lie in the buffer, and each subgroup multiplies matrices that it takes from there. What stands past the end of a matrix counts as 0 and is not written.
//
// The depth is cut into spans. One dispatch sums one span of each part of the depth, and later dispatches add their spans to what earlier ones
// wrote. With more parts than one each has a matrix of its own, which a reduction adds up. Within a span, matrices are added one after the other;
// how the unit adds up the SIDE products of one is its own affair. How large the tile is changes no sum.
//
// Bindings: lhs, rhs (read), the epilogue's inputs (read) and outputs (read_write).
// Generated: Parameters, flat, the constants, MatrixA, MatrixB, MatrixC, lhs_tile, rhs_tile, lhs_start, rhs_start, lhs_four, rhs_four, lhs_place, rhs_place, lhs_at,
// rhs_at, store_row, and load_lhs and load_rhs, which are coopLoad where lines of the memory are columns of a matrix and coopLoadT where they are its rows. Lines between
// `for each group` and `end` stand once for every group of rows, `@` being its number, or without `@` once for every group of columns; in them,
// lines with `#` stand once for every group of columns. Those between `for each tile` and `end` stand once for each pair of groups.

// A matrix of sums of each subgroup, on its way to the result.
var<workgroup> sums: array<f32, SUBGROUPS * SIDE * SIDE>;

// Writes the subgroup's matrix of sums where it belongs.
fn store_sums(matrix: u32, row: u32, column: u32, subgroup: u32, lane: u32) {
    for (var place = 4u * lane; place < SIDE * SIDE; place += 4u * SUBGROUP_SIZE) {
        let first = subgroup * SIDE * SIDE + place;
        let four = vec4<f32>(sums[first], sums[first + 1u], sums[first + 2u], sums[first + 3u]);
        store_row(matrix, row + place / SIDE, column + place % SIDE, four);
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Workgroups past the last tile compute its numbers once more and write nothing: barriers need all invocations.
    let tile = flat(workgroup);
    let column = COLUMNS * (tile % parameters.column_tiles);
    let row = ROWS * (tile / parameters.column_tiles % parameters.row_tiles);
    let matrix = min(tile / parameters.column_tiles / parameters.row_tiles, parameters.parts * parameters.batches - 1u);
    let part = matrix / parameters.batches;
    let batch = matrix % parameters.batches;
    let lhs_base = lhs_start(batch);
    let rhs_base = rhs_start(batch);
    let own_row = ROWS / 2u * (subgroup % 2u);
    let own_column = 32u * (subgroup / 2u);
    //for each group
    var sum_@_# = MatrixC();
    //end
    let depth_begin = parameters.depth_begin + part * parameters.part_depth;
    let depth_end = min(depth_begin + parameters.depth_span, parameters.depth);
    for (var depth = depth_begin; depth < depth_end; depth += DEPTH) {
        for (var number = local_index; number < LHS_FOURS; number += INVOCATIONS) {
            lhs_tile[lhs_place(number)] = lhs_four(lhs_base, row, depth, number);
        }
        for (var number = local_index; number < RHS_FOURS; number += INVOCATIONS) {
            rhs_tile[rhs_place(number)] = rhs_four(rhs_base, column, depth, number);
        }
        workgroupBarrier();
        for (var step = 0u; step < DEPTH; step += SIDE) {
            //for each group
            let rhs_# = load_rhs<MatrixB>(&rhs_tile[rhs_at(own_column + SIDE * #u, step)], RHS_STRIDE);
            //end
            //for each group
            let lhs_@ = load_lhs<MatrixA>(&lhs_tile[lhs_at(own_row + SIDE * @u, step)], LHS_STRIDE);
            sum_@_# = coopMultiplyAdd(lhs_@, rhs_#, sum_@_#);
            //end
        }
        workgroupBarrier();
    }
    //for each tile
    coopStoreT(sum_@_#, &sums[subgroup * SIDE * SIDE], SIDE);
    workgroupBarrier();
    if tile < parameters.tiles {
        store_sums(matrix, row + own_row + SIDE * @u, column + own_column + SIDE * #u, subgroup, lane);
    }
    workgroupBarrier();
    //end
}
