@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) local: u32) {
    nothing = local / 8u;
    // matmul_rows
    part0_open(0u);
    for (var number = local; number < part0_parameters.joined_count; number += 8u) {
        part0_main(vec3<u32>(number, 0u, 0u));
    }
    storageBarrier();
    // nest_rows
    part1_open(6u);
    for (var number = local; number < part1_parameters.joined_count; number += 8u) {
        part1_main(vec3<u32>(number, 0u, 0u));
    }
    storageBarrier();
    // elementwise
    for (var time = 0u; time < 2u; time += 1u) {
        part2_open(8u + time * 2u);
        for (var number = local; number < part2_parameters.joined_count; number += 8u) {
            part2_main(vec3<u32>(number, 0u, 0u));
        }
        storageBarrier();
    }
}

@group(0) @binding(0) var<uniform> parameters: array<vec4<u32>, 12>;
@group(0) @binding(1) var<storage, read> buffer0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> buffer1: array<u32>;

// 0, which a compiler does not see: it would take parameters for constants and compile this anew in each run.
var<private> nothing: u32;

struct part0_Parameters {
    tiles: u32,
    column_tiles: u32,
    row_tiles: u32,
    rows: u32,
    columns: u32,
    batches: u32,
    depth: u32,
    depth_begin: u32,
    depth_span: u32,
    part_depth: u32,
    lhs_offset: u32,
    lhs_stride: u32,
    lhs_depth_stride: u32,
    rhs_offset: u32,
    rhs_depth_stride: u32,
    strip: u32,
    first: u32,
    per_row: u32,
    begin_of_input0: u32,
    begin_of_input1: u32,
    begin_of_output0: u32,
    joined_count: u32,
}

var<private> part0_parameters: part0_Parameters;

fn part0_open(at: u32) {
    let words0 = parameters[at + 0u];
    part0_parameters.tiles = words0.x + nothing;
    part0_parameters.column_tiles = words0.y + nothing;
    part0_parameters.row_tiles = words0.z + nothing;
    part0_parameters.rows = words0.w + nothing;
    let words1 = parameters[at + 1u];
    part0_parameters.columns = words1.x + nothing;
    part0_parameters.batches = words1.y + nothing;
    part0_parameters.depth = words1.z + nothing;
    part0_parameters.depth_begin = words1.w + nothing;
    let words2 = parameters[at + 2u];
    part0_parameters.depth_span = words2.x + nothing;
    part0_parameters.part_depth = words2.y + nothing;
    part0_parameters.lhs_offset = words2.z + nothing;
    part0_parameters.lhs_stride = words2.w + nothing;
    let words3 = parameters[at + 3u];
    part0_parameters.lhs_depth_stride = words3.x + nothing;
    part0_parameters.rhs_offset = words3.y + nothing;
    part0_parameters.rhs_depth_stride = words3.z + nothing;
    part0_parameters.strip = words3.w + nothing;
    let words4 = parameters[at + 4u];
    part0_parameters.first = words4.x + nothing;
    part0_parameters.per_row = words4.y + nothing;
    part0_parameters.begin_of_input0 = words4.z + nothing;
    part0_parameters.begin_of_input1 = words4.w + nothing;
    let words5 = parameters[at + 5u];
    part0_parameters.begin_of_output0 = words5.x + nothing;
    part0_parameters.joined_count = words5.y + nothing;
}

fn part0_load_input0(index: u32) -> f32 {
    let at = part0_parameters.begin_of_input0 + index;
    return bitcast<f32>(buffer0[at / 4u][at % 4u]);
}

fn part0_load_input1(index: u32) -> vec4<f32> {
    let at = part0_parameters.begin_of_input1 / 4u + index;
    return bitcast<vec4<f32>>(buffer0[at]);
}

fn part0_store_output0(index: u32, value: vec4<f32>) {
    let at = part0_parameters.begin_of_output0 + 4u * index;
    let words = bitcast<vec4<u32>>(value);
    buffer1[at + 0u] = words.x;
    buffer1[at + 1u] = words.y;
    buffer1[at + 2u] = words.z;
    buffer1[at + 3u] = words.w;
}

