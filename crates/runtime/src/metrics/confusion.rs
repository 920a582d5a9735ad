//! Which class is taken for which.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Error;
use crate::metrics::samples::{IGNORED, Logits, class_indices, class_of, counted, same_shape};
use crate::metrics::scores::{Counts, WIDEST_NAME, averaged};
use crate::metrics::{Average, ClassReport, ClassScores, MetricError, ZeroDivision};
use crate::tensor::Tensor;

/// How often samples of each class were taken for each class: scikit-learn's `confusion_matrix`, with precision, recall and F1 of every
/// class. It prints as a table: a row for each label, a column for each guess.
///
/// ```
/// use arenagrad::Tensor;
/// use arenagrad::metrics::{Average, ConfusionMatrix};
///
/// let mut confusion = ConfusionMatrix::new(3);
/// let labels = Tensor::new([6], vec![0, 1, 2, 0, 1, 2])?;
/// confusion.add_classes(&Tensor::new([6], vec![0, 2, 1, 0, 0, 1])?, &labels)?;
/// assert_eq!(confusion.count(1, 2), 1); // one sample of class 1 was taken for class 2
/// assert!((confusion.average(Average::Macro).f1 - 0.8 / 3.0).abs() < 1e-15);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix {
    pub(super) classes: usize,
    pub(super) names: Vec<String>,
    pub(super) ignored: Option<i32>,
    pub(super) zero_division: ZeroDivision,
    /// How often a label was taken for a guess, for what occurred.
    pub(super) counts: BTreeMap<(usize, usize), u64>,
}

/// The most classes that a matrix has.
const MOST_CLASSES: usize = 1_000_000;

