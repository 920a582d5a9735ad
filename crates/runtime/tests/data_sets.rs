//! Sets of samples: columns that belong together, splits, folds and strata, in which each sample is once.

use arenagrad::data::{DataError, Dataset};
use arenagrad::{DType, Error, StorageType, Tensor, U8};

/// Samples that tell their number, `[n, 2]` of floats and `[n]` of classes.
fn numbered(count: usize, class: impl Fn(usize) -> i32) -> Dataset {
    let x = (0..2 * count).map(|element| (element / 2 * 10 + element % 2) as f32).collect();
    Dataset::new()
        .with("x", Tensor::new([count, 2], x).unwrap())
        .and_then(|data| data.with("labels", Tensor::new([count], (0..count).map(class).collect())?))
        .unwrap()
}

/// The numbers of the samples, whose columns must still belong together.
#[track_caller]
fn numbers(data: &Dataset, class: impl Fn(usize) -> i32) -> Vec<usize> {
    let x = data.column("x").unwrap().as_slice::<f32>().unwrap();
    let numbers: Vec<usize> = x.chunks(2).map(|x| x[0] as usize / 10).collect();
    assert!(x.chunks(2).all(|x| x[1] == x[0] + 1.0), "a row was torn apart");
    let labels = data.column("labels").unwrap().as_slice::<i32>().unwrap();
    assert!(labels.iter().zip(&numbers).all(|(&label, &number)| label == class(number)), "columns were torn apart");
    numbers
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

#[track_caller]
fn data_error<T: std::fmt::Debug>(result: Result<T, Error>) -> DataError {
    match result {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_have_one_number_of_samples() {
    let data = numbered(5, |_| 0);
    let error = data_error(data.clone().with("t", Tensor::new([4], vec![0.0f32; 4]).unwrap()));
    let (column, first) = ("t".to_owned(), "x".to_owned());
    assert_eq!(error, DataError::SampleCount { column, found: 4, first, expected: 5 });
    assert_eq!(error.to_string(), "column \"t\" has 4 samples, but \"x\" has 5");
    let error = data_error(data.clone().with("t", Tensor::scalar(1.0f32)));
    assert!(matches!(error, DataError::NoSampleAxis { .. }));
    let error = data_error(data.column("y").cloned());
    assert_eq!(error.to_string(), "no column is named \"y\"; there are \"x\", \"labels\"");
    assert!(matches!(data_error(data.clone().renamed("x", "labels")), DataError::RepeatedColumn { .. }));
    // A column alone may be replaced by one of another length.
    let x = data.without("labels").unwrap().with("x", Tensor::new([7], vec![1i32; 7]).unwrap()).unwrap();
    assert_eq!(x.len(), 7);
    assert_eq!((Dataset::new().len(), Dataset::new().is_empty()), (0, true));
    assert!(Dataset::new().split(0.5, 0).unwrap().0.is_empty());
}

#[test]
fn chosen_samples_keep_their_types_and_shapes() {
    let tensors = [
        Tensor::new([3, 2, 2], (0..12).map(U8::from).collect()).unwrap(),
        Tensor::new([3], vec![1.5f64, 2.5, 3.5]).unwrap(),
        Tensor::from_bools([3, 1], &[true, false, true]).unwrap(),
        Tensor::new([3, 0], Vec::<f32>::new()).unwrap(),
        Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap().cast(StorageType::F16),
        Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap().cast(StorageType::Bf16),
        Tensor::new([3], vec![1, 2, 3]).unwrap().cast(StorageType::I8),
        Tensor::new([3], vec![1, 2, 3]).unwrap().cast(StorageType::I64),
    ];
    for tensor in tensors {
        let data = Dataset::new().with("x", tensor.clone()).unwrap();
        let chosen = data.select(&[2, 0, 0, 1]).unwrap();
        let back = chosen.select(&[1, 3, 0]).unwrap();
        assert_eq!(back.get("x"), Some(&tensor));
        assert_eq!(chosen.column("x").unwrap().storage(), tensor.storage());
        let twice = Dataset::concat(&[&data, &chosen]).unwrap();
        assert_eq!(twice.len(), 7);
        assert_eq!(twice.select(&[0, 1, 2]).unwrap(), data);
        assert_eq!(twice.select(&[3, 4, 5, 6]).unwrap(), chosen);
        assert_eq!(data_error(data.select(&[0, 3])), DataError::SampleIndex { index: 3, samples: 3 });
    }
}

#[test]
fn sets_that_are_unlike_are_not_put_together() {
    let data = numbered(3, |_| 0);
    let other = data.clone().with("x", Tensor::new([3, 3], vec![0.0f32; 9]).unwrap()).unwrap();
    let error = data_error(Dataset::concat(&[&data, &other]));
    assert_eq!(error.to_string(), "column \"x\" is f32[3] here, but f32[2] in the first set");
    let lacking = data.clone().without("x").unwrap();
    assert!(matches!(data_error(Dataset::concat(&[&data, &lacking])), DataError::UnknownColumn { .. }));
    assert!(matches!(data_error(Dataset::concat(&[&lacking, &data])), DataError::UnknownColumn { .. }));
    assert!(Dataset::concat(&[]).unwrap().is_empty());
    // The order of columns is that of the first set.
    let turned = lacking.with("x", data.column("x").unwrap().clone()).unwrap();
    assert_eq!(Dataset::concat(&[&data, &turned]).unwrap().columns().next().unwrap().0, "x");
}

#[test]
fn a_split_has_each_sample_once() {
    for count in [0, 1, 2, 7, 100] {
        let data = numbered(count, |number| number as i32 % 3);
        for fraction in [0.0, 0.2, 0.5, 0.99, 1.0] {
            let (first, second) = data.split(fraction, 3).unwrap();
            assert_eq!(first.len(), (count as f64 * fraction).round() as usize);
            let both = [&first, &second].map(|part| numbers(part, |number| number as i32 % 3)).concat();
            assert_eq!(sorted(both), (0..count).collect::<Vec<_>>());
            assert_eq!(data.split(fraction, 3).unwrap(), (first, second));
        }
    }
    let data = numbered(100, |_| 0);
    assert_ne!(data.split(0.5, 3).unwrap(), data.split(0.5, 4).unwrap());
    for fraction in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(data_error(data.split(fraction, 0)), DataError::Fraction { .. }));
    }
}

#[test]
fn strata_are_exact() {
    // 10 classes of 1 to 10 samples, whose numbers are negative too.
    let class = |number: usize| (0..).find(|class| (class + 1) * (class + 2) / 2 > number as i32).unwrap() - 3;
    let data = numbered(55, class);
    for fraction in [0.0, 0.1, 0.25, 0.5, 0.8, 1.0] {
        let (first, second) = data.split_stratified("labels", fraction, 1).unwrap();
        let both = [&first, &second].map(|part| numbers(part, class)).concat();
        assert_eq!(sorted(both), (0..55).collect::<Vec<_>>());
        assert_eq!(first.len(), (55.0 * fraction).round() as usize);
        let firsts = numbers(&first, class);
        for of in -3..7 {
            let found = firsts.iter().filter(|&&number| class(number) == of).count();
            let exact = f64::from(of + 4) * fraction;
            assert!((exact.floor()..=exact.ceil()).contains(&(found as f64)), "class {of}: {found} for {exact}");
        }
        assert_eq!(data.split_stratified("labels", fraction, 1).unwrap(), (first, second));
    }
    // Where shares are whole numbers, they are met.
    let even = numbered(100, |number| i32::from(number < 20));
    let (train, test) = even.split_stratified("labels", 0.75, 9).unwrap();
    let ones = |data: &Dataset| data.column("labels").unwrap().to_f64_vec().iter().sum::<f64>();
    assert_eq!((train.len(), ones(&train), test.len(), ones(&test)), (75, 15.0, 25, 5.0));
    // Classes are mixed with one another.
    let labels = train.column("labels").unwrap().to_f64_vec();
    assert!(labels.windows(2).filter(|pair| pair[0] != pair[1]).count() > 10);
    assert!(matches!(data_error(even.split_stratified("x", 0.5, 0)), DataError::Labels { .. }));
    assert!(matches!(data_error(even.split_stratified("y", 0.5, 0)), DataError::UnknownColumn { .. }));
    let truths = even.clone().with("labels", even.column("labels").unwrap().cast(DType::Bool)).unwrap();
    assert_eq!(ones(&truths.split_stratified("labels", 0.75, 9).unwrap().0), 15.0);
}

#[test]
fn folds_validate_each_sample_once() {
    let class = |number: usize| i32::from(number.is_multiple_of(3));
    let data = numbered(23, class);
    for count in [2, 5, 23] {
        for stratified in [false, true] {
            let folds = if stratified { data.folds_stratified("labels", count, 1) } else { data.folds(count, 1) };
            let folds: Vec<_> = folds.unwrap().collect();
            assert_eq!(folds.len(), count);
            let mut validated = Vec::new();
            for (train, validation) in &folds {
                let validation = numbers(validation, class);
                let all = [numbers(train, class), validation.clone()].concat();
                assert_eq!(sorted(all), (0..23).collect::<Vec<_>>());
                assert!((23 / count..=23_usize.div_ceil(count)).contains(&validation.len()));
                let ones = validation.iter().filter(|&&number| class(number) == 1).count();
                assert!(!stratified || (8 / count..=8_usize.div_ceil(count)).contains(&ones));
                validated.extend(validation);
            }
            assert_eq!(sorted(validated), (0..23).collect::<Vec<_>>());
        }
    }
    for count in [0, 1, 24] {
        assert_eq!(data_error(data.folds(count, 0)), DataError::Folds { folds: count, samples: 23 });
        assert!(matches!(data_error(data.folds_stratified("labels", count, 0)), DataError::Folds { .. }));
    }
}
