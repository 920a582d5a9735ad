//! Nests against the reference: random ones whose arithmetic is exact, and those of training within their rounding.

use crate::nest_cases::random::{Choices, random_nest};
use crate::nest_cases::{cross_entropy, flat, layer_norm, layer_norm_backward, over_rows, softmax};
use crate::reference::nest::{NestBuilder, evaluate, run, run_compiled};
use crate::reference::{assert_close, noise, values, view};
use arenagrad_kernels::cpu::Compiled;
use arenagrad_kernels::{
    BinaryFunction, CompareFunction, DType, Instruction, Kernel, Nest, NestInstruction, ReduceFunction, Space,
    UnaryFunction,
};

/// Extents about a chunk, half a block, a block and several.
const EXTENTS: [usize; 22] =
    [1, 2, 3, 7, 15, 16, 17, 51, 64, 130, 255, 256, 257, 511, 512, 513, 528, 1024, 1025, 1536, 2064, 4097];

/// Small integers for each input, with a few that are not finite if `wild`.
fn integers(nest: &Nest, seed: u64, wild: bool) -> Vec<Vec<f64>> {
    let of = |(number, input): (usize, &arenagrad_kernels::ProgramInput)| {
        let elements = noise(seed * 31 + number as u64, input.view.end());
        let at = |(i, x): (usize, f64)| match input.dtype {
            DType::Bool => f64::from(u8::from(x > 0.0)),
            DType::F32 | DType::F64 if wild && (i * 7 + number) % 1013 == 5 => f64::NAN,
            DType::F32 | DType::F64 if wild && (i * 3 + number) % 211 == 17 => f64::INFINITY.copysign(x),
            DType::F32 | DType::F64 | DType::I32 => (x * 3.0).round(),
        };
        elements.into_iter().enumerate().map(at).collect()
    };
    nest.inputs.iter().enumerate().map(of).collect()
}

fn check_exact(nest: &Nest, inputs: &[Vec<f64>], what: &str) {
    let expected = evaluate(nest, inputs, true);
    for ((found, &output), place) in run(nest, inputs).iter().zip(&nest.outputs).zip(0..) {
        assert_close(found, &expected[output as usize], 0.0, &format!("{what}: output {place} of {nest:#?}"));
    }
}

#[test]
fn random_nests_are_exact() {
    let mut choices = Choices { seed: 99, count: 0 };
    let (mut cases, mut in_place, mut folds) = (0, 0, 0);
    while cases < 600 {
        let (rows, columns) = (choices.of(&EXTENTS), choices.of(&EXTENTS));
        if rows * columns > 40_000 {
            continue;
        }
        let seed = 1000 + cases;
        let nest = random_nest(seed, rows, columns);
        in_place += nest.inputs.iter().filter(|input| input.in_place.is_some()).count();
        folds += nest.values.iter().filter(|value| matches!(value.instruction, NestInstruction::Fold { .. })).count();
        check_exact(&nest, &integers(&nest, seed, cases % 4 == 3), &format!("nest {seed} over {rows} x {columns}"));
        cases += 1;
    }
    assert!(in_place > 100 && folds > 600, "the nests had {in_place} inputs in place and {folds} folds");
}

#[test]
fn random_nests_of_long_rows_are_exact() {
    for (seed, (rows, columns)) in (0u64..).zip([(3, 70_001), (1, 300_000), (2, 131_072), (40, 5003), (100_003, 2)]) {
        for seed in [seed, seed + 50, seed + 100] {
            let nest = random_nest(seed, rows, columns);
            check_exact(&nest, &integers(&nest, seed, false), &format!("nest {seed} over {rows} x {columns}"));
        }
    }
}

/// Shapes of rows in groups, of one block and of several.
const SHAPES: [(usize, usize); 12] = [
    (1, 1),
    (5, 2),
    (300, 10),
    (40, 17),
    (33, 255),
    (20, 256),
    (19, 257),
    (11, 512),
    (9, 513),
    (6, 1025),
    (3, 4097),
    (2, 300_000),
];

