//! Reductions and argmax against the reference.

use crate::reference::{Builder, assert_close, axes, buffer, noise, run, values};
use arenagrad_kernels::{
    Axis, BinaryFunction, DType, Elements, Elementwise, Instruction, Kernel, Program, ReduceFunction, UnaryFunction,
    View,
};

/// Domains as extents with whether each axis is kept.
fn domains() -> Vec<Vec<(usize, bool)>> {
    let (kept, reduced) = (true, false);
    vec![
        vec![],
        vec![(1, kept)],
        vec![(17, kept)],
        vec![(1021, reduced)],
        vec![(2, reduced)],
        vec![(513, reduced)],
        vec![(300_007, reduced)],
        vec![(64, kept), (10, reduced)],
        vec![(7, kept), (1025, reduced)],
        vec![(600, kept), (700, reduced)],
        vec![(100_003, kept), (3, reduced)],
        vec![(10, reduced), (64, kept)],
        vec![(3, reduced), (5, kept)],
        vec![(50_000, reduced), (7, kept)],
        vec![(30_001, reduced), (23, kept)],
        vec![(4096, reduced), (1, reduced), (2, kept)],
        vec![(5000, reduced), (70, kept)],
        vec![(9, kept), (384, reduced)],
        vec![(65_536, reduced)],
        vec![(40, reduced), (9001, kept)],
        vec![(3, kept), (50, reduced), (130, kept)],
        vec![(90, kept), (17, reduced), (5, kept)],
        vec![(30, kept), (17, reduced), (500, kept)],
        vec![(8, reduced), (16, kept), (49, reduced)],
        vec![(128, reduced), (33, kept), (121, reduced)],
        vec![(2, reduced), (3, kept), (4, reduced), (5, kept)],
        vec![(2, reduced), (30, kept), (4, reduced), (150, kept)],
        vec![(2, kept), (3, reduced), (4, kept), (5, reduced)],
    ]
}

/// The axes of a domain that are kept, and those that are reduced.
fn split(domain: &[(usize, bool)]) -> (Vec<Axis>, Vec<Axis>) {
    let (mut kept, mut reduced, mut stride) = (Vec::new(), Vec::new(), 1);
    for &(extent, is_kept) in domain.iter().rev() {
        if extent > 1 {
            let list = if is_kept { &mut kept } else { &mut reduced };
            list.insert(0, Axis { extent, stride });
        }
        stride *= extent as isize;
    }
    (kept, reduced)
}

/// The results of a reduction of `values`.
fn expected(function: ReduceFunction, dtype: DType, values: &[f64], kept: &[Axis], reduced: &[Axis]) -> Vec<f64> {
    let (kept, reduced) = (View::new(kept.iter().copied(), 0), View::new(reduced.iter().copied(), 0));
    (0..kept.elements())
        .map(|o| {
            let first = kept.position(o);
            let elements = (0..reduced.elements()).map(|r| values[first + reduced.position(r)]);
            crate::reference::reduce(function, dtype, elements)
        })
        .collect()
}

fn operand(dtype: DType, count: usize) -> Vec<f64> {
    let scale = if dtype == DType::I32 { 1000.0 } else { 1.0 };
    noise(count as u64, count).into_iter().map(|x| dtype.round(x * scale)).collect()
}

/// A tolerance for sums of up to some hundred thousand noisy elements, that nearly cancel.
fn assert_sums_close(found: &[f64], expected: &[f64], dtype: DType, count: usize, what: &str) {
    let unit = if dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-50) };
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let allowed = 4.0 * (count as f64).sqrt() * unit * (count as f64).sqrt() + unit * e.abs();
        assert!((f - e).abs() <= allowed, "{what}: result {i} is {f}, expected {e}");
    }
}