impl ConfusionMatrix {
    /// Of so many classes, at most a million: of more there are none, and samples are refused. Its memory grows with the pairs that occur.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        let classes = if classes <= MOST_CLASSES { classes } else { 0 };
        let (names, counts) = ((0..classes).map(|class| class.to_string()).collect(), BTreeMap::new());
        ConfusionMatrix { classes, names, ignored: Some(IGNORED), zero_division: ZeroDivision::Zero, counts }
    }

    /// Of classes with these names, by which they are printed; at most a million, as [`ConfusionMatrix::new`] has it.
    #[must_use]
    pub fn named<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        let names: Vec<String> = names.into_iter().take(MOST_CLASSES + 1).map(Into::into).collect();
        let matrix = ConfusionMatrix::new(names.len());
        if matrix.classes == names.len() { ConfusionMatrix { names, ..matrix } } else { matrix }
    }

    /// Which label is left out: -100 unless it is said here.
    #[must_use]
    pub fn ignore(mut self, label: impl Into<Option<i32>>) -> Self {
        self.ignored = label.into();
        self
    }

    /// What a score is whose divisor is 0: 0 unless it is said here.
    #[must_use]
    pub fn zero_division(mut self, value: ZeroDivision) -> Self {
        self.zero_division = value;
        self
    }

    /// Adds a batch of logits `[n, classes, d1, ..]`, of which the likeliest is the guess, and labels `[n, d1, ..]`.
    ///
    /// [`Error::Metric`]: other shapes, logits that are no floats or of another number of classes, labels that are floats or no classes.
    pub fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<(), Error> {
        let (logits, labels) = Logits::with_labels(logits, labels)?;
        if logits.classes != self.classes {
            return Err(MetricError::ClassCount { found: logits.classes, expected: self.classes }.into());
        }
        for (sample, label) in counted(&labels, self.classes, self.ignored)? {
            *self.counts.entry((label, logits.guess(sample))).or_default() += 1;
        }
        Ok(())
    }

    /// Adds a batch of guessed classes and labels, both whole numbers of one shape.
    ///
    /// [`Error::Metric`]: shapes that differ, floats, and guesses or labels that are no classes.
    pub fn add_classes(&mut self, guessed: &Tensor, labels: &Tensor) -> Result<(), Error> {
        let guesses = class_indices("guesses", guessed, "guesses", guessed.shape())?;
        let labels = class_indices("labels", labels, "guesses", guessed.shape())?;
        self.count_pairs(&guesses, &labels)
    }

    /// Adds a batch of two classes: a sample is taken for class 1 where its score is `threshold` or more. The labels are 0 and 1, of any
    /// dtype and of the scores' shape. A score of NaN is class 0.
    ///
    /// [`Error::Metric`]: shapes that differ, labels that are neither 0 nor 1, a threshold of NaN, and a matrix of other than two classes.
    pub fn add_binary(&mut self, scores: &Tensor, labels: &Tensor, threshold: f64) -> Result<(), Error> {
        if self.classes != 2 {
            return Err(MetricError::ClassCount { found: 2, expected: self.classes }.into());
        }
        if threshold.is_nan() {
            return Err(MetricError::Threshold { threshold }.into());
        }
        same_shape("labels", labels.shape(), "scores", scores.shape())?;
        let labels = labels.to_f64_vec();
        let is_allowed =
            |value: f64| value == 0.0 || value == 1.0 || self.ignored.is_some_and(|x| f64::from(x) == value);
        if let Some(position) = labels.iter().position(|value| !is_allowed(*value)) {
            return Err(MetricError::NotBinary { what: "labels", position, value: labels[position] }.into());
        }
        let guesses: Vec<i64> = scores.to_f64_vec().iter().map(|score| i64::from(*score >= threshold)).collect();
        let labels: Vec<i64> = labels.iter().map(|value| *value as i64).collect();
        self.count_pairs(&guesses, &labels)
    }

    /// How many samples with this label were taken for that class; 0 where there is no such class.
    #[must_use]
    pub fn count(&self, label: usize, guess: usize) -> u64 {
        self.counts.get(&(label, guess)).copied().unwrap_or(0)
    }

    /// How many samples counted.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The names of the classes: their numbers, unless they were given others.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The share of samples that were guessed right; NaN over nothing.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().filter(|((label, guess), _)| label == guess).map(|(_, count)| count).sum();
        right as f64 / self.samples() as f64
    }

    /// Precision, recall and F1 of a class, or none where there is no such class.
    #[must_use]
    pub fn class(&self, class: usize) -> Option<ClassScores> {
        self.counts_by_class().get(class).map(|counts| counts.scores(self.zero_division))
    }

    /// Precision, recall and F1 averaged over the classes. NaN over nothing, but for [`Average::Micro`], which is then what a division by
    /// 0 is.
    #[must_use]
    pub fn average(&self, average: Average) -> ClassScores {
        averaged(&self.counts_by_class(), average, self.zero_division)
    }

    /// The scores of every class and their averages, which print as a table.
    #[must_use]
    pub fn report(&self) -> ClassReport {
        let counts = self.counts_by_class();
        let scores = counts.iter().map(|counts| counts.scores(self.zero_division));
        ClassReport {
            classes: self.names.iter().cloned().zip(scores).collect(),
            accuracy: self.accuracy(),
            macro_average: self.average(Average::Macro),
            weighted_average: self.average(Average::Weighted),
        }
    }

    fn count_pairs(&mut self, guesses: &[i64], labels: &[i64]) -> Result<(), Error> {
        let pairs = counted(labels, self.classes, self.ignored)?
            .into_iter()
            .map(|(sample, label)| Ok((label, class_of("guesses", sample, guesses[sample], self.classes)?)))
            .collect::<Result<Vec<_>, MetricError>>()?;
        pairs.into_iter().for_each(|pair| *self.counts.entry(pair).or_default() += 1);
        Ok(())
    }

    fn counts_by_class(&self) -> Vec<Counts> {
        let mut classes = vec![Counts { hits: 0, labelled: 0, guessed: 0 }; self.classes];
        for (&(label, guess), &count) in &self.counts {
            classes[label].labelled += count;
            classes[guess].guessed += count;
            if label == guess {
                classes[label].hits += count;
            }
        }
        classes
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CORNER: &str = "label \\ guess";
        let length = |text: &str| text.chars().count();
        let first = self.names.iter().map(|name| length(name)).max().unwrap_or(0).min(WIDEST_NAME).max(CORNER.len());
        let digits = self.counts.values().max().map_or(1, |count| length(&count.to_string()));
        let widths: Vec<usize> = self.names.iter().map(|name| length(name).min(WIDEST_NAME).max(digits)).collect();
        write!(f, "{CORNER:first$}")?;
        for (name, width) in self.names.iter().zip(&widths) {
            write!(f, "  {name:>width$}")?;
        }
        for (label, name) in self.names.iter().enumerate() {
            write!(f, "\n{name:first$}")?;
            for (guess, width) in widths.iter().enumerate() {
                write!(f, "  {:>width$}", self.count(label, guess))?;
            }
        }
        Ok(())
    }
}
