//! Batches: every sample once an epoch, the same with and without a thread, from any position on; errors and panics arrive as
//! errors, and threads end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arenagrad::data::{Batch, Batches, DataError, Dataset, Draws, NamedTensors, Position, Source};
use arenagrad::group::Share;
use arenagrad::{Error, Tensor};

fn numbered(count: usize) -> Dataset {
    let numbers: Vec<i32> = (0..count as i32).collect();
    let x = numbers.iter().flat_map(|&number| [number as f32, -number as f32]).collect();
    Dataset::new()
        .with("n", Tensor::new([count], numbers).unwrap())
        .and_then(|data| data.with("x", Tensor::new([count, 2], x)?))
        .unwrap()
}

#[track_caller]
fn numbers(batch: &Batch) -> Vec<i32> {
    let (numbers, x) = (batch.get("n").unwrap(), batch.get("x").unwrap());
    assert_eq!(x.shape().dims(), [numbers.shape().dims()[0], 2]);
    let expected: Vec<f32> = numbers.as_slice::<i32>().unwrap().iter().flat_map(|&n| [n as f32, -n as f32]).collect();
    assert_eq!(x.as_slice::<f32>().unwrap(), expected);
    numbers.as_slice::<i32>().unwrap().to_vec()
}

#[track_caller]
fn all(batches: impl IntoIterator<Item = Result<Batch, Error>>) -> Vec<Batch> {
    batches.into_iter().collect::<Result<_, _>>().unwrap()
}

#[test]
fn each_sample_comes_once_an_epoch() {
    for count in [0, 1, 5, 8, 64] {
        for size in [1, 3, 8, 100, usize::MAX] {
            let plain = numbered(count).batches(size);
            let got = all(&plain);
            assert_eq!(got.len(), plain.len());
            assert_eq!(got.iter().flat_map(numbers).collect::<Vec<_>>(), (0..count as i32).collect::<Vec<_>>());
            let shuffled = plain.clone().shuffled(3, 0);
            let mut order: Vec<i32> = all(&shuffled).iter().flat_map(numbers).collect();
            order.sort_unstable();
            assert_eq!(order, (0..count as i32).collect::<Vec<_>>());
            let whole = shuffled.drop_last();
            let got = all(&whole);
            assert_eq!(got.len(), count / size);
            assert_eq!((whole.len(), whole.is_empty()), (count / size, count < size));
            assert!(got.iter().all(|batch| numbers(batch).len() == size));
            assert_eq!(whole.samples(), got.iter().map(|batch| numbers(batch).len()).sum::<usize>());
        }
    }
    let shuffled = numbered(64).batches(64).shuffled(3, 0);
    assert_ne!(all(shuffled.epoch(0)), all(shuffled.epoch(1)));
    assert_ne!(all(shuffled.epoch(0)), all(shuffled.clone().shuffled(4, 0)));
    assert_eq!(all(shuffled.epoch(1)), all(shuffled.clone().shuffled(3, 1)));
}

/// What is done to the batches of the tests: each of random numbers, and one step behind that.
fn augmented(data: &Dataset) -> Batches {
    data.batches(6)
        .shuffled(5, 0)
        .augment(11, |sample, draws| {
            let noise = Tensor::new([3], (0..3).map(|_| draws.normal(0.0, 1.0) as f32).collect())?;
            assert_eq!(sample.get("n").map(|n| n.shape().rank()), Some(0));
            Ok(sample.with("noise", noise))
        })
        .map(|batch| {
            let doubled = batch.get("noise").unwrap().as_slice::<f32>()?.iter().map(|x| 2.0 * x).collect();
            let shape = batch.get("noise").unwrap().shape().clone();
            Ok(batch.with("doubled", Tensor::new(shape, doubled)?))
        })
}

#[test]
fn a_thread_makes_the_same_batches() {
    let data = numbered(50);
    let direct = augmented(&data);
    for ahead in [1, 2, 7, 1000] {
        let prefetched = augmented(&data).prefetch(ahead);
        for epoch in 0..3 {
            assert_eq!(all(prefetched.epoch(epoch)), all(direct.epoch(epoch)));
        }
    }
    let batch = &all(direct.epoch(0))[0];
    assert_eq!(batch.get("doubled").unwrap().shape().dims(), [6, 3]);
}

