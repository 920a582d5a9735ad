//! Metrics over several batches are those of all samples together, by scikit-learn's definitions: its values stand here.

use arenagrad::metrics::{
    Accuracy, Average, ClassScores, ConfusionMatrix, Mean, MetricError, Perplexity, Ranking, Regression, ZeroDivision,
};
use arenagrad::{DType, Error, StorageType, Tensor};

/// Logits of seven samples and four classes, and their labels.
const LOGITS: [[f64; 4]; 7] = [
    [0.126, -0.132, 0.64, 0.105],
    [-0.536, 0.362, 1.304, 0.947],
    [-0.704, -1.265, -0.623, 0.041],
    [-2.325, -0.219, -1.246, -0.732],
    [-0.544, -0.316, 0.412, 1.043],
    [-0.129, 1.366, -0.665, 0.352],
    [0.903, 0.094, -0.743, -0.922],
];
const LABELS: [i32; 7] = [2, 3, 3, 1, 2, 0, 1];

/// What was right and what was guessed, of six classes of which 3 is only guessed and 5 never occurs.
const TRUTH: [i32; 12] = [0, 1, 2, 2, 1, 0, 4, 4, 1, 0, 2, 1];
const GUESS: [i32; 12] = [0, 2, 2, 1, 1, 0, 4, 0, 1, 1, 2, 3];

fn logits(samples: std::ops::Range<usize>) -> Tensor {
    Tensor::new([samples.len(), 4], LOGITS[samples].concat()).unwrap()
}

fn integers(values: &[i32]) -> Tensor {
    Tensor::new([values.len()], values.to_vec()).unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    let is_same = found.is_nan() && expected.is_nan() || (found - expected).abs() <= 4e-16 * expected.abs().max(1.0);
    assert!(is_same, "{found:?} is not {expected:?}");
}

#[test]
fn top_k_accuracy_over_batches_of_unequal_size() {
    for (k, expected) in [(1, 3.0 / 7.0), (2, 6.0 / 7.0), (3, 1.0), (4, 1.0), (9, 1.0)] {
        let mut accuracy = Accuracy::top(k);
        for batch in [0..3, 3..6, 6..7, 7..7] {
            accuracy.add(&logits(batch.clone()), &integers(&LABELS[batch])).unwrap();
        }
        assert_close(accuracy.value(), expected);
        assert_eq!(accuracy.samples(), 7);
    }
    assert!(Accuracy::new().value().is_nan());
}

/// Ties go to the first class, NaN is larger than any number, and classes may stand in front of further axes.
#[test]
fn guesses_are_those_of_argmax() {
    let tied = Tensor::new([2, 3], vec![1.0f32, 1.0, 0.0, 0.5, f32::NAN, f32::NAN]).unwrap();
    let mut accuracy = Accuracy::new();
    accuracy.add(&tied, &integers(&[0, 1])).unwrap();
    assert_eq!(accuracy.value(), 1.0);
    accuracy.add(&tied, &integers(&[1, 2])).unwrap();
    assert_eq!(accuracy.value(), 0.5);
    let mut confusion = ConfusionMatrix::new(3);
    confusion.add(&tied, &integers(&[0, 0])).unwrap();
    assert_eq!((confusion.count(0, 0), confusion.count(0, 1)), (1, 1));

    // [n, classes, d]: sample (i, j) has the logits [i, .., j].
    let images = Tensor::new([2, 2, 3], vec![9.0f32, 0.0, 9.0, 0.0, 9.0, 0.0, 0.0, 9.0, 0.0, 9.0, 0.0, 9.0]).unwrap();
    let labels = Tensor::new([2, 3], vec![0, 1, 0, 1, 0, -100]).unwrap();
    let mut accuracy = Accuracy::new();
    accuracy.add(&images, &labels).unwrap();
    assert_eq!((accuracy.value(), accuracy.samples()), (1.0, 5));
    // One sample without an axis of samples.
    accuracy.add(&Tensor::new([3], vec![0.0f32, 1.0, 2.0]).unwrap(), &Tensor::scalar(0)).unwrap();
    assert_eq!((accuracy.value(), accuracy.samples()), (5.0 / 6.0, 6));
}

