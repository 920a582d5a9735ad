struct Parameters {
    blocks: u32,
    input1_position_extent_1: u32,
    input1_position_reciprocal_1: f32,
    first: u32,
    per_row: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> input1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output0: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> output1: array<vec4<f32>>;

fn flat(id: vec3<u32>) -> u32 {
    return parameters.first + id.y * parameters.per_row + id.x;
}

const WIDTH: u32 = 4u;

fn read_input0(index: u32) -> vec4<f32> {
    // In place: output1 still holds input0.
    return output1[index / 4u];
}

fn input1_position(index: u32) -> u32 {
    let rest_1 = u32((f32(index) + 0.5) * parameters.input1_position_reciprocal_1);
    return (index - rest_1 * parameters.input1_position_extent_1);
}

fn read_input1(index: u32) -> vec4<f32> {
    return input1[input1_position(index) / 4u];
}

struct Values {
    output0: f32,
    output1: f32,
}

fn program(index: u32, input0: f32, input1: f32) -> Values {
    let v0 = input0;
    let v1 = input1;
    let v2 = add(v0, v1);
    let v3 = relu(v2);
    return Values(v3, v2);
}

fn write_block(index: u32) {
    let input0_value = read_input0(index);
    let input1_value = read_input1(index);
    let v_x = program(index, input0_value.x, input1_value.x);
    let v_y = program(index + 1u, input0_value.y, input1_value.y);
    let v_z = program(index + 2u, input0_value.z, input1_value.z);
    let v_w = program(index + 3u, input0_value.w, input1_value.w);
    output0[index / 4u] = vec4<f32>(v_x.output0, v_y.output0, v_z.output0, v_w.output0);
    output1[index / 4u] = vec4<f32>(v_x.output1, v_y.output1, v_z.output1, v_w.output1);
}

const WORKGROUP_SIZE: u32 = 64u;

// x + y
fn add(x: f32, y: f32) -> f32 {
    return x + y;
}

// Whether x is NaN, from its bits: a WGSL compiler may assume that `x != x` is false.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// x, but 0 where x is below 0; NaN stays NaN, and -0 stays -0.
fn relu(x: f32) -> f32 {
    return select(select(x, 0.0, x < 0.0), x, is_nan(x));
}
