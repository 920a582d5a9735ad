//! Matrix products against the naive sum, with errors relative to the product of absolute values.

use crate::product_cases::products;
use crate::reference::{Builder, assert_close, buffer, noise, own_buffers, run, values, view};
use arenagrad_kernels::cpu::{Compiled, Operands};
use arenagrad_kernels::{
    Axes, Axis, BinaryFunction, DType, Elements, Elementwise, Instruction, Kernel, Matrices, ProductExtents, Program,
    UnaryFunction,
};

#[derive(Clone)]
struct Case {
    dtype: DType,
    lhs: Matrices,
    rhs: Matrices,
}

/// A batch axis: its extent, and its strides in lhs and rhs.
type BatchAxis = (usize, usize, usize);

impl Case {
    fn with_batch(self, batch: &[BatchAxis]) -> Case {
        let of = |stride: fn(&BatchAxis) -> usize| {
            Axes::new(batch.iter().map(|axis| Axis { extent: axis.0, stride: stride(axis) as isize }))
        };
        let lhs = Matrices { batch: of(|axis| axis.1), ..self.lhs };
        let rhs = Matrices { batch: of(|axis| axis.2), ..self.rhs };
        Case { lhs, rhs, ..self }
    }

    fn extents(&self) -> ProductExtents {
        ProductExtents::new(&self.lhs, &self.rhs)
    }

    fn kernel(&self, epilogue: Option<Program>) -> Kernel {
        let Case { dtype, lhs, rhs } = self.clone();
        Kernel::MatMul { dtype, lhs, rhs, padding: [None, None], epilogue }
    }

    /// The operands, and the products of their elements and of the elements' absolute values.
    fn operands(&self) -> ([Vec<f64>; 2], Vec<f64>, Vec<f64>) {
        let operand = |seed, matrices: &Matrices| {
            noise(seed, matrices.view().end()).into_iter().map(|x| self.dtype.round(x)).collect::<Vec<f64>>()
        };
        let operands = [operand(1, &self.lhs), operand(2, &self.rhs)];
        let (product, magnitude) = products(&self.lhs, &self.rhs, &operands);
        (operands, product, magnitude)
    }

    fn unit(&self) -> f64 {
        if self.dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) }
    }

    fn check(&self) {
        let ([lhs, rhs], product, magnitude) = self.operands();
        let inputs = [buffer(self.dtype, &lhs), buffer(self.dtype, &rhs)];
        let found = values(&run(&self.kernel(None), &inputs, &[(self.dtype, product.len())])[0]);
        let what = format!("{:?} of {} by {:?} and {:?}", self.extents(), self.dtype, self.lhs, self.rhs);
        self.assert_close(&found, &product, &magnitude, &what);
    }

    fn assert_close(&self, found: &[f64], product: &[f64], magnitude: &[f64], what: &str) {
        let gamma = (self.extents().k as f64 + 1.0) * self.unit();
        for (i, ((f, e), magnitude)) in found.iter().zip(product).zip(magnitude).enumerate() {
            assert!((f - e).abs() <= gamma * magnitude, "{what}: element {i} is {f}, expected {e}");
        }
    }
}

fn matrix(rows: usize, columns: usize, transposed: bool, padding: usize) -> Matrices {
    let strides = if transposed { (1, rows + padding) } else { (columns + padding, 1) };
    Matrices::single(padding, Axes::strided(rows, strides.0 as isize), Axes::strided(columns, strides.1 as isize))
}

