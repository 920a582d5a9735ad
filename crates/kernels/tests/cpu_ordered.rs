//! Cumulative operations and sorts of long axes against plain loops in f64, at sizes across the borders of runs and parts.

use arenagrad_kernels::{Cumulation, CumulativeFunction, DType, Elements, Kernel};

use crate::reference::{buffer, noise, run, values};

const LENGTHS: [usize; 14] = [1, 2, 63, 64, 65, 255, 256, 257, 511, 513, 4095, 4097, 70_000, 1_000_000];

fn cumulated(
    function: Cumulation,
    dtype: DType,
    extents: [usize; 3],
    is_reversed: bool,
    inputs: &[Vec<f64>],
) -> Vec<f64> {
    let [outer, extent, inner] = extents;
    let kernel = Kernel::Cumulative { function, dtype, outer, extent, inner, is_reversed };
    let inputs: Vec<Elements> = inputs.iter().map(|input| buffer(dtype, input)).collect();
    let result = match function {
        Cumulation::Function(function) if function.gives_indices() => DType::I32,
        Cumulation::Function(_) | Cumulation::Recurrence => dtype,
    };
    values(&run(&kernel, &inputs, &[(result, outer * extent * inner)])[0])
}

/// Goes along the axis with a state, and gives what `next` makes of it at each place.
fn along(extents: [usize; 3], is_reversed: bool, mut next: impl FnMut(Option<f64>, usize, usize) -> f64) -> Vec<f64> {
    let [outer, extent, inner] = extents;
    let mut results = vec![0.0; outer * extent * inner];
    for row in 0..outer * inner {
        let mut state = None;
        for step in 0..extent {
            let index = if is_reversed { extent - 1 - step } else { step };
            let position = (row / inner * extent + index) * inner + row % inner;
            let value = next(state, position, index);
            results[position] = value;
            state = Some(value);
        }
    }
    results
}

fn shapes() -> impl Iterator<Item = [usize; 3]> {
    LENGTHS.into_iter().map(|length| [1, length, 1]).chain([
        [3, 1025, 1],
        [70, 700, 1],
        [1, 900, 7],
        [2, 40, 300],
        [9, 130, 133],
        [3, 5000, 2],
        [1, 900, 17],
        [77, 3, 1],
        [67, 33, 1],
        [70, 5, 3],
    ])
}

#[test]
fn sums_keep_their_digits_over_any_length() {
    for (extents, is_reversed) in shapes().flat_map(|extents| [(extents, false), (extents, true)]) {
        for dtype in [DType::F32, DType::F64] {
            // All above 0, so that a sum has no fewer digits than its elements.
            let x: Vec<f64> = noise(3, extents.iter().product()).iter().map(|x| dtype.round(x + 1.5)).collect();
            let expected = along(extents, is_reversed, |sum, at, _| sum.unwrap_or(0.0) + x[at]);
            let found = cumulated(
                Cumulation::Function(CumulativeFunction::Sum),
                dtype,
                extents,
                is_reversed,
                std::slice::from_ref(&x),
            );
            let epsilon = if dtype == DType::F32 { 1.2e-7 } else { 1e-12 };
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= epsilon * expected, "{extents:?} {dtype}: {found} not {expected}");
            }
        }
    }
}

#[test]
fn integers_wrap() {
    let function = |function| Cumulation::Function(function);
    let x: Vec<f64> = noise(5, 3000).iter().map(|x| (x * 2e9).round()).collect();
    let wrapped = |x: i64| f64::from(x as i32);
    let expected = along([1, 3000, 1], false, |sum, at, _| wrapped(sum.unwrap_or(0.0) as i64 + x[at] as i64));
    assert_eq!(
        cumulated(function(CumulativeFunction::Sum), DType::I32, [1, 3000, 1], false, std::slice::from_ref(&x)),
        expected
    );
    let expected = along([1, 3000, 1], false, |so_far, at, _| wrapped(so_far.unwrap_or(1.0) as i64 * x[at] as i64));
    assert_eq!(cumulated(function(CumulativeFunction::Product), DType::I32, [1, 3000, 1], false, &[x]), expected);
}

