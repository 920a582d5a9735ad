//! Lowering of sorts and of searches in what is sorted.
//!
//! In a short row each element counts those that come before it. Longer rows are sorted digit by digit, all rows together: first by the keys of
//! their elements, then by row, stably, so that each row ends up by itself and in order.

use crate::DType;
use crate::wgsl::indexing::declare_key;
use crate::wgsl::module::{Grid, Module, WORKGROUP, storage_type};
use crate::wgsl::output::new_scratch;
use crate::wgsl::radix::{Order, sort};
use crate::wgsl::{AdapterProfile, Lowered, Resource};

/// The longest row in which each element is compared with all others: about as many steps as sorting by digits takes.
const COUNTED: usize = 64;

/// Appends the dispatches of a sort of rows, of which the first `count` indices are wanted.
pub(super) fn argsort(
    dtype: DType,
    [rows, extent, count]: [usize; 3],
    is_descending: bool,
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) {
    let elements = rows * extent;
    let mut module = Module::default();
    module.parameter("elements", elements);
    module.parameter("extent", extent);
    module.bind(Resource::Input(0), false, "operand", storage_type(dtype));
    declare_key(&mut module, dtype, false);
    let turned = if is_descending { "~" } else { "" };
    module.declare(format!("fn ordered_key(place: u32) -> u32 {{\n    return {turned}key(place);\n}}\n"));
    if extent <= COUNTED.min(profile.max_iterations_per_invocation as usize) {
        let each = module.long_running_workgroup(profile);
        module.parameter("count", count);
        module.bind(Resource::Output(0), true, "result", "i32");
        let grid = Grid { count: elements, each, operations: 4 * extent, iterations: extent };
        let skeleton = include_str!("../../shaders/argsort_ranks.wgsl");
        module.dispatch(skeleton, "argsort_ranks", grid, profile, lowered);
        return;
    }
    let [first, second] =
        [(); 2].map(|()| Order { keys: new_scratch(elements, lowered), order: new_scratch(elements, lowered) });
    module.bind(first.keys, true, "keys", "u32");
    module.bind(first.order, true, "order", "u32");
    let grid = Grid { count: elements, each: WORKGROUP, operations: 8, iterations: 0 };
    let skeleton = include_str!("../../shaders/argsort_keys.wgsl");
    module.dispatch(skeleton, "argsort_keys", grid, profile, lowered);
    let mut sorted = sort(elements, u32::BITS, [first, second], profile, lowered);
    if rows > 1 {
        let mut module = Module::default();
        module.parameter("elements", elements);
        module.parameter("extent", extent);
        module.bind(sorted.order, false, "order", "u32");
        module.bind(sorted.keys, true, "keys", "u32");
        let grid = Grid { count: elements, each: WORKGROUP, operations: 4, iterations: 0 };
        let skeleton = include_str!("../../shaders/argsort_rows.wgsl");
        module.dispatch(skeleton, "argsort_rows", grid, profile, lowered);
        let other = if sorted == first { second } else { first };
        let bits = usize::BITS - (rows - 1).leading_zeros();
        sorted = sort(elements, bits, [sorted, other], profile, lowered);
    }
    let mut module = Module::default();
    module.parameter("results", rows * count);
    module.parameter("extent", extent);
    module.parameter("count", count);
    module.bind(sorted.order, false, "order", "u32");
    module.bind(Resource::Output(0), true, "result", "i32");
    let grid = Grid { count: rows * count, each: WORKGROUP, operations: 4, iterations: 0 };
    let skeleton = include_str!("../../shaders/argsort_indices.wgsl");
    module.dispatch(skeleton, "argsort_indices", grid, profile, lowered);
}

/// Appends the dispatch of a search: sequences of `length` elements, each for `row` values.
pub(super) fn searchsorted(
    dtype: DType,
    [length, values, row]: [usize; 3],
    is_right: bool,
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) {
    let mut module = Module::default();
    module.parameter("length", length);
    module.parameter("values", values);
    module.parameter("row", row);
    module.bind(Resource::Input(0), false, "sequences", storage_type(dtype));
    module.bind(Resource::Input(1), false, "searched", storage_type(dtype));
    let comparison = if is_right { "<=" } else { "<" };
    // What is NaN goes before nothing. Comparisons with it may be compiled either way, so it is asked for by its bits.
    let is_nan = match dtype {
        DType::F32 | DType::F64 => {
            module.call("is_nan");
            "is_nan(sequences[place]) | is_nan(searched[element]) | "
        }
        DType::I32 | DType::Bool => "",
    };
    module.declare(format!(
        "fn goes_on(place: u32, element: u32) -> bool {{\n    return {is_nan}(sequences[place] {comparison} searched[element]);\n}}\n"
    ));
    module.bind(Resource::Output(0), true, "result", "i32");
    let iterations = u32::BITS as usize;
    let grid = Grid { count: values, each: WORKGROUP, operations: 4 * iterations, iterations };
    module.dispatch(include_str!("../../shaders/searchsorted.wgsl"), "searchsorted", grid, profile, lowered);
}
