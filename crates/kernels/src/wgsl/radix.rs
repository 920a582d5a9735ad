//! A stable sort by digits, the least significant one first, whose every step is the same whatever runs first.

use crate::wgsl::module::{Grid, Module};
use crate::wgsl::output::new_scratch;
use crate::wgsl::tiles::{scan_length, sort_blocks};
use crate::wgsl::{AdapterProfile, Lowered, Resource};

/// Units on their way into the order of their keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) keys: Resource,
    /// Which unit each key is of.
    pub(super) order: Resource,
}

/// Sorts so many units by keys of so many bits, between the two orders; gives the one that is sorted at last.
pub(super) fn sort(
    count: usize,
    bits: u32,
    [mut from, mut to]: [Order; 2],
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) -> Order {
    let (size, most_bits) = sort_blocks(profile, count);
    let blocks = count.div_ceil(size);
    let passes = bits.div_ceil(most_bits);
    let digit = bits.div_ceil(passes);
    let numbers = blocks << digit;
    let counts = new_scratch(numbers, lowered);
    for pass in 0..passes {
        let mut module = block_module([count, blocks, size], pass * digit, digit);
        let each = module.long_running_workgroup(profile);
        module.bind(from.keys, false, "keys", "u32");
        module.bind(counts, true, "counts", "u32");
        let iterations = size + (1 << digit);
        let grid = Grid { count: blocks, each, operations: 4 * size + (1 << digit), iterations };
        let skeleton = include_str!("../../shaders/scatter_count.wgsl");
        module.dispatch(skeleton, "scatter_count", grid, profile, lowered);

        let scanned = lowered.scratch.len();
        scan(counts, numbers, profile, lowered);

        let mut module = block_module([count, blocks, size], pass * digit, digit);
        let each = module.long_running_workgroup(profile);
        module.bind(from.keys, false, "keys", "u32");
        module.bind(from.order, false, "order", "u32");
        module.bind(counts, true, "counts", "u32");
        module.bind(to.keys, true, "moved_keys", "u32");
        module.bind(to.order, true, "moved_order", "u32");
        let grid = Grid { count: blocks, each, operations: 8 * size, iterations: size };
        let skeleton = include_str!("../../shaders/scatter_move.wgsl");
        module.dispatch(skeleton, "scatter_move", grid, profile, lowered);
        (from, to) = (to, from);
        // Each pass sums the counts of its own in the same scratch.
        if pass + 1 < passes {
            lowered.scratch.truncate(scanned);
        }
    }
    from
}

fn block_module([count, blocks, size]: [usize; 3], shift: u32, digit: u32) -> Module {
    let mut module = Module::default();
    module.parameter("units", count);
    module.parameter("blocks", blocks);
    module.parameter("block_size", size);
    module.parameter("shift", shift as usize);
    module.parameter("digits", 1 << digit);
    module
}

/// Replaces each number by the sum of those before it.
fn scan(numbers: Resource, count: usize, profile: &AdapterProfile, lowered: &mut Lowered) {
    let length = scan_length(profile);
    // The numbers, the sums of their chunks, the sums of those: until one chunk is all.
    let mut stages = vec![(numbers, count)];
    let mut remaining = count;
    while remaining > length {
        let (source, numbers) = stages[stages.len() - 1];
        remaining = numbers.div_ceil(length);
        let sums = new_scratch(remaining, lowered);
        let mut module = Module::default();
        let each = module.long_running_workgroup(profile);
        module.parameter("numbers", numbers);
        module.parameter("chunks", remaining);
        module.parameter("chunk_length", length);
        module.bind(source, false, "numbers", "u32");
        module.bind(sums, true, "sums", "u32");
        let grid = Grid { count: remaining, each, operations: length, iterations: length };
        let skeleton = include_str!("../../shaders/scan_sums.wgsl");
        module.dispatch(skeleton, "scan_sums", grid, profile, lowered);
        stages.push((sums, remaining));
    }
    for stage in (0..stages.len()).rev() {
        let (target, numbers) = stages[stage];
        let chunks = numbers.div_ceil(length);
        let mut module = Module::default();
        let each = module.long_running_workgroup(profile);
        module.parameter("numbers", numbers);
        module.parameter("chunks", chunks);
        module.parameter("chunk_length", length);
        let before = match stages.get(stage + 1) {
            Some(&(sums, _)) => {
                module.bind(sums, false, "sums", "u32");
                "sums[chunk]"
            }
            None => "0u",
        };
        module.bind(target, true, "numbers", "u32");
        module.declare(format!("fn before_chunk(chunk: u32) -> u32 {{\n    return {before};\n}}\n"));
        let grid = Grid { count: chunks, each, operations: 2 * length, iterations: length };
        module.dispatch(include_str!("../../shaders/scan.wgsl"), "scan", grid, profile, lowered);
    }
}