#[test]
fn random_numbers_belong_to_the_sample_and_the_epoch() {
    let data = numbered(50);
    // By the number of the sample: what it drew in that epoch, whatever batch it was in.
    let drawn = |batches: Batches, epoch| {
        let mut drawn: Vec<(i32, Vec<u32>)> = Vec::new();
        for batch in all(batches.epoch(epoch)) {
            let noise = batch.get("noise").unwrap().as_slice::<f32>().unwrap();
            for (number, noise) in numbers(&batch).into_iter().zip(noise.chunks(3)) {
                drawn.push((number, noise.iter().map(|x| x.to_bits()).collect()));
            }
        }
        drawn.sort();
        drawn
    };
    let first = drawn(augmented(&data), 0);
    assert_eq!(first, drawn(augmented(&data).shuffled(99, 0), 0));
    assert_ne!(first, drawn(augmented(&data), 1));
    let mut distinct: Vec<_> = first.iter().map(|(_, noise)| noise.clone()).collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 50);
}

#[test]
fn draws_are_of_their_distributions() {
    let mut draws = Draws::new(1);
    let uniform: Vec<f64> = (0..20_000).map(|_| draws.uniform()).collect();
    assert!(uniform.iter().all(|u| (0.0..1.0).contains(u)));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Standard errors: 0.002, 0.007; 20000 / 7 +- 49.
    assert!((mean(&uniform) - 0.5).abs() < 0.01);
    let normal: Vec<f64> = (0..20_000).map(|_| draws.normal(3.0, 2.0)).collect();
    let deviations: Vec<f64> = normal.iter().map(|x| (x - 3.0).powi(2)).collect();
    assert!((mean(&normal) - 3.0).abs() < 0.07 && (mean(&deviations) - 4.0).abs() < 0.2);
    let mut counts = [0; 7];
    (0..20_000).for_each(|_| counts[draws.below(7)] += 1);
    assert!(counts.iter().all(|count| (2600..3100).contains(count)), "{counts:?}");
    assert_eq!((draws.below(0), draws.below(1)), (0, 0));
    let happened = (0..20_000).filter(|_| draws.chance(0.25)).count();
    assert!((4700..5300).contains(&happened));
    assert_ne!(Draws::new(1).of(2).uniform(), Draws::new(2).of(1).uniform());
    assert_ne!(Draws::new(1).of(1).of(2).uniform(), Draws::new(1).of(2).of(1).uniform());
}

#[test]
fn training_goes_on_from_any_position() {
    for ahead in [0, 3] {
        let batches = augmented(&numbered(50)).prefetch(ahead);
        assert_eq!(batches.len(), 9);
        let mut expected = Vec::new();
        let (mut position, mut positions) = (Position::default(), Vec::new());
        while position.epoch < 3 {
            let mut epoch = batches.resume(position);
            while let Some(batch) = epoch.next() {
                expected.push(batch.unwrap());
                position = epoch.position();
                positions.push(position);
            }
        }
        assert_eq!((expected.len(), positions.len(), position), (27, 27, Position::start_of(3)));
        assert_eq!(positions[8], Position::start_of(1));
        for stop in [1, 5, 9, 14, 17] {
            let mut position = Position::from_numbers(positions[stop - 1].to_numbers());
            let mut got = Vec::new();
            while position.epoch < 3 {
                let mut epoch = batches.resume(position);
                got.extend(epoch.by_ref().map(Result::unwrap));
                position = epoch.position();
            }
            assert_eq!(got, expected[stop..]);
        }
        // At the end of an epoch nothing is left of it, and behind that is no position.
        let mut end = batches.resume(Position { epoch: 2, batch: 9 });
        assert!(end.next().is_none());
        assert_eq!(end.position(), Position::start_of(3));
        let mut past = batches.resume(Position { epoch: 0, batch: 10 });
        let error = past.next().unwrap().unwrap_err();
        assert_eq!(error, DataError::Position { batch: 10, batches: 9 }.into());
        assert!(past.next().is_none());
    }
}

#[test]
fn no_samples_and_no_size() {
    let mut none = numbered(0).batches(4).prefetch(2).epoch(0);
    assert!(none.next().is_none());
    assert_eq!(none.position(), Position::start_of(1));
    let batches = numbered(3).batches(0);
    assert_eq!((batches.len(), batches.samples()), (0, 0));
    let mut epoch = batches.epoch(0);
    assert!(matches!(epoch.next(), Some(Err(Error::Data(DataError::BatchSize { .. })))));
    assert!(epoch.next().is_none());
}

