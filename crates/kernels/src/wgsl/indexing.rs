//! Lowering of kernels that compute or follow indices: argmax and gather.

use crate::DType;
use crate::view::{Axis, View};
use crate::wgsl::module::{Grid, Module, WORKGROUP, storage_type};
use crate::wgsl::output::new_scratch;
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
        let each = module.long_running_workgroup(profile);
        module.parameter("invocations", results * chunks);
        module.parameter("operand_extent", extent);
        module.parameter("inner", inner);
        module.parameter("candidates", candidates);
        module.parameter("chunks", chunks);
        module.parameter("chunk_length", chunk_length);
        module.bind(Resource::Input(0), false, "operand", storage_type(dtype));
        declare_key(&mut module, dtype, false);
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
        let grid = Grid { count: results * chunks, each, operations: 2 * chunk_length, iterations: chunk_length };
        module.dispatch(include_str!("../../shaders/argmax.wgsl"), "argmax", grid, profile, lowered);
        if chunks == 1 {
            return;
        }
        candidates = chunks;
        source = Some(target);
    }
}

/// Declares `fn key(place: u32) -> u32`, which orders as the operand's elements do, or the other way round. NaN is above all either way.
pub(super) fn declare_key(module: &mut Module, dtype: DType, is_descending: bool) {
    let turned = if is_descending { "~" } else { "" };
    let body: String = match dtype {
        DType::F32 | DType::F64 => {
            module.call("is_nan");
            format!(
                "    let x = operand[place];\n    let bits = select(bitcast<u32>(x), 0u, x == 0.0);\n    \
                 let ordered = select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);\n    \
                 return select({turned}ordered, 0xffffffffu, is_nan(x));\n"
            )
        }
        DType::I32 => format!("    return {turned}(bitcast<u32>(operand[place]) ^ 0x80000000u);\n"),
        DType::Bool => format!("    return {turned}operand[place];\n"),
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
        (0..indices_shape.rank()).map(|other| Axis {
            extent: indices_shape[other],
            stride: if other == axis { 0 } else { strides[other] as isize },
        }),
        0,
    );
    let outside = match dtype {
        DType::F32 | DType::F64 => f32::NAN.to_bits(),
        DType::I32 | DType::Bool => 0,
    };
    let mut module = lowered.module();
    module.parameter("elements", elements);
    module.parameter("axis_extent", operand_shape[axis]);
    module.parameter("axis_stride", strides[axis]);
    module.parameter("outside", outside as usize);
    let word = match module.narrow_element(Resource::Input(0), "operand", "place") {
        Some(value) => format!("bitcast<u32>({value})"),
        None => {
            module.bind(Resource::Input(0), false, "operand", "u32");
            "operand[place]".to_owned()
        }
    };
    module.declare(format!("fn read_operand(place: u32) -> u32 {{\n    return {word};\n}}\n"));
    module.bind(Resource::Input(1), false, "indices", "i32");
    module.bind(Resource::Output(0), true, "result", "u32");
    let place = position(&mut module, "index_position", indices, "element");
    module.declare(format!("fn read_index(element: u32) -> i32 {{\n    return indices[{place}];\n}}\n"));
    declare_position(&mut module, "row_position", rows.axes(), 0);
    let grid = Grid { count: elements, each: WORKGROUP, operations: 4, iterations: 0 };
    module.dispatch(include_str!("../../shaders/gather.wgsl"), "gather", grid, profile, lowered);
}