fn part0_main(id: vec3<u32>) {
    let tile = part0_flat(id);
    if tile >= part0_parameters.tiles {
        return;
    }
    // Tiles go through a strip of columns from top to bottom before the next strip, so that its part of rhs stays in the cache.
    let strip_row = tile / part0_parameters.strip;
    let strip = strip_row / part0_parameters.row_tiles;
    let strips = part0_parameters.column_tiles / part0_parameters.strip;
    let column = COLUMNS * (strip % strips * part0_parameters.strip + tile % part0_parameters.strip);
    let row = ROWS * (strip_row % part0_parameters.row_tiles);
    let part = strip / strips / part0_parameters.batches;
    let batch = strip / strips % part0_parameters.batches;
    let columns_0 = part0_rhs_columns(batch, column + 0u * 4u);
    let rows_0 = part0_lhs_rows(batch, row + 0u * 4u);
    var sum_0_0 = mat4x4<f32>();
    var depth = part0_parameters.depth_begin + part * part0_parameters.part_depth;
    let depth_end = min(depth + part0_parameters.depth_span, part0_parameters.depth);
    while depth + 4u <= depth_end {
        let rhs_0 = part0_rhs_tile(columns_0, depth);
        let lhs_0 = part0_lhs_tile(rows_0, depth);
        sum_0_0 = sum_0_0 + rhs_0 * lhs_0;
        depth += 4u;
    }
    while depth < depth_end {
        let rhs_0 = part0_rhs_step(columns_0, depth);
        let lhs_0 = part0_lhs_step(rows_0, depth);
        sum_0_0 = sum_0_0 + mat4x4<f32>(rhs_0 * lhs_0.x, rhs_0 * lhs_0.y, rhs_0 * lhs_0.z, rhs_0 * lhs_0.w);
        depth += 1u;
    }
    let matrix = part * part0_parameters.batches + batch;
    let lines = min(ROWS, part0_parameters.rows - row);
    for (var line = 0u; line < lines; line++) {
        var four_0 = sum_0_0[0];
        four_0 = select(four_0, sum_0_0[0], line == 0u * 4u);
        four_0 = select(four_0, sum_0_0[1], line == 0u * 4u + 1u);
        four_0 = select(four_0, sum_0_0[2], line == 0u * 4u + 2u);
        four_0 = select(four_0, sum_0_0[3], line == 0u * 4u + 3u);
        part0_store_row(matrix, row + line, column + 0u * 4u, four_0);
    }
}

fn part0_flat(id: vec3<u32>) -> u32 {
    return part0_parameters.first + id.y * part0_parameters.per_row + id.x;
}

const WORKGROUP_SIZE: u32 = 8u;

const ROWS: u32 = 4u;

const COLUMNS: u32 = 4u;

fn part0_lhs_rows(batch: u32, first: u32) -> vec4<u32> {
    var start = part0_parameters.lhs_offset;
    return start + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(part0_parameters.rows - 1u)) * part0_parameters.lhs_stride;
}

fn part0_lhs_tile(starts: vec4<u32>, depth: u32) -> mat4x4<f32> {
    let p = depth * part0_parameters.lhs_depth_stride;
    return mat4x4<f32>(vec4<f32>(part0_load_input0(starts.x + p + 0u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.x + p + 1u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.x + p + 2u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.x + p + 3u * part0_parameters.lhs_depth_stride)), vec4<f32>(part0_load_input0(starts.y + p + 0u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.y + p + 1u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.y + p + 2u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.y + p + 3u * part0_parameters.lhs_depth_stride)), vec4<f32>(part0_load_input0(starts.z + p + 0u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.z + p + 1u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.z + p + 2u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.z + p + 3u * part0_parameters.lhs_depth_stride)), vec4<f32>(part0_load_input0(starts.w + p + 0u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.w + p + 1u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.w + p + 2u * part0_parameters.lhs_depth_stride), part0_load_input0(starts.w + p + 3u * part0_parameters.lhs_depth_stride)));
}

fn part0_lhs_step(starts: vec4<u32>, depth: u32) -> vec4<f32> {
    return vec4<f32>(part0_load_input0(starts.x + depth * part0_parameters.lhs_depth_stride), part0_load_input0(starts.y + depth * part0_parameters.lhs_depth_stride), part0_load_input0(starts.z + depth * part0_parameters.lhs_depth_stride), part0_load_input0(starts.w + depth * part0_parameters.lhs_depth_stride));
}

fn part0_rhs_columns(batch: u32, first: u32) -> vec4<u32> {
    var start = part0_parameters.rhs_offset;
    return vec4<u32>(start + min(first, part0_parameters.columns - 4u) / 4u);
}

