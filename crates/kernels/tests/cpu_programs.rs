//! Whole elementwise programs: views, sizes about the block, several outputs, inputs that share outputs, random numbers.

use crate::reference::{Builder, assert_close, buffer, noise, own_buffers, run, values, view};
use arenagrad_kernels::cpu::{Compiled, Operands, random};
use arenagrad_kernels::{
    BinaryFunction, CompareFunction, DType, Elements, Elementwise, Instruction, Kernel, UnaryFunction, View,
};

/// Sizes of one element, primes, about a chunk, about a block, several blocks, and enough for several threads.
const SIZES: [usize; 17] = [1, 2, 3, 7, 13, 15, 16, 17, 31, 127, 511, 512, 513, 1021, 1024, 1537, 262_147];

/// Runs an elementwise program and its reference on noise.
fn check(program: arenagrad_kernels::Program, tolerance: f64, what: &str) {
    let inputs: Vec<Vec<f64>> = program
        .inputs
        .iter()
        .enumerate()
        .map(|(i, input)| {
            let scale = if input.dtype == DType::I32 { 50.0 } else { 1.0 };
            let noise = noise(i as u64, input.view.end());
            noise
                .into_iter()
                .map(|x| input.dtype.round(if input.dtype == DType::Bool { x.max(0.0).round() } else { x * scale }))
                .collect()
        })
        .collect();
    let buffers: Vec<Elements> =
        program.inputs.iter().zip(&inputs).map(|(input, values)| buffer(input.dtype, values)).collect();
    let outputs: Vec<(DType, usize)> =
        (0..program.outputs.len()).map(|output| (program.output_dtype(output), program.elements)).collect();
    let expected = crate::reference::program(&program, &inputs, &[]);
    for (found, expected) in run(&Kernel::Elementwise(program), &buffers, &outputs).iter().zip(&expected) {
        assert_close(&values(found), expected, tolerance, what);
    }
}

#[test]
fn sizes() {
    for elements in SIZES {
        for dtype in [DType::F32, DType::F64, DType::I32] {
            let mut b = Builder::new(elements);
            let (x, y) = (b.contiguous(dtype), b.contiguous(dtype));
            let product = b.binary(BinaryFunction::Mul, x, y);
            let larger = b.binary(BinaryFunction::Maximum, product, y);
            let less = b.push(
                Instruction::Elementwise(Elementwise::Compare { function: CompareFunction::Less, lhs: x, rhs: larger }),
                DType::Bool,
            );
            let chosen = b.push(
                Instruction::Elementwise(Elementwise::Where { condition: less, on_true: x, on_false: larger }),
                dtype,
            );
            // An input, a value that is read again and a bool are outputs as well.
            check(b.output(&[chosen, x, product, less]), 1e-7, &format!("{elements} of {dtype}"));
        }
    }
}

#[test]
fn views_of_every_kind() {
    let shapes: Vec<(&str, View)> = vec![
        ("contiguous", View::contiguous(5040)),
        ("offset", view(&[(5040, 1)], 17)),
        ("scalar", view(&[(5040, 0)], 3)),
        ("transposed", view(&[(70, 1), (72, 70)], 0)),
        ("transposed with short lines", view(&[(1680, 1), (3, 1680)], 4)),
        ("row repeated", view(&[(72, 0), (70, 1)], 2)),
        ("column repeated", view(&[(72, 1), (70, 0)], 1)),
        ("blocks repeated", view(&[(3, 1), (1680, 0)], 2)),
        ("every second", view(&[(5040, 2)], 1)),
        ("permuted", view(&[(7, 10), (72, 70), (10, 1)], 0)),
        ("of four axes", view(&[(6, 1), (7, 0), (8, 50), (15, 3)], 5)),
        ("short lines repeated", view(&[(2520, 1), (2, 0)], 0)),
    ];
    for (what, left) in &shapes {
        for (other, right) in &shapes {
            for dtype in DType::ALL {
                let mut b = Builder::new(5040);
                let (x, y) = (b.load(dtype, left.clone()), b.load(dtype, right.clone()));
                let value = if dtype == DType::Bool {
                    b.binary(BinaryFunction::And, x, y)
                } else {
                    b.binary(BinaryFunction::Sub, x, y)
                };
                check(b.output(&[value, y]), 1e-6, &format!("{what} and {other}"));
            }
        }
    }
}