/// A source whose samples from some number on cannot be had.
struct Failing {
    from: usize,
    how: fn(usize) -> Result<Batch, Error>,
    asked: Arc<AtomicUsize>,
}

impl Source for Failing {
    fn samples(&self) -> usize {
        1000
    }

    fn sample(&self, index: usize) -> Result<Batch, Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if index < self.from {
            Ok(Batch::new().with("x", Tensor::new([2], vec![index as f32; 2])?))
        } else {
            (self.how)(index)
        }
    }
}

/// The error that comes behind three batches of ten, and the times that the source was asked.
fn fails(how: fn(usize) -> Result<Batch, Error>, ahead: usize) -> (Error, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Failing { from: 35, how, asked: asked.clone() };
    let mut epoch = Batches::new(source, 10).prefetch(ahead).epoch(0);
    for number in 0..3 {
        let batch = epoch.next().unwrap().unwrap();
        let x = batch.get("x").unwrap();
        assert_eq!((x.shape().dims(), x.to_f64_vec()[0]), (&[10, 2][..], f64::from(10 * number)));
    }
    assert_eq!(epoch.position(), Position { epoch: 0, batch: 3 });
    let error = epoch.next().unwrap().unwrap_err();
    assert!(epoch.next().is_none(), "an epoch ends behind an error");
    assert_eq!(epoch.position(), Position { epoch: 0, batch: 3 });
    (error, asked.load(Ordering::SeqCst))
}

#[test]
fn errors_and_panics_of_a_thread_are_errors() {
    let missing: fn(usize) -> Result<Batch, Error> =
        |index| Err(Error::File { path: "a/b".into(), reason: format!("sample {index}") });
    for ahead in [0, 1, 5] {
        let (error, asked) = fails(missing, ahead);
        assert_eq!(error.to_string(), "a/b: sample 35");
        assert_eq!(asked, 36, "nothing is made behind an error");
        let (error, _) = fails(|_| Ok(Batch::new().with("x", Tensor::new([3], vec![0.0f32; 3])?)), ahead);
        assert_eq!(
            error.to_string(),
            "column \"x\" of sample 35 is f32[3], but that of sample 30 is f32[2]: samples of one batch are alike"
        );
        let (error, _) = fails(|_| Ok(Batch::new().with("y", Tensor::new([2], vec![0.0f32; 2])?)), ahead);
        assert_eq!(error.to_string(), "sample 35 has the columns \"y\", but sample 30 has \"x\"");
    }
    for ahead in [1, 5] {
        let (error, _) = fails(|index| panic!("no sample {index}"), ahead);
        let message = "no sample 35".to_owned();
        assert_eq!(error, DataError::Panicked { batch: 3, message }.into());
    }
}

#[test]
fn a_thread_ends_with_its_iterator() {
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Arc::new(Failing { from: 1000, how: |_| unreachable!(), asked: asked.clone() });
    let batches = Batches::new(source.clone(), 10).prefetch(3);
    let mut epoch = batches.epoch(0);
    epoch.next().unwrap().unwrap();
    drop(epoch);
    // The one that was taken, three ahead of it, and one that may have been begun while the iterator went away.
    let made = asked.load(Ordering::SeqCst);
    assert!((10..=50).contains(&made), "{made}");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(asked.load(Ordering::SeqCst), made, "a thread goes on that nobody waits for");
    drop(batches);
    assert_eq!(Arc::strong_count(&source), 1, "the thread keeps the source");
}

#[test]
fn what_is_made_of_samples_must_be_alike() {
    let mixed = numbered(4).batches(2).augment(0, |sample, _| {
        let number = sample.get("n").unwrap().item()? as usize;
        Ok(sample.with("x", Tensor::new([number], vec![0.0f32; number])?))
    });
    assert!(matches!(mixed.epoch(0).next(), Some(Err(Error::Data(DataError::SampleShape { index: 1, .. })))));
    let torn = numbered(4).batches(2).map(|batch| Ok(batch.with("y", Tensor::new([3], vec![0.0f32; 3])?)));
    let torn = torn.augment(0, |sample, _| Ok(sample));
    assert!(matches!(torn.epoch(0).next(), Some(Err(Error::Data(DataError::SampleCount { found: 3, .. })))));
}

#[test]
fn any_number_of_batches_may_be_made_ahead() {
    let batches = numbered(10).batches(4).prefetch(usize::MAX);
    assert_eq!(all(batches.epoch(0)).len(), 3);
}

/// As many samples as there are numbers for, of which nobody can hold the batches.
struct Endless;

