//! Every way of a kernel on the first adapter that there is, for each class of adapter: products against the naive sum, and those that are said to
//! give the usual bits bit for bit; without an adapter each test says `skipped`.

use arenagrad_kernels::wgsl::{AdapterProfile, lower_step_as};
use arenagrad_kernels::{
    Axes, Axis, BinaryFunction, Candidate, Choice, DType, Elements, Elementwise, Instruction, Kernel, Matrices,
    ProductExtents, Program, ProgramInput, StorageType, Stored, UnaryFunction, View, choice,
};

use super::encode::LoweredStep;
use super::nest_tests::{data, device, profiles, reference, values};
use super::product_tests::product_cases::products;
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback};
use reference::noise;

fn run(
    device: &GpuDevice,
    kernel: &Kernel,
    inputs: &[Elements],
    results: usize,
    choice: Choice,
    profile: &AdapterProfile,
) -> Elements {
    let mut memory = GpuMemory::new(device);
    let buffers: Vec<u32> =
        inputs.iter().map(|values| memory.allocate("x", values.storage(), values.len()).unwrap()).collect();
    let output = [memory.allocate("y", StorageType::F32, results).unwrap()];
    let stored: Vec<StorageType> = inputs.iter().map(Elements::storage).collect();
    let lowered = lower_step_as(kernel, &buffers, Stored { inputs: &stored, outputs: &[] }, profile, choice).unwrap();
    let steps = [LoweredStep { lowered, inputs: &buffers, outputs: &output, what: "y" }];
    let reads = [Readback { index: output[0], storage: StorageType::F32, elements: results }];
    let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads).unwrap();
    for (&buffer, values) in buffers.iter().zip(inputs) {
        memory.write(buffer, values).unwrap();
    }
    executable.run(&memory, true).unwrap().remove(0)
}

/// Matrices side by side: plain, or stored as their transposes.
fn matrices(batches: usize, rows: usize, columns: usize, is_transposed: bool) -> Matrices {
    let (row, column) = if is_transposed { (1, rows as isize) } else { (columns as isize, 1) };
    let batch = Axes::new([Axis { extent: batches, stride: (rows * columns) as isize }]);
    Matrices { batch, ..Matrices::single(0, Axes::strided(rows, row), Axes::strided(columns, column)) }
}

#[test]
fn every_way_of_a_product_is_right() {
    let Some(device) = device() else { return };
    let shapes = [
        (1, [150, 70, 200], [false, false]),
        (2, [70, 20, 66], [false, true]),
        (1, [129, 65, 31], [true, false]),
        (3, [9, 24, 10], [false, false]),
    ];
    for (batches, [m, k, n], is_transposed) in shapes {
        let (lhs, rhs) = (matrices(batches, m, k, is_transposed[0]), matrices(batches, k, n, is_transposed[1]));
        let noise = [noise(1, lhs.view().end()), noise(2, rhs.view().end())];
        let results = ProductExtents::new(&lhs, &rhs).results();
        let kernel = Kernel::MatMul {
            dtype: DType::F32,
            lhs: lhs.clone(),
            rhs: rhs.clone(),
            padding: [None, None],
            epilogue: None,
        };
        let [software, card, _] = profiles(&device);
        // Of f16 they may go by cooperative matrices.
        let ways = [(StorageType::F32, software), (StorageType::F32, card), (StorageType::F16, *device.f16_profile())];
        for (storage, profile) in &ways {
            let operands = noise.each_ref().map(|values| Elements::from_f64(*storage, values));
            let (expected, magnitude) = products(&lhs, &rhs, &operands.each_ref().map(values));
            let stored = Stored { inputs: &[*storage; 2], outputs: &[] };
            let candidates = choice::on_adapter(&kernel, stored, profile);
            assert!(candidates.len() > 2, "{candidates:?}");
            let is_cooperative = |of: &Candidate| matches!(of.choice, Choice::Cooperative { .. });
            let has_matrices = profile.cooperative.is_some() && m > 16 && n > 16;
            assert!(!has_matrices || candidates.iter().any(is_cooperative) || (m <= 64 && n <= 64), "{candidates:?}");
            let usual = run(&device, &kernel, &operands, results, Choice::Usual, profile);
            for Candidate { choice, has_same_bits } in candidates {
                let found = run(&device, &kernel, &operands, results, choice, profile);
                let what = format!("{batches} of {m}x{k}x{n} for {:?}, {choice}", profile.class);
                assert!(!has_same_bits || found == usual, "{what}: other bits");
                let gamma = (k as f64 + 1.0) * 2f64.powi(-24);
                for ((found, expected), magnitude) in values(&found).iter().zip(&expected).zip(&magnitude) {
                    assert!((found - expected).abs() <= gamma * magnitude, "{what}: {found} for {expected}");
                }
            }
        }
    }
}

