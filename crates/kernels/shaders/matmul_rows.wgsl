// matmul_rows: result[b, i, j] = epilogue(sum over d of lhs[b, i, d] rhs[b, d, j])
//
// For processors that play a GPU: no workgroup memory, no barriers. One invocation computes ROWS x COLUMNS of the result in registers, as
// 4 x 4 tiles. Four steps of the depth at a time it reads a 4 x 4 tile of lhs for every four rows and one of rhs for every four columns,
// each by four vector loads where the layout lets it. A tile of lhs has a row of lhs in each column of its mat4x4, a tile of rhs
// likewise, so that rhs * lhs has a row of the result in each column. Rows and columns past the end read the last one's numbers and
// are not written.
//
// The depth is cut into spans, so short that their sums hardly lose a digit; one dispatch sums one span of each part of the depth, and later
// dispatches add their spans to what earlier ones wrote. With more parts than one each has a matrix of its own, which a
// reduction adds up. (Sums of sums in here would take twice the registers.)
//
// Where results are stored in turn, a loop chooses them by comparisons: a tile has 128 epilogues otherwise, and an array that a number chooses from
// takes a software adapter longer to compile than those.
//
// Bindings: lhs, rhs (read), the epilogue's inputs (read) and outputs (read_write).
// Generated: Parameters, flat, WORKGROUP_SIZE, ROWS, COLUMNS, lhs_rows, lhs_tile, rhs_columns, rhs_tile, store_row, where results are stored in turn one by one store_number, and for
// depths that four does not divide lhs_step, rhs_step. Lines between `for each group` and `end` stand once for every four rows, `@` being the group's number; in
// them, lines with `#` stand once for every four columns.

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tile = flat(id);
    if tile >= parameters.tiles {
        return;
    }
    // Tiles go through a strip of columns from top to bottom before the next strip, so that its part of rhs stays in the cache.
    let strip_row = tile / parameters.strip;
    let strip = strip_row / parameters.row_tiles;
    let strips = parameters.column_tiles / parameters.strip;
    let column = COLUMNS * (strip % strips * parameters.strip + tile % parameters.strip);
    let row = ROWS * (strip_row % parameters.row_tiles);
    let part = strip / strips / parameters.batches;
    let batch = strip / strips % parameters.batches;
    //for each group
    let columns_# = rhs_columns(batch, column + #u * 4u);
    //end
    //for each group
    let rows_@ = lhs_rows(batch, row + @u * 4u);
    var sum_@_# = mat4x4<f32>();
    //end
    var depth = parameters.depth_begin + part * parameters.part_depth;
    let depth_end = min(depth + parameters.depth_span, parameters.depth);
    while depth + 4u <= depth_end {
        //for each group
        let rhs_# = rhs_tile(columns_#, depth);
        //end
        //for each group
        let lhs_@ = lhs_tile(rows_@, depth);
        sum_@_# = sum_@_# + rhs_# * lhs_@;
        //end
        depth += 4u;
    }
    //if depth has a rest
    while depth < depth_end {
        //for each group
        let rhs_# = rhs_step(columns_#, depth);
        //end
        //for each group
        let lhs_@ = lhs_step(rows_@, depth);
        sum_@_# = sum_@_# + mat4x4<f32>(rhs_# * lhs_@.x, rhs_# * lhs_@.y, rhs_# * lhs_@.z, rhs_# * lhs_@.w);
        //end
        depth += 1u;
    }
    //end
    let matrix = part * parameters.batches + batch;
    //if results are stored in turn by fours
    let lines = min(ROWS, parameters.rows - row);
    for (var line = 0u; line < lines; line++) {
        //for each group
        var four_# = sum_0_#[0];
        //end
        //for each group
        four_# = select(four_#, sum_@_#[0], line == @u * 4u);
        four_# = select(four_#, sum_@_#[1], line == @u * 4u + 1u);
        four_# = select(four_#, sum_@_#[2], line == @u * 4u + 2u);
        four_# = select(four_#, sum_@_#[3], line == @u * 4u + 3u);
        //end
        //for each group
        store_row(matrix, row + line, column + #u * 4u, four_#);
        //end
    }
    //end
    //if results are stored in turn one by one
    let places = 4u * min(ROWS, parameters.rows - row);
    for (var place = 0u; place < places; place++) {
        let line = place / 4u;
        let lane = place % 4u;
        //for each group
        var four_# = sum_0_#[0];
        //end
        //for each group
        four_# = select(four_#, sum_@_#[0], line == @u * 4u);
        four_# = select(four_#, sum_@_#[1], line == @u * 4u + 1u);
        four_# = select(four_#, sum_@_#[2], line == @u * 4u + 2u);
        four_# = select(four_#, sum_@_#[3], line == @u * 4u + 3u);
        //end
        //for each group
        let pair_# = select(four_#.xz, four_#.yw, (lane & 1u) == 1u);
        store_number(matrix, row + line, column + #u * 4u + lane, select(pair_#.x, pair_#.y, lane > 1u));
        //end
    }
    //end
    //if results are stored at once
    //for each group
    store_row(matrix, row + @u * 4u, column + #u * 4u, sum_@_#[0]);
    store_row(matrix, row + @u * 4u + 1u, column + #u * 4u, sum_@_#[1]);
    store_row(matrix, row + @u * 4u + 2u, column + #u * 4u, sum_@_#[2]);
    store_row(matrix, row + @u * 4u + 3u, column + #u * 4u, sum_@_#[3]);
    //end
    //end
}
