//! Tensors on the host: as text, in parts, in other shapes, from and to Rust's own lists, and compared.

use arenagrad::{Bf16, DType, Error, F16, I64, Shape, StorageType, Tensor, TensorError};

/// What NumPy 2 printed of the same arrays: `== NAME`, then the lines of `str(array)`.
const NUMPY: &str = include_str!("tensors/numpy.txt");

fn f32s(shape: impl Into<Shape>, elements: &[f32]) -> Tensor {
    Tensor::new(shape, elements.to_vec()).unwrap()
}

fn counted(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    Tensor::new(shape.clone(), (0..shape.elements() as i32).collect()).unwrap()
}

#[test]
fn tensors_print_as_numpy_prints_arrays() {
    let eighths = Tensor::new([2, 30], (0..60).map(|n| n as f32 / 8.0).collect()).unwrap();
    let cases = [
        ("f32_small", Tensor::from([[1.0f32, 2.5], [-3.0, 4.0]])),
        ("f32_tenths", Tensor::from([0.1f32, 0.25, 1.0 / 3.0])),
        ("f64_thirds", Tensor::from([1.0 / 3.0, 2.0 / 3.0, 100.0])),
        ("scientific_small", Tensor::from([1e-5f32, 1.0])),
        ("scientific_ratio", Tensor::from([0.5f32, 1234.5])),
        ("scientific_large", Tensor::from([1e8, -2.5e-3])),
        ("scientific_long", Tensor::from([1e100, 1e-7, 0.0])),
        ("zeros", Tensor::zeros([2, 2], DType::F32).unwrap()),
        ("negative_zero", Tensor::from([-0.0f32, 1.0])),
        ("special", Tensor::from([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.5])),
        ("special_only", Tensor::from([f32::NAN, 1.0])),
        ("special_scientific", Tensor::from([f32::NAN, f32::NEG_INFINITY, 1.5e-9])),
        ("all_special", Tensor::from([f32::INFINITY, f32::NEG_INFINITY])),
        ("i32", Tensor::from([[1, -200], [30, 4]])),
        ("bool", Tensor::from([true, false])),
        ("u8", Tensor::from([255u8, 0])),
        ("cube", counted([2, 3, 2])),
        ("four", counted([2, 1, 2, 2]).cast(DType::F32)),
        ("empty", f32s([0, 3], &[])),
        ("scalar", Tensor::from(2.5f32)),
        ("scalar_small", Tensor::from(1e-7)),
        ("scalar_large", Tensor::from(1e16)),
        ("scalar_int", Tensor::from(-3)),
        ("long_row", counted([40])),
        ("long_floats", eighths),
        ("summary_row", counted([2000])),
        ("summary_matrix", counted([100, 100]).cast(DType::F64)),
        ("summary_cube", counted([10, 20, 10])),
        ("summary_thin", counted([2, 600])),
        ("summary_tall", counted([600, 2])),
        ("f16", Tensor::from([0.1, 1.5, 65504.0]).cast(StorageType::F16)),
        ("precise", Tensor::from([1.123456789, 2.1])),
        ("f32_million", Tensor::from([999999.5f32, 1000.0])),
        ("f32_past_million", Tensor::from([2097152.25, 2097152.0]).cast(DType::F32)),
        ("f32_digits", Tensor::from([-51664792.0f32, 1.2345678])),
        ("f32_more_digits", Tensor::from([-8073.4092, 1.2345678]).cast(DType::F32)),
        ("f32_least", Tensor::from([1e-4f32, 0.05])),
        ("f32_ratio", Tensor::from([1000.0f32, 1.0])),
        ("f16_digits", Tensor::from([0.41406, 1234.0]).cast(StorageType::F16)),
        ("f16_thousand", Tensor::from([999.5, 1.0]).cast(StorageType::F16)),
        ("f16_power", Tensor::from([0.015625, 0.5]).cast(StorageType::F16)),
        ("f64_digits", Tensor::from([1e9 / 3.0, 1.0])),
        ("f64_tie", Tensor::from([100000000.5, 100000001.5, 3.0])),
        ("f32_scalar_million", Tensor::from(-18634928.0f32)),
        ("f32_scalar_below", Tensor::from(999999.94f32)),
        ("f16_scalar", Tensor::from(1025.0).cast(StorageType::F16)),
        ("f64_scalar", Tensor::from(9007199254740993.0)),
        ("thousand", counted([2, 500]).slice(1, 0, 3).unwrap()),
    ];
    let printed: String = cases.iter().map(|(name, tensor)| format!("== {name}\n{tensor}\n")).collect();
    assert_eq!(printed, NUMPY);
    // Of many axes, too.
    assert_eq!(f32s([1; 40], &[1.0]).to_string(), format!("{}1.{}", "[".repeat(40), "]".repeat(40)));
    let long = f32s([1; 100], &[1.0]).to_string();
    assert_eq!(long.len(), 202);
    assert_eq!(Tensor::from([0.1, 100.0]).cast(StorageType::Bf16).to_string(), "[  0.1 100. ]");
}