#[test]
fn a_confusion_matrix_counts_labels_by_rows() {
    let mut confusion = ConfusionMatrix::new(6);
    for batch in [0..5, 5..12] {
        confusion.add_classes(&integers(&GUESS[batch.clone()]), &integers(&TRUTH[batch])).unwrap();
    }
    let rows: Vec<Vec<u64>> = (0..6).map(|label| (0..6).map(|guess| confusion.count(label, guess)).collect()).collect();
    let expected: [[u64; 6]; 6] = [
        [2, 1, 0, 0, 0, 0],
        [0, 2, 1, 1, 0, 0],
        [0, 1, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(rows, expected);
    assert_eq!((confusion.samples(), confusion.count(6, 0), confusion.count(0, 6)), (12, 0, 0));
    assert_close(confusion.accuracy(), 7.0 / 12.0);
}

#[test]
fn precision_recall_and_f1_are_scikit_learns() {
    let nan = f64::NAN;
    // (what a division by 0 gives, the scores of classes 3 and 5, the macro average)
    let cases = [
        (ZeroDivision::Zero, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [0.5666666666666667, 0.4666666666666666, 0.5]),
        (ZeroDivision::One, [[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]], [0.5666666666666667, 0.6666666666666666, 0.5]),
        (ZeroDivision::Nan, [[0.0, nan, 0.0], [nan, nan, nan]], [0.5666666666666667, 0.5833333333333333, 0.5]),
    ];
    for (zero, [third, fifth], macro_average) in cases {
        let mut confusion = ConfusionMatrix::new(6).zero_division(zero);
        confusion.add_classes(&integers(&GUESS), &integers(&TRUTH)).unwrap();
        let third_part = 2.0 / 3.0;
        let classes = [[third_part; 3], [0.5; 3], [third_part; 3], third, [1.0, 0.5, third_part], fifth];
        for (class, expected) in classes.into_iter().enumerate() {
            assert_scores(confusion.class(class).unwrap(), expected);
        }
        assert!(confusion.class(6).is_none());
        assert_scores(confusion.average(Average::Macro), macro_average);
        assert_scores(confusion.average(Average::Micro), [7.0 / 12.0; 3]);
        let weighted = confusion.average(Average::Weighted);
        assert_scores(weighted, [0.6666666666666666, 0.5833333333333334, 0.611111111111111]);
        assert_eq!(weighted.support, 12);
    }
    let empty = ConfusionMatrix::new(2);
    assert!(empty.average(Average::Macro).f1.is_nan() && empty.average(Average::Weighted).recall.is_nan());
    assert_eq!(empty.average(Average::Micro).precision, 0.0);
}

#[track_caller]
fn assert_scores(scores: ClassScores, [precision, recall, f1]: [f64; 3]) {
    assert_close(scores.precision, precision);
    assert_close(scores.recall, recall);
    assert_close(scores.f1, f1);
}

#[test]
fn two_classes_by_a_threshold() {
    let mut confusion = ConfusionMatrix::new(2);
    let scores = Tensor::new([5, 1], vec![0.5f32, 0.9, 0.49, f32::NAN, 1.0]).unwrap();
    let labels = Tensor::new([5, 1], vec![0.0f32, 1.0, 1.0, 0.0, 1.0]).unwrap();
    confusion.add_binary(&scores, &labels, 0.5).unwrap();
    assert_scores(confusion.class(1).unwrap(), [2.0 / 3.0; 3]);
    let halves = Tensor::new([5, 1], vec![0.5f32; 5]).unwrap();
    let error = confusion.add_binary(&scores, &halves, 0.5).unwrap_err();
    assert_eq!(error.to_string(), "element 0 of the labels is 0.5, which is neither 0 nor 1");
    assert_eq!(confusion.samples(), 5);
}

#[test]
fn tables_are_read_by_name() {
    let mut confusion = ConfusionMatrix::named(["cat", "dog", "antelope"]);
    confusion.add_classes(&integers(&[0, 0, 1, 2, 2, 1]), &integers(&[0, 1, 1, 2, 2, -100])).unwrap();
    let table = "\
label \\ guess  cat  dog  antelope
cat              1    0         0
dog              1    1         0
antelope         0    0         2";
    assert_eq!(confusion.to_string(), table);
    let report = "                  precision  recall      f1  samples
cat                  0.5000  1.0000  0.6667        1
dog                  1.0000  0.5000  0.6667        2
antelope             1.0000  1.0000  1.0000        2

accuracy                             0.8000        5
macro average        0.8333  0.8333  0.7778        5
weighted average     0.9000  0.8000  0.8000        5
";
    assert_eq!(confusion.report().to_string(), report);
}

#[test]
fn errors_of_numbers() {
    let target = [0.5, 1.0, -1.0, 1.0, 7.0, -6.0, 3.0, 3.0];
    let predicted = [0.0, 2.0, -1.0, 2.0, 8.0, -5.0, 2.5, 3.25];
    let mut regression = Regression::new();
    for (from, to) in [(0, 3), (3, 4)] {
        let part = |values: &[f64]| Tensor::new([to - from, 2], values[2 * from..2 * to].to_vec()).unwrap();
        regression.add(&part(&predicted), &part(&target)).unwrap();
    }
    assert_close(regression.mean_absolute_error(), 0.65625);
    assert_close(regression.mean_squared_error(), 0.5703125);
    assert_close(regression.root_mean_squared_error(), 0.7436862178478972);
    assert_close(regression.r2(), 0.9468030591514909);
    assert_eq!(regression.samples(), 4);

    // Targets far from 0 lose no digits.
    let far = |values: [f64; 4]| Tensor::new([4], values.map(|x| 1e9 + x).to_vec()).unwrap();
    let mut regression = Regression::new();
    regression.add(&far([1.5, 2.0, 3.0, 3.0]), &far([1.0, 2.0, 4.0, 3.0])).unwrap();
    assert_close(regression.r2(), 0.75);

    let constant = |last: f32| {
        let mut regression = Regression::new();
        let target = Tensor::new([3], vec![2.0f32; 3]).unwrap();
        regression.add(&Tensor::new([3], vec![2.0, 2.0, last]).unwrap(), &target).unwrap();
        regression.r2()
    };
    assert_eq!((constant(2.0), constant(3.0)), (1.0, 0.0));
    assert!(Regression::new().r2().is_nan() && Regression::new().mean_absolute_error().is_nan());
    let mut one = Regression::new();
    one.add(&Tensor::scalar(2.0f32), &Tensor::scalar(3.0f32)).unwrap();
    assert_eq!(one.mean_absolute_error(), 1.0);
    assert!(one.r2().is_nan());
}

#[test]
fn perplexity_counts_tokens() {
    let mut perplexity = Perplexity::new();
    for batch in [0..2, 2..7] {
        perplexity.add(&logits(batch.clone()), &integers(&LABELS[batch])).unwrap();
    }
    perplexity.add(&logits(0..2), &integers(&[-100, -100])).unwrap();
    let expected = SCIKIT_LEARN_PERPLEXITY;
    assert!((perplexity.value() - expected).abs() < 1e-14 * expected, "{}", perplexity.value());
    assert_eq!(perplexity.tokens(), 7.0);
    // The same from means of batches, weighted by their tokens.
    let mean = |samples: std::ops::Range<usize>| {
        let mut part = Perplexity::new();
        part.add(&logits(samples.clone()), &integers(&LABELS[samples])).unwrap();
        part.cross_entropy()
    };
    let mut of_means = Perplexity::new();
    of_means.add_mean(mean(0..2), 2.0).unwrap();
    of_means.add_mean(mean(2..7), 5.0).unwrap();
    of_means.add_mean(f64::NAN, 0.0).unwrap();
    assert!((of_means.value() - expected).abs() < 1e-14 * expected);
}

/// The exponential of its `log_loss`.
const SCIKIT_LEARN_PERPLEXITY: f64 = 3.3396376973769724;

#[test]
fn means_lose_no_digits() {
    let mut mean = Mean::new();
    mean.add(1e16, 1.0).unwrap();
    (0..1000).for_each(|_| mean.add(1.0, 1.0).unwrap());
    mean.add(-1e16, 1.0).unwrap();
    assert_eq!(mean.value(), 1000.0 / 1002.0);
    mean.add(f64::INFINITY, 2.0).unwrap();
    assert_eq!(mean.value(), f64::INFINITY);
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(mean.add(1.0, weight), Err(Error::Metric(MetricError::Weight { .. }))));
    }
    assert!(Mean::new().value().is_nan());
}

