//! Matrix products over several axes, lowered for each class of adapter and run on the first adapter that there is, against the naive
//! sum; without an adapter each test says `skipped`.

use arenagrad_kernels::wgsl::lower;
use arenagrad_kernels::{DType, Kernel, Matrices, StorageType};

use super::encode::LoweredStep;
use super::nest_tests::{data, device, profiles, reference, values};
use super::view_tests::view_cases;
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback};

#[path = "../../../../kernels/tests/product_cases/mod.rs"]
mod product_cases;

use product_cases::convolutions::{CONVOLUTIONS, Contraction};
use product_cases::{Product, at_random, products, sliding, tables};
use reference::noise;

/// Runs a product for each class of adapter.
fn check(device: &GpuDevice, name: &str, [lhs, rhs]: [&Matrices; 2], operands: &[Vec<f64>; 2], expected: &[f64]) {
    let (_, magnitude) = products(lhs, rhs, operands);
    let kernel = Kernel::MatMul { dtype: DType::F32, lhs: lhs.clone(), rhs: rhs.clone(), epilogue: None };
    // A depth in stages is tested with plain matrices; here it would only take long.
    for profile in &profiles(device)[..2] {
        let mut memory = GpuMemory::new(device);
        let inputs: Vec<u32> =
            operands.iter().map(|values| memory.allocate("x", StorageType::F32, values.len()).unwrap()).collect();
        let output = memory.allocate("y", StorageType::F32, expected.len()).unwrap();
        let lowered = lower(&kernel, profile).unwrap();
        let steps = [LoweredStep { lowered, inputs: &inputs, outputs: &[output], what: name }];
        let reads = [Readback { index: output, storage: StorageType::F32, elements: expected.len() }];
        let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for (&buffer, values) in inputs.iter().zip(operands) {
            memory.write(buffer, &data(DType::F32, values)).unwrap();
        }
        let found = values(&executable.run(&memory, true).unwrap()[0]);
        let gamma = (lhs.columns.count() as f64 + 1.0) * 2f64.powi(-24);
        for (i, ((f, e), magnitude)) in found.iter().zip(expected).zip(&magnitude).enumerate() {
            let class = profile.class;
            assert!((f - e).abs() <= gamma * magnitude, "{name} {class:?}: element {i} is {f}, expected {e}");
        }
    }
}

fn check_all(products_of: impl IntoIterator<Item = Product>) {
    let Some(device) = device() else { return };
    for Product { name, lhs, rhs } in products_of {
        let operand = |seed, count| noise(seed, count).into_iter().map(|x| DType::F32.round(x)).collect::<Vec<f64>>();
        let operands = [operand(1, lhs.view().end()), operand(2, rhs.view().end())];
        let (expected, _) = products(&lhs, &rhs, &operands);
        check(&device, &name, [&lhs, &rhs], &operands, &expected);
    }
}

#[test]
fn axes_in_every_group() {
    check_all(tables());
}

#[test]
fn windows_that_slide() {
    check_all(sliding());
}

#[test]
fn operands_at_random() {
    check_all(at_random(4, 40));
}

#[test]
fn convolutions_and_their_gradients() {
    let Some(device) = device() else { return };
    for (number, convolution) in CONVOLUTIONS.iter().enumerate() {
        for Contraction { name, lhs, rhs, operands, expected } in convolution.contractions(number as u64) {
            check(&device, &name, [&lhs, &rhs], &operands, &expected);
        }
    }
}