#[test]
fn products_pass_runs_that_overflow_by_themselves() {
    let function = Cumulation::Function(CumulativeFunction::Product);
    for (extents, is_reversed) in shapes().flat_map(|extents| [(extents, false), (extents, true)]) {
        let x: Vec<f64> =
            noise(4, extents.iter().product()).iter().map(|x| f64::from((1.0 + 0.01 * x) as f32)).collect();
        let expected = along(extents, is_reversed, |product, at, _| product.unwrap_or(1.0) * x[at]);
        for dtype in [DType::F32, DType::F64] {
            let found = cumulated(function, dtype, extents, is_reversed, std::slice::from_ref(&x));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-6 * expected, "{extents:?} {dtype}: {found} not {expected}");
            }
        }
    }
    // A 0 in front: what comes behind is 0, though each run of it is past the largest number.
    for dtype in [DType::F32, DType::F64] {
        let mut x = vec![1e30; 5000];
        x[0] = 0.0;
        assert!(
            cumulated(function, dtype, [1, 5000, 1], false, std::slice::from_ref(&x)).iter().all(|&x| x == 0.0),
            "{dtype}"
        );
        x[700] = f64::INFINITY;
        let found = cumulated(function, dtype, [1, 5000, 1], false, &[x]);
        assert!(found[..700].iter().all(|&x| x == 0.0) && found[700..].iter().all(|x| x.is_nan()), "{dtype}");
    }
}