/// Reads across rows whose distance is a power of two, which are computed in pieces of rows, by several threads, beside what depends on each
/// element's place.
#[test]
fn reads_across_rows_that_compete_for_places_of_a_cache() {
    // Rows at multiples of 512, in order and backwards, and several matrices of which only a part is read.
    let shapes = [
        view(&[(400, 1), (700, 512)], 0),
        view(&[(400, 1), (700, -512)], 699 * 512),
        view(&[(4, 700 * 512), (100, 2), (700, 512)], 3),
    ];
    for across in shapes {
        let elements = 280_000;
        for dtype in [DType::F32, DType::F64, DType::I32] {
            let mut b = Builder::new(elements);
            let (x, y) = (b.load(dtype, across.clone()), b.contiguous(dtype));
            let difference = b.binary(BinaryFunction::Sub, x, y);
            let index = b.push(Instruction::Iota { inner: 1, extent: elements, first: 3 }, DType::I32);
            let step = b.load(DType::I32, view(&[(elements, 0)], 1));
            let drawn = b.push(Instruction::Uniform { seed: 5, step, first: 0 }, DType::F32);
            check(b.output(&[difference, index, drawn]), 1e-6, &format!("{across:?} of {dtype}"));
        }
    }
}

#[test]
fn more_values_than_outputs_and_unused_ones() {
    let mut b = Builder::new(1300);
    let x = b.contiguous(DType::F32);
    let unused = b.unary(UnaryFunction::Exp, x);
    b.binary(BinaryFunction::Mul, unused, x);
    let mut alive = vec![x];
    for i in 0..30 {
        let c = b.constant(DType::F32, f64::from(i) * 0.125 - 1.0);
        let product = b.binary(BinaryFunction::Mul, alive[i as usize], c);
        alive.push(b.binary(BinaryFunction::Add, product, x));
    }
    // All are read again, so that none of their registers may have been reused.
    let mut total = alive[0];
    for &value in &alive[1..] {
        let half = b.constant(DType::F32, 0.5);
        let scaled = b.binary(BinaryFunction::Mul, total, half);
        total = b.binary(BinaryFunction::Maximum, scaled, value);
    }
    let only = b.constant(DType::I32, 7.0);
    check(b.output(&[total, alive[30], only, alive[3], total]), 2e-6, "many values");
}

#[test]
fn iota_and_uniform() {
    for elements in SIZES {
        let mut b = Builder::new(elements);
        let outer = b.push(Instruction::Iota { inner: 6, extent: 5, first: 17 }, DType::I32);
        let index = b.push(Instruction::Iota { inner: 1, extent: elements, first: 3 }, DType::I32);
        let step = b.load(DType::I32, view(&[(elements, 0)], 1));
        let same = b.push(Instruction::Uniform { seed: 0x1234_5678_9abc_def0, step, first: 0 }, DType::F32);
        let varying = b.push(Instruction::Uniform { seed: 3, step: outer, first: 1001 }, DType::F32);
        check(b.output(&[outer, index, same, varying]), 0.0, &format!("{elements} elements"));
    }
}

#[test]
fn uniform_is_spread_evenly() {
    let count = 1 << 20;
    let mut buckets = [0u32; 16];
    for index in 0..count {
        let value = random::uniform(42, 1, index);
        assert!((0.0..1.0).contains(&value));
        buckets[(value * 16.0) as usize] += 1;
    }
    for count_of_bucket in buckets {
        assert!((f64::from(count_of_bucket) - 65_536.0).abs() < 5.0 * 248.0, "{buckets:?}");
    }
}

#[test]
fn inputs_that_share_the_buffer_of_an_output() {
    for elements in SIZES {
        // p, m <- p - 0.1 (m + g), m + g: both states are updated in place, and each output reads both.
        let mut b = Builder::new(elements);
        let (p, m, g) = (b.contiguous(DType::F32), b.contiguous(DType::F32), b.contiguous(DType::F32));
        let sum = b.binary(BinaryFunction::Add, m, g);
        let rate = b.constant(DType::F32, 0.125);
        let change = b.binary(BinaryFunction::Mul, sum, rate);
        let updated = b.binary(BinaryFunction::Sub, p, change);
        let mut program = b.output(&[updated, sum]);
        let inputs: Vec<Vec<f64>> = (0..3).map(|seed| noise(seed, elements)).collect();
        let expected = crate::reference::program(&program, &inputs, &[]);
        program.inputs[0].in_place = Some(0);
        program.inputs[1].in_place = Some(1);
        // The executor has taken the shared buffers out of the slots.
        let empty = || Elements::empty(DType::F32);
        let buffers = own_buffers(&[empty(), empty(), buffer(DType::F32, &inputs[2])]);
        let mut outputs = [buffer(DType::F32, &inputs[0]), buffer(DType::F32, &inputs[1])];
        let operands = Operands { buffers: &buffers, slots: &[0, 1, 2] };
        Compiled::new(&Kernel::Elementwise(program)).run(operands, &mut outputs);
        for (found, expected) in outputs.iter().zip(&expected) {
            assert_close(&values(found), expected, 1e-6, "in place");
        }
    }
}

