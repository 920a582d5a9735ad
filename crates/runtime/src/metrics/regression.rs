//! How far predicted numbers are from those that came.

use crate::error::Error;
use crate::metrics::MetricError;
use crate::metrics::mean::Sum;
use crate::metrics::samples::same_shape;
use crate::tensor::Tensor;

/// Errors of predicted numbers: mean absolute error, mean squared error, its root, and R², as scikit-learn's `mean_absolute_error`,
/// `mean_squared_error` and `r2_score` define them.
///
/// Predictions and targets are of one shape `[n, ..]`: `n` samples, each of as many outputs as the other axes have elements. Errors are
/// means over all outputs, and R² is the mean of each output's own.
///
/// ```
/// use arenagrad::Tensor;
/// use arenagrad::metrics::Regression;
///
/// let mut regression = Regression::new();
/// let target = Tensor::new([4], vec![3.0, -0.5, 2.0, 7.0])?;
/// regression.add(&Tensor::new([4], vec![2.5, 0.0, 2.0, 8.0])?, &target)?;
/// assert_eq!(regression.mean_absolute_error(), 0.5);
/// assert!((regression.r2() - 0.948_608_137).abs() < 1e-9);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regression {
    samples: u64,
    /// One of each output, none before the first batch.
    outputs: Vec<Output>,
}

/// What is kept of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Output {
    absolute: Sum,
    squared: Sum,
    /// The first target. The others are seen from there, so that targets far from 0 lose no digits.
    origin: f64,
    /// Mean of the targets and sum of their squared distances from it, moved along sample by sample (Welford).
    mean: f64,
    spread: f64,
}

impl Regression {
    /// Errors of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Regression::default()
    }

    /// The errors of all samples at once: [`Regression::add`] to nothing.
    pub fn of(predicted: &Tensor, target: &Tensor) -> Result<Self, Error> {
        let mut regression = Regression::new();
        regression.add(predicted, target)?;
        Ok(regression)
    }

    /// Adds a batch of predictions and targets of one shape `[n, ..]`; rank 0 is one sample.
    ///
    /// [`Error::Metric`]: shapes that differ, or another number of outputs than in earlier batches.
    pub fn add(&mut self, predicted: &Tensor, target: &Tensor) -> Result<(), Error> {
        let shape = predicted.shape();
        same_shape("targets", target.shape(), "predictions", shape)?;
        let found = shape.iter().skip(1).fold(1usize, |product, &extent| product.saturating_mul(extent));
        if !self.outputs.is_empty() && self.outputs.len() != found {
            let expected = self.outputs.len();
            return Err(MetricError::ExtentChanged { what: "predictions", unit: "outputs", found, expected }.into());
        }
        if shape.elements() == 0 {
            return Ok(());
        }
        self.outputs.resize(found, Output::default());
        let (predicted, target) = (predicted.to_f64_vec(), target.to_f64_vec());
        for (predicted, target) in predicted.chunks_exact(found).zip(target.chunks_exact(found)) {
            self.samples += 1;
            for (output, (predicted, target)) in self.outputs.iter_mut().zip(predicted.iter().zip(target)) {
                let error = target - predicted;
                output.absolute.add(error.abs());
                output.squared.add(error * error);
                if self.samples == 1 {
                    output.origin = *target;
                }
                let seen = target - output.origin;
                let distance = seen - output.mean;
                output.mean += distance / self.samples as f64;
                output.spread += distance * (seen - output.mean);
            }
        }
        Ok(())
    }

    /// The mean of `|target - prediction|`; NaN over nothing.
    #[must_use]
    pub fn mean_absolute_error(&self) -> f64 {
        self.mean(|output| output.absolute.value())
    }

    /// The mean of `(target - prediction)²`; NaN over nothing.
    #[must_use]
    pub fn mean_squared_error(&self) -> f64 {
        self.mean(|output| output.squared.value())
    }

    /// The mean of each output's own root of its mean of `(target - prediction)²`; NaN over nothing.
    #[must_use]
    pub fn root_mean_squared_error(&self) -> f64 {
        let roots = self.outputs.iter().map(|output| (output.squared.value() / self.samples as f64).sqrt());
        roots.sum::<f64>() / self.outputs.len() as f64
    }

    /// R², the coefficient of determination: 1 for perfect predictions, 0 for predictions no better than the mean of the targets, below 0
    /// for worse. An output whose targets are all equal counts 1 if the predictions are perfect, else 0. NaN below two samples.
    #[must_use]
    pub fn r2(&self) -> f64 {
        if self.samples < 2 {
            return f64::NAN;
        }
        let r2 = |output: &Output| match (output.squared.value(), output.spread) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => 0.0,
            (squared, spread) => 1.0 - squared / spread,
        };
        self.outputs.iter().map(r2).sum::<f64>() / self.outputs.len() as f64
    }

    /// How many samples were added.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    fn mean(&self, of: impl Fn(&Output) -> f64) -> f64 {
        let total: f64 = self.outputs.iter().map(of).sum();
        total / (self.samples as f64 * self.outputs.len() as f64)
    }
}
