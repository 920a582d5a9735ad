//! Samples drawn by weights, and sequences padded to one length.

use arenagrad::data::{Batches, DataError, Dataset, Position, padded};
use arenagrad::{DType, Error, StorageType, Tensor};

fn numbered(count: usize) -> Dataset {
    Dataset::new().with("n", Tensor::new([count], (0..count as i32).collect::<Vec<_>>()).unwrap()).unwrap()
}

fn numbers(batches: impl IntoIterator<Item = Result<arenagrad::data::Batch, Error>>) -> Vec<i32> {
    batches.into_iter().flat_map(|batch| batch.unwrap().get("n").unwrap().as_slice::<i32>().unwrap().to_vec()).collect()
}

#[test]
fn samples_come_as_often_as_they_weigh() {
    let weights = [0.0, 1.0, 2.0, 0.0, 5.0, 0.0];
    let batches = numbered(6).batches(4).weighted(weights, 11, 0);
    assert_eq!((batches.len(), batches.samples()), (2, 6));
    let mut counts = [0u32; 6];
    for epoch in 0..4000 {
        let drawn = numbers(batches.epoch(epoch));
        assert_eq!(drawn.len(), 6);
        drawn.iter().for_each(|&number| counts[number as usize] += 1);
    }
    assert_eq!([counts[0], counts[3], counts[5]], [0; 3]);
    for (count, weight) in counts.into_iter().zip(weights) {
        // Five deviations of a binomial distribution.
        let (draws, p) = (24_000.0, weight / 8.0);
        assert!((f64::from(count) - draws * p).abs() <= 5.0 * f64::sqrt(draws * p * (1.0 - p)), "{counts:?}");
    }
    // Weights of any size: only their proportions count.
    let large = numbered(6).batches(4).weighted(weights.map(|weight| weight * 3e307), 11, 0);
    let small = numbered(6).batches(4).weighted(weights.map(|weight| weight * f64::MIN_POSITIVE), 11, 0);
    for epoch in 0..50 {
        assert_eq!(numbers(large.epoch(epoch)), numbers(batches.epoch(epoch)));
        assert_eq!(numbers(small.epoch(epoch)), numbers(batches.epoch(epoch)));
    }
}

#[test]
fn epochs_differ_and_go_on_where_they_were_left() {
    let batches = numbered(50).batches(7).weighted(vec![1.0; 50], 3, 2);
    let epoch = |number| numbers(batches.epoch(number));
    assert_eq!(epoch(4), epoch(4));
    assert_ne!(epoch(4), epoch(5));
    assert_ne!(epoch(4), numbers(numbered(50).batches(7).weighted(vec![1.0; 50], 4, 0).epoch(4)));
    assert_eq!(numbers(&batches), epoch(2), "the epoch that was named");
    assert_eq!(numbers(batches.clone().prefetch(3).epoch(4)), epoch(4));
    assert_eq!(numbers(batches.resume(Position { epoch: 4, batch: 3 })), epoch(4)[21..]);
}

/// What comes twice in an epoch is not changed twice in the same way.
#[test]
fn augmentation_of_what_comes_again() {
    let data = Dataset::new().with("n", Tensor::from([0.0f32; 8])).unwrap();
    let noisy = data
        .batches(8)
        .weighted([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1, 0)
        .augment(5, |sample, draws| Ok(sample.with("n", Tensor::scalar(draws.uniform() as f32))));
    let drawn = |epoch| noisy.epoch(epoch).next().unwrap().unwrap().get("n").unwrap().to_f64_vec();
    let mut found = drawn(0);
    assert_eq!(found, drawn(0));
    found.sort_by(f64::total_cmp);
    found.dedup();
    assert_eq!(found.len(), 8);
    // The first time as in any other order.
    let in_order =
        data.batches(8).augment(5, |sample, draws| Ok(sample.with("n", Tensor::scalar(draws.uniform() as f32))));
    assert_eq!(drawn(0)[0], in_order.epoch(0).next().unwrap().unwrap().get("n").unwrap().to_f64_vec()[0]);
}

#[test]
fn weights_that_cannot_be() {
    let refused = |weights: Vec<f64>| -> DataError {
        let batches: Batches = numbered(3).batches(2).weighted(weights, 1, 0);
        match batches.epoch(0).next() {
            Some(Err(Error::Data(error))) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(vec![1.0; 4]).to_string(), "there are 4 weights for 3 samples: each has one");
    for (weight, said) in [(-0.5, "-0.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let error = refused(vec![1.0, weight, 1.0]);
        let expected = format!("the weight of sample 1 is {said}, which is not a finite number of 0 or more");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(refused(vec![0.0; 3]).to_string(), "the weights of all 3 samples are 0, so none can be drawn");
    assert_eq!(numbered(0).batches(2).weighted([], 1, 0).epoch(0).count(), 0);
}

#[test]
fn sequences_of_unequal_lengths() {
    let matrix = |rows: usize| Tensor::new([rows, 2], (0..2 * rows).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let (tensor, lengths) = padded(&[matrix(1), matrix(0), matrix(3)], -1.0).unwrap();
    assert_eq!(tensor.shape().dims(), [3, 3, 2]);
    let expected = [0.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
    assert_eq!(tensor.to_f64_vec(), expected);
    assert_eq!(lengths, Tensor::from([1, 0, 3]));
    for storage in [StorageType::U8, StorageType::I64, StorageType::Bf16, StorageType::from(DType::Bool)] {
        let one = |values: &[i32]| Tensor::from(values).cast(storage);
        let (tensor, _) = padded(&[one(&[1]), one(&[1, 0])], 1.0).unwrap();
        assert_eq!((tensor.storage(), tensor.to_f64_vec()), (storage, vec![1.0, 1.0, 1.0, 0.0]));
    }
    let (none, lengths) = padded(&[], 0.0).unwrap();
    assert_eq!((none.shape().dims(), lengths.shape().dims()), (&[0, 0][..], &[0][..]));
    let said = |sequences: &[Tensor]| padded(sequences, 0.0).unwrap_err().to_string();
    let differ = "sequences are [length, ..] and differ in length alone";
    assert_eq!(
        said(&[matrix(2), Tensor::from([1.0f32])]),
        format!("sequence 1 is f32[1], and the first is f32[2, 2]: {differ}")
    );
    assert_eq!(
        said(&[matrix(2), matrix(2), matrix(1).cast(DType::F64)]),
        format!("sequence 2 is f64[1, 2], and the first is f32[2, 2]: {differ}")
    );
    assert_eq!(said(&[Tensor::scalar(1)]), format!("sequence 0 is i32[], and the first is i32[]: {differ}"));
}
