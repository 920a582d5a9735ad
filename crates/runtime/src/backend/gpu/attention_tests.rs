//! Attention as a GPU computes it, whose dispatches are cut along the keys; without an adapter each test says `skipped`.

use arenagrad_graph::AttentionResult;
use arenagrad_kernels::wgsl::{AdapterClass, AdapterProfile, lower};
use arenagrad_kernels::{Attention, AttentionMask, Axes, DType, Elements, Kernel, Matrices, StorageType};

use super::encode::LoweredStep;
use super::nest_tests::device;
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback};

const HEADS: usize = 2;
const WIDTH: usize = 6;

fn matrices(heads: usize, rows: usize) -> Matrices {
    Matrices {
        offset: 0,
        batch: Axes::strided(heads, (rows * WIDTH) as isize),
        rows: Axes::strided(rows, WIDTH as isize),
        columns: Axes::strided(WIDTH, 1),
    }
}

/// Attention of so many positions to so many keys, which are those of both heads where there are gradients.
#[derive(Clone, Copy, Debug)]
struct Case<'a> {
    positions: usize,
    keys: usize,
    is_causal: bool,
    is_masked: bool,
    results: &'a [AttentionResult],
}

impl Case<'_> {
    fn is_backward(&self) -> bool {
        self.results
            .iter()
            .any(|result| !matches!(result, AttentionResult::Output | AttentionResult::SoftmaxStatistics))
    }

    fn groups(&self) -> usize {
        if self.is_backward() { 1 } else { HEADS }
    }

    fn kernel(&self) -> Kernel {
        let keys = matrices(self.groups(), self.keys);
        Kernel::Attention(Box::new(Attention {
            dtype: DType::F32,
            query: matrices(HEADS, self.positions),
            key: keys.clone(),
            value: keys,
            mask: self.is_masked.then(|| AttentionMask { is_bool: false, scores: self.mask() }),
            upstream: self.is_backward().then(|| matrices(HEADS, self.positions)),
            is_causal: self.is_causal,
            scale: 2.0,
            results: self.results.to_vec(),
        }))
    }

    /// One row for each position, the same for all heads.
    fn mask(&self) -> Matrices {
        Matrices {
            offset: 0,
            batch: Axes::strided(HEADS, 0),
            rows: Axes::strided(self.positions, self.keys as isize),
            columns: Axes::strided(self.keys, 1),
        }
    }

    /// The elements of query, key, value and mask; and of upstream gradient, statistics and weighted upstream gradient.
    fn inputs(&self) -> Vec<usize> {
        let (rows, keys) = (HEADS * self.positions, self.groups() * self.keys * WIDTH);
        let mask = self.is_masked.then_some(self.positions * self.keys);
        let backward = [rows * WIDTH, 2 * rows, rows].into_iter().filter(|_| self.is_backward());
        [rows * WIDTH, keys, keys].into_iter().chain(mask).chain(backward).collect()
    }

    fn extent(&self, result: AttentionResult) -> usize {
        match result {
            AttentionResult::Output | AttentionResult::QueryGradient => HEADS * self.positions * WIDTH,
            AttentionResult::SoftmaxStatistics => HEADS * self.positions * 2,
            AttentionResult::KeyGradient | AttentionResult::ValueGradient => self.groups() * self.keys * WIDTH,
        }
    }

    /// The results, and how many dispatches they took.
    fn computed(&self, device: &GpuDevice, iterations: u32) -> (Vec<Elements>, usize) {
        let profile =
            AdapterProfile { class: AdapterClass::Gpu, max_iterations_per_invocation: iterations, ..*device.profile() };
        let lowered = lower(&self.kernel(), &profile).unwrap();
        let dispatches = lowered.dispatches.len();
        let mut memory = GpuMemory::new(device);
        let mut allocate = |elements| memory.allocate("x", StorageType::F32, elements).unwrap();
        let inputs: Vec<u32> = self.inputs().into_iter().map(&mut allocate).collect();
        let outputs: Vec<u32> = self.results.iter().map(|&result| allocate(self.extent(result))).collect();
        let reads: Vec<Readback> = outputs
            .iter()
            .zip(self.results)
            .map(|(&index, &result)| Readback { index, storage: StorageType::F32, elements: self.extent(result) })
            .collect();
        let steps = [LoweredStep { lowered, inputs: &inputs, outputs: &outputs, what: "attention" }];
        let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads).unwrap();
        for (&input, elements) in inputs.iter().zip(self.inputs()) {
            let values = (0..elements).map(|i| ((i * 37 + elements) as f32 * 0.7).sin() * 2.0).collect();
            memory.write(input, &Elements::F32(values)).unwrap();
        }
        (executable.run(&memory, true).unwrap(), dispatches)
    }
}

/// What goes on from dispatch to dispatch is the sum itself, so that how many there are changes no bits: within one block of what is summed
/// up, and over several. A mask takes one buffer more.
#[test]
fn attention_in_several_dispatches_has_the_bits_of_few() {
    let Some(device) = device() else { return };
    let (output, statistics) = (AttentionResult::Output, AttentionResult::SoftmaxStatistics);
    let [query, key, value] =
        [AttentionResult::QueryGradient, AttentionResult::KeyGradient, AttentionResult::ValueGradient];
    for results in [&[output][..], &[output, statistics], &[statistics], &[query], &[key], &[value]] {
        for (many, is_causal, iterations) in
            [(300, false, 100), (300, true, 100), (9000, false, 3000), (4500, true, 1000), (4500, true, 2500)]
        {
            // The gradients of keys are sums over the queries of both heads.
            let is_of_keys = results[0] == key || results[0] == value;
            let (positions, keys) = if is_of_keys { (many / HEADS, 5) } else { (5, many) };
            let (positions, keys) = if is_causal { (many, many) } else { (positions, keys) };
            let case = Case { positions, keys, is_causal, is_masked: !is_causal, results };
            let (whole, few) = case.computed(&device, 24_000);
            let (parts, several) = case.computed(&device, iterations);
            assert!(several > few, "{case:?}: {few}, {several}");
            let bits = |found: &[Elements]| found.iter().map(Elements::to_le_bytes).collect::<Vec<_>>();
            assert!(bits(&whole) == bits(&parts), "{case:?} in {several} dispatches differs");
        }
    }
}
