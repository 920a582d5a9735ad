//! Matrix products over several axes, lowered for each class of adapter and run on the first adapter that there is, against the naive
//! sum; without an adapter each test says `skipped`.

use arenagrad_kernels::wgsl::{AdapterProfile, lower_step};
use arenagrad_kernels::{DType, Elements, Kernel, Matrices, StorageType, Stored};

use super::encode::LoweredStep;
use super::nest_tests::{data, device, profiles, reference, values};
use super::view_tests::view_cases;
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback};
use crate::device::F16Support;

#[path = "../../../../kernels/tests/product_cases/mod.rs"]
pub(super) mod product_cases;

use product_cases::convolutions::{CONVOLUTIONS, Contraction};
use product_cases::{Product, at_random, products, sliding, tables};
use reference::noise;

/// Runs a product for each class of adapter, its operands in buffers of these types.
fn check(device: &GpuDevice, name: &str, [lhs, rhs]: [&Matrices; 2], operands: &[Elements; 2]) {
    let (expected, magnitude) = products(lhs, rhs, &operands.each_ref().map(values));
    let stored = operands.each_ref().map(Elements::storage);
    let kernel =
        Kernel::MatMul { dtype: DType::F32, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue: None };
    // A depth in stages is tested with plain matrices; here it would only take long.
    let mut profiles = profiles(device)[..2].to_vec();
    if stored.contains(&StorageType::F16) && device.f16_support() == &F16Support::Native {
        let reading = |profile| AdapterProfile { reads_f16: true, ..profile };
        profiles.extend(profiles.clone().into_iter().map(reading));
        // By cooperative matrices too, where the adapter has any.
        if stored == [StorageType::F16; 2] && device.f16_profile().cooperative.is_some() {
            profiles.push(*device.f16_profile());
        }
    }
    for profile in &profiles {
        let mut memory = GpuMemory::new(device);
        let inputs: Vec<u32> =
            operands.iter().map(|values| memory.allocate("x", values.storage(), values.len()).unwrap()).collect();
        let output = memory.allocate("y", StorageType::F32, expected.len()).unwrap();
        let lowered = lower_step(&kernel, &inputs, Stored { inputs: &stored, outputs: &[] }, profile).unwrap();
        let steps = [LoweredStep { lowered, inputs: &inputs, outputs: &[output], what: name }];
        let reads = [Readback { index: output, storage: StorageType::F32, elements: expected.len() }];
        let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for (&buffer, values) in inputs.iter().zip(operands) {
            memory.write(buffer, values).unwrap();
        }
        let found = values(&executable.run(&memory, true).unwrap()[0]);
        let gamma = (lhs.columns.count() as f64 + 1.0) * 2f64.powi(-24);
        for (i, ((f, e), magnitude)) in found.iter().zip(&expected).zip(&magnitude).enumerate() {
            assert!(
                (f - e).abs() <= gamma * magnitude,
                "{name} of {stored:?} {profile:?}: element {i} is {f}, expected {e}"
            );
        }
    }
}

/// As they are.
const VALUES: [StorageType; 2] = [StorageType::F32; 2];

fn check_all(products_of: impl IntoIterator<Item = Product>, stored: &[[StorageType; 2]]) {
    let Some(device) = device() else { return };
    for (number, Product { name, lhs, rhs }) in products_of.into_iter().enumerate() {
        let [left, right] = stored[number % stored.len()];
        let operands = [(1, &lhs, left), (2, &rhs, right)]
            .map(|(seed, of, storage)| Elements::from_f64(storage, &noise(seed, of.view().end())));
        check(&device, &name, [&lhs, &rhs], &operands);
    }
}

#[test]
fn axes_in_every_group() {
    check_all(tables(), &[VALUES]);
}

#[test]
fn windows_that_slide() {
    check_all(sliding(), &[VALUES]);
}

#[test]
fn operands_at_random() {
    check_all(at_random(4, 40), &[VALUES]);
}

/// Operands that are narrower than their values, one or both, over axes of every kind.
#[test]
fn narrow_operands() {
    let stored = [
        [StorageType::F16, StorageType::F32],
        [StorageType::F32, StorageType::Bf16],
        [StorageType::Bf16, StorageType::F16],
        [StorageType::F16, StorageType::F16],
    ];
    let convolutions = CONVOLUTIONS.iter().zip(7..).flat_map(|(convolution, seed)| convolution.contractions(seed));
    let convolutions = convolutions.map(|Contraction { name, lhs, rhs, .. }| Product { name, lhs, rhs });
    // Each has modules of its own, which take their time to compile.
    let (tables, sliding) = (tables().into_iter().step_by(5), sliding().into_iter().step_by(2));
    check_all(tables.chain(sliding).chain(at_random(6, 10)).chain(convolutions.step_by(2)), &stored);
}

#[test]
fn convolutions_and_their_gradients() {
    let Some(device) = device() else { return };
    for (number, convolution) in CONVOLUTIONS.iter().enumerate() {
        for Contraction { name, lhs, rhs, operands, expected } in convolution.contractions(number as u64) {
            let (products, magnitude) = products(&lhs, &rhs, &operands);
            for (i, ((f, e), magnitude)) in products.iter().zip(&expected).zip(&magnitude).enumerate() {
                assert!((f - e).abs() <= 1e-12 * magnitude, "{name}: element {i} is {e}, and {f} by the operands");
            }
            check(&device, &name, [&lhs, &rhs], &operands.map(|values| data(DType::F32, &values)));
        }
    }
}