#[test]
fn truth_values_are_as_wide_as_false() {
    assert_eq!(Tensor::from([true, true]).to_string(), "[ True  True]");
    assert_eq!(Tensor::from([[true], [true]]).to_string(), "[[ True]\n [ True]]");
    assert_eq!(Tensor::from(true).to_string(), "True");
}

#[test]
fn debug_is_short() {
    assert_eq!(format!("{:?}", Tensor::from([[1.0f32, 2.5]])), "Tensor(f32[1, 2], [1.0, 2.5])");
    assert_eq!(format!("{:?}", Tensor::from(true)), "Tensor(bool[], [True])");
    let long = format!("{:?}", counted([100]));
    assert!(long.starts_with("Tensor(i32[100], [0, 1, ") && long.ends_with("15, ...])"), "{long}");
}

#[test]
fn elements_slices_and_rows() {
    let t = counted([3, 4, 2]);
    assert_eq!(t.get([1, 2, 0]).unwrap(), 12.0);
    assert_eq!(t.get([-1isize, -1, -1]).unwrap(), 23.0);
    assert_eq!(t.get([2usize, 3, 1]).unwrap(), 23.0);
    assert_eq!(Tensor::from(7).get([0usize; 0]).unwrap(), 7.0);
    assert_eq!(t.at(-1).unwrap(), t.select_index(0, 2).unwrap());
    assert_eq!(t.at(1).unwrap().shape().to_vec(), [4, 2]);
    assert_eq!(t.select_index(-1, 1).unwrap().to_f64_vec(), (0..12).map(|n| f64::from(2 * n + 1)).collect::<Vec<_>>());
    assert_eq!(t.slice(1, 1, 3).unwrap().at(0).unwrap(), Tensor::from([[2, 3], [4, 5]]));
    assert_eq!(t.slice(1, -3, -1).unwrap(), t.slice(1, 1, 3).unwrap());
    assert_eq!(t.slice(0, 3, 3).unwrap().shape().to_vec(), [0, 4, 2]);
    assert_eq!(
        t.index((.., arenagrad::AxisIndex::from(..).step_by(3), 1)).unwrap(),
        Tensor::from([[1, 7], [9, 15], [17, 23]])
    );
    assert_eq!(t.index((1, -1, ..)).unwrap(), Tensor::from([14, 15]));
    let (rest, new) = (arenagrad::AxisIndex::Ellipsis, arenagrad::AxisIndex::NewAxis);
    assert_eq!(t.index((rest, 0)).unwrap(), t.index((.., .., 0)).unwrap());
    assert_eq!(t.index((1, rest, 1..3, new, 0)).unwrap(), Tensor::from([[10], [12]]));
    assert_eq!(t.index((new, 0, rest, new)).unwrap().shape().to_vec(), [1, 4, 2, 1]);
    assert_eq!(Tensor::from(1).index((rest, new)).unwrap(), Tensor::from([1]));
    let rows: Vec<Tensor> = t.rows().unwrap().collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().enumerate().all(|(n, row)| *row == t.at(n).unwrap()));
    assert_eq!(f32s([2, 0], &[]).rows().unwrap().map(|row| row.shape().to_vec()).collect::<Vec<_>>(), [[0], [0]]);
}

