//! Whether the lanes of a row exchange their totals within subgroups.
//!
//! Lowering must know how many invocations a subgroup has, and that they lie in it in their order. Drivers do the latter without a promise, so it is
//! tried the first time that a nest is lowered for a graphics card: sums of rows over lanes of every number must have the bits that they have by way of
//! a workgroup's memory.

use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile};
use arenagrad_kernels::{
    DType, Elements, Instruction, Kernel, Nest, NestInstruction, NestValue, ProgramInput, ReduceFunction, Space, View,
};

use super::device::GpuDevice;
use super::trial::results_of;
use crate::error::Error;

/// The most lanes that a row is given.
const MOST_LANES: usize = 256;

/// How many invocations a subgroup has on Apple's graphics cards, for which wgpu gives a range.
const METAL_SUBGROUP: u32 = 32;

/// How many invocations every subgroup of an adapter has, if it is one number.
pub(super) fn size(adapter: &wgpu::Adapter) -> Result<u32, String> {
    let info = adapter.get_info();
    match (info.backend, info.subgroup_min_size, info.subgroup_max_size) {
        (wgpu::Backend::Metal, ..) => Ok(METAL_SUBGROUP),
        (_, least, most) if least == most && least.is_power_of_two() => Ok(least),
        (_, least, most) => Err(format!("its subgroups have {least} to {most} invocations, and not one number")),
    }
}

/// What lowering must know of the device for nests.
pub(super) fn find(device: &GpuDevice) -> AdapterProfile {
    let plain = *device.profile();
    let Some(size) = device.subgroup().filter(|_| plain.class == AdapterClass::Gpu) else { return plain };
    let profile = AdapterProfile { subgroup: Some(size), ..plain };
    // What fails is done without, and fails again where it is needed.
    if has_same_bits(device, &plain, &profile).unwrap_or(false) { profile } else { plain }
}

/// Whether sums of rows have the same bits with both profiles.
fn has_same_bits(device: &GpuDevice, plain: &AdapterProfile, profile: &AdapterProfile) -> Result<bool, Error> {
    for lanes in (1..=MOST_LANES.ilog2()).map(|power| 1usize << power) {
        let [rows, columns] = [33, columns_for(lanes)];
        let kernel = sums([rows, columns]);
        // Of many signs and sizes, so that another order has other bits.
        let value = |place: usize| (((place * 7919) % 4099) as f64 / 512.0 - 4.0).powi(3);
        let values = Elements::from_f64(DType::F32, &(0..rows * columns).map(value).collect::<Vec<f64>>());
        let [by_memory, by_subgroups] =
            [plain, profile].map(|profile| results_of(device, &kernel, profile, std::slice::from_ref(&values), rows));
        if by_memory? != by_subgroups? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Columns for which a row is given so many lanes: two blocks of four for each, and one more.
fn columns_for(lanes: usize) -> usize {
    8 * lanes + 4
}

/// A nest that sums each of its rows.
fn sums([rows, columns]: [usize; 2]) -> Kernel {
    let load = NestInstruction::Compute(Instruction::Load { input: 0 });
    let sum = NestInstruction::Fold { function: ReduceFunction::Sum, operand: 0 };
    let value = |space, instruction| NestValue { space, dtype: DType::F32, instruction };
    Kernel::Nest(Nest {
        rows,
        columns,
        inputs: vec![ProgramInput { dtype: DType::F32, view: View::contiguous(rows * columns), in_place: None }],
        values: vec![value(Space::Element, load), value(Space::Row, sum)],
        outputs: vec![1],
    })
}

#[cfg(test)]
mod tests {
    use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, Dispatch, lower};

    use super::super::nest_tests::device;
    use super::{MOST_LANES, columns_for, has_same_bits, sums};

    #[test]
    fn exchange_within_subgroups_has_the_bits_of_exchange_by_memory() {
        let Some(device) = device() else { return };
        let Some(size) = device.subgroup() else { return };
        let plain = AdapterProfile { class: AdapterClass::Gpu, ..*device.profile() };
        let profile = AdapterProfile { subgroup: Some(size), ..plain };
        let modules = [plain, profile].map(|profile| lower(&sums([33, 200]), &profile).unwrap().dispatches);
        // The trial tries as many lanes as it says, up to the most that there are.
        let lanes = |columns: usize| -> usize {
            let found = lower(&sums([MOST_LANES, columns]), &profile).unwrap();
            let together = |of: &Dispatch| of.work.together.map(|together| of.work.count * together / MOST_LANES);
            found.dispatches.iter().find_map(together).unwrap_or(1)
        };
        for power in 1..=MOST_LANES.ilog2() {
            assert_eq!(lanes(columns_for(1 << power)), 1 << power);
        }
        assert_eq!(lanes(columns_for(2 * MOST_LANES)), MOST_LANES);
        assert!(!modules[0].iter().any(|dispatch| dispatch.module.contains("subgroupShuffleXor")));
        assert!(modules[1].iter().any(|dispatch| dispatch.module.contains("subgroupShuffleXor")));
        assert!(has_same_bits(&device, &plain, &profile).unwrap());
        // Lanes that are exchanged with those of another row would be found.
        let wrong = AdapterProfile { subgroup: Some(size * 2), ..plain };
        assert!(!has_same_bits(&device, &plain, &wrong).unwrap_or(false));
    }
}