#[test]
fn refused_batches_change_nothing_and_say_why() {
    let mut accuracy = Accuracy::new();
    let mut confusion = ConfusionMatrix::new(3);
    let mut regression = Regression::new();
    accuracy.add(&logits(0..2), &integers(&LABELS[0..2])).unwrap();
    regression.add(&logits(0..2), &logits(2..4)).unwrap();
    let before = (accuracy.clone(), confusion.clone(), regression.clone());
    let floats = integers(&[0, 1]).cast(DType::F32);
    let refused = [
        (
            accuracy.add(&logits(0..2), &floats),
            "labels hold f32, not class indices; cast them to i32 if that is what they are",
        ),
        (accuracy.add(&integers(&[1, 2]), &floats), "logits hold i32, not floats"),
        (
            accuracy.add(&Tensor::scalar(1.0f32), &floats),
            "logits of shape [] have no axis of classes; it is axis 1, or axis 0 of rank 1",
        ),
        (
            accuracy.add(&logits(0..2), &integers(&[0])),
            "labels have shape [1], where logits without their axis of classes have [2]",
        ),
        (
            accuracy.add(&logits(0..2), &integers(&[0, 4])),
            "element 1 of the labels is 4, which is none of the classes 0..4; ignore() names a label that is left out",
        ),
        (
            accuracy.clone().ignore(None).add(&logits(0..2), &integers(&[-100, 0])),
            "element 0 of the labels is -100, which is none of the classes 0..4; ignore() names a label that is left out",
        ),
        (confusion.add(&logits(0..2), &integers(&[0, 1])), "the logits have 4 classes, and the confusion matrix 3"),
        (
            confusion.add_classes(&integers(&[0, 3]), &integers(&[0, 1])),
            "element 1 of the guesses is 3, which is none of the classes 0..3",
        ),
        (confusion.add_classes(&integers(&[0, 2]), &integers(&[0])), "labels have shape [1], where guesses have [2]"),
        (
            regression.add(&integers(&[1, 2]), &integers(&[1, 2])),
            "predictions have 1 outputs, where earlier batches had 4",
        ),
        (regression.add(&logits(0..2), &logits(0..3)), "targets have shape [3, 4], where predictions have [2, 4]"),
    ];
    for (result, message) in refused {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
    assert_eq!(before, (accuracy, confusion, regression));
}

/// Elements narrower than their values are the values that they stand for.
#[test]
fn narrow_tensors_are_measured_by_their_values() {
    let mut accuracy = Accuracy::new().ignore(255);
    let labels = integers(&[2, 255, 3]).cast(StorageType::U8);
    accuracy.add(&logits(0..3).cast(StorageType::F16), &labels).unwrap();
    assert_eq!((accuracy.value(), accuracy.samples()), (1.0, 2));
}

#[test]
fn more_classes_than_a_matrix_has() {
    let labels = Tensor::new([1], vec![0]).unwrap();
    let mut confusion = ConfusionMatrix::new(usize::MAX);
    assert!(confusion.add_classes(&labels, &labels).is_err());
    assert_eq!((confusion.samples(), confusion.names().len()), (0, 0));
    // Memory grows with the pairs that occur, not with the square of the classes.
    let mut wide = ConfusionMatrix::new(500_000);
    wide.add_classes(&labels, &labels).unwrap();
    assert_eq!((wide.count(0, 0), wide.class(0).unwrap().f1), (1, 1.0));
}

#[test]
fn names_and_extents_of_any_length() {
    let long = "a".repeat(70_000);
    let confusion = ConfusionMatrix::named([long.as_str(), "b"]);
    assert!(confusion.to_string().contains(&long) && confusion.report().to_string().contains(&long));
    let none = Tensor::new([0, 1 << 40, 1 << 40], Vec::<f32>::new()).unwrap();
    assert!(Regression::new().add(&none, &none).is_ok());
}

#[test]
fn what_measures_nothing_is_refused() {
    let mut none = Accuracy::top(0);
    let refused = |result: Result<(), Error>| {
        let Err(Error::Metric(error)) = result else { panic!("{result:?}") };
        error
    };
    assert_eq!(refused(none.add(&logits(0..7), &integers(&LABELS))), MetricError::NoLikeliest { likeliest: 0 });
    assert!(refused(none.add_classes(&integers(&GUESS), &integers(&TRUTH))).to_string().contains("1 or more"));
    assert_eq!(none.samples(), 0);
    let mut confusion = ConfusionMatrix::new(2);
    let (scores, labels) = (Tensor::new([2], vec![0.1f32, 0.9]).unwrap(), integers(&[0, 1]));
    let error = refused(confusion.add_binary(&scores, &labels, f64::NAN));
    assert_eq!(error.to_string(), "the threshold of the scores is NaN, which no score is above or below");
    assert_eq!(confusion.samples(), 0);
    let wrong = Tensor::new([2], vec![1e-300, 0.0]).unwrap();
    let error = refused(confusion.add_binary(&scores, &wrong, 0.5));
    assert_eq!(error.to_string(), "element 0 of the labels is 1e-300, which is neither 0 nor 1");
}

/// scikit-learn 1.7: `roc_auc_score`, `average_precision_score`.
#[test]
fn rankings_are_scikit_learns() {
    let scores = [0.3f32, 0.7, 0.7, 0.1, 0.9, 0.3, 0.5, 0.7, 0.2, 0.5];
    let labels = [0, 1, 0, 0, 1, 1, 0, 1, 1, 0];
    let mut ranking = Ranking::new();
    // Batches of any size and order, of any dtype and rank.
    ranking
        .add(&Tensor::new([3, 1], scores[7..].to_vec()).unwrap(), &integers(&labels[7..]).reshape([3, 1]).unwrap())
        .unwrap();
    ranking.add(&Tensor::from(&scores[..7]).cast(DType::F64), &integers(&labels[..7]).cast(DType::Bool)).unwrap();
    assert_close(ranking.roc_auc(), 0.66);
    assert_close(ranking.average_precision(), 0.711_111_111_111_111);
    assert_eq!(ranking.samples(), 10);
    // Of many samples, against every pair; scores as they come from a hash, many of them equal.
    let hashed = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 24);
    let scores: Vec<f64> = (0..500).map(hashed).collect();
    let labels: Vec<i32> = (0..500).map(|i| i32::from(hashed(i + 500) + scores[i as usize] > 250.0)).collect();
    let of =
        |class: i32| scores.iter().zip(&labels).filter(move |(_, label)| **label == class).map(|(score, _)| *score);
    let (mut pairs, mut right) = (0.0, 0.0);
    for one in of(1) {
        for other in of(0) {
            pairs += 1.0;
            right += if one > other {
                1.0
            } else if one == other {
                0.5
            } else {
                0.0
            };
        }
    }
    let ranking = Ranking::of(&Tensor::new([500], scores.clone()).unwrap(), &integers(&labels)).unwrap();
    assert_close(ranking.roc_auc(), right / pairs);
    let turned = Tensor::new([500], scores.iter().map(|score| -score).collect::<Vec<_>>()).unwrap();
    assert_close(Ranking::of(&turned, &integers(&labels)).unwrap().roc_auc(), 1.0 - right / pairs);
}