#[test]
fn wrong_places_are_errors() {
    let t = counted([3, 4]);
    let says = |error: Error, message: &str| assert_eq!(error.to_string(), message);
    says(t.get([3, 0]).unwrap_err(), "get: position 3 is outside axis 0 of a tensor of shape [3, 4]");
    says(t.get([0, -5]).unwrap_err(), "get: position -5 is outside axis 1 of a tensor of shape [3, 4]");
    says(t.get([0]).unwrap_err(), "get: 1 positions were given for a tensor of shape [3, 4], which has 2 axes");
    says(
        t.get([usize::MAX, 0]).unwrap_err(),
        &format!("get: position {} is outside axis 0 of a tensor of shape [3, 4]", isize::MAX),
    );
    says(
        t.at(isize::MIN).unwrap_err(),
        &format!("at: position {} is outside axis 0 of a tensor of shape [3, 4]", isize::MIN),
    );
    says(Tensor::from(1).at(0).unwrap_err(), "at: a tensor of shape [] has no axis 0");
    says(Tensor::from(1).rows().err().unwrap(), "rows: a tensor of shape [] has no axis 0");
    says(t.slice(2, 0, 1).unwrap_err(), "slice: a tensor of shape [3, 4] has no axis 2");
    says(t.slice(1, 0, 5).unwrap_err(), "slice: elements 0..5 are not all in axis 1 of a tensor of shape [3, 4]");
    says(t.slice(1, 3, 1).unwrap_err(), "slice: elements 3..1 are not all in axis 1 of a tensor of shape [3, 4]");
    says(t.slice(0, -4, 1).unwrap_err(), "slice: elements -4..1 are not all in axis 0 of a tensor of shape [3, 4]");
    says(
        t.index((0, 0, 0)).unwrap_err(),
        "index: 3 positions were given for a tensor of shape [3, 4], which has 2 axes",
    );
    let rest = arenagrad::AxisIndex::Ellipsis;
    says(
        t.index((rest, 0, rest)).unwrap_err(),
        "index: 2 ellipses were given, and one at most can stand for the axes that are left",
    );
    let none = arenagrad::AxisIndex::from(0..3).step_by(0);
    assert!(matches!(t.index((none,)).unwrap_err(), Error::Tensor(TensorError::Range { .. })));
    says(
        t.reshape([5, -1]).unwrap_err(),
        "reshape: a tensor of shape [3, 4] has 12 elements, and cannot have the extents [5, -1]: the others do not divide the number of elements",
    );
    for extents in [vec![-1, -1], vec![13], vec![0, -1], vec![-2, 6], vec![isize::MAX, 2], vec![isize::MAX, -1]] {
        assert!(matches!(t.reshape(&extents).unwrap_err(), Error::Tensor(TensorError::Reshape { .. })), "{extents:?}");
    }
    for axes in [vec![0], vec![0, 0], vec![0, 2], vec![0, 1, 2], vec![]] {
        assert!(matches!(t.permute(&axes).unwrap_err(), Error::Tensor(TensorError::Permutation { .. })), "{axes:?}");
    }
    assert!(matches!(t.transpose(0, 2).unwrap_err(), Error::Tensor(TensorError::Axis { axis: 2, .. })));
    let none: [Tensor; 0] = [];
    assert!(matches!(Tensor::stack(&none, 0).unwrap_err(), Error::Tensor(TensorError::NoTensors { method: "stack" })));
    assert!(matches!(
        Tensor::concat(&none, 0).unwrap_err(),
        Error::Tensor(TensorError::NoTensors { method: "concat" })
    ));
    says(
        Tensor::stack(&[&t, &counted([4, 3])], 0).unwrap_err(),
        "stack: tensor 1 is [4, 3], which does not fit the first, [3, 4]",
    );
    says(
        Tensor::concat(&[&t, &t.cast(DType::F32)], 0).unwrap_err(),
        "concat: tensor 1 holds f32, but the first holds i32; cast one of them",
    );
    assert!(matches!(Tensor::stack(&[&t], 3).unwrap_err(), Error::Tensor(TensorError::Axis { .. })));
    assert!(matches!(Tensor::concat(&[&t], -3).unwrap_err(), Error::Tensor(TensorError::Axis { .. })));
    assert!(Tensor::concat(&[Tensor::from(1)], 0).is_err());
    let endless = Tensor::new([usize::MAX, 0], Vec::<f32>::new()).unwrap();
    assert_eq!(
        Tensor::concat(&[&endless, &endless], 0).unwrap_err(),
        Error::Tensor(TensorError::Extents { method: "concat", axis: 0 })
    );
    assert_eq!(Tensor::concat(&[&endless, &endless], 1).unwrap().shape(), endless.shape());
}

