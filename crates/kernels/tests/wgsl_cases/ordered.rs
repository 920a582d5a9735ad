//! Kernels along an axis that depend on the order of the elements there.

use arenagrad_kernels::{Cumulation, CumulativeFunction, DType, Kernel};

/// The kernels of a dtype, f32 or i32.
pub(super) fn of(dtype: DType) -> Vec<(String, Kernel)> {
    let mut all = Vec::new();
    let functions = CumulativeFunction::ALL.map(Cumulation::Function);
    for function in functions.into_iter().chain((dtype == DType::F32).then_some(Cumulation::Recurrence)) {
        for (outer, extent, inner) in
            [(1, 1, 1), (64, 10, 1), (3, 5, 7), (1, 100_000, 1), (2, 40_001, 3), (1, 9_000_000, 1)]
        {
            for is_reversed in [false, true] {
                let name = format!("{} {dtype} {outer} {extent} {inner} {is_reversed}", function.name());
                all.push((name, Kernel::Cumulative { function, dtype, outer, extent, inner, is_reversed }));
            }
        }
    }
    for (rows, extent, count) in [(1, 1, 1), (7, 64, 3), (7, 65, 65), (1, 100_000, 100_000), (300, 1000, 10)] {
        for is_descending in [false, true] {
            let name = format!("argsort {dtype} {rows} {extent} {count} {is_descending}");
            all.push((name, Kernel::ArgSort { dtype, rows, extent, count, is_descending }));
        }
    }
    for (length, values, row) in [(1, 1, 1), (1000, 300, 300), (70, 90, 9), (1_000_000, 10, 10)] {
        for is_right in [false, true] {
            let name = format!("searchsorted {dtype} {length} {values} {row} {is_right}");
            all.push((name, Kernel::SearchSorted { dtype, length, values, row, is_right }));
        }
    }
    all
}