/// The inputs of a nest: noise, labels for i32.
fn noises(nest: &Nest, scale: f64) -> Vec<Vec<f64>> {
    let of = |(number, input): (usize, &arenagrad_kernels::ProgramInput)| {
        let elements = noise(number as u64 + 5, input.view.end()).into_iter();
        match input.dtype {
            DType::I32 => elements.map(|x| ((x + 1.0) * 0.5 * nest.columns as f64).floor()).collect(),
            DType::F32 | DType::F64 | DType::Bool => elements.map(|x| DType::F32.round(x * scale)).collect(),
        }
    };
    nest.inputs.iter().enumerate().map(of).collect()
}

/// Holds a nest to its values in f64, each output within `tolerance` of its largest magnitude.
fn check_close(nest: &Nest, inputs: &[Vec<f64>], tolerance: f64, what: &str) {
    let expected = evaluate(nest, inputs, false);
    for (found, &output) in run(nest, inputs).iter().zip(&nest.outputs) {
        let expected = &expected[output as usize];
        let largest = expected.iter().fold(0f64, |largest, x| largest.max(x.abs()));
        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
            let close = (f.is_nan() && e.is_nan()) || f == e || (f - e).abs() <= tolerance * largest;
            assert!(close, "{what}: element {i} of value {output} is {f}, expected {e}");
        }
    }
}

#[test]
fn softmax_with_its_gradient() {
    for (rows, columns) in SHAPES {
        let mut nest = softmax(rows, columns);
        let inputs = noises(&nest, 8.0);
        check_close(&nest, &inputs, 3e-6, &format!("softmax of {rows} x {columns}"));
        // The gradient is written in the last pass, after which nothing reads the upstream gradient.
        assert!(nest.may_overwrite(1, 1));
        nest.inputs[1].in_place = Some(1);
        check_close(&nest, &inputs, 3e-6, &format!("softmax of {rows} x {columns} in place"));
    }
}

#[test]
fn cross_entropy_with_its_gradient() {
    for (rows, columns) in SHAPES {
        let nest = cross_entropy(rows, columns);
        check_close(&nest, &noises(&nest, 8.0), 3e-6, &format!("cross-entropy of {rows} x {columns}"));
    }
}

#[test]
fn layer_norm_with_its_gradients() {
    for (rows, columns) in SHAPES.into_iter().filter(|&(_, columns)| columns > 2) {
        let mut nest = layer_norm(rows, columns);
        let inputs = noises(&nest, 3.0);
        check_close(&nest, &inputs, 3e-6, &format!("layer norm of {rows} x {columns}"));
        assert!(nest.may_overwrite(0, 0));
        nest.inputs[0].in_place = Some(0);
        check_close(&nest, &inputs, 3e-6, &format!("layer norm of {rows} x {columns} in place"));
        let nest = layer_norm_backward(rows, columns);
        check_close(&nest, &noises(&nest, 3.0), 1e-5, &format!("layer norm backward of {rows} x {columns}"));
    }
}

/// The variance of each row, of each column and of the whole: `E[(x - E[x])^2]` along rows, `E[x^2] - E[x]^2` elsewhere.
#[test]
fn variances() {
    for (rows, columns) in SHAPES {
        for dtype in [DType::F32, DType::F64] {
            let mut b = NestBuilder::new(rows, columns);
            let x = b.contiguous(Space::Element, dtype);
            let sum = b.fold(Space::Row, ReduceFunction::Sum, x);
            let count = b.constant(Space::Row, dtype, columns as f64);
            let mean = b.binary(BinaryFunction::Div, sum, count);
            let deviation = b.binary(BinaryFunction::Sub, x, mean);
            let square = b.binary(BinaryFunction::Mul, deviation, deviation);
            let of_row = b.fold(Space::Row, ReduceFunction::Sum, square);
            let plain_square = b.binary(BinaryFunction::Mul, x, x);
            let mut outputs = vec![of_row];
            for space in [Space::Column, Space::Whole] {
                let squares = b.fold(space, ReduceFunction::Sum, plain_square);
                let sum = b.fold(space, ReduceFunction::Sum, x);
                let count = b.constant(space, dtype, (rows * columns / b.0.extent(space)) as f64);
                let (mean_square, mean) =
                    (b.binary(BinaryFunction::Div, squares, count), b.binary(BinaryFunction::Div, sum, count));
                let square_mean = b.binary(BinaryFunction::Mul, mean, mean);
                outputs.push(b.binary(BinaryFunction::Sub, mean_square, square_mean));
            }
            let largest = b.fold(Space::Whole, ReduceFunction::Max, of_row);
            outputs.push(largest);
            let nest = b.outputs(&outputs);
            let tolerance = if dtype == DType::F32 { 2e-6 } else { 1e-14 };
            check_close(&nest, &noises(&nest, 1.0), tolerance * 2.0, &format!("variance of {rows} x {columns}"));
        }
    }
}

