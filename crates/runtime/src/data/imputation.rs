//! Numbers in the place of missing ones, by what was fitted to training data.
//!
//! What is missing is NaN, as [`Missing::Nan`](super::Missing) leaves it. Whoever fits names the set that is looked at, and nothing else
//! is.

use arenagrad_graph::DType;

use super::batch::{Batch, NamedTensors};
use super::dataset::Dataset;
use super::scaling::{Fit, Per, changed};
use super::{DataError, listed};
use crate::error::Error;
use crate::tensor::Tensor;

/// What a missing number becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fill {
    /// The mean of those that are there.
    Mean,
    /// Their median: of an even number of them the mean of the two in the middle.
    Median,
    /// The one that is there most often, of several the least.
    MostFrequent,
    /// This number, whatever is there.
    Constant(f64),
}

/// Numbers for those that are missing in a column, fitted to training data. (scikit-learn's `SimpleImputer`.)
///
/// What is filled is f64 if it was, and f32 otherwise.
///
/// ```
/// use arenagrad::{Tensor, data::{Dataset, Fill, Imputation, Per}};
///
/// let missing = f32::NAN;
/// let data = |x: Vec<f32>| Dataset::new().with("x", Tensor::new([x.len() / 2, 2], x)?);
/// let (train, test) = (data(vec![1.0, 10.0, 3.0, missing])?, data(vec![missing, missing])?);
/// let imputation = Imputation::fit(&train, "x", Per::Channel, Fill::Mean)?;
/// assert_eq!(imputation.apply(&test)?.column("x")?.as_slice::<f32>()?, [2.0, 10.0]);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Imputation {
    column: String,
    /// In f64, and of a shape that broadcasts over a sample.
    fill: Tensor,
}

impl Imputation {
    /// A number for each column of a table, for each channel, or whatever [`Per`] says, of the samples in which it is there.
    ///
    /// Errors: [`DataError::UnknownColumn`]; [`DataError::Fit`] where no number is there to fit to, or what would be filled in is
    /// not finite.
    pub fn fit(train: &Dataset, column: &str, per: Per, fill: Fill) -> Result<Self, Error> {
        let fit = Fit::new("numbers for missing ones", train, column, per)?;
        let numbers = match fill {
            Fill::Constant(constant) => vec![constant; fit.groups],
            Fill::Mean => {
                let mut sums = vec![(0.0, 0_u64); fit.groups];
                fit.for_each(|group, x| sums[group] = (sums[group].0 + x, sums[group].1 + 1))?;
                of_each(&fit, sums, |(sum, count)| (count > 0).then(|| sum / count as f64))?
            }
            Fill::Median | Fill::MostFrequent => {
                let mut present: Vec<Vec<f64>> = vec![Vec::new(); fit.groups];
                fit.for_each(|group, x| present[group].push(x))?;
                of_each(&fit, present, |mut present| {
                    present.sort_by(f64::total_cmp);
                    if fill == Fill::Median { median(&present) } else { most_frequent(&present) }
                })?
            }
        };
        if let Some((group, number)) = numbers.iter().enumerate().find(|(_, number)| !number.is_finite()) {
            return Err(fit.error(format!("what element {group} would be filled with, {number}, is not finite")));
        }
        Ok(Imputation { column: column.to_owned(), fill: Tensor::new(&fit.numbers, numbers)? })
    }

    /// The set with the missing numbers of its column filled. The others are as they were.
    ///
    /// Errors: [`DataError::UnknownColumn`]; [`DataError::Scaling`] if its samples are of another shape than those of the training
    /// data.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, Error> {
        let filled = self.transform(data.column(&self.column)?)?;
        data.clone().with(self.column.clone(), filled)
    }

    /// A batch of such samples filled: `[n, ..]`. [`DataError::Scaling`] for samples of another shape.
    pub fn transform(&self, samples: &Tensor) -> Result<Tensor, Error> {
        let fill = self.fill.as_slice::<f64>()?;
        changed(samples, self.fill.shape(), |group, x| if x.is_nan() { fill[group] } else { x })
    }

    /// The name of the column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The numbers, in f64, of a shape that broadcasts over a sample.
    pub fn fill(&self) -> &Tensor {
        &self.fill
    }

    /// The numbers under a name, to be saved beside parameters: `x.fill` for a column `x`.
    #[must_use]
    pub fn tensors(&self) -> Batch {
        Batch::new().with(format!("{}.fill", self.column), self.fill.clone())
    }

    /// The imputation of a column whose numbers are among these tensors, as [`Imputation::tensors`] names them.
    /// [`DataError::UnknownColumn`] if they are missing.
    pub fn from_tensors(column: &str, tensors: &(impl NamedTensors + ?Sized)) -> Result<Self, Error> {
        let (tensors, name) = (tensors.named_tensors(), format!("{column}.fill"));
        match tensors.iter().find(|(known, _)| *known == name) {
            Some((_, fill)) => Ok(Imputation { column: column.to_owned(), fill: fill.cast(DType::F64) }),
            None => {
                let known = listed(tensors.iter().map(|(name, _)| *name));
                Err(DataError::UnknownColumn { name, known }.into())
            }
        }
    }
}

/// A number for each group, of what was found of it.
fn of_each<T>(fit: &Fit<'_>, found: Vec<T>, number: impl Fn(T) -> Option<f64>) -> Result<Vec<f64>, Error> {
    let numbers = found.into_iter().enumerate();
    numbers.map(|(group, found)| number(found).ok_or_else(|| fit.refused(group))).collect()
}

/// The middle of sorted numbers.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    // Halved before they are added, so that the sum of two large numbers does not overflow.
    Some(if sorted.len() % 2 == 1 { upper } else { sorted[middle - 1] / 2.0 + upper / 2.0 })
}

/// The number that is there most often among sorted ones, of several the least.
fn most_frequent(sorted: &[f64]) -> Option<f64> {
    let mut best: Option<(usize, f64)> = None;
    for equal in sorted.chunk_by(|a, b| a == b) {
        if best.is_none_or(|(count, _)| equal.len() > count) {
            best = Some((equal.len(), equal[0]));
        }
    }
    best.map(|(_, number)| number)
}