fn cases(extents: [usize; 3]) -> impl Iterator<Item = Case> {
    let [m, k, n] = extents;
    [DType::F32, DType::F64].into_iter().flat_map(move |dtype| {
        [(false, false), (true, false), (false, true), (true, true)].into_iter().flat_map(move |(left, right)| {
            [0, 3].into_iter().map(move |padding| Case {
                dtype,
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
    let pools = [1, 2, 3, 64].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool")
    });
    for (batches, [m, k, n]) in
        [(1, [700, 90, 100]), (1, [130, 600, 90]), (3, [77, 129, 70]), (40, [33, 65, 50]), (200, [3, 70, 65])]
    {
        for case in cases([m, k, n]) {
            let batch = if batches == 1 { vec![] } else { vec![(batches, m * k, k * n)] };
            if batches > 1 && case.lhs.offset > 0 {
                continue;
            }
            let case = case.with_batch(&batch);
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
                    let (threads, extents) = (pool.current_num_threads(), case.extents());
                    assert!(bits(pool) == one, "{batches} of {extents:?}: other bits on {threads} threads");
                }
            }
        }
    }
}

#[test]
fn batches() {
    for (m, k, n) in [(2, 3, 4), (20, 33, 40), (100, 64, 70)] {
        let batches = [
            vec![(5, m * k, k * n)],
            vec![(40, m * k, k * n)],
            vec![(6, m * k, 0)],
            vec![(6, 0, k * n)],
            vec![(3, 2 * m * k, 0), (2, m * k, k * n)],
            vec![(3, 0, k * n), (4, m * k, 0)],
        ];
        for batch in batches {
            for case in cases([m, k, n]) {
                if case.lhs.offset == 0 {
                    case.with_batch(&batch).check();
                }
            }
        }
    }
}

/// `relu(product + bias)`, whether it is positive, and `product * z`; the bias begins again after `period` elements.
fn epilogue(dtype: DType, elements: usize, period: usize) -> Program {
    let mut b = Builder::new(elements);
    let product = b.push(Instruction::Accumulator, dtype);
    let bias = b.load(dtype, view(&[(elements / period, 0), (period, 1)], 0));
    let z = b.contiguous(dtype);
    let sum = b.binary(BinaryFunction::Add, product, bias);
    let activated = b.unary(UnaryFunction::Relu, sum);
    let positive = b.push(Instruction::Elementwise(Elementwise::Cast { operand: activated }), DType::Bool);
    let scaled = b.binary(BinaryFunction::Mul, product, z);
    b.output(&[positive, activated, scaled])
}

#[test]
fn epilogues() {
    // A row's bias, a matrix's, and that of a few rows: of whole vectors, whose rows of the result are not.
    for (batches, [m, k, n], period) in [
        (1, [2, 3, 4], 4),
        (3, [2, 3, 4], 4),
        (1, [64, 100, 70], 70),
        (40, [30, 20, 50], 50),
        (2, [250, 90, 300], 300),
        (8, [2, 3, 2], 16),
        (6, [20, 30, 20], 400),
        (5, [96, 30, 8], 16),
        (2, [250, 90, 304], 304),
        (3, [64, 40, 128], 64 * 128),
    ] {
        for dtype in [DType::F32, DType::F64] {
            let batch = if batches == 1 { vec![] } else { vec![(batches, m * k, k * n)] };
            let case = Case { dtype, lhs: matrix(m, k, false, 0), rhs: matrix(k, n, false, 0) }.with_batch(&batch);
            let ([lhs, rhs], _, _) = case.operands();
            let elements = batches * m * n;
            let mut program = epilogue(dtype, elements, period);
            let (bias, z) = (noise(3, period), noise(4, elements));
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
            let mut buffers = own_buffers(&inputs);
            buffers[3] = Elements::zeros(dtype, 0).unwrap().into();
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
    for [m, k, n] in
        [[1, 1_000_003, 1], [1, 200_001, 20], [1, 200_001, 5], [9, 200_001, 3], [3, 100_003, 150], [17, 50_000, 40]]
    {
        for case in cases([m, k, n]) {
            let batches = if m * n <= 60 { vec![vec![], vec![(2, 0, 0)]] } else { vec![vec![]] };
            for batch in batches {
                let case = case.clone().with_batch(&batch);
                let ends = [&case.lhs, &case.rhs].map(|matrices| matrices.view().end());
                let factor = case.dtype.round(0.1);
                let inputs = [buffer(case.dtype, &vec![factor; ends[0]]), buffer(case.dtype, &vec![1.0; ends[1]])];
                let elements = case.extents().results();
                let mut b = Builder::new(elements);
                let product = b.push(Instruction::Accumulator, case.dtype);
                for epilogue in [None, Some(b.output(&[product]))] {
                    let found = values(&run(&case.kernel(epilogue), &inputs, &[(case.dtype, elements)])[0]);
                    let exact = factor * k as f64;
                    // Runs of 64, 8 of these, and 8 of these, each addition rounded by half a unit at most.
                    let allowed = 30.0 * case.unit() * exact;
                    let worst = found.iter().map(|x| (x - exact).abs()).fold(0.0, f64::max);
                    let what = format!("{:?} of {} by {:?} and {:?}", case.extents(), case.dtype, case.lhs, case.rhs);
                    assert!(worst <= allowed, "{what}: off by {} of {exact}", worst);
                }
            }
        }
    }
}