/// Dear functions whose values are needed again in later passes, more of them than a long row can keep.
#[test]
fn values_that_are_kept_and_computed_again() {
    for (rows, columns) in [(7, 100), (5, 600), (3, 2049), (2, 140_000), (1, 700_000)] {
        let mut b = NestBuilder::new(rows, columns);
        let (x, y) =
            (b.contiguous(Space::Element, DType::F32), b.load(Space::Element, DType::F32, over_rows(rows, columns)));
        let tanh = b.unary(UnaryFunction::Tanh, x);
        let exp = b.unary(UnaryFunction::Exp, y);
        let sigmoid = b.unary(UnaryFunction::Sigmoid, x);
        let is_positive = b.compare(CompareFunction::Less, tanh, exp);
        let product = b.binary(BinaryFunction::Mul, tanh, exp);
        let first = b.fold(Space::Row, ReduceFunction::Max, product);
        let shifted = b.binary(BinaryFunction::Sub, product, first);
        let second = b.fold(Space::Row, ReduceFunction::Min, shifted);
        let chosen = b.choose(is_positive, sigmoid, second);
        let third = b.fold(Space::Row, ReduceFunction::Sum, chosen);
        let all = b.binary(BinaryFunction::Add, exp, third);
        let all = b.binary(BinaryFunction::Sub, all, tanh);
        let mut nest = b.outputs(&[product, shifted, all, third]);
        let inputs = noises(&nest, 2.0);
        check_close(&nest, &inputs, 3e-6, &format!("kept values of {rows} x {columns}"));
        // The product is written in the first pass, but the input is read until the last.
        assert!(!nest.may_overwrite(0, 0) && !nest.may_overwrite(1, 0) && nest.may_overwrite(2, 0));
        nest.inputs[0].in_place = Some(2);
        check_close(&nest, &inputs, 3e-6, &format!("kept values of {rows} x {columns} in place"));
    }
}

#[test]
fn flat_nests() {
    for elements in [1, 15, 511, 512, 513, 5000, 300_007] {
        let mut nest = flat(elements);
        let inputs = noises(&nest, 1.0);
        check_close(&nest, &inputs, 1e-6, &format!("{elements}"));
        nest.inputs[0].in_place = Some(0);
        check_close(&nest, &inputs, 1e-6, &format!("{elements} in place"));
        // The same as many rows.
        let inputs = [inputs[0].repeat(3), inputs[1].repeat(3)];
        let mut rows = flat(3 * elements);
        (rows.rows, rows.columns) = (3, elements);
        check_close(&rows, &inputs, 1e-6, &format!("3 x {elements}"));
    }
}

/// NaN and infinities stay in their rows and columns, and reach the whole.
#[test]
fn rows_that_are_not_finite() {
    for (rows, columns) in [(6, 3), (6, 100), (6, 300), (6, 1300)] {
        for wild in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut b = NestBuilder::new(rows, columns);
            let x = b.contiguous(Space::Element, DType::F32);
            let mut outputs = Vec::new();
            // Products of so many factors leave the range of numbers.
            for function in ReduceFunction::ALL.into_iter().filter(|&function| function != ReduceFunction::Product) {
                let of_row = b.fold(Space::Row, function, x);
                outputs.push(b.binary(BinaryFunction::Sub, x, of_row));
                outputs.push(of_row);
                outputs.push(b.fold(Space::Column, function, x));
                outputs.push(b.fold(Space::Whole, function, x));
                outputs.push(b.fold(Space::Whole, function, of_row));
            }
            let nest = b.outputs(&outputs);
            let mut x: Vec<f64> = noise(3, rows * columns).into_iter().map(|x| (x * 4.0).round()).collect();
            x[2 * columns + columns - 1] = wild;
            x[4 * columns] = wild;
            check_exact(&nest, &[x], &format!("{wild} in {rows} x {columns}"));
        }
    }
}