#[test]
fn reductions_of_every_domain() {
    for domain in domains() {
        let elements = domain.iter().map(|&(extent, _)| extent).product();
        let (kept, reduced) = split(&domain);
        let count = reduced.iter().map(|axis| axis.extent).product();
        for function in ReduceFunction::ALL {
            for dtype in [DType::F32, DType::F64, DType::I32] {
                let what = format!("{} of {dtype} over {domain:?}", function.name());
                let x = operand(dtype, elements);
                let mut b = Builder::new(elements);
                let value = b.contiguous(dtype);
                let program = b.output(&[value]);
                let expected = expected(function, dtype, &x, &kept, &reduced);
                let (kept, reduced) = (kept.clone(), reduced.clone());
                let kernel = Kernel::Reduce { function, program, kept, reduced, epilogue: None };
                let found = run(&kernel, &[buffer(dtype, &x)], &[(dtype, expected.len())]);
                match function {
                    ReduceFunction::Sum => assert_sums_close(&values(&found[0]), &expected, dtype, count, &what),
                    ReduceFunction::Max | ReduceFunction::Min => {
                        assert_close(&values(&found[0]), &expected, 0.0, &what);
                    }
                    // Each factor may be rounded, and products below all numbers are 0.
                    ReduceFunction::Product if dtype.is_float() => {
                        let unit = if dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-50) };
                        for (found, expected) in values(&found[0]).iter().zip(&expected) {
                            let allowed = 2.0 * count as f64 * unit * expected.abs() + 1e-38;
                            assert!((found - expected).abs() <= allowed, "{what}: {found}, not {expected}");
                        }
                    }
                    ReduceFunction::Product => assert_close(&values(&found[0]), &expected, 0.0, &what),
                }
            }
        }
    }
}

/// `exp(x) * y + 1`, with `y` in a view.
fn fused(elements: usize, y: View) -> Program {
    let mut b = Builder::new(elements);
    let (x, y) = (b.contiguous(DType::F32), b.load(DType::F32, y));
    let exp = b.unary(UnaryFunction::Exp, x);
    let product = b.binary(BinaryFunction::Mul, exp, y);
    let one = b.constant(DType::F32, 1.0);
    let sum = b.binary(BinaryFunction::Add, product, one);
    b.output(&[sum])
}

#[test]
fn programs_before_and_epilogues_after() {
    for domain in domains() {
        let elements: usize = domain.iter().map(|&(extent, _)| extent).product();
        let (kept, reduced) = split(&domain);
        let results: usize = kept.iter().map(|axis| axis.extent).product();
        // Products of so many factors leave the range of numbers.
        for function in ReduceFunction::ALL.into_iter().filter(|&function| function != ReduceFunction::Product) {
            let program = fused(elements, crate::reference::view(&[(elements, 0)], 2));
            // The epilogue reads the results, an input of its own, and writes a float and a bool.
            let mut b = Builder::new(results);
            let accumulator = b.push(Instruction::Accumulator, DType::F32);
            let scale = b.contiguous(DType::F32);
            let scaled = b.binary(BinaryFunction::Mul, accumulator, scale);
            let is_less = Instruction::Elementwise(Elementwise::Compare {
                function: arenagrad_kernels::CompareFunction::Less,
                lhs: scaled,
                rhs: accumulator,
            });
            let is_less = b.push(is_less, DType::Bool);
            let epilogue = b.output(&[scaled, is_less, accumulator]);
            let x = operand(DType::F32, elements);
            let (y, z) = (vec![0.0, 0.0, 0.75], operand(DType::F32, results));
            let inside = crate::reference::program(&program, &[x.clone(), y.clone()], &[]).remove(0);
            let expected_results = expected(function, DType::F32, &inside, &kept, &reduced);
            let (kept, reduced) = (kept.clone(), reduced.clone());
            let kernel = Kernel::Reduce { function, program, kept, reduced, epilogue: Some(epilogue.clone()) };
            let inputs = [buffer(DType::F32, &x), buffer(DType::F32, &y), buffer(DType::F32, &z)];
            let outputs = [(DType::F32, results), (DType::Bool, results), (DType::F32, results)];
            let found = run(&kernel, &inputs, &outputs);
            let what = format!("{} over {domain:?}", function.name());
            // exp errs by two units, each addition by half of one.
            assert_close(&values(&found[2]), &expected_results, 5e-7, &what);
            let expected = crate::reference::program(&epilogue, &[z], &values(&found[2]));
            assert_close(&values(&found[0]), &expected[0], 1e-7, &what);
            assert_close(&values(&found[1]), &expected[1], 0.0, &what);
        }
    }
}