#[test]
fn other_shapes_and_orders() {
    let t = counted([2, 3, 4]);
    assert_eq!(t.reshape([-1, 4]).unwrap(), counted([6, 4]));
    assert_eq!(t.reshape([24usize]).unwrap(), counted([24]));
    assert_eq!(t.reshape(&t.shape()[..]).unwrap(), t);
    assert_eq!(f32s([0, 4], &[]).reshape([-1, 2]).unwrap().shape().to_vec(), [0, 2]);
    assert_eq!(Tensor::from([5]).reshape([0usize; 0]).unwrap(), Tensor::from(5));
    let moved = t.permute([2, 0, -2]).unwrap();
    assert_eq!(moved.shape().to_vec(), [4, 2, 3]);
    for (i, j, k) in [(0, 0, 0), (1, 2, 3), (1, 0, 2)] {
        assert_eq!(moved.get([k, i, j]).unwrap(), t.get([i, j, k]).unwrap());
    }
    assert_eq!(t.transpose(0, -1).unwrap(), t.permute([2, 1, 0]).unwrap());
    assert_eq!(Tensor::from(1).permute([]).unwrap(), Tensor::from(1));
    assert_eq!(f32s([2, 0, 3], &[]).transpose(0, 2).unwrap().shape().to_vec(), [3, 0, 2]);
}

/// Extents of less than a square, of whole ones and of parts behind them.
#[test]
fn every_order_of_axes_has_each_element_where_it_belongs() {
    for extents in [vec![17, 33], vec![16, 32], vec![1, 40], vec![3, 1, 18], vec![5, 17, 19], vec![2, 3, 20, 17]] {
        let (t, rank) = (counted(&extents[..]), extents.len());
        let orders = (0..rank.pow(rank as u32))
            .map(|number| -> Vec<usize> { (0..rank).map(|place| number / rank.pow(place as u32) % rank).collect() });
        for order in orders.filter(|order| (0..rank).all(|axis| order.contains(&axis))) {
            let turned = t.permute(order.iter().map(|&axis| axis as isize).collect::<Vec<_>>()).unwrap();
            let shape = turned.shape().to_vec();
            assert_eq!(shape, order.iter().map(|&axis| extents[axis]).collect::<Vec<_>>());
            for (position, &found) in turned.as_slice::<i32>().unwrap().iter().enumerate() {
                // The element's number is its place before.
                let (mut rest, mut expected) = (position, 0);
                for (&axis, extent) in order.iter().zip(&shape).rev() {
                    expected += rest % extent * extents[axis + 1..].iter().product::<usize>();
                    rest /= extent;
                }
                assert_eq!(found as usize, expected, "{extents:?} in the order {order:?} at {position}");
            }
        }
    }
}

