//! Every elementwise function of every dtype it is defined for, against the value that its table gives in f64.

use crate::reference::{Builder, assert_close, binary, buffer, compare, run, unary, values};
use arenagrad_kernels::{
    BinaryFunction, CompareFunction, DType, Elements, Elementwise, Instruction, Kernel, UnaryFunction,
};

/// Arguments that a function of floats is tried at: special values, and a sweep over its interesting range.
fn arguments(low: f64, high: f64, dtype: DType) -> Vec<f64> {
    let mut arguments = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        -1.5,
        2.5,
        -2.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-40,
        -1e-40,
        1e-45,
        1e-30,
        -1e-30,
        1e-8,
        -1e-8,
        1e-6,
        -1e-6,
        3e-4,
        -3e-4,
        0.34,
        -0.34,
        0.35,
        -0.35,
        3e38,
        -3e38,
        8_388_607.5,
        -8_388_607.5,
        88.7,
        88.73,
        -87.4,
        -103.0,
        -104.5,
        9.02,
        16_777_216.0,
    ];
    let steps = 40_000;
    arguments.extend((0..=steps).map(|i| low + (high - low) * f64::from(i) / f64::from(steps)));
    // Magnitudes of every order.
    arguments.extend((-300..=300).flat_map(|i| [2f64.powf(f64::from(i) * 0.49), -(2f64.powf(f64::from(i) * 0.49))]));
    arguments.into_iter().map(|x| dtype.round(x)).collect()
}

/// The distance of an f32 from a value, in units of the value's last place.
fn ulps(found: f32, expected: f64) -> f64 {
    let rounded = expected as f32;
    if found.is_nan() && rounded.is_nan() || found == rounded {
        return 0.0;
    }
    if !found.is_finite() || !rounded.is_finite() {
        return f64::INFINITY;
    }
    let exponent = expected.abs().log2().floor().max(-126.0);
    (f64::from(found) - expected).abs() / 2f64.powf(exponent - 23.0)
}

#[test]
fn unary_functions() {
    for function in UnaryFunction::ALL {
        for &dtype in function.row().dtypes {
            let ((low, high), allowed) = (function.row().range, function.row().accuracy);
            let x = match dtype {
                DType::I32 => (-40..40).map(f64::from).chain([i32::MIN, i32::MAX].map(f64::from)).collect(),
                DType::Bool => vec![0.0, 1.0],
                DType::F32 | DType::F64 => arguments(low, high, dtype),
            };
            let mut b = Builder::new(x.len());
            let operand = b.contiguous(dtype);
            let value = b.unary(function, operand);
            let kernel = Kernel::Elementwise(b.output(&[value]));
            let found = run(&kernel, &[buffer(dtype, &x)], &[(dtype, x.len())]).remove(0);
            let what = format!("{} of {dtype}", function.name());
            match &found {
                Elements::F32(found) => {
                    let mut worst = (0.0, 0.0);
                    for (&x, &found) in x.iter().zip(found) {
                        // In f64: the reference is not rounded to f32 before it is compared.
                        let error = ulps(found, unary(function, DType::F64, x));
                        assert!(error <= allowed, "{what}: of {x:e} gave {found:e}, {error} units off");
                        if error > worst.1 {
                            worst = (x, error);
                        }
                    }
                    println!("{what}: {:.3} units at {:e}", worst.1, worst.0);
                }
                Elements::F64(_)
                | Elements::I32(_)
                | Elements::Bool(_)
                | Elements::F16(_)
                | Elements::Bf16(_)
                | Elements::U8(_)
                | Elements::I8(_)
                | Elements::I64(_) => {
                    let expected: Vec<f64> = x.iter().map(|&x| unary(function, dtype, x)).collect();
                    assert_close(&values(&found), &expected, 1e-13, &what);
                }
            }
        }
    }
}

#[test]
fn signs_of_zeros() {
    let odd = [
        UnaryFunction::Expm1,
        UnaryFunction::Log1p,
        UnaryFunction::Sin,
        UnaryFunction::Tanh,
        UnaryFunction::Erf,
        UnaryFunction::Sqrt,
        UnaryFunction::Atan,
        UnaryFunction::Asin,
        UnaryFunction::Sinh,
        UnaryFunction::Asinh,
        UnaryFunction::Atanh,
        UnaryFunction::Trunc,
        UnaryFunction::Erfinv,
    ];
    for function in odd {
        for dtype in [DType::F32, DType::F64] {
            let mut b = Builder::new(2);
            let operand = b.contiguous(dtype);
            let value = b.unary(function, operand);
            let kernel = Kernel::Elementwise(b.output(&[value]));
            let found = values(&run(&kernel, &[buffer(dtype, &[0.0, -0.0])], &[(dtype, 2)])[0]);
            assert!(found[0].is_sign_positive() && found[1].is_sign_negative(), "{} of {dtype}", function.name());
        }
    }
}

/// Pairs of operands: all of the special values, and points in between.
fn pairs(dtype: DType) -> (Vec<f64>, Vec<f64>) {
    let values: Vec<f64> = match dtype {
        DType::Bool => vec![0.0, 1.0],
        DType::I32 => [0, 1, -1, 2, 3, 7, -50_000, 123_456, i32::MIN, i32::MAX].map(f64::from).to_vec(),
        DType::F32 | DType::F64 => {
            let mut values = vec![
                0.0,
                -0.0,
                1.0,
                -1.0,
                2.0,
                -2.0,
                3.0,
                -3.0,
                0.5,
                -0.5,
                1e-40,
                1e30,
                -1e30,
                0.1,
                2.7,
                -7.0,
                31.0,
                127.0,
                -149.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
            ];
            values.extend((0..200).map(|i| 0.013 * f64::from(i * i) - 20.0));
            values
        }
    };
    let values: Vec<f64> = values.into_iter().map(|x| dtype.round(x)).collect();
    values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).unzip()
}

