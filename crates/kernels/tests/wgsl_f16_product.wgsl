@group(0) @binding(1) var<storage, read> input0: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> input1: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read_write> output0: array<vec4<f32>>;

fn flat(id: vec3<u32>) -> u32 {
    return parameters.first + id.y * parameters.per_row + id.x;
}

const WORKGROUP_SIZE: u32 = 8u;

const ROWS: u32 = 16u;
const COLUMNS: u32 = 8u;

fn lhs_rows(batch: u32, first: u32) -> vec4<u32> {
    var start = parameters.lhs_offset;
    return start + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(parameters.rows - 1u)) * parameters.lhs_stride;
}

fn lhs_tile(starts: vec4<u32>, depth: u32) -> mat4x4<f32> {
    let p = depth / 4u;
    return mat4x4<f32>(vec4<f32>(input0[starts.x + p]), vec4<f32>(input0[starts.y + p]), vec4<f32>(input0[starts.z + p]), vec4<f32>(input0[starts.w + p]));
}

fn rhs_columns(batch: u32, first: u32) -> vec4<u32> {
    var start = parameters.rhs_offset;
    return start + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(parameters.columns - 1u)) * parameters.rhs_stride;
}

fn rhs_tile(starts: vec4<u32>, depth: u32) -> mat4x4<f32> {
    let p = depth / 4u;
    return transpose(mat4x4<f32>(vec4<f32>(input1[starts.x + p]), vec4<f32>(input1[starts.y + p]), vec4<f32>(input1[starts.z + p]), vec4<f32>(input1[starts.w + p])));
}

fn store_row(batch: u32, row: u32, column: u32, sums: vec4<f32>) {
    let index = (batch * parameters.rows + row) * parameters.columns + column;
    if (row < parameters.rows) & (column < parameters.columns) {
        write_block(index, sums);
    }
}

fn epilogue(index: u32, accumulator: f32) -> f32 {
    let v0 = accumulator;
    return v0;
}

fn write_block(index: u32, accumulator: vec4<f32>) {
    let v_x = epilogue(index, accumulator.x);
    let v_y = epilogue(index + 1u, accumulator.y);
    let v_z = epilogue(index + 2u, accumulator.z);
    let v_w = epilogue(index + 3u, accumulator.w);
    output0[index / 4u] = vec4<f32>(v_x, v_y, v_z, v_w);
}
