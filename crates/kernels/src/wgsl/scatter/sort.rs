//! Units of updates brought into the order of the places that they go to: a stable sort by digits, the least significant one first, whose
//! every step is the same whatever runs first.

use super::{Order, Scatter};
use crate::units::Units;
use crate::wgsl::module::{Grid, Module, WORKGROUP};
use crate::wgsl::output::new_scratch;
use crate::wgsl::positions::position;
use crate::wgsl::tiles::{scan_length, sort_blocks};
use crate::wgsl::{Lowered, Resource};

impl Scatter<'_> {
    /// Finds the place of each unit.
    pub(super) fn keys(&self, units: &Units, target: Order, lowered: &mut Lowered) {
        let mut module = Module::default();
        module.parameter("units", units.units());
        module.parameter("places", units.places());
        module.parameter("count", units.count);
        module.parameter("inner", units.inner);
        module.parameter("extent", units.extent);
        module.bind(Resource::Input(1), false, "indices", "i32");
        module.bind(target.keys, true, "keys", "u32");
        module.bind(target.order, true, "order", "u32");
        let place = position(&mut module, "index_position", &units.indices, "unit");
        module.declare(format!("fn read_index(unit: u32) -> i32 {{\n    return indices[{place}];\n}}\n"));
        let grid = Grid { count: units.units(), each: WORKGROUP, operations: 8 };
        let skeleton = include_str!("../../../shaders/scatter_keys.wgsl");
        module.dispatch(skeleton, "scatter_keys", grid, self.profile, lowered);
    }

    /// Sorts by the keys, digit by digit, between the two orders; gives the one that is sorted at last.
    pub(super) fn sort(&self, units: &Units, [mut from, mut to]: [Order; 2], lowered: &mut Lowered) -> Order {
        let count = units.units();
        let (size, most_bits) = sort_blocks(self.profile, count);
        let blocks = count.div_ceil(size);
        // Keys reach up to the number of places itself.
        let bits = usize::BITS - units.places().leading_zeros();
        let passes = bits.div_ceil(most_bits);
        let digit = bits.div_ceil(passes);
        let numbers = blocks << digit;
        let counts = new_scratch(numbers, lowered);
        for pass in 0..passes {
            let mut module = self.block_module(units, [blocks, size], pass * digit, digit);
            let each = module.long_running_workgroup(self.profile);
            module.bind(from.keys, false, "keys", "u32");
            module.bind(counts, true, "counts", "u32");
            let grid = Grid { count: blocks, each, operations: 4 * size + (1 << digit) };
            let skeleton = include_str!("../../../shaders/scatter_count.wgsl");
            module.dispatch(skeleton, "scatter_count", grid, self.profile, lowered);

            let scanned = lowered.scratch.len();
            self.scan(counts, numbers, lowered);

            let mut module = self.block_module(units, [blocks, size], pass * digit, digit);
            let each = module.long_running_workgroup(self.profile);
            module.bind(from.keys, false, "keys", "u32");
            module.bind(from.order, false, "order", "u32");
            module.bind(counts, true, "counts", "u32");
            module.bind(to.keys, true, "moved_keys", "u32");
            module.bind(to.order, true, "moved_order", "u32");
            let grid = Grid { count: blocks, each, operations: 8 * size };
            let skeleton = include_str!("../../../shaders/scatter_move.wgsl");
            module.dispatch(skeleton, "scatter_move", grid, self.profile, lowered);
            (from, to) = (to, from);
            // Each pass sums the counts of its own in the same scratch.
            if pass + 1 < passes {
                lowered.scratch.truncate(scanned);
            }
        }
        from
    }

    fn block_module(&self, units: &Units, [blocks, size]: [usize; 2], shift: u32, digit: u32) -> Module {
        let mut module = Module::default();
        module.parameter("units", units.units());
        module.parameter("blocks", blocks);
        module.parameter("block_size", size);
        module.parameter("shift", shift as usize);
        module.parameter("digits", 1 << digit);
        module
    }

    /// Replaces each number by the sum of those before it.
    fn scan(&self, numbers: Resource, count: usize, lowered: &mut Lowered) {
        let length = scan_length(self.profile);
        // The numbers, the sums of their chunks, the sums of those: until one chunk is all.
        let mut stages = vec![(numbers, count)];
        let mut remaining = count;
        while remaining > length {
            let (source, numbers) = stages[stages.len() - 1];
            remaining = numbers.div_ceil(length);
            let sums = new_scratch(remaining, lowered);
            let mut module = Module::default();
            let each = module.long_running_workgroup(self.profile);
            module.parameter("numbers", numbers);
            module.parameter("chunks", remaining);
            module.parameter("chunk_length", length);
            module.bind(source, false, "numbers", "u32");
            module.bind(sums, true, "sums", "u32");
            let grid = Grid { count: remaining, each, operations: length };
            let skeleton = include_str!("../../../shaders/scan_sums.wgsl");
            module.dispatch(skeleton, "scan_sums", grid, self.profile, lowered);
            stages.push((sums, remaining));
        }
        for stage in (0..stages.len()).rev() {
            let (target, numbers) = stages[stage];
            let chunks = numbers.div_ceil(length);
            let mut module = Module::default();
            let each = module.long_running_workgroup(self.profile);
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
            let grid = Grid { count: chunks, each, operations: 2 * length };
            module.dispatch(include_str!("../../../shaders/scan.wgsl"), "scan", grid, self.profile, lowered);
        }
    }
}
