//! Matrix products against the naive sum, with errors relative to the product of absolute values.

use crate::reference::{Builder, assert_close, buffer, noise, run, values, view};
use arenagrad_kernels::cpu::{Compiled, Operands};
use arenagrad_kernels::{
    BatchAxis, BinaryFunction, DType, Elements, Elementwise, Instruction, Kernel, Matrix, Program, UnaryFunction,
};

#[derive(Clone)]
struct Case {
    dtype: DType,
    batch: Vec<BatchAxis>,
    extents: [usize; 3],
    lhs: Matrix,
    rhs: Matrix,
}

impl Case {
    fn kernel(&self, epilogue: Option<Program>) -> Kernel {
        let Case { dtype, batch, extents: [m, k, n], lhs, rhs } = self.clone();
        Kernel::MatMul { dtype, batch, m, k, n, lhs, rhs, epilogue }
    }

    /// The operands, and the products of their elements and of the elements' absolute values.
    fn operands(&self) -> ([Vec<f64>; 2], Vec<f64>, Vec<f64>) {
        let [m, k, n] = self.extents;
        let end = |matrix: Matrix, rows: usize, columns: usize, stride: fn(&BatchAxis) -> usize| {
            let batches: usize = self.batch.iter().map(|axis| (axis.extent - 1) * stride(axis)).sum();
            matrix.offset + (rows - 1) * matrix.row_stride + (columns - 1) * matrix.column_stride + batches + 1
        };
        let operand = |seed, count| noise(seed, count).into_iter().map(|x| self.dtype.round(x)).collect::<Vec<f64>>();
        let lhs = operand(1, end(self.lhs, m, k, |axis| axis.lhs_stride));
        let rhs = operand(2, end(self.rhs, k, n, |axis| axis.rhs_stride));
        let batches: usize = self.batch.iter().map(|axis| axis.extent).product();
        let position = |mut batch: usize, stride: fn(&BatchAxis) -> usize| {
            let mut position = 0;
            for axis in self.batch.iter().rev() {
                position += batch % axis.extent * stride(axis);
                batch /= axis.extent;
            }
            position
        };
        let (mut product, mut magnitude) = (Vec::new(), Vec::new());
        for batch in 0..batches {
            let left = self.lhs.offset + position(batch, |axis| axis.lhs_stride);
            let right = self.rhs.offset + position(batch, |axis| axis.rhs_stride);
            for i in 0..m {
                for j in 0..n {
                    let (mut sum, mut sum_of_magnitudes) = (0.0, 0.0);
                    for p in 0..k {
                        let a = lhs[left + i * self.lhs.row_stride + p * self.lhs.column_stride];
                        let b = rhs[right + p * self.rhs.row_stride + j * self.rhs.column_stride];
                        sum += a * b;
                        sum_of_magnitudes += (a * b).abs();
                    }
                    product.push(sum);
                    magnitude.push(sum_of_magnitudes);
                }
            }
        }
        ([lhs, rhs], product, magnitude)
    }

    fn unit(&self) -> f64 {
        if self.dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) }
    }

    fn check(&self) {
        let ([lhs, rhs], product, magnitude) = self.operands();
        let inputs = [buffer(self.dtype, &lhs), buffer(self.dtype, &rhs)];
        let found = values(&run(&self.kernel(None), &inputs, &[(self.dtype, product.len())])[0]);
        let what = format!("{:?} of {} by {:?} and {:?}", self.extents, self.dtype, self.lhs, self.rhs);
        self.assert_close(&found, &product, &magnitude, &what);
    }

    fn assert_close(&self, found: &[f64], product: &[f64], magnitude: &[f64], what: &str) {
        let gamma = (self.extents[1] as f64 + 1.0) * self.unit();
        for (i, ((f, e), magnitude)) in found.iter().zip(product).zip(magnitude).enumerate() {
            assert!((f - e).abs() <= gamma * magnitude, "{what}: element {i} is {f}, expected {e}");
        }
    }
}

fn matrix(rows: usize, columns: usize, transposed: bool, padding: usize) -> Matrix {
    let (row_stride, column_stride) = if transposed { (1, rows + padding) } else { (columns + padding, 1) };
    Matrix { offset: padding, row_stride, column_stride }
}

fn cases(extents: [usize; 3]) -> impl Iterator<Item = Case> {
    let [m, k, n] = extents;
    [DType::F32, DType::F64].into_iter().flat_map(move |dtype| {
        [(false, false), (true, false), (false, true), (true, true)].into_iter().flat_map(move |(left, right)| {
            [0, 3].into_iter().map(move |padding| Case {
                dtype,
                batch: vec![],
                extents,
                lhs: matrix(m, k, left, padding),
                rhs: matrix(k, n, right, padding),
            })
        })
    })
}