/// Each result is made of the one before it, wherever runs begin: what was infinite is not finite again, and what was lost stays 0.
#[test]
fn results_outside_the_range_do_not_come_back() {
    // By place along the axis: out above the range and back, out below it and back, and from infinity to NaN.
    let courses: [fn(usize) -> f64; 4] = [
        |place| if place % 600 < 300 { 1e30 } else { 1e-30 },
        |place| if place % 600 < 300 { 1e-30 } else { 1e30 },
        |place| if place == 650 { 0.0 } else { 1.5 * (1.0 - 2.0 * (place % 2) as f64) },
        |place| if place == 100 { f64::INFINITY } else { 1.0 / (1.0 + (place % 3) as f64) },
    ];
    for extents in [[1, 5000, 1], [3, 1025, 1], [70, 1300, 1], [1, 1400, 7]] {
        let [outer, extent, inner] = extents;
        for (number, course) in courses.iter().enumerate() {
            for is_reversed in [false, true] {
                let at = |position: usize| {
                    let index = position / inner % extent;
                    course(if is_reversed { extent - 1 - index } else { index })
                };
                let factors: Vec<f64> = (0..outer * extent * inner).map(at).collect();
                let ones = vec![1.0; factors.len()];
                let products = along(extents, is_reversed, |product, at, _| product.unwrap_or(1.0) * factors[at]);
                let recurrence = along(extents, is_reversed, |y, at, _| y.map_or(1.0, |y| y * factors[at] + ones[at]));
                for dtype in [DType::F32, DType::F64] {
                    let function = Cumulation::Function(CumulativeFunction::Product);
                    let factors: Vec<f64> = factors.iter().map(|x| dtype.round(*x)).collect();
                    let found = cumulated(function, dtype, extents, is_reversed, std::slice::from_ref(&factors));
                    let inputs = [ones.clone(), factors];
                    let recurred = cumulated(Cumulation::Recurrence, dtype, extents, is_reversed, &inputs);
                    for (found, expected) in found.iter().chain(&recurred).zip(products.iter().chain(&recurrence)) {
                        let is_same = found.is_nan() == expected.is_nan()
                            && found.is_infinite() == dtype.round(*expected).is_infinite()
                            && (*found == 0.0) == (dtype.round(*expected) == 0.0);
                        assert!(is_same, "{extents:?} {dtype}, course {number}: {found}, not {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn extremes_take_the_last_of_equal_elements() {
    for (extents, is_reversed) in shapes().flat_map(|extents| [(extents, false), (extents, true)]) {
        for (function, sign) in [(CumulativeFunction::ArgMax, 1.0), (CumulativeFunction::ArgMin, -1.0)] {
            for dtype in [DType::F32, DType::F64, DType::I32] {
                let x: Vec<f64> = noise(6, extents.iter().product())
                    .iter()
                    .enumerate()
                    .map(|(i, x)| match dtype.is_float() && i % 1000 == 903 {
                        true => f64::NAN,
                        false => (x * 40.0).round(),
                    })
                    .collect();
                let mut best = f64::NAN;
                let expected = along(extents, is_reversed, |state, at, index| match state {
                    Some(place) if !x[at].is_nan() && (best.is_nan() || sign * x[at] < sign * best) => place,
                    Some(_) | None => {
                        best = x[at];
                        index as f64
                    }
                });
                let found = cumulated(Cumulation::Function(function), dtype, extents, is_reversed, &[x]);
                assert!(found == expected, "{extents:?} {dtype} {sign}");
            }
        }
    }
}

#[test]
fn recurrences_are_those_of_a_loop() {
    for (extents, is_reversed) in shapes().flat_map(|extents| [(extents, false), (extents, true)]) {
        let count = extents.iter().product();
        let x: Vec<f64> = noise(7, count).iter().map(|&x| f64::from(x as f32)).collect();
        let factors: Vec<f64> = noise(8, count).iter().map(|&x| f64::from((x * 1.2) as f32)).collect();
        let expected =
            along(extents, is_reversed, |state, at, _| state.map_or(x[at], |state| factors[at] * state + x[at]));
        for (dtype, epsilon) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let found = cumulated(Cumulation::Recurrence, dtype, extents, is_reversed, &[x.clone(), factors.clone()]);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= epsilon * expected.abs().max(1.0), "{extents:?} {dtype}");
            }
        }
    }
}

#[test]
fn sorts_are_stable_at_any_length() {
    let lengths = LENGTHS.into_iter().chain([2047, 2048, 2049, 65_535, 65_536, 65_537]);
    for extent in lengths {
        for dtype in [DType::F32, DType::F64, DType::I32] {
            // Few distinct values and many, NaN, infinities and both zeros.
            for scale in [3.0, 1e6] {
                let x: Vec<f64> = noise(9, extent)
                    .into_iter()
                    .enumerate()
                    .map(|(i, x)| match (dtype.is_float(), i % 97) {
                        (true, 96) => f64::NAN,
                        (true, 95) => f64::NEG_INFINITY,
                        (true, 94) => -0.0,
                        _ => dtype.round((x * scale).round()),
                    })
                    .collect();
                for is_descending in [false, true] {
                    let mut expected: Vec<usize> = (0..extent).collect();
                    // NaN is the largest, and both zeros are equal.
                    let key = |i: usize| (x[i].is_nan(), if x[i].is_nan() { 0.0 } else { x[i] });
                    let order = |&a: &usize, &b: &usize| key(a).partial_cmp(&key(b)).expect("numbers alone");
                    expected.sort_by(|a, b| if is_descending { order(b, a) } else { order(a, b) });
                    for count in [extent, extent.div_ceil(9), 1] {
                        let kernel = Kernel::ArgSort { dtype, rows: 1, extent, count, is_descending };
                        let found = values(&run(&kernel, &[buffer(dtype, &x)], &[(DType::I32, count)])[0]);
                        let expected = expected[..count].iter().map(|&index| index as f64);
                        assert!(found.iter().copied().eq(expected), "{count} of {extent} {dtype} {is_descending}");
                    }
                }
            }
        }
    }
}

#[test]
fn rows_that_are_in_order_or_all_alike_are_sorted_too() {
    for (extent, count) in [(5000, 5000), (300_000, 300_000), (300_000, 100)] {
        let ascending: Vec<f64> = (0..extent).map(|i| i as f64).collect();
        let falling: Vec<f64> = ascending.iter().rev().copied().collect();
        for (x, is_turned) in
            [(ascending.clone(), false), (falling, true), (vec![f64::NAN; extent], false), (vec![7.0; extent], false)]
        {
            let kernel = Kernel::ArgSort { dtype: DType::F32, rows: 1, extent, count, is_descending: false };
            let found = values(&run(&kernel, &[buffer(DType::F32, &x)], &[(DType::I32, count)])[0]);
            let expected = (0..count).map(|i| if is_turned { extent - 1 - i } else { i } as f64);
            assert!(found.iter().copied().eq(expected), "{count} of {extent}");
        }
    }
}
