//! Tensors on the host beside single numbers, as text of so many digits, and from and to other crates' arrays.

use arenagrad::{DType, F16, StorageType, Tensor};

/// What NumPy 2 printed of the same arrays with `array2string(array, precision=...)`: `== NAME`, then the lines.
const NUMPY: &str = include_str!("tensors/numpy_precision.txt");

#[test]
fn a_precision_is_the_most_digits_behind_the_point() {
    let cases = [
        ("thirds_2", format!("{:.2}", Tensor::from([1.0 / 3.0, 2.0 / 3.0, 100.0]))),
        ("f32_tenths_1", format!("{:.1}", Tensor::from([0.1f32, 0.25, 1.0 / 3.0]))),
        ("none", format!("{:.0}", Tensor::from([1.5, 2.5, -3.7]))),
        ("scientific_2", format!("{:.2}", Tensor::from([1e-5, 123456.789]))),
        ("scientific_0", format!("{:.0}", Tensor::from([1e8, -2.5e-3]))),
        ("more", format!("{:.12}", Tensor::from([1.123456789012, 2.1]))),
        ("special_3", format!("{:.3}", Tensor::from([f64::NAN, f64::INFINITY, 1.23456]))),
        ("matrix_3", format!("{:.3}", Tensor::from([[1.0, 2.5], [-3.27159, 1000.0]]))),
        ("integers", format!("{:.2}", Tensor::from([1, 22]))),
        ("cut", format!("{:.2}", Tensor::from([0.996, 1.0]))),
        ("tiny", format!("{:.1}", Tensor::from([0.001, 1.0]))),
    ];
    let printed: String = cases.iter().map(|(name, text)| format!("== {name}\n{text}\n")).collect();
    assert_eq!(printed, NUMPY);
    let scalars = [(2.0 / 3.0, "0.667"), (2.5, "2.5"), (1e20 / 3.0, "3.333e+19"), (1e-7, "1e-07"), (7.0, "7.0")];
    for (value, expected) in scalars {
        assert_eq!(format!("{:.3}", Tensor::from(value)), expected);
    }
}

#[test]
fn numbers_stand_on_either_side_of_a_tensor() {
    let x = Tensor::from([1.0f32, -2.0, 0.5]);
    let rate = 2.0f32;
    assert_eq!(rate * &x, Tensor::from([2.0f32, -4.0, 1.0]));
    assert_eq!(2.0f64 * x.clone(), Tensor::from([2.0f32, -4.0, 1.0]));
    assert_eq!(&x * 2, Tensor::from([2.0f32, -4.0, 1.0]));
    assert_eq!(1 - &x, Tensor::from([0.0f32, 3.0, 0.5]));
    assert_eq!(&x - 1.0, Tensor::from([0.0f32, -3.0, -0.5]));
    assert_eq!(1.0 / &x, Tensor::from([1.0f32, -0.5, 2.0]));
    assert_eq!((&x / 2.0 + 1.0).sum(), 2.75);
    assert_eq!(-&x, Tensor::from([-1.0f32, 2.0, -0.5]));
    // The sign of zero, as by the same operator of a float.
    let zeros = Tensor::from([0.0f32, -0.0]);
    let signs = |t: Tensor| t.as_slice::<f32>().unwrap().iter().map(|x| x.is_sign_negative()).collect::<Vec<_>>();
    assert_eq!((signs(-&zeros), signs(&zeros * 1.0)), (vec![true, false], vec![false, true]));
    let shaped = Tensor::new([2, 0], Vec::<f64>::new()).unwrap() * 3.0;
    assert_eq!((shaped.shape().dims(), shaped.dtype()), (&[2, 0][..], DType::F64));
}

#[test]
fn results_are_those_of_the_dtype_itself() {
    let values: Vec<f32> = (0..200).map(|i| (i as f32 - 70.0) * 0.37 + 1e-3).collect();
    let x = Tensor::from(values.clone());
    type Both = (fn(f32, f32) -> f32, fn(&Tensor, f64) -> Tensor);
    let operators: [Both; 4] = [
        (|a, b| a + b, |t, number| t + number),
        (|a, b| a - b, |t, number| t - number),
        (|a, b| a * b, |t, number| t * number),
        (|a, b| a / b, |t, number| t / number),
    ];
    for (own, of_tensor) in operators {
        for number in [0.1, 1.0 / 3.0, 3e30, -7.7e-20] {
            let expected: Vec<f32> = values.iter().map(|&x| own(x, number as f32)).collect();
            assert_eq!(of_tensor(&x, number), Tensor::from(expected));
        }
    }
    // A number beyond f32 beside f32 is what f32 makes of it; f64 keeps it.
    assert_eq!(&Tensor::from([1.0f32]) * 1e300, Tensor::from([f32::INFINITY]));
    assert_eq!(&Tensor::from([2.0]) * 1e300, Tensor::from([2e300]));
}