fn part0_rhs_tile(starts: vec4<u32>, depth: u32) -> mat4x4<f32> {
    let p = starts.x + depth * part0_parameters.rhs_depth_stride;
    return mat4x4<f32>(part0_load_input1(p + 0u * part0_parameters.rhs_depth_stride), part0_load_input1(p + 1u * part0_parameters.rhs_depth_stride), part0_load_input1(p + 2u * part0_parameters.rhs_depth_stride), part0_load_input1(p + 3u * part0_parameters.rhs_depth_stride));
}

fn part0_rhs_step(starts: vec4<u32>, depth: u32) -> vec4<f32> {
    return part0_load_input1(starts.x + depth * part0_parameters.rhs_depth_stride);
}

fn part0_store_row(batch: u32, row: u32, column: u32, sums: vec4<f32>) {
    let index = (batch * part0_parameters.rows + row) * part0_parameters.columns + column;
    if (row < part0_parameters.rows) & (column < part0_parameters.columns) {
        part0_write_block(index, sums);
    }
}

fn epilogue(index: u32, accumulator: f32) -> f32 {
    let v0 = accumulator;
    return v0;
}

fn part0_write_block(index: u32, accumulator: vec4<f32>) {
    let v_x = epilogue(index, accumulator.x);
    let v_y = epilogue(index + 1u, accumulator.y);
    let v_z = epilogue(index + 2u, accumulator.z);
    let v_w = epilogue(index + 3u, accumulator.w);
    part0_store_output0(index / 4u, vec4<f32>(v_x, v_y, v_z, v_w));
}

struct part1_Parameters {
    rows: u32,
    columns: u32,
    least_f32: f32,
    first: u32,
    per_row: u32,
    begin_of_output0: u32,
    joined_count: u32,
}

var<private> part1_parameters: part1_Parameters;

fn part1_open(at: u32) {
    let words0 = parameters[at + 0u];
    part1_parameters.rows = words0.x + nothing;
    part1_parameters.columns = words0.y + nothing;
    part1_parameters.least_f32 = bitcast<f32>(words0.z + nothing);
    part1_parameters.first = words0.w + nothing;
    let words1 = parameters[at + 1u];
    part1_parameters.per_row = words1.x + nothing;
    part1_parameters.begin_of_output0 = words1.y + nothing;
    part1_parameters.joined_count = words1.z + nothing;
}

fn part1_load_output0(index: u32) -> vec4<f32> {
    let at = part1_parameters.begin_of_output0 + 4u * index;
    return bitcast<vec4<f32>>(vec4<u32>(buffer1[at + 0u], buffer1[at + 1u], buffer1[at + 2u], buffer1[at + 3u]));
}

fn part1_store_output0(index: u32, value: vec4<f32>) {
    let at = part1_parameters.begin_of_output0 + 4u * index;
    let words = bitcast<vec4<u32>>(value);
    buffer1[at + 0u] = words.x;
    buffer1[at + 1u] = words.y;
    buffer1[at + 2u] = words.z;
    buffer1[at + 3u] = words.w;
}

fn part1_main(id: vec3<u32>) {
    let number = part1_flat(id);
    if number >= part1_parameters.rows {
        return;
    }
    var row = part1_open_row(number);
    var column = 0u;
    var total_0 = part1_identity_0();
    column = 0u;
    while column < part1_parameters.columns {
        let end = min(column + 64u * WIDTH, part1_parameters.columns);
        var sum = part1_identity_0();
        while column < end {
            sum = combine_0(sum, part1_pass_0(row, column));
            column += WIDTH;
        }
        total_0 = combine_0(total_0, sum);
    }
    row = finish_0(row, total_0);
    var total_1 = identity_1();
    column = 0u;
    while column < part1_parameters.columns {
        let end = min(column + 64u * WIDTH, part1_parameters.columns);
        var sum = identity_1();
        while column < end {
            sum = combine_1(sum, part1_pass_1(row, column));
            column += WIDTH;
        }
        total_1 = combine_1(total_1, sum);
    }
    row = finish_1(row, total_1);
    column = 0u;
    while column < part1_parameters.columns {
        part1_pass_2(row, column);
        column += WIDTH;
    }
    write_row(row);
}

fn part1_flat(id: vec3<u32>) -> u32 {
    return part1_parameters.first + id.y * part1_parameters.per_row + id.x;
}

const WIDTH: u32 = 4u;

struct Row {
    number: u32,
    first: u32,
    v1: f32,
    v4: f32,
}

