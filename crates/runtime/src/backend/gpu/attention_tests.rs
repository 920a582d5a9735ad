//! Attention as a GPU computes it, whose dispatches are cut along the keys; without an adapter each test says `skipped`.

use arenagrad_graph::AttentionResult;
use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, lower};
use arenagrad_kernels::{Attention, Axes, DType, Elements, Kernel, Matrices, StorageType};

use super::encode::LoweredStep;
use super::nest_tests::device;
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback};

const HEADS: usize = 2;
const POSITIONS: usize = 5;
const KEYS: usize = 300;
const WIDTH: usize = 6;

fn matrices(rows: usize) -> Matrices {
    Matrices {
        offset: 0,
        batch: Axes::strided(HEADS, (rows * WIDTH) as isize),
        rows: Axes::strided(rows, WIDTH as isize),
        columns: Axes::strided(WIDTH, 1),
    }
}

/// The results of the forward pass, and how many dispatches they took.
fn computed(device: &GpuDevice, results: &[AttentionResult], iterations: u32) -> (Vec<Elements>, usize) {
    let kernel = Kernel::Attention(Box::new(Attention {
        dtype: DType::F32,
        query: matrices(POSITIONS),
        key: matrices(KEYS),
        value: matrices(KEYS),
        mask: None,
        upstream: None,
        is_causal: false,
        scale: 2.0,
        results: results.to_vec(),
    }));
    let profile =
        AdapterProfile { class: AdapterClass::Gpu, max_iterations_per_invocation: iterations, ..*device.profile() };
    let lowered = lower(&kernel, &profile).unwrap();
    let dispatches = lowered.dispatches.len();
    let mut memory = GpuMemory::new(device);
    let mut allocate = |elements| memory.allocate("x", StorageType::F32, elements).unwrap();
    let inputs: Vec<u32> = [POSITIONS, KEYS, KEYS].map(|rows| allocate(HEADS * rows * WIDTH)).to_vec();
    let extent = |result: &AttentionResult| match *result == AttentionResult::Output {
        true => HEADS * POSITIONS * WIDTH,
        false => HEADS * POSITIONS * 2,
    };
    let outputs: Vec<u32> = results.iter().map(|result| allocate(extent(result))).collect();
    let reads: Vec<Readback> = outputs
        .iter()
        .zip(results)
        .map(|(&index, result)| Readback { index, storage: StorageType::F32, elements: extent(result) })
        .collect();
    let steps = [LoweredStep { lowered, inputs: &inputs, outputs: &outputs, what: "attention" }];
    let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads).unwrap();
    for (&input, rows) in inputs.iter().zip([POSITIONS, KEYS, KEYS]) {
        let values = (0..HEADS * rows * WIDTH).map(|i| ((i * 37 + rows) as f32 * 0.7).sin() * 2.0).collect();
        memory.write(input, &Elements::F32(values)).unwrap();
    }
    (executable.run(&memory, true).unwrap(), dispatches)
}

/// What goes on from dispatch to dispatch is the sum itself, so that how many there are changes no bits.
#[test]
fn attention_in_several_dispatches_has_the_bits_of_one() {
    let Some(device) = device() else { return };
    let (output, statistics) = (AttentionResult::Output, AttentionResult::SoftmaxStatistics);
    for results in [&[output][..], &[output, statistics], &[statistics]] {
        let (whole, one) = computed(&device, results, 24_000);
        let (parts, several) = computed(&device, results, 100);
        assert!(one == 1 && several == 5, "{one}, {several}");
        let bits = |found: &[Elements]| found.iter().map(Elements::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(bits(&whole), bits(&parts), "{results:?}");
    }
}