#[test]
fn integers_stay_integers_beside_integers_alone() {
    let x = Tensor::from([7, -3, i32::MAX]);
    assert_eq!(&x + 1, Tensor::from([8, -2, i32::MIN]));
    assert_eq!(3 - &x, Tensor::from([-4, 6, 3i32.wrapping_sub(i32::MAX)]));
    assert_eq!(&x * 65_537, Tensor::from([7 * 65_537, -3 * 65_537, i32::MAX.wrapping_mul(65_537)]));
    assert_eq!(&x / 2, Tensor::from([3.5f32, -1.5, 1_073_741_824.0]));
    assert_eq!(&x * 0.5f32, Tensor::from([3.5f32, -1.5, 1_073_741_824.0]));
    assert_eq!(Tensor::from([true, false]) + 1, Tensor::from([2, 1]));
    let bytes = Tensor::from([200u8, 100]);
    assert_eq!(&bytes + 100, Tensor::from([300, 200]));
    assert_eq!(&bytes / 255.0, Tensor::from([200.0f32 / 255.0, 100.0 / 255.0]));
    let halves = Tensor::new([2], vec![F16::from_f64(0.5), F16::from_f64(2.0)]).unwrap();
    let doubled = &halves * 2.0;
    assert_eq!((doubled.storage(), doubled.to_f64_vec()), (StorageType::F32, vec![1.0, 4.0]));
}

#[cfg(feature = "ndarray")]
mod arrays {
    use arenagrad::{DType, Error, Tensor};
    use ndarray::{Array, Array0, Array2, Array3, ArrayD, Axis, IxDyn, arr0, array, s};

    #[test]
    fn arrays_of_any_layout_come_row_by_row() {
        let cube = Array3::from_shape_fn([2, 3, 4], |(i, j, k)| (100 * i + 10 * j + k) as f64);
        let t = Tensor::from(&cube);
        assert_eq!((t.shape().dims(), t.dtype()), (&[2, 3, 4][..], DType::F64));
        assert_eq!(t.index((1, 2, 3)).unwrap().item().unwrap(), 123.0);
        let turned = cube.clone().permuted_axes([2, 0, 1]);
        assert_eq!(Tensor::from(turned), t.permute([2, 0, 1]).unwrap());
        let part = cube.slice(s![.., 1..;-1, ..;2]);
        let rows: Vec<f64> = part.iter().copied().collect();
        assert_eq!(Tensor::from(part), Tensor::new([2, 2, 2], rows).unwrap());
        // An array that owns more than it shows.
        let mut cut = array![1.0f32, 2.0, 3.0, 4.0];
        cut.slice_collapse(s![1..3]);
        assert_eq!(Tensor::from(cut), Tensor::from([2.0f32, 3.0]));
        let mut back = array![1, 2, 3];
        back.invert_axis(Axis(0));
        assert_eq!(Tensor::from(back), Tensor::from([3, 2, 1]));
    }

    #[test]
    fn scalars_empty_arrays_and_all_types() {
        assert_eq!(Tensor::from(arr0(2.5f32)), Tensor::from(2.5f32));
        let empty = Tensor::from(Array2::<f32>::zeros([0, 3]));
        assert_eq!(empty.shape().dims(), &[0, 3]);
        assert_eq!(empty.to_ndarray::<f32>().unwrap().shape(), &[0, 3]);
        assert_eq!(Tensor::from(array![true, false]), Tensor::from([true, false]));
        assert_eq!(Tensor::from(array![255u8, 3]), Tensor::from([255u8, 3]));
        assert_eq!(Tensor::try_from(array![[1i64, -2], [3, 4]]).unwrap(), Tensor::from([[1, -2], [3, 4]]));
        assert_eq!(Tensor::try_from(&array![3usize]).unwrap(), Tensor::from([3]));
        let error = Tensor::try_from(array![1u64 << 40]).unwrap_err();
        assert!(matches!(error, Error::IntegerRange { position: 0, .. }), "{error}");
    }

    #[test]
    fn tensors_become_arrays_and_come_back() {
        let t = Tensor::new([2, 3], (0..6).map(|x| x as f32 / 4.0).collect()).unwrap();
        let array: ArrayD<f32> = t.to_ndarray().unwrap();
        assert_eq!((array[[1, 2]], array.shape()), (1.25, &[2, 3][..]));
        assert_eq!(Tensor::from(array.mapv(|x| x * 2.0)), &t * 2.0);
        assert_eq!(Tensor::from(4).to_ndarray::<i32>().unwrap(), Array0::from_elem((), 4).into_dyn());
        assert!(matches!(t.to_ndarray::<f64>(), Err(Error::TensorDType { .. })));
        let many: Array<f32, IxDyn> = Array::zeros(vec![1; 9]);
        assert_eq!(Tensor::from(many).shape().rank(), 9);
    }
}
