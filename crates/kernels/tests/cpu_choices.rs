//! Every way of a product on the CPU against the naive sum, and bit for bit against the usual way.

use arenagrad_kernels::cpu::{Compiled, Operands};
use arenagrad_kernels::{
    Axes, Axis, Choice, DType, Elements, Instruction, Kernel, Matrices, ProductExtents, StorageType, Stored, choice,
};

use crate::product_cases::products;
use crate::reference::{Builder, buffer, noise, own_buffers, values};

/// Matrices side by side: plain, or stored as their transposes.
fn matrices(batches: usize, rows: usize, columns: usize, is_transposed: bool) -> Matrices {
    let (row, column) = if is_transposed { (1, rows as isize) } else { (columns as isize, 1) };
    let batch = Axes::new([Axis { extent: batches, stride: (rows * columns) as isize }]);
    Matrices { batch, ..Matrices::single(0, Axes::strided(rows, row), Axes::strided(columns, column)) }
}

fn run(kernel: &Kernel, inputs: &[Elements], choice: Choice, results: usize, dtype: DType, threads: usize) -> Elements {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let stored: Vec<StorageType> = inputs.iter().map(Elements::storage).collect();
    pool.install(|| {
        let mut compiled = Compiled::with_choice(kernel, Stored { inputs: &stored, outputs: &[] }, choice);
        let (mut found, buffers) = ([buffer(dtype, &vec![1.0; results])], own_buffers(inputs));
        for _ in 0..2 {
            compiled.run(Operands { buffers: &buffers, slots: &[0, 1] }, &mut found);
        }
        let [found] = found;
        found
    })
}

#[test]
fn every_way_gives_the_same_right_bits() {
    let shapes = [
        (1, [300, 40, 70]),
        (1, [131, 700, 33]),
        (1, [97, 20, 260]),
        (1, [40, 600, 150]),
        (1, [5, 3000, 9]),
        (3, [50, 64, 48]),
        (9, [17, 30, 25]),
        (1, [2, 2, 2]),
    ];
    for (batches, [m, k, n]) in shapes {
        for (dtype, lhs_storage) in
            [(DType::F32, StorageType::F32), (DType::F64, StorageType::F64), (DType::F32, StorageType::Bf16)]
        {
            for is_transposed in [[false, false], [true, false], [false, true]] {
                let (lhs, rhs) = (matrices(batches, m, k, is_transposed[0]), matrices(batches, k, n, is_transposed[1]));
                let given = [noise(1, lhs.view().end()), noise(2, rhs.view().end())];
                let inputs = [Elements::from_f64(lhs_storage, &given[0]), Elements::from_f64(dtype, &given[1])];
                let (expected, magnitude) = products(&lhs, &rhs, &inputs.each_ref().map(values));
                let results = ProductExtents::new(&lhs, &rhs).results();
                let mut b = Builder::new(results);
                let accumulator = b.push(Instruction::Accumulator, dtype);
                for epilogue in [None, Some(b.output(&[accumulator]))] {
                    let kernel =
                        Kernel::MatMul { dtype, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue };
                    let candidates = choice::on_cpu(&kernel);
                    let usual = run(&kernel, &inputs, Choice::Usual, results, dtype, 2);
                    let unit = if dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) };
                    for ((found, expected), magnitude) in values(&usual).iter().zip(&expected).zip(&magnitude) {
                        assert!((found - expected).abs() <= (k as f64 + 1.0) * unit * magnitude);
                    }
                    for candidate in candidates {
                        assert!(candidate.has_same_bits);
                        for threads in [1, 3] {
                            let found = run(&kernel, &inputs, candidate.choice, results, dtype, threads);
                            let what = format!("{batches} of {m}x{k}x{n} of {dtype}, {is_transposed:?}");
                            assert!(found == usual, "{what}: {} on {threads} threads", candidate.choice);
                        }
                    }
                }
            }
        }
    }
}

/// A choice that is not of a kernel, or not of the CPU, is as the usual one.
#[test]
fn other_choices_are_as_the_usual_one() {
    let (lhs, rhs) = (matrices(1, 40, 50, false), matrices(1, 50, 60, false));
    let inputs = [buffer(DType::F32, &noise(1, 2000)), buffer(DType::F32, &noise(2, 3000))];
    let kernel = Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue: None };
    let usual = run(&kernel, &inputs, Choice::Usual, 2400, DType::F32, 2);
    for choice in [Choice::Registers { rows: 8, columns: 8 }, Choice::Invocations(8), Choice::Panels(1 << 40)] {
        assert!(run(&kernel, &inputs, choice, 2400, DType::F32, 2) == usual, "{choice}");
    }
}