#[test]
fn binary_functions() {
    for function in BinaryFunction::ALL {
        for &dtype in function.row().dtypes {
            let (a, b) = pairs(dtype);
            let mut builder = Builder::new(a.len());
            let (lhs, rhs) = (builder.contiguous(dtype), builder.contiguous(dtype));
            let value = builder.binary(function, lhs, rhs);
            let kernel = Kernel::Elementwise(builder.output(&[value]));
            let inputs = [buffer(dtype, &a), buffer(dtype, &b)];
            let found = run(&kernel, &inputs, &[(dtype, a.len())]).remove(0);
            for ((&a, &b), found) in a.iter().zip(&b).zip(values(&found)) {
                let expected = binary(function, if dtype == DType::F32 { DType::F64 } else { dtype }, a, b);
                let what = format!("{}({a:e}, {b:e}) of {dtype} gave {found:e}", function.name());
                match dtype {
                    DType::F32 => {
                        let allowed = function.row().accuracy;
                        assert!(ulps(found as f32, expected) <= allowed, "{what}, expected {expected:e}");
                    }
                    DType::F64 | DType::I32 | DType::Bool => assert_close(&[found], &[expected], 1e-13, &what),
                }
            }
        }
    }
}

#[test]
fn operands_that_are_the_same_for_all_elements() {
    for function in BinaryFunction::ALL {
        for &dtype in function.row().dtypes {
            let x: Vec<f64> = (0..700).map(|i| dtype.round(f64::from(i % 37) * 0.25 - 3.0)).collect();
            let mut b = Builder::new(x.len());
            let operand = b.contiguous(dtype);
            let constant = b.constant(dtype, dtype.round(2.0));
            let scalar = b.load(dtype, crate::reference::view(&[(x.len(), 0)], 3));
            let outputs = [
                b.binary(function, operand, constant),
                b.binary(function, scalar, operand),
                b.binary(function, scalar, constant),
                b.binary(function, operand, operand),
            ];
            let program = b.output(&outputs);
            let scalars = vec![0.0, 0.0, 0.0, dtype.round(3.0), 0.0];
            let inputs = [x.clone(), scalars];
            let buffers: Vec<Elements> = inputs.iter().map(|input| buffer(dtype, input)).collect();
            let expected = crate::reference::program(&program, &inputs, &[]);
            let found = run(&Kernel::Elementwise(program), &buffers, &[(dtype, x.len()); 4]);
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&values(found), expected, 3e-7, function.name());
            }
        }
    }
}

#[test]
fn compare_functions() {
    for function in CompareFunction::ALL {
        for dtype in DType::ALL {
            let (a, b) = pairs(dtype);
            let mut builder = Builder::new(a.len());
            let (lhs, rhs) = (builder.contiguous(dtype), builder.contiguous(dtype));
            let value =
                builder.push(Instruction::Elementwise(Elementwise::Compare { function, lhs, rhs }), DType::Bool);
            let kernel = Kernel::Elementwise(builder.output(&[value]));
            let found = run(&kernel, &[buffer(dtype, &a), buffer(dtype, &b)], &[(DType::Bool, a.len())]).remove(0);
            let expected: Vec<f64> = a.iter().zip(&b).map(|(&a, &b)| compare(function, a, b)).collect();
            assert_close(&values(&found), &expected, 0.0, &format!("{} of {dtype}", function.name()));
        }
    }
}

#[test]
fn where_takes_either_bit_for_bit() {
    for dtype in DType::ALL {
        let (a, b) = pairs(dtype);
        let condition: Vec<f64> = (0..a.len()).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let mut builder = Builder::new(a.len());
        let operands = (builder.contiguous(DType::Bool), builder.contiguous(dtype), builder.contiguous(dtype));
        let (condition_value, on_true, on_false) = operands;
        let value = builder.push(
            Instruction::Elementwise(Elementwise::Where { condition: condition_value, on_true, on_false }),
            dtype,
        );
        let kernel = Kernel::Elementwise(builder.output(&[value]));
        let inputs = [buffer(DType::Bool, &condition), buffer(dtype, &a), buffer(dtype, &b)];
        let found = run(&kernel, &inputs, &[(dtype, a.len())]).remove(0);
        let expected: Vec<f64> = (0..a.len()).map(|i| if i % 3 == 0 { a[i] } else { b[i] }).collect();
        assert_close(&values(&found), &expected, 0.0, dtype.name());
    }
}

#[test]
fn casts_saturate_and_truncate() {
    for from in DType::ALL {
        for to in DType::ALL {
            let x: Vec<f64> = match from {
                DType::F32 | DType::F64 => arguments(-100.0, 100.0, from).into_iter().chain([1e10, -1e10]).collect(),
                DType::I32 => [0, 1, -1, 77, i32::MIN, i32::MAX].map(f64::from).to_vec(),
                DType::Bool => vec![0.0, 1.0],
            };
            let mut b = Builder::new(x.len());
            let operand = b.contiguous(from);
            let value = b.push(Instruction::Elementwise(Elementwise::Cast { operand }), to);
            let kernel = Kernel::Elementwise(b.output(&[value]));
            let found = run(&kernel, &[buffer(from, &x)], &[(to, x.len())]).remove(0);
            let expected: Vec<f64> = x.iter().map(|&x| to.round(x)).collect();
            assert_close(&values(&found), &expected, 0.0, &format!("{from} to {to}"));
        }
    }
}