fn part1_open_row(number: u32) -> Row {
    var row = Row();
    row.number = number;
    row.first = number * part1_parameters.columns;
    return row;
}

fn part1_read_input0(row: Row, column: u32) -> vec4<f32> {
    // In place: output0 still holds input0.
    return part1_load_output0((row.first + column) / 4u);
}

struct Elements_0 {
    v0: f32,
}

fn elements_0(row: Row, index: u32, column: u32, input0: f32) -> Elements_0 {
    let v0 = input0;
    return Elements_0(v0);
}

struct Totals_0 {
    v1: vec4<f32>,
}

fn part1_identity_0() -> Totals_0 {
    return Totals_0(vec4<f32>(part1_parameters.least_f32));
}

fn combine_0(a: Totals_0, b: Totals_0) -> Totals_0 {
    return Totals_0(
        vec4<f32>(maximum(a.v1.x, b.v1.x), maximum(a.v1.y, b.v1.y), maximum(a.v1.z, b.v1.z), maximum(a.v1.w, b.v1.w)),
    );
}

fn part1_pass_0(row: Row, column: u32) -> Totals_0 {
    let index = row.first + column;
    let input0_value = part1_read_input0(row, column);
    let x = elements_0(row, index, column, input0_value.x);
    let y = elements_0(row, index + 1u, column + 1u, input0_value.y);
    let z = elements_0(row, index + 2u, column + 2u, input0_value.z);
    let w = elements_0(row, index + 3u, column + 3u, input0_value.w);
    return Totals_0(vec4<f32>(x.v0, y.v0, z.v0, w.v0));
}

fn finish_0(row: Row, totals: Totals_0) -> Row {
    var known = row;
    let v1 = maximum(maximum(totals.v1.x, totals.v1.y), maximum(totals.v1.z, totals.v1.w));
    known.v1 = v1;
    return known;
}

struct Elements_1 {
    v3: f32,
}

fn elements_1(row: Row, index: u32, column: u32, input0: f32) -> Elements_1 {
    let v0 = input0;
    let v1 = row.v1;
    let v2 = sub(v0, v1);
    let v3 = exp_f32(v2);
    return Elements_1(v3);
}

struct Totals_1 {
    v4: vec4<f32>,
}

fn identity_1() -> Totals_1 {
    return Totals_1(vec4<f32>());
}

fn combine_1(a: Totals_1, b: Totals_1) -> Totals_1 {
    return Totals_1(
        vec4<f32>(add(a.v4.x, b.v4.x), add(a.v4.y, b.v4.y), add(a.v4.z, b.v4.z), add(a.v4.w, b.v4.w)),
    );
}

fn part1_pass_1(row: Row, column: u32) -> Totals_1 {
    let index = row.first + column;
    let input0_value = part1_read_input0(row, column);
    let x = elements_1(row, index, column, input0_value.x);
    let y = elements_1(row, index + 1u, column + 1u, input0_value.y);
    let z = elements_1(row, index + 2u, column + 2u, input0_value.z);
    let w = elements_1(row, index + 3u, column + 3u, input0_value.w);
    return Totals_1(vec4<f32>(x.v3, y.v3, z.v3, w.v3));
}

fn finish_1(row: Row, totals: Totals_1) -> Row {
    var known = row;
    let v4 = add(add(totals.v4.x, totals.v4.y), add(totals.v4.z, totals.v4.w));
    known.v4 = v4;
    return known;
}

struct Elements_2 {
    v5: f32,
}

fn elements_2(row: Row, index: u32, column: u32, input0: f32) -> Elements_2 {
    let v0 = input0;
    let v1 = row.v1;
    let v2 = sub(v0, v1);
    let v3 = exp_f32(v2);
    let v4 = row.v4;
    let v5 = div(v3, v4);
    return Elements_2(v5);
}

fn part1_pass_2(row: Row, column: u32) {
    let index = row.first + column;
    let input0_value = part1_read_input0(row, column);
    let x = elements_2(row, index, column, input0_value.x);
    let y = elements_2(row, index + 1u, column + 1u, input0_value.y);
    let z = elements_2(row, index + 2u, column + 2u, input0_value.z);
    let w = elements_2(row, index + 3u, column + 3u, input0_value.w);
    part1_store_output0(index / 4u, vec4<f32>(x.v5, y.v5, z.v5, w.v5));
}

fn write_row(row: Row) {
}

