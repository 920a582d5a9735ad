//! Lowering of kernels that compute or follow indices: argmax, gather, scatter_add.

use crate::DType;
use crate::view::{Axis, View};
use crate::wgsl::lower::new_scratch;
use crate::wgsl::module::{Module, WORKGROUP, fold, storage_type};
use crate::wgsl::positions::{declare_position, position};
use crate::wgsl::tiles::argmax_chunk;
use crate::wgsl::{AdapterProfile, Lowered, Resource};
use arenagrad_graph::Shape;

/// Appends the dispatches of an argmax over `[outer, extent, inner]`.
pub(super) fn argmax(dtype: DType, extents: [usize; 3], profile: &AdapterProfile, lowered: &mut Lowered) {
    let [outer, extent, inner] = extents;
    let results = outer * inner;
    let mut candidates = extent;
    let mut source = None;
    loop {
        let chunk_length = argmax_chunk(profile, results, candidates);
        let chunks = candidates.div_ceil(chunk_length);
        let target = if chunks == 1 { Resource::Output(0) } else { new_scratch(results * chunks, lowered) };
        let mut module = Module::default();
        let (workgroups, per_row) = fold(results * chunks, module.long_running_workgroup(profile), profile);
        module.parameter("invocations", results * chunks);
        module.parameter("invocations_per_row", per_row);
        module.parameter("operand_extent", extent);
        module.parameter("inner", inner);
        module.parameter("candidates", candidates);
        module.parameter("chunks", chunks);
        module.parameter("chunk_length", chunk_length);
        module.bind(Resource::Input(0), false, "operand", storage_type(dtype));
        declare_key(&mut module, dtype);
        let candidate = match source {
            None => "place",
            Some(scratch) => {
                module.bind(scratch, false, "winners", "i32");
                "u32(winners[result * parameters.candidates + place])"
            }
        };
        module.declare(format!("fn candidate(result: u32, place: u32) -> u32 {{\n    return {candidate};\n}}\n"));
        module.bind(target, true, "result", "i32");
        module.declare("fn write_winner(place: u32, winner: u32) {\n    result[place] = i32(winner);\n}\n");
        lowered.dispatches.push(module.dispatch(include_str!("../../shaders/argmax.wgsl"), "argmax", workgroups));
        if chunks == 1 {
            return;
        }
        candidates = chunks;
        source = Some(target);
    }
}

/// Declares `fn key(place: u32) -> u32`, which orders as the operand's elements do.
fn declare_key(module: &mut Module, dtype: DType) {
    let body = match dtype {
        DType::F32 | DType::F64 => {
            module.call("is_nan");
            "    let x = operand[place];\n    let bits = select(bitcast<u32>(x), 0u, x == 0.0);\n    \
             let ordered = select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);\n    \
             return select(ordered, 0xffffffffu, is_nan(x));\n"
        }
        DType::I32 => "    return bitcast<u32>(operand[place]) ^ 0x80000000u;\n",
        DType::Bool => "    return operand[place];\n",
    };
    module.declare(format!("fn key(place: u32) -> u32 {{\n{body}}}\n"));
}

/// Appends the dispatch of a gather. `shapes` are the operand's and the indices'.
pub(super) fn gather(
    dtype: DType,
    [operand_shape, indices_shape]: [&Shape; 2],
    axis: usize,
    indices: &View,
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) {
    let elements = indices_shape.elements();
    let strides = operand_shape.strides();
    let rows = View::new(
        (0..indices_shape.rank())
            .map(|other| Axis { extent: indices_shape[other], stride: if other == axis { 0 } else { strides[other] } }),
        0,
    );
    let outside = match dtype {
        DType::F32 | DType::F64 => f32::NAN.to_bits(),
        DType::I32 | DType::Bool => 0,
    };
    let mut module = Module::default();
    let (workgroups, per_row) = fold(elements, WORKGROUP, profile);
    module.parameter("elements", elements);
    module.parameter("elements_per_row", per_row);
    module.parameter("axis_extent", operand_shape[axis]);
    module.parameter("axis_stride", strides[axis]);
    module.parameter("outside", outside as usize);
    module.bind(Resource::Input(0), false, "operand", "u32");
    module.bind(Resource::Input(1), false, "indices", "i32");
    module.bind(Resource::Output(0), true, "result", "u32");
    let place = position(&mut module, "index_position", indices, "element");
    module.declare(format!("fn read_index(element: u32) -> i32 {{\n    return indices[{place}];\n}}\n"));
    declare_position(&mut module, "row_position", rows.axes(), 0);
    lowered.dispatches.push(module.dispatch(include_str!("../../shaders/gather.wgsl"), "gather", workgroups));
}