#[test]
fn nan_spreads_wherever_it_stands() {
    for function in ReduceFunction::ALL {
        for (extent, at) in
            [(1, 0), (5, 0), (5, 4), (40, 17), (700, 0), (700, 699), (70_000, 65_537), (1024, 1023), (16_384, 200)]
        {
            let mut x = vec![0.5f32; extent];
            x[at] = f32::NAN;
            let mut b = Builder::new(extent);
            let value = b.contiguous(DType::F32);
            let reduced = if extent > 1 { axes(&[(extent, 1)]) } else { vec![] };
            let kernel =
                Kernel::Reduce { function, program: b.output(&[value]), kept: vec![], reduced, epilogue: None };
            assert!(values(&run(&kernel, &[Elements::from(x)], &[(DType::F32, 1)])[0])[0].is_nan());
        }
    }
}

#[test]
fn sums_past_a_million_elements() {
    let count = 3_000_017;
    for (what, x) in [
        ("positive", noise(1, count).into_iter().map(|x| DType::F32.round(x + 1.5)).collect::<Vec<f64>>()),
        ("mixed", noise(2, count)),
        ("the same", vec![DType::F32.round(0.1); count]),
    ] {
        let x: Vec<f64> = x.into_iter().map(|x| DType::F32.round(x)).collect();
        let mut b = Builder::new(count);
        let value = b.contiguous(DType::F32);
        let reduced = axes(&[(count, 1)]);
        let function = ReduceFunction::Sum;
        let kernel = Kernel::Reduce { function, program: b.output(&[value]), kept: vec![], reduced, epilogue: None };
        let found = values(&run(&kernel, &[buffer(DType::F32, &x)], &[(DType::F32, 1)])[0])[0];
        let (exact, magnitude) = (x.iter().sum::<f64>(), x.iter().map(|x| x.abs()).sum::<f64>());
        // Pairwise within a block and f64 beyond: ten roundings of a block's sums and one of the result.
        let allowed = 11.0 * 2f64.powi(-24) * magnitude;
        assert!((found - exact).abs() <= allowed, "{what}: {found}, exactly {exact}");
        assert!((found - exact).abs() <= 4.0 * (count as f64).sqrt() * 2f64.powi(-24) * magnitude);
    }
}

#[test]
fn i32_sums_wrap() {
    let mut b = Builder::new(3);
    let value = b.contiguous(DType::I32);
    let program = b.output(&[value]);
    let function = ReduceFunction::Sum;
    let kernel = Kernel::Reduce { function, program, kept: vec![], reduced: axes(&[(3, 1)]), epilogue: None };
    let found = run(&kernel, &[Elements::I32(vec![i32::MAX, 1, 5].into())], &[(DType::I32, 1)]);
    assert_eq!(found[0], Elements::I32(vec![i32::MIN + 5].into()));
}

#[test]
fn argmax_takes_the_first_of_the_largest() {
    let cases = [
        (1, 1, 1),
        (1, 7, 1),
        (64, 10, 1),
        (3, 1000, 1),
        (90, 3, 1),
        (7, 16, 1),
        (5, 31, 1),
        (4, 1023, 1),
        (4, 1024, 1),
        (3, 2100, 1),
        (5, 17, 3),
        (2, 3, 700),
        (600, 300, 1),
        (300, 5, 100),
    ];
    for (outer, extent, inner) in cases {
        for dtype in DType::ALL {
            // Few distinct values, so that there are ties.
            let x: Vec<f64> = noise(9, outer * extent * inner)
                .into_iter()
                .enumerate()
                .map(|(i, x)| {
                    if dtype.is_float() && i % 101 == 100 { f64::NAN } else { dtype.round((x * 4.0).round().max(-2.0)) }
                })
                .collect();
            let mut expected = Vec::new();
            for o in 0..outer {
                for i in 0..inner {
                    let at = |j: usize| x[(o * extent + j) * inner + i];
                    let mut best = 0;
                    for j in 1..extent {
                        if at(j) > at(best) || (at(j).is_nan() && !at(best).is_nan()) {
                            best = j;
                        }
                    }
                    expected.push(best as f64);
                }
            }
            let kernel = Kernel::ArgMax { dtype, outer, extent, inner };
            let found = run(&kernel, &[buffer(dtype, &x)], &[(DType::I32, outer * inner)]);
            assert_close(&values(&found[0]), &expected, 0.0, &format!("{outer} {extent} {inner} {dtype}"));
        }
    }
}
