//! Scaling by what was fitted to training data: the right numbers, nothing of test data in them, and the way back.

use arenagrad::data::{Batch, DataError, Dataset, Per, Scaling, one_hot};
use arenagrad::{DType, Error, StorageType, Tensor, U8};

fn set(shape: &[usize], x: Vec<f64>) -> Dataset {
    Dataset::new().with("x", Tensor::new(shape, x).unwrap()).unwrap()
}

/// Numbers that are all different and of another scale in each column.
fn numbers(count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 37 + 11) % 101) as f64 * 10f64.powi((i % 3) as i32) - 40.0).collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> DataError {
    match result {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
    }
}

/// Mean and deviation of each group of elements, by the definition.
fn moments(x: &[f64], group: impl Fn(usize) -> usize, groups: usize) -> Vec<(f64, f64)> {
    (0..groups)
        .map(|of| {
            let of: Vec<f64> = (0..x.len()).filter(|&i| group(i) == of).map(|i| x[i]).collect();
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            (mean, (of.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / of.len() as f64).sqrt())
        })
        .collect()
}

#[test]
fn standardised_by_column_channel_element_or_as_a_whole() {
    let x = numbers(4 * 3 * 2 * 5);
    for (shape, per, extents, group) in [
        (&[40, 3][..], Per::Channel, &[3][..], (|i| i % 3) as fn(usize) -> usize),
        (&[40, 3], Per::Element, &[3], |i| i % 3),
        (&[40, 3], Per::Whole, &[], |_| 0),
        (&[120], Per::Channel, &[], |_| 0),
        (&[120], Per::Element, &[], |_| 0),
        (&[4, 3, 2, 5], Per::Channel, &[3, 1, 1], |i| i / 10 % 3),
        (&[4, 3, 2, 5], Per::Element, &[3, 2, 5], |i| i % 30),
        (&[4, 3, 2, 5], Per::Whole, &[], |_| 0),
    ] {
        let data = set(shape, x.clone());
        let scaling = Scaling::standardise(&data, "x", per).unwrap();
        assert_eq!(scaling.offset().shape().dims(), extents);
        let groups = extents.iter().product();
        let expected = moments(&x, group, groups);
        close(&scaling.offset().to_f64_vec(), &expected.iter().map(|(mean, _)| *mean).collect::<Vec<_>>());
        close(&scaling.scale().to_f64_vec(), &expected.iter().map(|(_, deviation)| *deviation).collect::<Vec<_>>());
        let scaled = scaling.apply(&data).unwrap();
        let scaled = scaled.column("x").unwrap();
        assert_eq!(scaled.dtype(), DType::F64);
        for (mean, deviation) in moments(&scaled.to_f64_vec(), group, groups) {
            assert!(mean.abs() < 1e-12 && (deviation - 1.0).abs() < 1e-12);
        }
        close(&scaling.invert(scaled).unwrap().to_f64_vec(), &x);
        assert_eq!(Scaling::from_tensors("x", &scaling.tensors()).unwrap(), scaling);
    }
}

#[test]
fn ranges() {
    let train = set(&[3, 2], vec![1.0, 5.0, 3.0, 5.0, 2.0, 5.0]);
    let scaling = Scaling::min_max(&train, "x", Per::Channel, 0.0..=1.0).unwrap();
    close(&scaling.apply(&train).unwrap().column("x").unwrap().to_f64_vec(), &[0.0, 0.0, 1.0, 0.0, 0.5, 0.0]);
    let scaling = Scaling::min_max(&train, "x", Per::Channel, -1.0..=3.0).unwrap();
    close(&scaling.apply(&train).unwrap().column("x").unwrap().to_f64_vec(), &[-1.0, -1.0, 3.0, -1.0, 1.0, -1.0]);
    let test = set(&[1, 2], vec![4.0, 6.0]);
    let scaled = scaling.apply(&test).unwrap();
    close(&scaled.column("x").unwrap().to_f64_vec(), &[5.0, 0.0]);
    close(&scaling.invert(scaled.column("x").unwrap()).unwrap().to_f64_vec(), &[4.0, 6.0]);
    for range in [1.0..=1.0, 2.0..=1.0, f64::NAN..=1.0, 0.0..=f64::INFINITY] {
        assert!(matches!(refused(Scaling::min_max(&train, "x", Per::Whole, range)), DataError::Fit { .. }));
    }
}

#[test]
fn nothing_of_test_data_is_in_what_was_fitted() {
    let all = set(&[60, 3], numbers(180));
    let (train, test) = all.split(0.5, 3).unwrap();
    let fitted = Scaling::standardise(&train, "x", Per::Channel).unwrap();
    // What is known of the training data is the same beside wild test data: those rows of the whole that training does not have.
    let (rows, training) = (all.column("x").unwrap().to_f64_vec(), train.column("x").unwrap().to_f64_vec());
    let trains = |row: &[f64]| training.chunks(3).any(|known| known == row);
    let wild = rows.chunks(3).flat_map(|row| if trains(row) { row.to_vec() } else { vec![1e9; 3] }).collect();
    let (same, others) = set(&[60, 3], wild).split(0.5, 3).unwrap();
    assert!(others.column("x").unwrap().to_f64_vec().iter().all(|x| *x == 1e9));
    assert_eq!(Scaling::standardise(&same, "x", Per::Channel).unwrap(), fitted);
    assert_ne!(Scaling::standardise(&all, "x", Per::Channel).unwrap(), fitted);
    // Scaled test data has the moments of neither, and other columns are as they were.
    let labelled = test.with("labels", Tensor::new([30], vec![1i32; 30]).unwrap()).unwrap();
    let scaled = fitted.apply(&labelled).unwrap();
    assert_eq!(scaled.column("labels").unwrap(), labelled.column("labels").unwrap());
    let moments = moments(&scaled.column("x").unwrap().to_f64_vec(), |i| i % 3, 3);
    assert!(moments.iter().all(|(mean, _)| mean.abs() > 1e-6));
}