/// A depth that is summed in spans, which larger tiles sum likewise.
#[test]
fn tiles_of_a_long_depth_give_the_same_bits() {
    let Some(device) = device() else { return };
    let (m, k, n) = (70, 9000, 80);
    let (lhs, rhs) = (matrices(1, m, k, false), matrices(1, k, n, false));
    let kernel =
        Kernel::MatMul { dtype: DType::F32, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue: None };
    for (storage, profile) in [(StorageType::F32, &profiles(&device)[1]), (StorageType::F16, device.f16_profile())] {
        let operands = [noise(1, m * k), noise(2, k * n)].map(|values| Elements::from_f64(storage, &values));
        let usual = run(&device, &kernel, &operands, m * n, Choice::Usual, profile);
        let stored = Stored { inputs: &[storage; 2], outputs: &[] };
        let candidates = choice::on_adapter(&kernel, stored, profile).into_iter();
        for Candidate { choice, .. } in candidates.filter(|candidate| candidate.has_same_bits) {
            assert!(run(&device, &kernel, &operands, m * n, choice, profile) == usual, "{storage}: {choice}");
        }
        // The sums of a long depth hardly lose a digit.
        let (expected, magnitude) = products(&lhs, &rhs, &operands.each_ref().map(values));
        for ((found, expected), magnitude) in values(&usual).iter().zip(&expected).zip(&magnitude) {
            assert!((found - expected).abs() <= 1e-6 * magnitude, "{storage}: {found} for {expected}");
        }
    }
}

#[test]
fn every_way_of_elementwise_work_gives_the_same_bits() {
    let Some(device) = device() else { return };
    for elements in [1, 4, 1000, 1001, 70_000] {
        let input = || ProgramInput { dtype: DType::F32, view: View::contiguous(elements), in_place: None };
        let kernel = Kernel::Elementwise(Program {
            elements,
            inputs: vec![input(), input()],
            instructions: vec![
                Instruction::Load { input: 0 },
                Instruction::Load { input: 1 },
                Instruction::Elementwise(Elementwise::Unary { function: UnaryFunction::Tanh, operand: 0 }),
                Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Mul, lhs: 2, rhs: 1 }),
            ],
            dtypes: vec![DType::F32; 4],
            outputs: vec![3],
        });
        let operands = [1, 2].map(|seed| data(DType::F32, &noise(seed, elements)));
        for profile in &profiles(&device)[..2] {
            let usual = run(&device, &kernel, &operands, elements, Choice::Usual, profile);
            let [x, y] = operands.each_ref().map(values);
            for ((found, x), y) in values(&usual).iter().zip(x).zip(y) {
                assert!((found - x.tanh() * y).abs() <= 1e-5, "{found} for {}", x.tanh() * y);
            }
            let candidates = choice::on_adapter(&kernel, Stored::default(), profile);
            assert!(candidates.len() > 2 && candidates.iter().all(|candidate| candidate.has_same_bits));
            for Candidate { choice, .. } in candidates {
                let found = run(&device, &kernel, &operands, elements, choice, profile);
                assert!(found == usual, "{elements} elements for {:?}: {choice}", profile.class);
            }
        }
    }
}
