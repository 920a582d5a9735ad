//! Nests lowered for each class of adapter and run on the first adapter that there is, against plain evaluation in f64; without
//! an adapter each test says `skipped`.

use arenagrad_graph::Elements;

use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, lower};
use arenagrad_kernels::{DType, Kernel, Nest};

use super::encode::LoweredStep;
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback, Selector};

#[path = "../../../../kernels/tests/wgsl_cases/nests.rs"]
mod cases;
#[path = "../../../../kernels/tests/reference/mod.rs"]
pub(super) mod reference;

use cases::{SHAPES, elements, nests_of};
use reference::nest_values::nest_values;

pub(super) fn device() -> Option<GpuDevice> {
    super::test_device::present(super::test_device::open_now(&Selector::Any))
}

pub(super) fn profiles(device: &GpuDevice) -> [AdapterProfile; 3] {
    let profile = *device.profile();
    // Both classes, a graphics card with exchange within subgroups if there are any, and loops so short that everything is done in stages.
    [
        AdapterProfile { class: AdapterClass::Cpu, ..profile },
        AdapterProfile { class: AdapterClass::Gpu, subgroup: device.subgroup(), ..profile },
        AdapterProfile { class: AdapterClass::Gpu, max_iterations_per_invocation: 64, ..profile },
    ]
}

pub(super) fn data(dtype: DType, values: &[f64]) -> Elements {
    Elements::from_f64(dtype, values)
}

pub(super) fn values(data: &Elements) -> Vec<f64> {
    data.to_f64_vec()
}

/// The outputs of a nest that runs twice on fresh inputs, which must give the same bits.
fn run(device: &GpuDevice, nest: &Nest, profile: &AdapterProfile, inputs: &[Vec<f64>], name: &str) -> Vec<Elements> {
    let mut memory = GpuMemory::new(device);
    let buffers: Vec<u32> = nest
        .inputs
        .iter()
        .map(|input| memory.allocate("input", input.dtype.into(), input.view.end()).unwrap())
        .collect();
    let outputs: Vec<u32> = (0..nest.outputs.len())
        .map(|output| match nest.inputs.iter().position(|input| input.in_place == Some(output as u32)) {
            Some(input) => buffers[input],
            None => {
                let value = &nest.values[nest.outputs[output] as usize];
                memory.allocate("output", value.dtype.into(), nest.extent(value.space)).unwrap()
            }
        })
        .collect();
    let lowered = lower(&Kernel::Nest(nest.clone()), profile).unwrap();
    let steps = [LoweredStep { lowered, inputs: &buffers, outputs: &outputs, what: name }];
    let reads: Vec<Readback> = outputs
        .iter()
        .zip(&nest.outputs)
        .map(|(&index, &value)| {
            let value = &nest.values[value as usize];
            Readback { index, storage: value.dtype.into(), elements: nest.extent(value.space) }
        })
        .collect();
    let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut results = (0..2).map(|_| {
        for ((&buffer, input), values) in buffers.iter().zip(&nest.inputs).zip(inputs) {
            memory.write(buffer, &data(input.dtype, values)).unwrap();
        }
        executable.run(&memory, true).unwrap()
    });
    let (first, second) = (results.next().unwrap(), results.next().unwrap());
    for (first, second) in first.iter().zip(&second) {
        let bits = |data: &Elements| values(data).into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(first), bits(second), "{name}: two runs differ");
    }
    first
}

/// Runs nests of one shape for each profile and compares.
fn check(device: &GpuDevice, nests: Vec<(String, Nest)>, extremes: bool) {
    for (name, nest) in nests {
        let inputs: Vec<Vec<f64>> = (0..nest.inputs.len()).map(|input| elements(&nest, input, extremes)).collect();
        let expected = nest_values(&nest, &inputs);
        for profile in profiles(device) {
            let name = format!("{name} {:?} {}", profile.class, profile.max_iterations_per_invocation);
            let found = run(device, &nest, &profile, &inputs, &name);
            for (output, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let found = values(found);
                // Sums of both signs cancel, so the error is held against the largest numbers of the result as well.
                let finite = expected.iter().filter(|value| value.is_finite());
                let largest = finite.fold(0.0f64, |largest, value| largest.max(value.abs()));
                assert_eq!(found.len(), expected.len(), "{name}");
                for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
                    let close = found == expected
                        || (found.is_nan() && expected.is_nan())
                        || (found - expected).abs() <= 2e-5 * expected.abs() + 4e-6 * largest;
                    assert!(close, "{name}: element {index} of output {output} is {found}, expected {expected}");
                }
            }
        }
    }
}

#[test]
fn nests_give_what_is_computed_in_double_precision() {
    let Some(device) = device() else { return };
    for shape in SHAPES {
        check(&device, nests_of(shape), false);
    }
}

#[test]
fn rows_of_infinities_and_nan_stay_apart() {
    let Some(device) = device() else { return };
    for shape in [[7, 16], [7, 63], [64, 256]] {
        check(&device, nests_of(shape), true);
    }
}
