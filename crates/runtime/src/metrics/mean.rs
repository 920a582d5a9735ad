//! Weighted means over batches, and the perplexity that is made of one.

use crate::error::Error;
use crate::metrics::MetricError;
use crate::metrics::samples::{IGNORED, Logits, counted};
use crate::tensor::Tensor;

/// A sum that keeps what rounding takes from it (Neumaier's variant of Kahan's summation), so that millions of terms lose no digits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn add(&mut self, term: f64) {
        let next = self.total + term;
        // Of an infinite sum nothing is lost, and its difference to itself would be NaN.
        if next.is_finite() {
            let (large, small) = if self.total.abs() >= term.abs() { (self.total, term) } else { (term, self.total) };
            self.lost += large - next + small;
        }
        self.total = next;
    }

    pub(super) fn value(&self) -> f64 {
        if self.total.is_finite() { self.total + self.lost } else { self.total }
    }
}

/// A mean of values with weights: of the mean losses of batches with the numbers of their samples, it is the mean loss of all samples.
///
/// ```
/// use arenagrad::metrics::Mean;
///
/// let mut loss = Mean::new();
/// loss.add(0.5, 32.0)?; // the mean over a batch of 32
/// loss.add(0.9, 8.0)?; // and over the last one, of 8
/// assert!((loss.value() - 0.58).abs() < 1e-15);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mean {
    sum: Sum,
    weight: Sum,
}

impl Mean {
    /// A mean of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Mean::default()
    }

    /// Adds a value with a weight. A weight of 0 leaves the value out, whatever it is: a batch of nothing but ignored labels has a mean loss
    /// of NaN.
    ///
    /// [`Error::Metric`] for a weight that is not finite or below 0.
    pub fn add(&mut self, value: f64, weight: f64) -> Result<(), Error> {
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(MetricError::Weight { weight }.into());
        }
        if weight > 0.0 {
            self.sum.add(value * weight);
            self.weight.add(weight);
        }
        Ok(())
    }

    /// The mean so far; NaN over nothing.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }

    /// The sum of the weights.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight.value()
    }
}

/// The perplexity of a language model, `e` to the mean cross-entropy of a token: of how many tokens, all equally likely, it would be as
/// uncertain.
///
/// ```
/// use arenagrad::metrics::Perplexity;
///
/// let mut perplexity = Perplexity::new();
/// perplexity.add_mean(10f64.ln(), 64.0)?; // the mean cross-entropy over 64 tokens
/// assert!((perplexity.value() - 10.0).abs() < 1e-12);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Perplexity {
    cross_entropy: Mean,
    ignored: Option<i32>,
}

impl Default for Perplexity {
    fn default() -> Self {
        Perplexity::new()
    }
}

impl Perplexity {
    /// The perplexity of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Perplexity { cross_entropy: Mean::new(), ignored: Some(IGNORED) }
    }

    /// Which label is left out: -100 unless it is said here.
    #[must_use]
    pub fn ignore(mut self, label: impl Into<Option<i32>>) -> Self {
        self.ignored = label.into();
        self
    }

    /// Adds the logits `[n, classes, d1, ..]` of a batch and the tokens `[n, d1, ..]` that came.
    ///
    /// [`Error::Metric`]: other shapes, logits that are no floats, labels that are, a label that is no class.
    pub fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<(), Error> {
        let (logits, labels) = Logits::with_labels(logits, labels)?;
        for (sample, class) in counted(&labels, logits.classes, self.ignored)? {
            self.cross_entropy.add(logits.cross_entropy(sample, class), 1.0)?;
        }
        Ok(())
    }

    /// Adds the mean cross-entropy of so many tokens, in nats, as [`Expr::cross_entropy`](crate::Expr::cross_entropy) gives it.
    ///
    /// [`Error::Metric`] for a number of tokens that is not finite or below 0.
    pub fn add_mean(&mut self, cross_entropy: f64, tokens: f64) -> Result<(), Error> {
        self.cross_entropy.add(cross_entropy, tokens)
    }

    /// The mean cross-entropy of a token so far, in nats; NaN over nothing.
    #[must_use]
    pub fn cross_entropy(&self) -> f64 {
        self.cross_entropy.value()
    }

    /// The perplexity so far, from 1 to infinity; NaN over nothing.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.cross_entropy().exp()
    }

    /// How many tokens counted.
    #[must_use]
    pub fn tokens(&self) -> f64 {
        self.cross_entropy.weight()
    }
}