#[test]
fn an_output_is_not_written_over_an_input_that_is_still_to_be_read() {
    for elements in SIZES {
        // The first output lies over p, which only the second one reads.
        let mut b = Builder::new(elements);
        let (x, p, g) = (b.contiguous(DType::F32), b.contiguous(DType::F32), b.contiguous(DType::F32));
        let negative = b.unary(UnaryFunction::Neg, x);
        let product = b.binary(BinaryFunction::Mul, p, g);
        let mut program = b.output(&[negative, product]);
        let inputs: Vec<Vec<f64>> = (0..3).map(|seed| noise(seed, elements)).collect();
        let expected = crate::reference::program(&program, &inputs, &[]);
        program.inputs[1].in_place = Some(0);
        let buffers =
            own_buffers(&[buffer(DType::F32, &inputs[0]), Elements::empty(DType::F32), buffer(DType::F32, &inputs[2])]);
        let mut outputs = [buffer(DType::F32, &inputs[1]), buffer(DType::F32, &inputs[2])];
        let operands = Operands { buffers: &buffers, slots: &[0, 1, 2] };
        Compiled::new(&Kernel::Elementwise(program)).run(operands, &mut outputs);
        for (found, expected) in outputs.iter().zip(&expected) {
            assert_close(&values(found), expected, 1e-6, "in place");
        }
    }
}

#[test]
fn slots_in_any_order_and_longer_buffers() {
    let mut b = Builder::new(100);
    let (x, y) = (b.contiguous(DType::F32), b.contiguous(DType::F32));
    let difference = b.binary(BinaryFunction::Sub, x, y);
    let mut compiled = Compiled::new(&Kernel::Elementwise(b.output(&[difference])));
    let buffers = own_buffers(&[
        Elements::F32(vec![1.0; 150].into()),
        Elements::zeros(DType::I32, 3).unwrap(),
        Elements::F32(vec![5.0; 100].into()),
    ]);
    let mut outputs = [Elements::F32(vec![9.0; 120].into())];
    compiled.run(Operands { buffers: &buffers, slots: &[2, 0] }, &mut outputs);
    let found = outputs[0].as_slice::<f32>().expect("an f32 buffer");
    assert!(found[..100].iter().all(|&x| x == 4.0) && found[100..].iter().all(|&x| x == 9.0));
}

/// Each operation rounds, also where a processor could do two at once: the reference, which rounds after each, agrees to the last bit.
#[test]
fn operations_in_a_row_round_one_by_one() {
    use BinaryFunction::{Add, Div, Mul, Sub};
    for elements in [1, 16, 100, 512, 1300] {
        for (first, second) in [Add, Sub, Mul, Div].into_iter().flat_map(|a| [Add, Sub, Mul, Div].map(|b| (a, b))) {
            // Which operands are the same for all elements, and on which side the first value stands.
            for kind in 0..16 {
                let mut b = Builder::new(elements);
                let [x, y, z] = [0, 1, 2].map(|operand| {
                    let is_uniform = kind >> operand & 1 == 1;
                    b.load(DType::F32, if is_uniform { view(&[(elements, 0)], 1) } else { View::contiguous(elements) })
                });
                let value = b.binary(first, x, y);
                let result = if kind < 8 { b.binary(second, value, z) } else { b.binary(second, z, value) };
                // The operands' registers are free again, and the result's is read once more.
                let last = b.binary(Mul, result, result);
                let more = b.binary(Add, last, z);
                check(b.output(&[result, more]), 0.0, &format!("{first:?} {second:?} {kind} of {elements}"));
            }
        }
    }
}