#[test]
fn long_sums_keep_their_digits() {
    for (rows, columns) in [(1_000_000, 1), (1_000_000, 3), (100_000, 20), (20_000, 300), (3, 1_000_000)] {
        let mut b = NestBuilder::new(rows, columns);
        let x = b.load(Space::Element, DType::F32, view(&[(rows, 0), (columns, 0)], 0));
        let y = b.contiguous(Space::Element, DType::F32);
        let product = b.binary(BinaryFunction::Mul, x, y);
        let of_columns = b.fold(Space::Column, ReduceFunction::Sum, product);
        let of_row = b.fold(Space::Row, ReduceFunction::Sum, product);
        let of_rows = b.fold(Space::Whole, ReduceFunction::Sum, of_row);
        let of_all = b.fold(Space::Whole, ReduceFunction::Sum, product);
        let of_constants = b.fold(Space::Whole, ReduceFunction::Sum, x);
        let nest = b.outputs(&[of_columns, of_row, of_rows, of_all, of_constants]);
        let inputs = [vec![DType::F32.round(0.1)], vec![1.0; rows * columns]];
        check_close(&nest, &inputs, 2e-6, &format!("sums of {rows} x {columns}"));
    }
}

#[test]
fn i32_sums_wrap() {
    let mut b = NestBuilder::new(2, 3);
    let x = b.contiguous(Space::Element, DType::I32);
    let folds = [Space::Row, Space::Column, Space::Whole].map(|space| b.fold(space, ReduceFunction::Sum, x));
    let nest = b.outputs(&folds);
    let most = f64::from(i32::MAX);
    check_exact(&nest, &[vec![most, 1.0, 5.0, most, 2.0, -7.0]], "wrapping");
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let nests = [
        ("few rows", softmax(3, 10)),
        ("short rows", cross_entropy(30_000, 10)),
        ("rows", softmax(700, 1000)),
        ("long rows", softmax(5, 100_000)),
        ("folds of columns", layer_norm_backward(1000, 600)),
        ("folds of few columns", layer_norm_backward(30_000, 12)),
        ("flat", flat(1_000_003)),
    ];
    let pools =
        [1, 2, 3, 64].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool"));
    for (what, nest) in nests {
        let inputs = noises(&nest, 3.0);
        let [one, others @ ..] = pools.each_ref().map(|pool| {
            pool.install(|| {
                let mut compiled = Compiled::new(&Kernel::Nest(nest.clone()));
                assert!(!compiled.divides() || rayon::current_num_threads() > 1);
                let outputs = run_compiled(&mut compiled, &nest, &inputs);
                outputs
                    .iter()
                    .map(|output| values(output).iter().map(|x| x.to_bits()).collect())
                    .collect::<Vec<Vec<u64>>>()
            })
        });
        assert!(others.iter().all(|other| *other == one), "{what}: bits differ with the number of threads");
    }
}

/// Random numbers and coordinates count positions of their own space.
#[test]
fn positions_count_in_their_space() {
    for (rows, columns) in [(30, 7), (9, 300), (4, 1200)] {
        let mut b = NestBuilder::new(rows, columns);
        let mut outputs = Vec::new();
        let step = b.load(Space::Row, DType::I32, view(&[(rows, 0)], 0));
        for space in [Space::Element, Space::Row, Space::Column, Space::Whole] {
            let constant = b.constant(space, DType::I32, 4.0);
            let step = if space == Space::Row { step } else { constant };
            outputs.push(b.compute(space, DType::F32, Instruction::Uniform { seed: 17, step, first: 8 }));
            outputs.push(b.compute(space, DType::I32, Instruction::Iota { inner: 3, extent: 5, first: 8 }));
        }
        let of_steps = b.contiguous(Space::Row, DType::I32);
        outputs.push(b.compute(Space::Element, DType::F32, Instruction::Uniform { seed: 3, step: of_steps, first: 0 }));
        outputs.push(b.cast(DType::F32, of_steps));
        let nest = b.outputs(&outputs);
        let steps = (0..rows).map(|row| row as f64).collect();
        check_exact(&nest, &[vec![9.0], steps], &format!("positions of {rows} x {columns}"));
    }
}
