//! Sums of sums: how the many units of one place are summed in parts.

use std::fmt::Write;

use crate::wgsl::module::Module;
use crate::wgsl::scatter::ENTRIES;

/// Sums of neighbouring entries of the level before, or of units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// The units that one sum is over.
    pub(super) span: usize,
    /// Where the level begins among the sums.
    pub(super) first: usize,
}

/// Declares `fn sum_units(first: u32, last: u32, column: u32)`: the sum of the units of one place, more than 64, by as few
/// entries of as few levels as there are.
pub(super) fn declare_sum_units(module: &mut Module, levels: usize) {
    for level in 0..=levels {
        // Four accumulators: a sum of 64 entries is as exact as one of 16.
        module.declare(format!(
            "fn sum_entries_{level}(first: u32, last: u32, column: u32) -> Element {{
    var sum0 = identity();
    var sum1 = identity();
    var sum2 = identity();
    var sum3 = identity();
    var entry = first;
    while entry + 4u <= last {{
        sum0 = combine(sum0, read_entry_{level}(entry, column));
        sum1 = combine(sum1, read_entry_{level}(entry + 1u, column));
        sum2 = combine(sum2, read_entry_{level}(entry + 2u, column));
        sum3 = combine(sum3, read_entry_{level}(entry + 3u, column));
        entry += 4u;
    }}
    while entry < last {{
        sum0 = combine(sum0, read_entry_{level}(entry, column));
        entry += 1u;
    }}
    return combine(combine(sum0, sum1), combine(sum2, sum3));
}}
"
        ));
    }
    let mut text = "fn sum_units(first: u32, last: u32, column: u32) -> Element {\n    var low = first;\n    var high = last;\n    \
                    var sum = identity();\n"
        .to_owned();
    for level in 0..levels {
        let _ = write!(
            text,
            "    let low_{level} = (low + 63u) / 64u;
    let high_{level} = high / 64u;
    if low_{level} >= high_{level} {{
        return combine(sum, sum_entries_{level}(low, high, column));
    }}
    sum = combine(sum, sum_entries_{level}(low, 64u * low_{level}, column));
    sum = combine(sum, sum_entries_{level}(64u * high_{level}, high, column));
    low = low_{level};
    high = high_{level};
"
        );
    }
    let _ = write!(text, "    return combine(sum, sum_entries_{levels}(low, high, column));\n}}\n");
    module.declare(text);
}

/// The loop iterations for the sum of a place's units: of each level the entries before and after the whole chunks, of the last
/// all that are left; or up to so many units one by one.
pub(super) fn sum_iterations(levels: &[Level]) -> usize {
    ((2 * levels.len() + 1) * (ENTRIES / 4 + 3)).max(ENTRIES)
}