/// Appends the dispatches of a scatter_add. `shapes` are the operand's and the updates', `views` those of indices and updates.
pub(super) fn scatter_add(
    dtype: DType,
    [operand_shape, updates_shape]: [&Shape; 2],
    axis: usize,
    [indices, updates]: [&View; 2],
    in_place: bool,
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) {
    let elements = operand_shape.elements();
    let strides = updates_shape.strides();
    let count = updates_shape[axis];
    let budget = (profile.max_iterations_per_invocation as usize).max(1);
    for first in (0..count).step_by(budget) {
        let mut module = Module::default();
        let (workgroups, per_row) = fold(elements, module.long_running_workgroup(profile), profile);
        module.parameter("elements", elements);
        module.parameter("elements_per_row", per_row);
        module.parameter("first_update", first);
        module.parameter("last_update", (first + budget).min(count));
        module.parameter("update_step", strides[axis]);
        let stored = storage_type(dtype);
        module.bind(Resource::Input(1), false, "indices", "i32");
        module.bind(Resource::Input(2), false, "updates", stored);
        module.bind(Resource::Output(0), true, "result", stored);
        let start = if in_place || first > 0 {
            "result[element]"
        } else {
            module.bind(Resource::Input(0), false, "operand", stored);
            "operand[element]"
        };
        module.declare(format!("fn read_start(element: u32) -> {stored} {{\n    return {start};\n}}\n"));
        let place = position(&mut module, "index_position", indices, "update");
        module.declare(format!("fn read_index(update: u32) -> i32 {{\n    return indices[{place}];\n}}\n"));
        let place = position(&mut module, "update_value_position", updates, "update");
        module.declare(format!("fn read_update(update: u32) -> {stored} {{\n    return updates[{place}];\n}}\n"));
        module.declare(format!("fn write_result(element: u32, sum: {stored}) {{\n    result[element] = sum;\n}}\n"));
        declare_update_position(&mut module, operand_shape, updates_shape, axis);
        let skeleton = include_str!("../../shaders/scatter_add.wgsl");
        lowered.dispatches.push(module.dispatch(skeleton, "scatter_add", workgroups));
    }
}

/// Declares where the updates of an element of the result begin, what its coordinate along the axis is, and whether there are
/// any updates at its other coordinates.
fn declare_update_position(module: &mut Module, operand_shape: &Shape, updates_shape: &Shape, axis: usize) {
    let strides = updates_shape.strides();
    let mut text = "fn update_position(element: u32) -> Updates {\n    var rest = element;\n    var updates = Updates(0u, 0u, true);\n"
        .to_owned();
    for other in (0..operand_shape.rank()).rev() {
        let extent = module.parameter(format!("extent_{other}"), operand_shape[other]);
        if other == axis {
            text.push_str(&format!("    updates.coordinate = rest % {extent};\n"));
        } else {
            let stride = module.parameter(format!("stride_{other}"), strides[other]);
            let limit = module.parameter(format!("updated_{other}"), updates_shape[other]);
            text.push_str(&format!("    updates.position += (rest % {extent}) * {stride};\n"));
            text.push_str(&format!("    updates.reached = updates.reached && rest % {extent} < {limit};\n"));
        }
        text.push_str(&format!("    rest /= {extent};\n"));
    }
    text.push_str("    return updates;\n}\n");
    module.declare("struct Updates {\n    position: u32,\n    coordinate: u32,\n    reached: bool,\n}\n");
    module.declare(text);
}