#[test]
fn the_greatest_along_an_axis_is_the_first_of_several_or_the_first_nan() {
    let rows = [
        [1.0, 3.0, 3.0, -1.0],
        [f32::NAN, 5.0, f32::NAN, 9.0],
        [-2.0, f32::NEG_INFINITY, -2.0, -0.0],
        [0.0, -0.0, f32::NAN, 7.0],
    ];
    let t = Tensor::from(rows);
    assert_eq!(t.argmax_along(1).unwrap(), Tensor::from([1, 0, 3, 2]));
    assert_eq!(t.transpose(0, 1).unwrap().argmax_along(0).unwrap(), Tensor::from([1, 0, 3, 2]));
    assert_eq!(t.argmax_along(0).unwrap(), Tensor::from([1, 1, 1, 1]));
    let deep = t.reshape([2, 2, 4]).unwrap();
    assert_eq!(deep.argmax_along(1).unwrap(), Tensor::from([[1, 1, 1, 1], [1, 1, 1, 1]]));
    assert_eq!(t.cast(DType::F64).argmax_along(-1).unwrap(), Tensor::from([1, 0, 3, 2]));
    assert_eq!(counted([3, 4]).argmax_along(0).unwrap(), Tensor::from([2, 2, 2, 2]));
    assert_eq!(f32s([0, 4], &[]).argmax_along(1).unwrap().shape().to_vec(), [0]);
    assert_eq!(f32s([4, 0], &[]).argmax_along(0).unwrap().shape().to_vec(), [0]);
}

#[test]
fn several_tensors_become_one_in_every_type() {
    for storage in StorageType::ALL {
        let a = Tensor::from([[1, 0, 1], [0, 1, 1]]).cast(storage);
        let b = Tensor::from([[0, 0, 1], [1, 1, 0]]).cast(storage);
        for axis in [0, 1, 2, -1] {
            let stacked = Tensor::stack(&[&a, &b, &a], axis).unwrap();
            assert_eq!(stacked.storage(), storage);
            assert_eq!(stacked.select_index(axis, 1).unwrap(), b);
            assert_eq!(stacked.select_index(axis, -1).unwrap(), a);
        }
        let wide = Tensor::concat(&[&a, &b.slice(1, 0, 1).unwrap()], 1).unwrap();
        assert_eq!(
            (wide.slice(1, 0, 3).unwrap(), wide.slice(1, 3, 4).unwrap()),
            (a.clone(), b.slice(1, 0, 1).unwrap())
        );
        let long = Tensor::concat(&[a.clone(), a.slice(0, 0, 0).unwrap(), b.clone()], 0).unwrap();
        assert_eq!((long.slice(0, 0, 2).unwrap(), long.slice(0, 2, 4).unwrap()), (a, b));
    }
    assert_eq!(Tensor::stack(&[Tensor::from(1.5), Tensor::from(2.5)], 0).unwrap(), Tensor::from([1.5, 2.5]));
    assert_eq!(Tensor::stack(&[f32s([0, 2], &[]), f32s([0, 2], &[])], 1).unwrap().shape().to_vec(), [0, 2, 2]);
}