// x + y
fn add(x: f32, y: f32) -> f32 {
    return x + y;
}

// x / y
fn div(x: f32, y: f32) -> f32 {
    return x / y;
}

// e^x as 2^power (1 + fraction).
struct Exponential {
    power: i32,
    fraction: f32,
}

// With n = round(x / ln 2), r = x - n ln 2 lies in [-0.35, 0.35] and e^x = 2^n e^r; e^r is its Taylor polynomial.
// ln 2 is subtracted in two parts, the first short enough that n times it is exact.
fn reduced_exp(x: f32) -> Exponential {
    let n = round(x * 1.44269504);
    let r = (x - n * 0.693359375) + n * 2.12194440e-4;
    let tail = fma(fma(fma(fma(fma(1.98412698e-4, r, 1.38888889e-3), r, 8.33333333e-3), r, 4.16666667e-2), r, 1.66666667e-1), r, 0.5);
    return Exponential(i32(n), fma(tail * r, r, r));
}

// 2^n for whole n in [-126, 127], by setting the exponent bits.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// Whether x is NaN, from its bits: a WGSL compiler may assume that `x != x` is false.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// e^x. The power of two is applied in halves, so that results near both ends of the range come out.
fn exp_f32(x: f32) -> f32 {
    let reduced = reduced_exp(clamp(x, -104.0, 89.0));
    let half = reduced.power / 2;
    let result = (1.0 + reduced.fraction) * power_of_two(half) * power_of_two(reduced.power - half);
    return select(result, x, is_nan(x));
}

// The larger of x and y; NaN if either is, and y if neither is larger, as zeros of two signs: WGSL's max leaves that open.
fn maximum(x: f32, y: f32) -> f32 {
    return select(select(select(y, x, x > y), y, is_nan(y)), x, is_nan(x));
}

// x - y
fn sub(x: f32, y: f32) -> f32 {
    return x - y;
}

struct part2_Parameters {
    blocks: u32,
    first: u32,
    per_row: u32,
    begin_of_input0: u32,
    begin_of_input1: u32,
    begin_of_output0: u32,
    joined_count: u32,
}

var<private> part2_parameters: part2_Parameters;

fn part2_open(at: u32) {
    let words0 = parameters[at + 0u];
    part2_parameters.blocks = words0.x + nothing;
    part2_parameters.first = words0.y + nothing;
    part2_parameters.per_row = words0.z + nothing;
    part2_parameters.begin_of_input0 = words0.w + nothing;
    let words1 = parameters[at + 1u];
    part2_parameters.begin_of_input1 = words1.x + nothing;
    part2_parameters.begin_of_output0 = words1.y + nothing;
    part2_parameters.joined_count = words1.z + nothing;
}

fn part2_load_input0(index: u32) -> i32 {
    let at = part2_parameters.begin_of_input0 + index;
    return bitcast<i32>(buffer0[at / 4u][at % 4u]);
}

fn part2_load_input1(index: u32) -> i32 {
    let at = part2_parameters.begin_of_input1 + index;
    return bitcast<i32>(buffer0[at / 4u][at % 4u]);
}

fn part2_store_output0(index: u32, value: i32) {
    let at = part2_parameters.begin_of_output0 + index;
    buffer1[at] = bitcast<u32>(value);
}

fn part2_main(id: vec3<u32>) {
    let block = part2_flat(id);
    if block < part2_parameters.blocks {
        part2_write_block(block * part2_WIDTH);
    }
}

fn part2_flat(id: vec3<u32>) -> u32 {
    return part2_parameters.first + id.y * part2_parameters.per_row + id.x;
}

const part2_WIDTH: u32 = 1u;

fn part2_read_input0(index: u32) -> i32 {
    return part2_load_input0(index);
}

fn part2_read_input1(index: u32) -> i32 {
    return part2_load_input1(index);
}

fn part2_program(index: u32, input0: i32, input1: i32) -> i32 {
    let v0 = input0;
    let v1 = input1;
    let v2 = mul_i32(v0, v1);
    return v2;
}

fn part2_write_block(index: u32) {
    let input0_value = part2_read_input0(index);
    let input1_value = part2_read_input1(index);
    let v = part2_program(index, input0_value, input1_value);
    part2_store_output0(index, v);
}

const part2_WORKGROUP_SIZE: u32 = 64u;

// x y, wrapping.
fn mul_i32(x: i32, y: i32) -> i32 {
    return x * y;
}