impl Source for Endless {
    fn samples(&self) -> usize {
        usize::MAX
    }

    fn sample(&self, index: usize) -> Result<Batch, Error> {
        Ok(Batch::new().with("n", Tensor::new([1], vec![index as i32])?))
    }
}

#[test]
fn any_number_of_batches_may_be_asked_for_ahead() {
    for ahead in [usize::MAX, usize::MAX - 1, 1 << 40] {
        let batches = Batches::new(Endless, 1).prefetch(ahead);
        let first = all(batches.epoch(0).take(2));
        assert_eq!(first[1].get("n").unwrap().as_slice::<i32>().unwrap(), [1]);
    }
}

#[test]
fn a_batch_says_of_how_many_samples_it_is() {
    let x = || Tensor::new([4, 1], vec![0.0f32; 4]).unwrap();
    let (weights, temperature) = (Tensor::from([1.0f32, 2.0, 3.0]), Tensor::scalar(2.0f32));
    // Of tensors alone the first with axes tells.
    assert_eq!(Batch::new().samples(), 1);
    assert_eq!(Batch::new().with("t", temperature.clone()).samples(), 1);
    assert_eq!(Batch::new().with("t", temperature.clone()).with("x", x()).samples(), 4);
    assert_eq!([("t", &temperature), ("x", &x()), ("weights", &weights)].samples(), 4);
    let by_hand = Batch::new().with("weights", weights.clone()).with("x", x());
    assert_eq!((by_hand.samples(), by_hand.clone().of_samples(4).samples()), (3, 4));
    assert_ne!(by_hand, by_hand.clone().of_samples(4));
    // Batches know it, whatever is done to them, and whatever stands first then.
    let first = move |batch: Batch| {
        assert_eq!(batch.samples(), batch.get("n").unwrap().shape()[0]);
        let named = batch.named_tensors().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
        let of_all = Batch::new().with("weights", weights.clone()).with("t", temperature.clone());
        Ok(named.fold(of_all, |of_all, (name, tensor)| of_all.with(name, tensor)))
    };
    let counts = |batches: &Batches| all(batches).iter().map(|batch| batch.samples()).collect::<Vec<_>>();
    let batches = numbered(5).batches(2).augment(3, |sample, _| Ok(sample)).map(first).prefetch(1);
    assert_eq!(counts(&batches), [2, 2, 1]);
    // A change that makes other samples of those says so.
    assert_eq!(counts(&batches.map(|batch| Ok(batch.of_samples(7)))), [7; 3]);
}

#[test]
fn a_part_without_samples_has_what_all_parts_have() {
    let of_all = |batch: Batch| {
        let n = batch.get("n").unwrap().clone();
        let pairs = Tensor::concat(&[n.clone(), n], 0)?;
        // One alike in all batches that is as long as a batch of one.
        Ok(batch
            .with("one", Tensor::from([7.0f32]))
            .with("weights", Tensor::from([1.0f32, 2.0, 3.0]))
            .with("pairs", pairs))
    };
    let parts: Vec<Vec<Batch>> =
        (0..2).map(|rank| all(numbered(1).batches(2).map(of_all).share(Share::new(rank, 2, 2).unwrap()))).collect();
    let empty = parts.iter().flatten().find(|part| part.samples() == 0).expect("one sample in two parts");
    let extents = |name: &str| empty.get(name).unwrap().shape().dims().to_vec();
    assert_eq!([extents("n"), extents("x"), extents("pairs")], [vec![0], vec![0, 2], vec![0]]);
    assert_eq!([extents("one"), extents("weights")], [[1], [3]]);
}

#[test]
fn a_part_without_samples_fails_where_the_sample_of_the_batch_does() {
    // The first sample of the data is broken, and it is in none of the batches that are made.
    struct First;
    impl Source for First {
        fn samples(&self) -> usize {
            2
        }

        fn sample(&self, index: usize) -> Result<Batch, Error> {
            let broken = DataError::SampleIndex { index, samples: 2 };
            if index == 0 { Err(broken.into()) } else { Ok(Batch::new().with("n", Tensor::scalar(1i32))) }
        }
    }
    for rank in 0..2 {
        let share = Share::new(rank, 2, 2).unwrap();
        let mut epoch = Batches::new(First, 1).share(share).resume(Position { epoch: 0, batch: 1 });
        assert_eq!(epoch.next().unwrap().unwrap().get("n").unwrap().shape().rank(), 1);
    }
}