#[test]
fn from_and_to_lists_and_arrays() {
    let shape = |tensor: Tensor| tensor.shape().to_vec();
    assert_eq!(shape(Tensor::from([[[[1.0f32; 5]; 4]; 3]; 2])), [2, 3, 4, 5]);
    assert_eq!(shape(Tensor::from([[[true; 4]; 3]; 2])), [2, 3, 4]);
    assert_eq!(Tensor::from([[[1, 2], [3, 4]]]).to_vec::<i32>().unwrap(), [1, 2, 3, 4]);
    assert_eq!(Tensor::from(vec![1.5f32, 2.5]).to_vec::<f32>().unwrap(), [1.5, 2.5]);
    assert_eq!(Tensor::from(&[1.5f64][..]).dtype(), DType::F64);
    let bytes = Tensor::from([7u8, 255]);
    assert_eq!((bytes.storage(), bytes.dtype(), bytes.to_f64_vec()), (StorageType::U8, DType::I32, vec![7.0, 255.0]));
    let rows = Tensor::try_from(vec![vec![1.0f32, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]]).unwrap();
    assert_eq!(rows, f32s([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(rows.to_rows::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    assert_eq!(shape(Tensor::try_from(Vec::<Vec<f32>>::new()).unwrap()), [0, 0]);
    let error = Tensor::try_from(vec![vec![1i32, 2], vec![3]]).unwrap_err();
    assert_eq!(error.to_string(), "rows: row 1 has 1 elements, but the first has 2");
    assert!(matches!(
        Tensor::from([1.0]).to_rows::<f64>().unwrap_err(),
        Error::Tensor(TensorError::PositionCount { .. })
    ));
    assert!(matches!(rows.to_vec::<f64>().unwrap_err(), Error::TensorDType { .. }));
    // Integers that i32 may not hold.
    assert_eq!(Tensor::indices(&[3usize, 0]).unwrap(), Tensor::from([3, 0]));
    assert_eq!(Tensor::try_from([[1i64, -2], [3, 4]]).unwrap(), Tensor::from([[1, -2], [3, 4]]));
    assert_eq!(Tensor::try_from(vec![1usize, 2]).unwrap(), Tensor::from([1, 2]));
    let past = Tensor::try_from(vec![0u64, u64::MAX]).unwrap_err();
    assert_eq!(past, Error::IntegerRange { position: 1, value: i64::MAX });
    assert_eq!(Tensor::try_from([1i64 << 31]).unwrap_err(), Error::IntegerRange { position: 0, value: 1 << 31 });
    let narrow = [F16::from_f64(0.5), F16::from_f64(2.0)];
    assert_eq!(Tensor::new([2], narrow.to_vec()).unwrap().to_vec::<F16>().unwrap(), narrow);
    assert_eq!(Tensor::new([1], vec![I64::from(3)]).unwrap().get([0]).unwrap(), 3.0);
    assert_eq!(Tensor::new([1], vec![Bf16::from_f64(3.0)]).unwrap().get([0]).unwrap(), 3.0);
}

#[test]
fn numbers_of_whole_tensors() {
    let t = Tensor::from([[3.0f32, -1.0, 2.0], [0.5, 9.0, 9.0]]);
    assert_eq!((t.sum(), t.mean().unwrap(), t.min().unwrap(), t.max().unwrap()), (22.5, 3.75, -1.0, 9.0));
    assert_eq!(t.argmax().unwrap(), 4);
    assert_eq!(t.argmax_along(0).unwrap(), Tensor::from([0, 1, 1]));
    assert_eq!(t.argmax_along(-1).unwrap(), Tensor::from([0, 1]));
    assert_eq!(counted([2, 3, 2]).argmax_along(1).unwrap(), Tensor::from([[2, 2], [2, 2]]));
    let with_nan = Tensor::from([1.0, f64::NAN, 5.0]);
    assert!(with_nan.sum().is_nan() && with_nan.min().unwrap().is_nan() && with_nan.max().unwrap().is_nan());
    assert_eq!(with_nan.argmax().unwrap(), 1);
    assert_eq!(Tensor::from([true, false, true]).sum(), 2.0);
    assert_eq!(Tensor::from([f64::NEG_INFINITY; 2]).max().unwrap(), f64::NEG_INFINITY);
    // A million of tenths keep their digits.
    let tenths = Tensor::new([1_000_000], vec![0.1f64; 1_000_000]).unwrap();
    assert!((tenths.sum() - 1e5).abs() < 1e-9, "{}", tenths.sum());
    let none = f32s([2, 0], &[]);
    assert_eq!(none.sum(), 0.0);
    for error in [none.mean(), none.min(), none.max()].map(Result::unwrap_err) {
        assert!(matches!(error, Error::Tensor(TensorError::NoElements { .. })), "{error}");
    }
    assert!(none.argmax().is_err() && none.argmax_along(1).is_err());
    assert_eq!(none.argmax_along(0).unwrap().shape().to_vec(), [0]);
    assert!(matches!(t.argmax_along(2).unwrap_err(), Error::Tensor(TensorError::Axis { .. })));
}

#[test]
fn comparisons_name_the_worst_element() {
    let expected = Tensor::from([[1.0, 100.0], [f64::INFINITY, 0.0]]);
    let found = Tensor::from([[1.0 + 1e-6, 100.0 + 1e-3], [f64::INFINITY, 0.0]]);
    assert!(found.allclose(&expected, 1e-5, 1e-8).unwrap());
    assert!(!found.allclose(&expected, 1e-6, 0.0).unwrap());
    let report = found.compare(&expected, 1e-6, 1e-12).unwrap();
    let worst = report.worst.clone().unwrap();
    assert_eq!((report.outside, worst.index, worst.expected), (1, vec![0, 1], 100.0));
    assert!(
        report.to_string().starts_with("1 of 4 elements are not close; the worst is [0, 1]: 100.001 instead of 100")
    );
    for (found, expected) in [
        (f64::NAN, 1.0),
        (1.0, f64::NAN),
        (f64::NAN, f64::NAN),
        (f64::INFINITY, f64::NEG_INFINITY),
        (1.0, f64::INFINITY),
    ] {
        let report = Tensor::from([0.0, found]).compare(&Tensor::from([0.0, expected]), 1.0, 1e300).unwrap();
        assert!(!report.is_close(), "{found} was taken for {expected}");
        assert_eq!(report.worst.unwrap().index, [1]);
    }
    assert!(Tensor::from([1.0f32]).allclose(&Tensor::from([1]), 0.0, 0.0).unwrap());
    let none = f32s([0], &[]).compare(&f32s([0], &[]), 0.0, 0.0).unwrap();
    assert_eq!(
        (none.is_close(), none.worst.is_none(), none.to_string()),
        (true, true, "all 0 elements are close".to_owned())
    );
    let error = Tensor::from([1.0]).allclose(&Tensor::from(1.0), 0.0, 0.0).unwrap_err();
    assert_eq!(error.to_string(), "allclose: tensors of shapes [] and [1] are not compared");
}

#[test]
fn a_step_past_every_axis_shows_the_first_place() {
    let numbers = Tensor::from([[1, 2], [3, 4], [5, 6]]);
    let columns = numbers.index((.., arenagrad::AxisIndex::from(..).step_by(usize::MAX))).unwrap();
    assert_eq!((columns.shape().dims(), columns.to_f64_vec()), (&[3, 1][..], vec![1.0, 3.0, 5.0]));
}

#[test]
fn extents_past_counting_beside_an_empty_axis() {
    let long = Tensor::new([1 << 60, 0], Vec::<f32>::new()).unwrap();
    assert_eq!(Tensor::concat(&[&long, &long], 1).unwrap().shape(), long.shape());
    assert!(matches!(long.to_rows::<f32>(), Err(Error::OutOfMemory { .. })));
    let wide = Tensor::new([1, 1 << 40, 1 << 40, 0], Vec::<f32>::new()).unwrap();
    assert_eq!(wide.argmax_along(0).unwrap().shape().dims(), &[1 << 40, 1 << 40, 0]);
    assert_eq!(Tensor::concat(&[&wide, &wide], 3).unwrap().shape(), wide.shape());
}
