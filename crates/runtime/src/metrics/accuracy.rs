//! The share of samples that were guessed right.

use crate::error::Error;
use crate::metrics::MetricError;
use crate::metrics::samples::{IGNORED, Logits, class_indices, counted};
use crate::tensor::Tensor;

/// The share of samples whose label is the likeliest class, or among the `k` likeliest: scikit-learn's `accuracy_score` and
/// `top_k_accuracy_score`.
///
/// ```
/// use arenagrad::Tensor;
/// use arenagrad::metrics::Accuracy;
///
/// let mut accuracy = Accuracy::new();
/// let logits = Tensor::new([2, 3], vec![0.1f32, 2.0, 0.3, 1.5, 0.2, 0.9])?;
/// accuracy.add(&logits, &Tensor::new([2], vec![1, 2])?)?;
/// assert_eq!(accuracy.value(), 0.5);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    likeliest: usize,
    ignored: Option<i32>,
    right: u64,
    samples: u64,
}

impl Default for Accuracy {
    fn default() -> Self {
        Accuracy::new()
    }
}

impl Accuracy {
    /// The share of labels that are the likeliest class.
    #[must_use]
    pub fn new() -> Self {
        Accuracy::top(1)
    }

    /// The share of labels that are among the `k` likeliest classes. With as many classes or fewer it is 1; a `k` of 0 is refused when samples
    /// are added.
    #[must_use]
    pub fn top(k: usize) -> Self {
        Accuracy { likeliest: k, ignored: Some(IGNORED), right: 0, samples: 0 }
    }

    /// The accuracy of all samples at once, such as [`Trainer::evaluate_batches`](crate::Trainer::evaluate_batches) gives them:
    /// [`Accuracy::add`] to nothing, and its value.
    pub fn of(logits: &Tensor, labels: &Tensor) -> Result<f64, Error> {
        let mut accuracy = Accuracy::new();
        accuracy.add(logits, labels)?;
        Ok(accuracy.value())
    }

    /// Which label is left out: -100 unless it is said here.
    #[must_use]
    pub fn ignore(mut self, label: impl Into<Option<i32>>) -> Self {
        self.ignored = label.into();
        self
    }

    /// Adds a batch of logits `[n, classes, d1, ..]` and labels `[n, d1, ..]`, each a sample.
    ///
    /// [`Error::Metric`]: other shapes, logits that are no floats, labels that are, a label that is no class, a `k` of 0.
    pub fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<(), Error> {
        self.require_likeliest()?;
        let (logits, labels) = Logits::with_labels(logits, labels)?;
        let counted = counted(&labels, logits.classes, self.ignored)?;
        let is_right = |(sample, class): &(usize, usize)| logits.rank(*sample, *class) < self.likeliest;
        self.right += counted.iter().filter(|pair| is_right(pair)).count() as u64;
        self.samples += counted.len() as u64;
        Ok(())
    }

    /// Adds a batch of guessed classes and labels, both whole numbers of one shape. A guess is one class, so it is right if it is the
    /// label, however many of the likeliest may be.
    ///
    /// [`Error::Metric`]: shapes that differ, floats, and a `k` of 0.
    pub fn add_classes(&mut self, guessed: &Tensor, labels: &Tensor) -> Result<(), Error> {
        self.require_likeliest()?;
        let guesses = class_indices("guesses", guessed, "guesses", guessed.shape())?;
        let labels = class_indices("labels", labels, "guesses", guessed.shape())?;
        let counts = |label: &i64| self.ignored.is_none_or(|ignored| i64::from(ignored) != *label);
        let pairs = || guesses.iter().zip(&labels).filter(|(_, label)| counts(label));
        let (samples, right) = (pairs().count(), pairs().filter(|(guess, label)| guess == label).count());
        self.samples += samples as u64;
        self.right += right as u64;
        Ok(())
    }

    fn require_likeliest(&self) -> Result<(), Error> {
        match self.likeliest {
            0 => Err(MetricError::NoLikeliest { likeliest: 0 }.into()),
            _ => Ok(()),
        }
    }

    /// The share so far, from 0 to 1; NaN over nothing.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.right as f64 / self.samples as f64
    }

    /// How many labels counted.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }
}