#[test]
fn extents_about_every_tile() {
    let extents = [
        [1, 1, 1],
        [1, 2, 10],
        [1, 10, 2],
        [10, 1, 2],
        [2, 1, 10],
        [3, 5, 7],
        [4, 16, 16],
        [7, 31, 33],
        [8, 32, 32],
        [9, 33, 65],
        [16, 16, 16],
        [17, 257, 31],
        [33, 512, 16],
        [64, 100, 10],
        [97, 61, 95],
        [96, 513, 64],
        [1, 300, 70],
        [3, 300, 1],
        [200, 3, 1],
        [130, 70, 1],
        [5, 600, 200],
        [8, 40, 65],
        [11, 48, 49],
        [65, 17, 47],
        [12, 1030, 48],
        [257, 33, 17],
        [300, 20, 129],
        [6, 20, 4100],
    ];
    for extents in extents {
        cases(extents).for_each(|case| case.check());
    }
}

#[test]
fn extents_for_several_threads() {
    for extents in [[64, 784, 256], [784, 64, 256], [300, 300, 300], [4, 2000, 1000]] {
        cases(extents).for_each(|case| case.check());
    }
}

/// In each of the ways that a product may be divided: by rows with a packed right operand, by rows with panels that each task packs,
/// by whole batches, and without packing.
#[test]
fn same_bits_on_any_number_of_threads() {
    let axis = |extent, lhs_stride, rhs_stride| BatchAxis { extent, lhs_stride, rhs_stride };
    let pools = [1, 2, 3, 64].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool")
    });
    for (batches, [m, k, n]) in
        [(1, [700, 90, 100]), (1, [130, 600, 90]), (3, [77, 129, 70]), (40, [33, 65, 50]), (200, [3, 70, 65])]
    {
        for case in cases([m, k, n]) {
            let batch = if batches == 1 { vec![] } else { vec![axis(batches, m * k, k * n)] };
            if batches > 1 && case.lhs.offset > 0 {
                continue;
            }
            let case = Case { batch, ..case };
            let ([lhs, rhs], product, _) = case.operands();
            let elements = product.len();
            let inputs = [buffer(case.dtype, &lhs), buffer(case.dtype, &rhs)];
            let mut b = Builder::new(elements);
            let accumulator = b.push(Instruction::Accumulator, case.dtype);
            for epilogue in [None, Some(b.output(&[accumulator]))] {
                let kernel = case.kernel(epilogue);
                let bits = |pool: &rayon::ThreadPool| -> Vec<u64> {
                    let outputs = pool.install(|| run(&kernel, &inputs, &[(case.dtype, elements)]));
                    values(&outputs[0]).iter().map(|x| x.to_bits()).collect()
                };
                let one = bits(&pools[0]);
                for pool in &pools[1..] {
                    let (threads, extents) = (pool.current_num_threads(), case.extents);
                    assert!(bits(pool) == one, "{batches} of {extents:?}: other bits on {threads} threads");
                }
            }
        }
    }
}

#[test]
fn batches() {
    let axis = |extent, lhs_stride, rhs_stride| BatchAxis { extent, lhs_stride, rhs_stride };
    for (m, k, n) in [(2, 3, 4), (20, 33, 40), (100, 64, 70)] {
        let batches = [
            vec![axis(5, m * k, k * n)],
            vec![axis(40, m * k, k * n)],
            vec![axis(6, m * k, 0)],
            vec![axis(6, 0, k * n)],
            vec![axis(3, 2 * m * k, 0), axis(2, m * k, k * n)],
            vec![axis(3, 0, k * n), axis(4, m * k, 0)],
        ];
        for batch in batches {
            for case in cases([m, k, n]) {
                if case.lhs.offset == 0 {
                    Case { batch: batch.clone(), ..case }.check();
                }
            }
        }
    }
}

/// `relu(product + bias)`, whether it is positive, and `product * z`.
fn epilogue(dtype: DType, rows: usize, n: usize) -> Program {
    let mut b = Builder::new(rows * n);
    let product = b.push(Instruction::Accumulator, dtype);
    let bias = b.load(dtype, view(&[(rows, 0), (n, 1)], 0));
    let z = b.contiguous(dtype);
    let sum = b.binary(BinaryFunction::Add, product, bias);
    let activated = b.unary(UnaryFunction::Relu, sum);
    let positive = b.push(Instruction::Elementwise(Elementwise::Cast { operand: activated }), DType::Bool);
    let scaled = b.binary(BinaryFunction::Mul, product, z);
    b.output(&[positive, activated, scaled])
}

