//! Kernels that read through flipped and overlapping views, lowered for each class of adapter and run on the first adapter that
//! there is, against the naive reference; without an adapter each test says `skipped`.

use arenagrad_kernels::DType;
use arenagrad_kernels::wgsl::lower;

use super::encode::LoweredStep;
use super::nest_tests::{data, device, profiles, reference, values};
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback};

#[path = "../../../../kernels/tests/view_cases/mod.rs"]
pub(super) mod view_cases;

use view_cases::random::random_views;
use view_cases::{Case, cases, views};

fn check(device: &GpuDevice, case: &Case) {
    for profile in profiles(device) {
        let name = format!("{} {:?} {}", case.name, profile.class, profile.max_iterations_per_invocation);
        let mut memory = GpuMemory::new(device);
        let mut allocate =
            |(dtype, values): &(DType, Vec<f64>)| memory.allocate("x", (*dtype).into(), values.len()).unwrap();
        let inputs: Vec<u32> = case.inputs.iter().map(&mut allocate).collect();
        let outputs: Vec<u32> = case.outputs.iter().map(&mut allocate).collect();
        let lowered = lower(&case.kernel, &profile).unwrap();
        let steps = [LoweredStep { lowered, inputs: &inputs, outputs: &outputs, what: &name }];
        let reads: Vec<Readback> = outputs
            .iter()
            .zip(&case.outputs)
            .map(|(&index, (dtype, values))| Readback { index, storage: (*dtype).into(), elements: values.len() })
            .collect();
        let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for (&buffer, (dtype, values)) in inputs.iter().zip(&case.inputs) {
            memory.write(buffer, &data(*dtype, values)).unwrap();
        }
        let found = executable.run(&memory, true).unwrap();
        for (found, (_, expected)) in found.iter().zip(&case.outputs) {
            reference::assert_close(&values(found), expected, 1e-6, &name);
        }
    }
}

#[test]
fn flips_and_windows() {
    let Some(device) = device() else { return };
    for dtype in [DType::F32, DType::I32, DType::Bool] {
        cases(dtype, &views()).iter().for_each(|case| check(&device, case));
    }
}

#[test]
fn views_at_random() {
    let Some(device) = device() else { return };
    for dtype in [DType::F32, DType::I32, DType::Bool] {
        cases(dtype, &random_views(dtype as u64 + 10, 12)).iter().for_each(|case| check(&device, case));
    }
}
