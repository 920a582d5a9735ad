//! How well scores put the samples of one class before all others.

use crate::error::Error;
use crate::metrics::MetricError;
use crate::metrics::samples::same_shape;
use crate::tensor::Tensor;

/// How well scores put samples of class 1 before those of class 0, whatever the threshold: the area under the receiver operating characteristic
/// and the average precision, as scikit-learn's `roc_auc_score` and `average_precision_score` define them.
///
/// Neither is a mean over batches, so all scores are kept: 16 bytes a sample. Samples of equal score come at once. NaN is larger than every
/// number. For several classes take one of these for each, of the scores of that class beside all others.
///
/// ```
/// use arenagrad::Tensor;
/// use arenagrad::metrics::Ranking;
///
/// let mut ranking = Ranking::new();
/// ranking.add(&Tensor::from([0.1f32, 0.4, 0.35, 0.8]), &Tensor::from([0, 0, 1, 1]))?;
/// assert_eq!(ranking.roc_auc(), 0.75);
/// assert!((ranking.average_precision() - 0.833_333_333).abs() < 1e-9);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// The score of each sample, and whether it is of class 1.
    samples: Vec<(f64, bool)>,
}

/// Samples of one score and of all larger ones.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// Those of class 1.
    right: u64,
    /// Those of class 0.
    wrong: u64,
}

impl Ranking {
    /// A ranking of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Ranking::default()
    }

    /// The ranking of all samples at once: [`Ranking::add`] to nothing.
    pub fn of(scores: &Tensor, labels: &Tensor) -> Result<Self, Error> {
        let mut ranking = Ranking::new();
        ranking.add(scores, labels)?;
        Ok(ranking)
    }

    /// Adds a batch of scores, such as logits or probabilities of class 1, and labels of their shape, which are 0 and 1, of any dtype.
    ///
    /// [`Error::Metric`]: shapes that differ, labels that are neither 0 nor 1.
    pub fn add(&mut self, scores: &Tensor, labels: &Tensor) -> Result<(), Error> {
        same_shape("labels", labels.shape(), "scores", scores.shape())?;
        let labels = labels.to_f64_vec();
        if let Some(position) = labels.iter().position(|label| *label != 0.0 && *label != 1.0) {
            return Err(MetricError::NotBinary { what: "labels", position, value: labels[position] }.into());
        }
        self.samples.extend(scores.to_f64_vec().into_iter().zip(labels).map(|(score, label)| (score, label == 1.0)));
        Ok(())
    }

    /// The area under the receiver operating characteristic: the share of pairs of a sample of class 1 and one of class 0 in which the first has the larger score,
    /// pairs of equal score counted by half (Hanley and McNeil 1982). 0.5 is chance, 1 is a perfect order; NaN where one of the classes has no sample.
    #[must_use]
    pub fn roc_auc(&self) -> f64 {
        let steps = self.steps();
        let all = steps.last().copied().unwrap_or_default();
        // Trapezia between one threshold and the next, in halves of pairs.
        let (mut area, mut before) = (0u128, Taken::default());
        for taken in steps {
            area += u128::from(taken.wrong - before.wrong) * u128::from(taken.right + before.right);
            before = taken;
        }
        area as f64 / 2.0 / (all.right as f64 * all.wrong as f64)
    }

    /// The average precision: over the thresholds from the largest score down, the precision of what is taken, weighted by how much the recall grows,
    /// `sum of (recall - recall before) precision`. NaN where no sample is of class 1.
    #[must_use]
    pub fn average_precision(&self) -> f64 {
        let steps = self.steps();
        let all = steps.last().copied().unwrap_or_default();
        let (mut sum, mut before) = (0.0, 0);
        for Taken { right, wrong } in steps {
            sum += (right - before) as f64 * (right as f64 / (right + wrong) as f64);
            before = right;
        }
        sum / all.right as f64
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples.len() as u64
    }

    /// What is taken for class 1 at each threshold, from the largest score to the smallest.
    fn steps(&self) -> Vec<Taken> {
        let key = |score: f64| if score.is_nan() { f64::INFINITY } else { score };
        let mut samples = self.samples.clone();
        // NaN first, then the numbers; 0 and -0 are equal.
        samples.sort_unstable_by(|(a, _), (b, _)| {
            b.is_nan().cmp(&a.is_nan()).then(key(*b).partial_cmp(&key(*a)).expect("numbers"))
        });
        let is_same = |a: &(f64, bool), b: &(f64, bool)| a.0 == b.0 || (a.0.is_nan() && b.0.is_nan());
        let mut taken = Taken::default();
        let steps = samples.chunk_by(is_same).map(|equal| {
            let right = equal.iter().filter(|(_, is_right)| *is_right).count() as u64;
            taken.right += right;
            taken.wrong += equal.len() as u64 - right;
            taken
        });
        steps.collect()
    }
}