#[test]
fn epilogues() {
    let axis = |extent, lhs_stride, rhs_stride| BatchAxis { extent, lhs_stride, rhs_stride };
    for (batches, [m, k, n]) in
        [(1, [2, 3, 4]), (3, [2, 3, 4]), (1, [64, 100, 70]), (40, [30, 20, 50]), (2, [250, 90, 300])]
    {
        for dtype in [DType::F32, DType::F64] {
            let case = Case {
                dtype,
                batch: if batches == 1 { vec![] } else { vec![axis(batches, m * k, k * n)] },
                extents: [m, k, n],
                lhs: matrix(m, k, false, 0),
                rhs: matrix(k, n, false, 0),
            };
            let ([lhs, rhs], _, _) = case.operands();
            let elements = batches * m * n;
            let mut program = epilogue(dtype, batches * m, n);
            let (bias, z) = (noise(3, n), noise(4, elements));
            let (bias, z): (Vec<f64>, Vec<f64>) =
                (bias.into_iter().map(|x| dtype.round(x)).collect(), z.into_iter().map(|x| dtype.round(x)).collect());
            // The product that the kernel itself gives, of which the epilogue is exact up to its own roundings.
            let inputs: Vec<Elements> = [&lhs, &rhs, &bias, &z].map(|values| buffer(dtype, values)).into();
            let product = values(&run(&case.kernel(None), &inputs[..2], &[(dtype, elements)])[0]);
            let expected = crate::reference::program(&program, &[bias, z], &product);
            let outputs = [(DType::Bool, elements), (dtype, elements), (dtype, elements)];
            let found = run(&case.kernel(Some(program.clone())), &inputs, &outputs);
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&values(found), expected, 1.2e-7, "epilogue");
            }
            // The same with `z` and the scaled product in one buffer.
            program.inputs[1].in_place = Some(2);
            let mut outputs = [
                Elements::zeros(DType::Bool, elements).unwrap(),
                Elements::zeros(dtype, elements).unwrap(),
                inputs[3].clone(),
            ];
            let buffers = [inputs[0].clone(), inputs[1].clone(), inputs[2].clone(), Elements::zeros(dtype, 0).unwrap()];
            let operands = Operands { buffers: &buffers, slots: &[0, 1, 2, 3] };
            Compiled::new(&case.kernel(Some(program))).run(operands, &mut outputs);
            for (found, expected) in outputs.iter().zip(&found) {
                assert_eq!(values(found), values(expected), "epilogue in place");
            }
        }
    }
}

/// Products of 0.1 and 1 over a long depth, through every way that there is: with and without packing, with a row, a column and
/// a single number for a result, wide and narrow, in all layouts, with batches and with an epilogue.
#[test]
fn long_sums_lose_no_digits() {
    let axis = |extent, lhs_stride, rhs_stride| BatchAxis { extent, lhs_stride, rhs_stride };
    for [m, k, n] in
        [[1, 1_000_003, 1], [1, 200_001, 20], [1, 200_001, 5], [9, 200_001, 3], [3, 100_003, 150], [17, 50_000, 40]]
    {
        for case in cases([m, k, n]) {
            let batches = if m * n <= 60 { vec![vec![], vec![axis(2, 0, 0)]] } else { vec![vec![]] };
            for batch in batches {
                let case = Case { batch, ..case.clone() };
                let ends = [(case.lhs, m, k), (case.rhs, k, n)].map(|(matrix, rows, columns)| {
                    matrix.offset + (rows - 1) * matrix.row_stride + (columns - 1) * matrix.column_stride + 1
                });
                let factor = case.dtype.round(0.1);
                let inputs = [buffer(case.dtype, &vec![factor; ends[0]]), buffer(case.dtype, &vec![1.0; ends[1]])];
                let elements = m * n * case.batch.iter().map(|axis| axis.extent).product::<usize>();
                let mut b = Builder::new(elements);
                let product = b.push(Instruction::Accumulator, case.dtype);
                for epilogue in [None, Some(b.output(&[product]))] {
                    let found = values(&run(&case.kernel(epilogue), &inputs, &[(case.dtype, elements)])[0]);
                    let exact = factor * k as f64;
                    // Runs of 64, 8 of these, and 8 of these, each addition rounded by half a unit at most.
                    let allowed = 30.0 * case.unit() * exact;
                    let worst = found.iter().map(|x| (x - exact).abs()).fold(0.0, f64::max);
                    let what = format!("{:?} of {} by {:?} and {:?}", case.extents, case.dtype, case.lhs, case.rhs);
                    assert!(worst <= allowed, "{what}: off by {} of {exact}", worst);
                }
            }
        }
    }
}