#[test]
fn types_constants_and_numbers_that_are_missing() {
    // Bytes become f32, whatever they held.
    let bytes = Tensor::new([2, 2], [0u8, 255, 10, 255].map(U8::from).to_vec()).unwrap();
    let data = Dataset::new().with("x", bytes).unwrap();
    let scaling = Scaling::standardise(&data, "x", Per::Channel).unwrap();
    let scaled = scaling.apply(&data).unwrap();
    // A column that is the same everywhere has no deviation, and is divided by 1.
    assert_eq!(scaled.column("x").unwrap().as_slice::<f32>().unwrap(), [-1.0, 0.0, 1.0, 0.0]);
    let half = Tensor::new([2], vec![1.0f32, 3.0]).unwrap().cast(StorageType::F16);
    assert_eq!(
        Scaling::standardise(&Dataset::of([("x", half.clone())]).unwrap(), "x", Per::Whole)
            .unwrap()
            .transform(&half)
            .unwrap()
            .storage(),
        StorageType::F32
    );
    // A million large numbers that differ little keep their deviation.
    let near: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 2)).collect();
    let scaling = Scaling::standardise(&set(&[1000], near), "x", Per::Whole).unwrap();
    close(&scaling.scale().to_f64_vec(), &[0.5]);
    // NaN is passed over, and stays.
    let data = set(&[4, 1], vec![1.0, f64::NAN, 3.0, f64::NAN]);
    let scaling = Scaling::standardise(&data, "x", Per::Channel).unwrap();
    assert_eq!((scaling.offset().to_f64_vec(), scaling.scale().to_f64_vec()), (vec![2.0], vec![1.0]));
    let scaled = scaling.transform(data.column("x").unwrap()).unwrap().to_f64_vec();
    assert_eq!((scaled[0], scaled[1].is_nan(), scaled[2]), (-1.0, true, 1.0));
}

#[test]
fn what_cannot_be_fitted_or_applied() {
    for data in
        [set(&[0, 3], vec![]), set(&[2, 2], vec![1.0, f64::NAN, 2.0, f64::NAN]), set(&[2], vec![f64::INFINITY, 1.0])]
    {
        assert!(matches!(refused(Scaling::standardise(&data, "x", Per::Channel)), DataError::Fit { .. }));
        assert!(matches!(refused(Scaling::min_max(&data, "x", Per::Channel, 0.0..=1.0)), DataError::Fit { .. }));
    }
    let data = set(&[2, 3], numbers(6));
    assert!(matches!(refused(Scaling::standardise(&data, "y", Per::Whole)), DataError::UnknownColumn { .. }));
    let scaling = Scaling::standardise(&data, "x", Per::Channel).unwrap();
    for wrong in [&[2, 4][..], &[6], &[1, 3, 2], &[]] {
        let elements = wrong.iter().product();
        let error = refused(scaling.transform(&Tensor::new(wrong, vec![0.0f32; elements]).unwrap()));
        assert!(matches!(error, DataError::Scaling { .. }));
    }
    // Numbers of channels fit images of any size.
    let images = Scaling::standardise(&set(&[2, 3, 2, 2], numbers(24)), "x", Per::Channel).unwrap();
    images.transform(&Tensor::new([1, 3, 5, 4], vec![0.0f32; 60]).unwrap()).unwrap();
    assert!(matches!(refused(Scaling::from_tensors("x", &Batch::new())), DataError::UnknownColumn { .. }));
    let unlike =
        Batch::new().with("x.offset", Tensor::scalar(1.0f32)).with("x.scale", Tensor::new([1], vec![1.0f32]).unwrap());
    assert!(matches!(refused(Scaling::from_tensors("x", &unlike)), DataError::Scaling { .. }));
}

#[test]
fn classes_as_vectors() {
    let labels = Tensor::new([2, 2], vec![0, 2, 1, 1]).unwrap();
    let expected = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0];
    for storage in [StorageType::I32, StorageType::U8, StorageType::I64] {
        let vectors = one_hot(&labels.cast(storage), 3).unwrap();
        assert_eq!((vectors.shape().dims(), vectors.as_slice::<f32>().unwrap()), (&[2, 2, 3][..], &expected[..]));
    }
    assert_eq!(one_hot(&Tensor::scalar(true as i32), 2).unwrap().to_f64_vec(), [0.0, 1.0]);
    assert_eq!(one_hot(&Tensor::new([0], Vec::<i32>::new()).unwrap(), 3).unwrap().shape().dims(), [0, 3]);
    let error = refused(one_hot(&labels, 2));
    assert_eq!(error.to_string(), "element 1 of the labels is 2, outside the 2 classes 0..2");
    assert!(matches!(refused(one_hot(&Tensor::scalar(-1), 2)), DataError::Class { value: -1, .. }));
    assert!(matches!(refused(one_hot(&Tensor::scalar(1.0f32), 2)), DataError::Labels { .. }));
}

#[test]
fn equal_numbers_have_no_deviation_however_their_mean_is_rounded() {
    for (value, count) in [(0.1, 3), (0.7, 100), (1.1, 100)] {
        let scaling = Scaling::standardise(&set(&[count, 1], vec![value; count]), "x", Per::Channel).unwrap();
        let other = scaling.transform(&Tensor::new([2, 1], vec![value, value + 0.5]).unwrap()).unwrap();
        assert_eq!(other.to_f64_vec()[0], 0.0);
        close(&other.to_f64_vec()[1..], &[0.5]);
    }
}