#[test]
fn rankings_of_one_class_and_of_nan() {
    let of = |scores: &[f32], labels: &[i32]| Ranking::of(&Tensor::from(scores), &integers(labels)).unwrap();
    assert!(Ranking::new().roc_auc().is_nan() && Ranking::new().average_precision().is_nan());
    let ones = of(&[0.5, 0.25], &[1, 1]);
    assert!(ones.roc_auc().is_nan());
    assert_eq!(ones.average_precision(), 1.0);
    let zeros = of(&[0.5, 0.25], &[0, 0]);
    assert!(zeros.roc_auc().is_nan() && zeros.average_precision().is_nan());
    let equal = of(&[0.5; 4], &[1, 0, 0, 0]);
    assert_eq!((equal.roc_auc(), equal.average_precision()), (0.5, 0.25));
    // NaN is above infinity, and 0 beside -0.
    let odd = of(&[f32::NAN, f32::INFINITY, 0.0, -0.0, f32::NEG_INFINITY], &[1, 0, 1, 0, 0]);
    assert_eq!(odd.roc_auc(), (3.0 + 1.5) / 6.0);
    let mut kept = odd.clone();
    let error = kept.add(&Tensor::from([0.5f32, 0.5]), &Tensor::from([1.0f32, 0.5])).unwrap_err();
    assert_eq!(error.to_string(), "element 1 of the labels is 0.5, which is neither 0 nor 1");
    let error = kept.add(&Tensor::from([0.5f32, 0.5]), &integers(&[1])).unwrap_err();
    assert_eq!(error.to_string(), "labels have shape [1], where scores have [2]");
    assert_eq!(kept.samples(), 5);
}
